"""Responses before the journal is open: liveness, and 503 with the reason to every other request."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from headrace.api.errors import error_response
from headrace.api.probes import LIVE
from headrace.api.routes import PREFIX
from headrace.clock import Ids
from headrace.errors import Unavailable

LIVENESS = ("/livez", f"{PREFIX}/livez")


class StartupGate:
    """An ASGI application that passes every request to another one, once that is there."""

    def __init__(self, ids: Ids) -> None:
        self._ids = ids
        self._app: ASGIApp | None = None
        self.reason = "the server is starting"

    @property
    def is_closed(self) -> bool:
        return self._app is None

    def open(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._app is not None:
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1013})
        else:
            is_liveness = scope["path"] in LIVENESS and scope["method"] in ("GET", "HEAD")
            response = LIVE if is_liveness else error_response(Unavailable(self.reason), self._ids)
            await response.send(send)
