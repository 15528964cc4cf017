"""A pooled HTTP/1.1 client for one kind of call: send these bytes once and read one bounded response.

It never retries, follows no redirect, reads no proxy setting, keeps no cookie, asks for no compression, and sends the
path exactly as given. A general client does several of these by itself and costs six times the CPU of an attempt
(docs/decisions/0041); parsing is llhttp's, through httptools.

A connection carries one exchange at a time. It goes back to the pool only after a complete response that both sides
keep alive, and is closed when anything else happens to it, even a byte that belongs to no request.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import TypeVar, cast

import httptools

from headrace.effects.port import Response

MAX_HEAD_BYTES = 64 << 10
_FORBIDDEN = frozenset("\r\n\0")
T = TypeVar("T")


class HttpFailure(Exception):
    """The exchange has no usable response. The request may have been carried out, unless it is a CannotConnect."""


class CannotConnect(HttpFailure):
    """No connection could be opened: no byte of the request was sent."""


class TimedOut(HttpFailure):
    """The whole exchange, connecting included, took longer than allowed."""


class ConnectionClosed(HttpFailure):
    """The connection was closed before the response was complete. `is_begun`: part of a response had arrived."""

    def __init__(self, *, is_begun: bool) -> None:
        super().__init__("the answer broke off" if is_begun else "the connection was closed without an answer")
        self.is_begun = is_begun


class InvalidResponse(HttpFailure):
    """The received bytes are not an HTTP/1.1 response, or it is larger than allowed."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Destination of requests: scheme, host and port."""

    host: str
    port: int
    is_tls: bool = False

    @property
    def authority(self) -> str:
        """The value of `Host`: with the port where it is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.is_tls else 80) else f"{host}:{self.port}"


class Pool:
    """Connections to one origin, as many as there are requests under way: its callers bound those."""

    def __init__(
        self,
        origin: Origin,
        *,
        fixed_headers: dict[str, str],
        timeout_s: float,
        connect_timeout_s: float,
        keep_alive_s: float,
        max_body_bytes: int,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """`tls`: the context for an https origin; None: the system's certificates."""
        self._origin = origin
        self._timeout_s = timeout_s
        self._connect_timeout_s = min(connect_timeout_s, timeout_s)
        self._keep_alive_s = keep_alive_s
        self._max_body_bytes = max_body_bytes
        self._tls = (tls or ssl.create_default_context()) if origin.is_tls else None
        self._idle: deque[_Connection] = deque()
        self._busy: set[_Connection] = set()
        self._sweep: asyncio.TimerHandle | None = None
        self._is_closed = False
        self._fixed = f" HTTP/1.1\r\nHost: {origin.authority}\r\n{_lines(fixed_headers)}"

    async def exchange(self, method: str, target: str, headers: dict[str, str], body: bytes | None) -> Response:
        """Send one request and read its response. `target`: path and query, sent as given.

        Raises HttpFailure; ValueError for a method, target or header that holds a line break, NUL, or (in the first
        two) a space. Cancelling it closes the connection.
        """
        head = self._head(method, target, headers, body)
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + self._timeout_s
        connection: _Connection | None = None
        try:
            connection = self._take(loop.time()) or await self._connect(deadline_s)
            self._busy.add(connection)
            return await connection.exchange(head, deadline_s)
        finally:
            if connection is not None:
                self._busy.discard(connection)
                self._give_back(connection, loop)

    async def close(self) -> None:
        """Close every connection; an exchange under way ends with ConnectionClosed."""
        self._is_closed = True
        if self._sweep is not None:
            self._sweep.cancel()
        for connection in (*self._idle, *self._busy):
            connection.close()
        self._idle.clear()
        await asyncio.sleep(0)

    def _head(self, method: str, target: str, headers: dict[str, str], body: bytes | None) -> bytes:
        if " " in target or " " in method or not _FORBIDDEN.isdisjoint(target) or not _FORBIDDEN.isdisjoint(method):
            raise ValueError("a method or path may hold no space, line break or NUL")
        text = f"{method} {target}{self._fixed}{_lines(headers)}"
        if body is None:
            return f"{text}\r\n".encode("latin-1")
        return f"{text}Content-Length: {len(body)}\r\n\r\n".encode("latin-1") + body

    def _take(self, now_s: float) -> _Connection | None:
        """The idle connection used last, unless its server may already be closing it."""
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed and now_s - connection.idle_since_s < self._keep_alive_s:
                return connection
            connection.close()
        return None

    async def _connect(self, deadline_s: float) -> _Connection:
        loop = asyncio.get_running_loop()
        until_s = min(deadline_s, loop.time() + self._connect_timeout_s)
        origin = self._origin
        opening = loop.create_connection(
            lambda: _Connection(loop, self._max_body_bytes),
            origin.host,
            origin.port,
            ssl=self._tls,
            server_hostname=origin.host if self._tls else None,
        )
        try:
            _, connection = await _within(opening, until_s)
        except TimedOut:
            raise CannotConnect("no connection in time") from None
        except (OSError, ValueError) as error:  # ssl.SSLError and socket.gaierror are OSErrors
            raise CannotConnect(str(error)) from error
        return connection

    def _give_back(self, connection: _Connection, loop: asyncio.AbstractEventLoop) -> None:
        if self._is_closed or not connection.is_reusable:
            connection.close()
            return
        connection.idle_since_s = loop.time()
        self._idle.append(connection)
        if self._sweep is None:
            self._sweep = loop.call_later(self._keep_alive_s, self._close_old)

    def _close_old(self) -> None:
        """Close what has been idle too long; look again while anything is idle."""
        loop = asyncio.get_running_loop()
        while self._idle and loop.time() - self._idle[0].idle_since_s >= self._keep_alive_s:
            self._idle.popleft().close()
        self._sweep = loop.call_later(self._keep_alive_s, self._close_old) if self._idle else None


