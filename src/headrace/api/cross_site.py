"""Protection of a server without authentication against pages that a browser on this machine has open.

Such a server trusts all that reaches its port. A page of another site reaches it, too: by a request to this machine,
which the Origin gives away, or by a name of its own that resolves to this machine (DNS rebinding), which the Host gives
away. Both are refused before routing, so that no operation, probe or page is left out. With authentication, a page has
no token.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import lru_cache
from ipaddress import ip_address

from starlette.types import ASGIApp, Receive, Scope, Send

from headrace.api.errors import ForeignHost, OtherSite, error_response
from headrace.clock import Ids
from headrace.errors import HeadraceError

_READING = ("GET", "HEAD")
_ADDRESS = re.compile(rb"(?:\[([0-9a-fA-F:.]+)\]|([0-9a-zA-Z._-]+))(?::[0-9]*)?")
"""A host and a port, and nothing that other programs might read another way: user, zone, path."""
_REMEMBERED = 32
"""Hosts and addresses whose parts are kept: callers send the same few, and parsing them cost 6 % of a request."""


class SameSite:
    """Refuses requests from pages of other sites.

    `allowed_hosts`: names beside those of the loopback interface, for a reverse proxy on this machine.
    """

    def __init__(self, app: ASGIApp, allowed_hosts: Collection[str], ids: Ids) -> None:
        self._app = app
        self._allowed_hosts = frozenset(host.lower().rstrip(".") for host in allowed_hosts)
        self._ids = ids

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            try:
                self._check(scope)
            except HeadraceError as error:
                await error_response(error, self._ids).send(send)
                return
        await self._app(scope, receive, send)

    def _check(self, scope: Scope) -> None:
        """Raises ForeignHost, OtherSite."""
        headers: dict[bytes, bytes] = dict(scope["headers"])
        host = headers.get(b"host")
        if host is not None and _is_local(scope) and not self._is_ours(name := _name_in(host)):
            raise ForeignHost(name or host.decode("latin-1"))
        if scope["method"] not in _READING and self._is_of_another_site(headers, host or b""):
            raise OtherSite

    def _is_of_another_site(self, headers: dict[bytes, bytes], host: bytes) -> bool:
        """True for a cross-site browser request, by Sec-Fetch-Site or by Origin: neither overrides the other."""
        if headers.get(b"sec-fetch-site", b"none") not in (b"same-origin", b"none"):
            return True
        origin = headers.get(b"origin")
        if origin is None:
            return False
        address = origin.partition(b"://")[2]
        return address != host and _name_in(address) not in self._allowed_hosts

    def _is_ours(self, name: str) -> bool:
        return is_loopback(name) or name in self._allowed_hosts


def _is_local(scope: Scope) -> bool:
    """Whether the request came in at a loopback address."""
    return is_loopback((scope.get("server") or ("",))[0])


@lru_cache(_REMEMBERED)
def _name_in(address: bytes) -> str:
    """In lower case, without the dot that ends it. Empty where it is no address."""
    found = _ADDRESS.fullmatch(address)
    return "" if found is None else (found[1] or found[2]).decode().lower().removesuffix(".")


@lru_cache(_REMEMBERED)
def is_loopback(name: str) -> bool:
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")
