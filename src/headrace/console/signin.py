"""Sign-in of a server with local clients: a client's id and secret become a token, which a cookie of the browser holds.

The token is the one that the API gives to programs: every server of the same clients accepts it, it ends at its time,
and with its client. The API reads no cookies, so a page of another site can use it nowhere; the console reads no
Authorization header.
"""

from __future__ import annotations

from hashlib import sha256
from http import HTTPStatus
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from headrace.auth.authenticator import Authenticator
from headrace.auth.oauth import GRANT, Asked, TooManyFailures
from headrace.auth.principal import ANONYMOUS
from headrace.console.pages import Visitor
from headrace.errors import NotAuthenticated

COOKIE = "__Host-headrace"
"""The prefix makes a browser accept the cookie over a safe connection only, and send it to this host only."""
HOME = "/console/"


class SignIn:
    """The visitors of a console. `authenticator` None: a server without authentication, whose visitors are all one."""

    def __init__(self, authenticator: Authenticator | None, form_token: str) -> None:
        """`form_token`: what the forms of a server without authentication carry."""
        self._authenticator = authenticator
        self._form_token = form_token

    @property
    def is_open(self) -> bool:
        return self._authenticator is None

    @property
    def has_clients(self) -> bool:
        """Whether this server gives tokens itself; else an issuer elsewhere does."""
        return self._authenticator is not None and self._authenticator.authority.metadata() is not None

    async def visitor(self, request: Request) -> Visitor:
        """The visitor that sends a request. Raises NotAuthenticated, and Unavailable without the keys of tokens."""
        if self._authenticator is None:
            return Visitor(ANONYMOUS, "this machine, without sign-in", self._form_token)
        token = request.cookies.get(COOKIE, "")
        if not token.isascii() or not token:
            raise NotAuthenticated("sign in", has_token=False)
        principal = await self._authenticator.authenticate([b"Bearer " + token.encode()])
        name = self._authenticator.name_of(principal.name) or principal.name
        return Visitor(principal, name, sha256(b"headrace form\0" + token.encode()).hexdigest())

    async def sign_in(self, request: Request, fields: dict[str, str]) -> Response:
        """Start the session of a client, and lead to the page that was asked for. Raises Refused."""
        assert self._authenticator is not None
        form = {"grant_type": [GRANT], "client_id": [fields.get("client", "").strip()]}
        form["client_secret"] = [fields.get("secret", "")]
        address = request.client.host if request.client else ""
        granted = await self._authenticator.authority.grant(Asked(form, [], address))
        response = RedirectResponse(local_path(fields.get("next", "")), HTTPStatus.SEE_OTHER)
        response.set_cookie(
            COOKIE, granted.token, max_age=granted.life_s, path="/", secure=True, httponly=True, samesite="lax"
        )
        return response


def signed_out() -> Response:
    """Lead to the sign-in without a session."""
    response = RedirectResponse("/console/sign-in", HTTPStatus.SEE_OTHER)
    response.delete_cookie(COOKIE, path="/", secure=True, httponly=True, samesite="lax")
    return response


def to_sign_in(request: Request) -> Response:
    """Lead to the sign-in, and from there to the page that was asked for."""
    asked = f"/console{request.url.path}" + (f"?{request.url.query}" if request.url.query else "")
    return RedirectResponse(f"/console/sign-in?{urlencode({'next': asked})}", HTTPStatus.SEE_OTHER)


def local_path(text: str) -> str:
    """A path of the console; Home for any other text, which may lead to another site."""
    is_safe = text.startswith("/console/") and text.isascii() and text.isprintable() and "\\" not in text
    return text if is_safe and "//" not in text.partition("?")[0] else HOME


def refusal_status(error: Exception) -> HTTPStatus:
    """The status of a refused sign-in."""
    return HTTPStatus.TOO_MANY_REQUESTS if isinstance(error, TooManyFailures) else HTTPStatus.UNAUTHORIZED
