"""`link()`: a GET to an address from event data. Other systems write events, so nothing in them is trusted.

The address must be of an origin on an exact list. Its host name is resolved once, every address is checked, and
the connection goes to a checked address, so a name that changes between look-ups has no effect. Redirects, proxies and
cookies are not used; the stack's token is sent to the stack's origin only.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import aiohttp.abc
import yarl

from headrace.effects.port import NoResponse
from headrace.errors import InvalidValue
from headrace.triggers.expressions import LinkRefused
from headrace.triggers.link_data import MAX_BYTES, link_data

TIMEOUT_S = 5.0
MAX_URI_CHARACTERS = 4_096
MAX_AT_ONCE = 32
"""Maximum requests per origin, so that one that hangs does not delay the others."""

_HOST = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\]")
_PORTS = {"http": 80, "https": 443}

Resolve = Callable[[str, int], Awaitable[list[str]]]
Authorize = Callable[[], Awaitable[str]]


@dataclass(frozen=True, slots=True)
class Origin:
    """Scheme, host and port, compared exactly. `host` is in lower case."""

    scheme: str
    host: str
    port: int

    @classmethod
    def of(cls, url: str) -> Origin:
        """Parse an origin. Raises ValueError for anything but a plain http or https URL."""
        if not url.isascii() or not url.isprintable() or set(url) & set(' \\"<>^`{|}'):
            raise ValueError("an address has plain ASCII characters only")
        parts = urlsplit(url)
        netloc = parts.netloc.lower()
        host = netloc.partition("]")[0] + "]" if netloc.startswith("[") else netloc.partition(":")[0]
        if parts.scheme not in _PORTS or "@" in parts.netloc or not _HOST.fullmatch(host):
            raise ValueError("not an http or https address without credentials")
        port = parts.port if parts.port is not None else _PORTS[parts.scheme]
        if not port:
            raise ValueError("no port 0")
        return cls(parts.scheme, host.strip("[]"), port)

    @property
    def is_chosen_address(self) -> bool:
        """True if the host is an address or this machine's name: the operator listed exactly that one."""
        try:
            ip_address(self.host)
        except ValueError:
            return self.host == "localhost"
        return True


def origins_of(urls: Iterable[str], setting: str) -> frozenset[Origin]:
    """Parse the origins of a setting. Raises InvalidValue naming the setting."""
    try:
        return frozenset(Origin.of(url) for url in urls)
    except ValueError as error:
        raise InvalidValue(setting, f"must be origins such as https://api.example.com, by commas ({error})") from None


def is_public(address: str) -> bool:
    """True for an address on the internet: not loopback, private, link-local or reserved."""
    found = ip_address(address.partition("%")[0])
    if isinstance(found, IPv6Address):
        inner = _embedded(found)
        if inner is not None:
            return is_public(str(inner))
    return found.is_global and not found.is_multicast


def _embedded(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address within an IPv6 address: mapped, 6to4, NAT64 or compatible."""
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    packed = address.packed
    if packed[:12] in (b"\x00\x64\xff\x9b" + bytes(8), bytes(12)) and int(address) > 1:
        return IPv4Address(packed[12:])
    return None


def is_private(address: str) -> bool:
    """True for an address of the operator's network, except this machine and a cloud's metadata service."""
    found = ip_address(address.partition("%")[0])
    if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    is_odd = found.is_loopback or found.is_link_local or found.is_multicast or found.is_unspecified
    return found.is_private and not found.is_reserved and not is_odd


async def resolve(host: str, port: int) -> list[str]:
    """Return every address of a host name. Raises OSError."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    return [str(entry[4][0]) for entry in found]


class Linker:
    """Fetches data of links. `stack` is the origin that receives the token of `authorize`."""

    def __init__(
        self,
        origins: frozenset[Origin],
        *,
        stack: Origin | None = None,
        authorize: Authorize | None = None,
        may_be_private: bool = False,
        resolve: Resolve = resolve,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._origins = origins if stack is None else origins | {stack}
        self._stack = stack
        self._authorize = authorize
        self._may_be_private = may_be_private
        self._resolve = resolve
        self._timeout_s = timeout_s
        self._slots = {origin: asyncio.Semaphore(MAX_AT_ONCE) for origin in self._origins}

    async def fetch(self, uri: str) -> Any:
        """Fetch a resource, without its `data` wrapper if it has one. Raises LinkRefused."""
        if len(uri) > MAX_URI_CHARACTERS:
            raise LinkRefused(f"its address has more than {MAX_URI_CHARACTERS} characters")
        try:
            origin = Origin.of(uri)
            url = yarl.URL(uri, encoded=True).with_fragment(None)
        except ValueError:
            raise LinkRefused("its address is not a plain http or https address") from None
        if origin not in self._origins:
            raise LinkRefused("its origin is not on the list (HEADRACE_LINK_ORIGINS)")
        if (url.scheme, url.host, url.port) != (origin.scheme, origin.host, origin.port):
            raise LinkRefused("its address is ambiguous")
        try:
            async with self._slots[origin], asyncio.timeout(self._timeout_s):
                # All addresses that a connection may go to are fit, or none is used.
                addresses = await self._resolve(origin.host, origin.port)
                if not addresses or not all(self._is_fit(origin, address) for address in addresses):
                    raise LinkRefused("its host name resolves to a forbidden address")
                return link_data(await self._get(origin, url, addresses))
        except TimeoutError:
            raise LinkRefused(f"no answer within {self._timeout_s:g} s") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise LinkRefused(f"no usable answer ({type(error).__name__})") from None

    def _is_fit(self, origin: Origin, address: str) -> bool:
        if is_public(address) or origin.is_chosen_address:
            return True
        return (self._may_be_private or origin == self._stack) and is_private(address)

    async def _get(self, origin: Origin, url: yarl.URL, addresses: list[str]) -> bytes:
        headers = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "headrace"}
        if self._authorize is not None and origin == self._stack:
            try:
                token = await self._authorize()
            except NoResponse:
                raise LinkRefused("there is no access token for the stack") from None
            headers |= {"Authorization": token} if token else {}
        connector = aiohttp.TCPConnector(resolver=_Pinned(addresses), use_dns_cache=False, force_close=True)
        async with (
            aiohttp.ClientSession(
                connector=connector, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False, trust_env=False
            ) as session,
            session.get(url, headers=headers, allow_redirects=False) as response,
        ):
            if response.status != 200:
                raise LinkRefused(f"the response has status {response.status}")
            if response.content_type != "application/json" and not response.content_type.endswith("+json"):
                raise LinkRefused("the response is not JSON")
            if response.headers.get("Content-Encoding", "identity").lower() != "identity":
                raise LinkRefused("the response has an encoding that was not requested")
            body = bytearray()
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) > MAX_BYTES:
                    raise LinkRefused(f"the response has more than {MAX_BYTES} bytes")
            return bytes(body)


class _Pinned(aiohttp.abc.AbstractResolver):
    """Resolves to the checked addresses, without a look-up."""

    def __init__(self, addresses: list[str]) -> None:
        self._addresses = addresses

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[aiohttp.abc.ResolveResult]:
        return [
            {
                "hostname": host,
                "host": address,
                "port": port,
                "family": socket.AF_INET6 if ":" in address else socket.AF_INET,
                "proto": 0,
                "flags": socket.AI_NUMERICHOST,
            }
            for address in self._addresses
        ]

    async def close(self) -> None: ...
