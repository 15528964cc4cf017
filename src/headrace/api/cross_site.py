"""Protection of a server without authentication against cross-site requests and DNS rebinding.

Such a server trusts every request that reaches its port, and pages of other sites in a browser on this machine reach it
too: with a request to this machine, which the Origin reveals, or by a name of their own that resolves to this machine
(DNS rebinding), which the Host reveals. Both are rejected before routing, so that no operation, probe or page is left
out. With authentication no check is needed: such a page has no token.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from functools import lru_cache
from ipaddress import ip_address

from starlette.types import Scope

from headrace.api.errors import CrossSiteRequest, ForeignHost

_READS = ("GET", "HEAD")
_ADDRESS = re.compile(rb"(?:\[([0-9a-fA-F:.]+)\]|([0-9a-zA-Z._-]+))(?::[0-9]*)?")
"""A host and a port, without the parts that programs read in different ways: user, zone, path."""
_CACHED = 32
"""Hosts and addresses whose parts are kept: clients send the same few, and parsing them cost 6 % of a request."""


class CrossSiteGuard:
    """Rejects requests from pages of other sites.

    `allowed_hosts`: names beside those of the loopback interface, for a reverse proxy on this machine.
    """

    def __init__(self, allowed_hosts: Collection[str]) -> None:
        self._allowed_hosts = frozenset(host.lower().rstrip(".") for host in allowed_hosts)

    def check(self, scope: Scope, headers: Mapping[bytes, bytes]) -> None:
        """Raise ForeignHost for a request to this machine under another name, CrossSiteRequest for a write.

        Sec-Fetch-Site and Origin both count; neither overrides the other.
        """
        host = headers.get(b"host")
        if host is not None and is_loopback((scope.get("server") or ("",))[0]):
            name = _name_in(host)
            if not is_loopback(name) and name not in self._allowed_hosts:
                raise ForeignHost(name or host.decode("latin-1"))
        if scope["method"] in _READS:
            return
        if headers.get(b"sec-fetch-site", b"none") not in (b"same-origin", b"none"):
            raise CrossSiteRequest
        origin = headers.get(b"origin")
        if origin is not None:
            address = origin.partition(b"://")[2]
            if address != (host or b"") and _name_in(address) not in self._allowed_hosts:
                raise CrossSiteRequest


@lru_cache(_CACHED)
def _name_in(address: bytes) -> str:
    """The name in an address, in lower case and without a final dot; empty where there is none."""
    found = _ADDRESS.fullmatch(address)
    return "" if found is None else (found[1] or found[2]).decode().lower().removesuffix(".")


@lru_cache(_CACHED)
def is_loopback(name: str) -> bool:
    """True for a name or an address of the loopback interface."""
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")
