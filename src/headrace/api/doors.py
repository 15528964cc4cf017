"""Nobody gets past here without what an operation asks for: one guard for every route, whoever serves it."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Receive, Send
from starlette.types import Scope as AsgiScope

from headrace.api.errors import OtherSite, error_reply
from headrace.auth.door import Door
from headrace.auth.principal import ANONYMOUS, Principal
from headrace.clock import Ids
from headrace.errors import HeadraceError, NotAllowed

_READING = ("GET", "HEAD")


async def admitted(door: Door, scope: AsgiScope, wanted: str | None) -> Principal:
    """Who makes this request, if it may. `wanted` None: everybody may.

    Raises NotAuthenticated, NotAllowed, OtherSite.
    """
    if wanted is None:
        return ANONYMOUS
    principal = await door.admit([value for name, value in scope["headers"] if name == b"authorization"])
    if not principal.may(wanted):
        raise NotAllowed(wanted)
    if principal is ANONYMOUS and scope["method"] not in _READING and _is_of_another_site(scope):
        raise OtherSite
    return principal


def _is_of_another_site(scope: AsgiScope) -> bool:
    """Whether a browser says that another site's page asks: whoever opened that page did not mean to.

    No token is in its way, and what a browser sends without asking first would be read here: a body of no type is JSON.
    """
    headers: dict[bytes, bytes] = dict(scope["headers"])
    site = headers.get(b"sec-fetch-site")
    if site is not None:
        return site not in (b"same-origin", b"none")
    origin, host = headers.get(b"origin"), headers.get(b"host", b"")
    if origin is None:
        return False
    return origin.partition(b"://")[2] != host or _is_rebound(scope, host)


def _is_rebound(scope: AsgiScope, host: bytes) -> bool:
    """Whether a name of somebody's leads to this machine's own loopback address (DNS rebinding)."""
    return _is_loopback((scope.get("server") or ("",))[0]) and not _is_loopback(_name_in(host))


def _name_in(host: bytes) -> str:
    try:
        return urlsplit(f"//{host.decode('latin-1')}").hostname or ""
    except ValueError:
        return ""


def _is_loopback(name: str) -> bool:
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")


class Guarded:
    """A service beside the API (the sandbox's): reading and writing it need its own scopes, `ledger:read` and so on."""

    def __init__(self, app: ASGIApp, service: str, door: Door, ids: Ids) -> None:
        self.app = app
        self.service = service
        self._door = door
        self._ids = ids

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        access = "read" if scope["method"] in _READING else "write"
        try:
            await admitted(self._door, scope, f"{self.service}:{access}")
        except HeadraceError as error:
            await error_reply(error, self._ids).send(send)
            return
        await self.app(scope, receive, send)
