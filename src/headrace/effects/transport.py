"""One attempt over HTTP: bytes out, a bounded answer in, nothing retried, nothing followed.

Every way in which an answer can fail to come is a NoResponse whose text names the service and the kind of failure,
never a URL, token or body.
"""

from __future__ import annotations

import os
import socket
import ssl
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

from headrace.clock import Clock
from headrace.effects.http1 import CannotConnect, HttpFailure, InvalidResponse, Origin, Pool, TimedOut
from headrace.effects.oauth import ClientCredentials, TokenSource
from headrace.effects.port import NoResponse, Request, Response
from headrace.errors import InvalidValue
from headrace.workflows.activities import Service

MAX_RESPONSE_BYTES = 8 << 20
CONNECT_TIMEOUT_S = 10.0
KEEP_ALIVE_S = 4.0
"""Shorter than what servers keep an idle connection for: one closed under our hands is an unknown attempt."""
SERVICES: tuple[Service, ...] = ("ledger", "wallets", "payments")

_FIXED_HEADERS = {
    "Accept": "application/json",
    "Accept-Encoding": "identity",
    "User-Agent": "headrace",
}
_JSON = "application/json"


@dataclass(frozen=True, slots=True)
class ServiceAddresses:
    """The root of each service, without a slash at its end; None where there is none."""

    ledger: str | None = None
    wallets: str | None = None
    payments: str | None = None

    @classmethod
    def of(
        cls,
        stack_url: str | None = None,
        ledger_url: str | None = None,
        wallets_url: str | None = None,
        payments_url: str | None = None,
    ) -> Self:
        """A service's own URL is its root; else it is at `/api/SERVICE` of the stack. Raises InvalidValue."""
        stack = None if stack_url is None else _root(stack_url, "HEADRACE_STACK_URL")
        own = {"ledger": ledger_url, "wallets": wallets_url, "payments": payments_url}
        roots = {name: _root(url, _setting(name)) for name, url in own.items() if url is not None}
        if stack is not None:
            roots = {name: f"{stack}/api/{name}" for name in own} | roots
        return cls(**roots)

    def root(self, service: Service) -> str:
        """Return the root of a service. Raises NoResponse naming the missing setting."""
        root: str | None = getattr(self, service)
        if root is None:
            message = f"{service}: no address; set {_setting(service)} or HEADRACE_STACK_URL"
            raise NoResponse(message, kind="unsent")
        return root


def _setting(service: str) -> str:
    return f"HEADRACE_{service.upper()}_URL"


def _root(url: str, setting: str) -> str:
    reason = "must be an http or https URL without credentials, query or fragment, such as http://127.0.0.1:3068"
    try:
        parts = urlsplit(url)
        port_is_valid = parts.port is None or parts.port > 0
    except ValueError:
        raise InvalidValue(setting, reason) from None
    is_plain = url.isascii() and url.isprintable() and " " not in url and "\\" not in url
    has_more = bool(parts.username or parts.password or "@" in parts.netloc or "?" in url or "#" in url)
    if parts.scheme not in ("http", "https") or not parts.hostname or not is_plain or has_more or not port_is_valid:
        raise InvalidValue(setting, reason)
    return url.rstrip("/")


