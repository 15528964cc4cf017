"""The ASGI application below `/console`: it finds the screen, guards it, and turns what goes wrong into a page."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from http import HTTPStatus
from ipaddress import ip_address

import structlog
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route, Router
from starlette.types import Receive, Scope, Send

from headrace.auth.authenticator import Authenticator
from headrace.auth.clients import READ
from headrace.auth.oauth import Refused
from headrace.console.counts import Counts
from headrace.console.facts import Facts
from headrace.console.forms import Refusal, fields_of, own_fields
from headrace.console.pages import Page, Place, Visitor, status_for
from headrace.console.rendering import assets, rendered
from headrace.console.screens import SCREENS, Screen
from headrace.console.signin import HOME, SignIn, local_path, refusal_status, signed_out, to_sign_in
from headrace.errors import NotAllowed, NotAuthenticated
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


class Console:
    """The console of a server, as an ASGI application."""

    def __init__(
        self, ports: Ports, authenticator: Authenticator | None, *, is_sandbox: bool, facts: Facts | None = None
    ) -> None:
        """`authenticator` None: the server has no authentication, so that its console is for its own machine only."""
        self.ports = ports
        self.is_sandbox = is_sandbox
        self._counts = Counts(ports.clock)
        self._facts = facts
        self._signin = SignIn(authenticator, ports.ids.new())
        routes = [
            Route(screen.path, self._endpoint(screen), methods=["GET"] if screen.post is None else ["GET", "POST"])
            for screen in SCREENS
        ]
        routes.append(Route("/static/{name}", _static, methods=["GET"]))
        routes.append(Route("/sign-in", self._sign_in, methods=["GET", "POST"]))
        routes.append(Route("/sign-out", self._sign_out, methods=["POST"]))
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
        visitor = None
        try:
            self._require_this_machine(request)
            visitor = await self._signin.visitor(request)
            if not visitor.principal.may(READ):
                raise NotAllowed(READ)
            query, params = dict(request.query_params), dict(request.path_params)
            place = Place(self.ports, self._counts, visitor, query, params, facts=self._facts)
            if request.method == "POST" and screen.post is not None:
                shown = await screen.post(replace(place, form=await own_fields(request, visitor)))
            else:
                shown = await screen.view(place)
        except NotAuthenticated:
            if request.method != "POST":
                return _with_headers(to_sign_in(request))
            page = Page("message.html", "Sign in again", {"text": "The session has ended. Nothing was done."})
            return self._page(request, page, HTTPStatus.FORBIDDEN)
        except Exception as error:  # noqa: BLE001 (the last line before the server; it is logged)
            return self._refused(request, error, visitor)
        if isinstance(shown, Response):
            return _with_headers(shown)
        return self._page(request, shown, shown.status, visitor)

    def _refused(self, request: Request, error: Exception, visitor: Visitor | None = None) -> Response:
        """The page of an error; what is no error of a caller is logged, and its page has the id of the log line."""
        if isinstance(error, Refusal):
            return self._page(request, Page("message.html", error.title, {"text": str(error)}), error.status, visitor)
        status = status_for(error)
        if status is not None:
            title = "Not found" if status == HTTPStatus.NOT_FOUND else "This cannot be shown"
            return self._page(request, Page("message.html", title, {"text": str(error)}), status, visitor)
        identity = self.ports.ids.new()
        log.error("the console failed", correlation_id=identity, path=request.url.path, exc_info=error)
        text = f"Something went wrong in Headrace. Its log has the reason under {identity}."
        return self._page(request, Page("message.html", "An error", {"text": text}), HTTPStatus.INTERNAL_SERVER_ERROR)

    def _require_this_machine(self, request: Request) -> None:
        """Raise Refusal for a request from elsewhere to a server without authentication."""
        if not self._signin.is_open:
            return
        try:
            is_here = request.client is not None and ip_address(request.client.host).is_loopback
        except ValueError:
            is_here = False
        if not is_here:
            raise Refusal(
                HTTPStatus.FORBIDDEN,
                "Only on this machine",
                "This server has no authentication, so its console answers to this machine only.",
            )

    async def _sign_in(self, request: Request) -> Response:
        if self._signin.is_open:
            return RedirectResponse(HOME, HTTPStatus.SEE_OTHER)
        values = {"has_clients": self._signin.has_clients, "error": "", "client": ""}
        values["next"] = local_path(request.query_params.get("next", ""))
        status = HTTPStatus.OK
        if request.method == "POST" and self._signin.has_clients:
            fields = dict[str, str]()
            try:
                fields = await fields_of(request)
                return _with_headers(await self._signin.sign_in(request, fields))
            except Refused as refused:
                status = refusal_status(refused)
                values |= {"error": str(refused), "client": fields.get("client", "")[:200]}
                values["next"] = local_path(fields.get("next", ""))
            except Exception as error:  # noqa: BLE001 (as in `_shown`)
                return self._refused(request, error)
        return self._page(request, Page("signin.html", "Sign in", values), status)

    async def _sign_out(self, request: Request) -> Response:
        try:
            await own_fields(request, await self._signin.visitor(request))
        except NotAuthenticated:
            return _with_headers(signed_out())
        except Exception as error:  # noqa: BLE001 (as in `_shown`)
            return self._refused(request, error)
        return _with_headers(signed_out())

    def _page(self, request: Request, page: Page, status: HTTPStatus, visitor: Visitor | None = None) -> Response:
        values = {
            "now_at": self.ports.clock.now_at(),
            "path": f"/console{request.url.path}",
            "title": page.title,
            "is_sandbox": self.is_sandbox,
            "token": "" if visitor is None else visitor.form_token,
            "visitor": visitor,
            "is_open": self._signin.is_open,
            **page.values,
        }
        return HTMLResponse(rendered(page.template, values), status, HEADERS)

    async def _unknown(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        page = Page("message.html", "Not found", {"text": "There is no such page of the console."})
        await self._page(request, page, HTTPStatus.NOT_FOUND)(scope, receive, send)


def _with_headers(response: Response) -> Response:
    response.headers.update({name: value for name, value in HEADERS.items() if name not in response.headers})
    return response


async def _static(request: Request) -> Response:
    """A file whose name has the hash of its content, and which is cached without a limit."""
    found = assets().get(request.path_params["name"])
    if found is None:
        return Response(status_code=HTTPStatus.NOT_FOUND, headers=HEADERS)
    media_type, content = found
    headers = {**HEADERS, "cache-control": "public, max-age=31536000, immutable"}
    return Response(content, media_type=media_type, headers=headers)
