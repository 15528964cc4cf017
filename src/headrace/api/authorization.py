"""Nobody gets past here without what an operation asks for: one guard for every route, whoever serves it."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Send
from starlette.types import Scope as AsgiScope

from headrace.api.errors import error_response
from headrace.auth.door import Door
from headrace.auth.principal import ANONYMOUS, Principal
from headrace.clock import Ids
from headrace.errors import HeadraceError, NotAllowed

_READING = ("GET", "HEAD")


async def admitted(authenticator: Door, scope: AsgiScope, wanted: str | None) -> Principal:
    """Who makes this request, if it may. `wanted` None: everybody may.

    Raises NotAuthenticated, NotAllowed.
    """
    if wanted is None:
        return ANONYMOUS
    principal = await authenticator.admit([value for name, value in scope["headers"] if name == b"authorization"])
    if not principal.may(wanted):
        raise NotAllowed(wanted)
    return principal


class Guarded:
    """A service beside the API (the sandbox's): reading and writing it need its own scopes, `ledger:read` and so on."""

    def __init__(self, app: ASGIApp, service: str, authenticator: Door, ids: Ids) -> None:
        self.app = app
        self.service = service
        self._authenticator = authenticator
        self._ids = ids

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        access = "read" if scope["method"] in _READING else "write"
        try:
            await admitted(self._authenticator, scope, f"{self.service}:{access}")
        except HeadraceError as error:
            await error_response(error, self._ids).send(send)
            return
        await self.app(scope, receive, send)