class HttpDownstream:
    """Implements `effects.port.Downstream`. Each service has connections of its own, so none starves another."""

    def __init__(
        self,
        addresses: ServiceAddresses,
        *,
        credentials: ClientCredentials | None,
        timeout_s: float = 30.0,
        clock: Clock,
        extra_headers: Callable[[], dict[str, str]] | None = None,
    ) -> None:
        """`extra_headers` are asked for at each call: they belong to the call, never to the stored request."""
        self._addresses = addresses
        self._extra_headers = extra_headers
        self._timeout_s = timeout_s
        self._pools: dict[tuple[str, str], tuple[Pool, str]] = {}
        self._tokens = None if credentials is None else TokenSource(credentials, self._fetch_token, clock)

    async def send(self, request: Request) -> Response:
        root = self._addresses.root(request.service)
        headers = {} if self._extra_headers is None else self._extra_headers()
        if request.body is not None:
            headers["Content-Type"] = _JSON
        if request.key and request.service != "payments":
            headers["Idempotency-Key"] = request.key
        if self._tokens is None:
            return await self._exchange(request.service, root, request.path, request.method, request.body, headers)
        return await self._send_with_token(request, root, headers, self._tokens)

    async def authorization(self) -> str:
        """The `Authorization` header of our calls; empty where there are no credentials. Raises NoResponse."""
        return "" if self._tokens is None else await self._tokens.header()

    async def _send_with_token(
        self, request: Request, root: str, headers: dict[str, str], tokens: TokenSource
    ) -> Response:
        """A 401 was not carried out: the same bytes go once more, if there is another token to send with them."""
        token = headers["Authorization"] = await tokens.header()
        response = await self._exchange(request.service, root, request.path, request.method, request.body, headers)
        if response.status == 403:
            tokens.distrust(token)
        if response.status != 401:
            return response
        headers["Authorization"] = await tokens.renewed(token)
        if headers["Authorization"] == token:
            return response
        return await self._exchange(request.service, root, request.path, request.method, request.body, headers)

    async def _fetch_token(self, url: str, form: bytes) -> Response:
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return await self._exchange("token endpoint", url, "", "POST", form, headers)

    async def close(self) -> None:
        if self._tokens is not None:
            await self._tokens.close()
        for pool, _ in self._pools.values():
            await pool.close()
        self._pools.clear()

    def _pool(self, name: str, root: str) -> tuple[Pool, str]:
        """The connections of a service, and the path that its root adds to each request's."""
        found = self._pools.get((name, root))
        if found is None:
            parts = urlsplit(root)
            is_tls = parts.scheme == "https"
            origin = Origin(parts.hostname or "", parts.port or (443 if is_tls else 80), is_tls)
            pool = Pool(
                origin,
                fixed_headers=_FIXED_HEADERS,
                timeout_s=self._timeout_s,
                connect_timeout_s=CONNECT_TIMEOUT_S,
                keep_alive_s=KEEP_ALIVE_S,
                max_body_bytes=MAX_RESPONSE_BYTES,
            )
            target = parts.path + (f"?{parts.query}" if parts.query else "")
            found = self._pools[name, root] = pool, target
        return found

    async def _exchange(
        self, name: str, root: str, path: str, method: str, body: bytes | None, headers: dict[str, str]
    ) -> Response:
        pool, prefix = self._pool(name, root)
        try:
            response = await pool.exchange(method, prefix + path or "/", headers, body)
            if "content-encoding" not in response.headers:
                return response
            return Response(response.status, _decoded(response.body, response.headers), response.headers)
        except _BadResponse as error:
            raise NoResponse(f"{name}: {error}", kind="response") from None
        except TimedOut:
            raise NoResponse(f"{name}: no answer within {self._timeout_s:g} s", kind="time-out") from None
        except InvalidResponse as error:
            raise NoResponse(f"{name}: {error}", kind="response") from None
        except (HttpFailure, ValueError) as error:
            raise NoResponse(f"{name}: {_kind(error)}") from None


class _BadResponse(Exception):
    """An answer that cannot be taken."""


def _decoded(content: bytes, headers: dict[str, str]) -> bytes:
    """We ask for no encoding; a server that gzips all the same is understood, within the same bound."""
    encoding = headers.get("content-encoding", "identity").strip().lower()
    if encoding == "identity" or not content:
        return content
    if encoding not in ("gzip", "x-gzip"):
        raise _BadResponse("an answer in an encoding that was not asked for")
    inflater = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        plain = inflater.decompress(content, MAX_RESPONSE_BYTES + 1)
    except zlib.error:
        raise _BadResponse("an answer whose gzip is broken") from None
    if len(plain) > MAX_RESPONSE_BYTES:
        raise _BadResponse(f"an answer of more than {MAX_RESPONSE_BYTES} bytes")
    if not inflater.eof:
        raise _BadResponse("an answer whose gzip breaks off")
    return plain


def _kind(error: Exception) -> str:
    """Describe an error without the address that it concerns."""
    cause = error.__cause__
    if isinstance(cause, socket.gaierror):
        return "its host name cannot be resolved"
    if isinstance(cause, ssl.SSLError):
        return "no trusted TLS connection"
    if isinstance(error, CannotConnect):
        return f"cannot connect ({_cause(cause) if isinstance(cause, OSError) else error})"
    return str(error) if isinstance(error, HttpFailure) else f"no usable answer ({type(error).__name__})"


def _cause(error: OSError) -> str:
    """The system's own words: asyncio's text repeats the address."""
    return os.strerror(error.errno) if error.errno else error.strerror or type(error).__name__
