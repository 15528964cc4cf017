"""The ASGI application below `/console`: it finds the screen, guards it, and turns what goes wrong into a page."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from hmac import compare_digest
from http import HTTPStatus
from ipaddress import ip_address
from urllib.parse import parse_qsl

import structlog
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route, Router
from starlette.types import Receive, Scope, Send

from headrace.console.rendering import assets, rendered
from headrace.console.screens import SCREENS, Page, Place, Screen
from headrace.errors import HeadraceError, InvalidValue, NotFound, Silent, Unavailable
from headrace.usecases.ports import Ports

log = structlog.get_logger("headrace.console")

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
FORM = "application/x-www-form-urlencoded"
MAX_FORM_BYTES = 64 << 10
_STATUSES: tuple[tuple[type[HeadraceError], HTTPStatus], ...] = (
    (NotFound, HTTPStatus.NOT_FOUND),
    (InvalidValue, HTTPStatus.BAD_REQUEST),
    (Silent, HTTPStatus.SERVICE_UNAVAILABLE),
    (Unavailable, HTTPStatus.SERVICE_UNAVAILABLE),
)


class Console:
    """The console of a server, as an ASGI application.

    Until there is a sign-in, a server with authentication shows a page that says so, and nothing else.
    """

    def __init__(self, ports: Ports, *, is_open: bool, is_sandbox: bool) -> None:
        """`is_open`: the server has no authentication, so that its console is for this machine only."""
        self.ports = ports
        self.is_open = is_open
        self.is_sandbox = is_sandbox
        self._token = ports.ids.new()
        routes = [
            Route(screen.path, self._endpoint(screen), methods=["GET"] if screen.post is None else ["GET", "POST"])
            for screen in SCREENS
        ]
        routes.append(Route("/static/{name}", _static, methods=["GET"]))
        self._router = Router(routes, default=self._unknown)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request whose path begins with `/console`: its pages name each other so."""
        path = scope["path"].removeprefix("/console")
        if path == scope["path"]:
            path = "/unknown"
        await self._router({**scope, "root_path": "", "path": path or "/"}, receive, send)

    def _endpoint(self, screen: Screen) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            return await self._shown(screen, request)

        return endpoint

    async def _shown(self, screen: Screen, request: Request) -> Response:
        try:
            self._guard(request)
            place = Place(self.ports, dict(request.query_params), dict(request.path_params))
            if request.method == "POST" and screen.post is not None:
                shown = await screen.post(replace(place, form=await self._form(request)))
            else:
                shown = await screen.view(place)
        except _Refused as refused:
            return self._page(request, Page("message.html", refused.title, {"text": str(refused)}), refused.status)
        except HeadraceError as error:
            status = next((code for kind, code in _STATUSES if isinstance(error, kind)), None)
            if status is None:
                return self._failed(request, error)
            title = "Not found" if status == HTTPStatus.NOT_FOUND else "This cannot be shown"
            return self._page(request, Page("message.html", title, {"text": str(error)}), status)
        except Exception as error:  # noqa: BLE001 (the last line before the server; it is logged)
            return self._failed(request, error)
        if isinstance(shown, Response):
            shown.headers.update({name: value for name, value in HEADERS.items() if name not in shown.headers})
            return shown
        return self._page(request, shown, shown.status)

    def _guard(self, request: Request) -> None:
        """Raise _Refused for a caller that the console shows nothing to."""
        if not self.is_open:
            raise _Refused(
                HTTPStatus.FORBIDDEN,
                "Sign-in is missing",
                "This server has authentication, and this release of the console has no sign-in. Use the command "
                "line with credentials of a client.",
            )
        try:
            is_here = request.client is not None and ip_address(request.client.host).is_loopback
        except ValueError:
            is_here = False
        if not is_here:
            raise _Refused(
                HTTPStatus.FORBIDDEN,
                "Only on this machine",
                "This server has no authentication, so its console answers to this machine only.",
            )

    async def _form(self, request: Request) -> dict[str, str]:
        """The fields of a form of this server. Raises _Refused for one that another site may have made."""
        content = b""
        async for part in request.stream():
            content += part
            if len(content) > MAX_FORM_BYTES:
                raise _Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "Too long", "No form of the console is so long.")
        if request.headers.get("content-type", "").partition(";")[0].strip() != FORM:
            raise _Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Not a form", f"A form is sent as {FORM}.")
        fields = dict(parse_qsl(content.decode(errors="replace"), keep_blank_values=True))
        is_ours = compare_digest(fields.get("token", "").encode(), self._token.encode())
        if not is_ours:
            raise _Refused(
                HTTPStatus.FORBIDDEN,
                "An old form",
                "This form was not made by this server since its start. Nothing was done: go back, reload, and send it "
                "again.",
            )
        return fields

    def _page(self, request: Request, page: Page, status: HTTPStatus) -> Response:
        values = {
            "now_at": self.ports.clock.now_at(),
            "path": f"/console{request.url.path}",
            "title": page.title,
            "is_sandbox": self.is_sandbox,
            "token": self._token,
            **page.values,
        }
        return HTMLResponse(rendered(page.template, values), status, HEADERS)

    def _failed(self, request: Request, error: Exception) -> Response:
        identity = self.ports.ids.new()
        log.error("the console failed", correlation_id=identity, path=request.url.path, exc_info=error)
        text = f"Something went wrong in Headrace. Its log has the reason under {identity}."
        return self._page(request, Page("message.html", "An error", {"text": text}), HTTPStatus.INTERNAL_SERVER_ERROR)

    async def _unknown(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        page = Page("message.html", "Not found", {"text": "There is no such page of the console."})
        await self._page(request, page, HTTPStatus.NOT_FOUND)(scope, receive, send)


class _Refused(Exception):
    def __init__(self, status: HTTPStatus, title: str, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.title = title


async def _static(request: Request) -> Response:
    """A file whose name has the hash of its content, and which is cached without a limit."""
    found = assets().get(request.path_params["name"])
    if found is None:
        return Response(status_code=HTTPStatus.NOT_FOUND, headers=HEADERS)
    media_type, content = found
    headers = {**HEADERS, "cache-control": "public, max-age=31536000, immutable"}
    return Response(content, media_type=media_type, headers=headers)