@dataclass(slots=True, eq=False)
class _Connection(asyncio.Protocol):
    """One connection, and the response it is reading."""

    loop: asyncio.AbstractEventLoop
    max_body_bytes: int
    idle_since_s: float = 0.0
    is_closed: bool = False
    is_reusable: bool = False
    _waiter: asyncio.Future[Response] | None = None
    _transport: asyncio.WriteTransport | None = None
    _parser: httptools.HttpResponseParser | None = None
    _headers: dict[str, str] = field(default_factory=dict[str, str])
    _parts: list[bytes] = field(default_factory=list[bytes])
    _head_bytes: int = 0
    _named_bytes: int = 0
    _body_bytes: int = 0
    _is_head_complete: bool = False

    async def exchange(self, request: bytes, deadline_s: float) -> Response:
        assert self._transport is not None and self._waiter is None
        waiter = self._waiter = self.loop.create_future()
        self.is_reusable = False
        self._head_bytes = self._named_bytes = 0
        self._begin_message()
        self._parser = httptools.HttpResponseParser(self)
        timer = self.loop.call_at(deadline_s, self._fail, TimedOut("no answer in time"))
        try:
            self._transport.write(request)
            return await waiter
        finally:
            timer.cancel()
            self._waiter = None

    def close(self) -> None:
        self.is_closed = True
        if self._transport is not None:
            self._transport.abort()

    def _begin_message(self) -> None:
        self._headers = {}
        self._parts = []
        self._body_bytes = 0
        self._is_head_complete = False

    def _fail(self, error: HttpFailure) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(error)
        self.is_reusable = False
        self.close()

    def _fail_for_size(self) -> None:
        self._fail(InvalidResponse(f"an answer of more than {self.max_body_bytes} bytes"))

    def _succeed(self, status: int) -> None:
        if self._waiter is not None and not self._waiter.done():
            body = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
            self._waiter.set_result(Response(status, body, self._headers))

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)  # uvloop's does not derive from it

    def data_received(self, data: bytes) -> None:
        if self._waiter is None or self._waiter.done():  # no request is waiting: these bytes answer none
            self._fail(InvalidResponse("bytes that belong to no request"))
            return
        if not self._is_head_complete:
            self._head_bytes += len(data)
        assert self._parser is not None
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._fail(InvalidResponse("an answer that is not HTTP/1.1"))
            return
        if not self._is_head_complete and self._head_bytes > MAX_HEAD_BYTES:
            self._fail(InvalidResponse(f"answer headers of more than {MAX_HEAD_BYTES} bytes"))

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_closed = True
        if self._waiter is None or self._waiter.done():
            return
        headers = self._headers
        is_until_close = "content-length" not in headers and "transfer-encoding" not in headers
        if exc is None and self._is_head_complete and is_until_close and self._parser is not None:
            self._succeed(self._parser.get_status_code())
        else:
            self._fail(ConnectionClosed(is_begun=self._head_bytes > 0))

    # httptools: what the parser finds

    def on_header(self, name: bytes, value: bytes) -> None:
        self._named_bytes += len(name) + len(value)
        if self._named_bytes > MAX_HEAD_BYTES:
            self._fail(InvalidResponse(f"answer headers of more than {MAX_HEAD_BYTES} bytes"))
            return
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        self._headers[key] = f"{self._headers[key]}, {text}" if key in self._headers else text

    def on_headers_complete(self) -> None:
        self._is_head_complete = True
        if int(self._headers.get("content-length", "0")) > self.max_body_bytes:
            self._fail_for_size()

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        if self._body_bytes > self.max_body_bytes:
            self._fail_for_size()
        else:
            self._parts.append(body)

    def on_message_complete(self) -> None:
        assert self._parser is not None
        status = self._parser.get_status_code()
        if 100 <= status < 200:  # an interim response; the one that counts follows
            self._begin_message()
            return
        self.is_reusable = not self.is_closed and self._parser.should_keep_alive()
        self._succeed(status)

    def on_message_begin(self) -> None:
        if self._waiter is not None and self._waiter.done():  # a second response in the same packet
            self._fail(InvalidResponse("more than one answer"))


async def _within(awaitable: Awaitable[T], deadline_s: float) -> T:
    """Limit the time of the block. Raises TimedOut."""
    try:
        async with asyncio.timeout_at(deadline_s):
            return await awaitable
    except TimeoutError:
        raise TimedOut("no answer in time") from None


def _lines(headers: dict[str, str]) -> str:
    for value in headers.values():
        if not _FORBIDDEN.isdisjoint(value):
            raise ValueError("a header may hold no line break or NUL")
    return "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
