"""The HTTP/1.1 client against hostile servers: an exchange gets its own response or an HttpFailure."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.effects.http1 import (
    MAX_HEAD_BYTES,
    CannotConnect,
    ConnectionClosed,
    HttpFailure,
    InvalidResponse,
    Origin,
    Pool,
    TimedOut,
)
from headrace.effects.port import Response

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
FAST: dict[str, Any] = {"timeout_s": 0.3, "connect_timeout_s": 0.3}


@contextlib.asynccontextmanager
async def serving(serve: Serve, **options: Any) -> AsyncIterator[Pool]:
    tasks: set[asyncio.Task[None]] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await serve(reader, writer)
        writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    pool = pool_at(server.sockets[0].getsockname()[1], **options)
    try:
        yield pool
    finally:
        await pool.close()
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def pool_at(port: int, **options: Any) -> Pool:
    chosen: dict[str, Any] = {
        "fixed_headers": {"Accept": "application/json"},
        "timeout_s": 30.0,
        "connect_timeout_s": 10.0,
        "keep_alive_s": 4.0,
        "max_body_bytes": 1_000,
    }
    return Pool(options.pop("origin", None) or Origin("127.0.0.1", port), **(chosen | options))


async def get(pool: Pool, target: str = "/") -> Response:
    return await pool.exchange("GET", target, {}, None)


def responses(*parts: bytes, then_close: bool = False) -> Serve:
    """To every request these bytes, each part as a packet of its own."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await reader.readuntil(b"\r\n\r\n")
            for part in parts:
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(0)
            if then_close:
                return

    return serve


async def test_the_request_is_sent_as_given() -> None:
    seen: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readuntil(b"\r\n\r\n") + await reader.readexactly(4))
        writer.write(OK)

    async with serving(serve) as pool:
        target = "/v2/a%2e%2e/../%7B?q=%22'|"
        await pool.exchange("POST", target, {"Idempotency-Key": "k"}, b"body")
        port = pool._origin.port  # pyright: ignore[reportPrivateUsage]
    assert seen == [
        f"POST {target} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAccept: application/json\r\n"
        "Idempotency-Key: k\r\nContent-Length: 4\r\n\r\nbody".encode()
    ]


@pytest.mark.parametrize("bad", ["a b", "a\r\nX: y", "a\nb", "a\0"])
async def test_nothing_can_be_smuggled_into_a_request(bad: str) -> None:
    async with serving(responses(OK)) as pool:
        with pytest.raises(ValueError, match="may hold no"):
            await get(pool, f"/{bad}")
        with pytest.raises(ValueError, match="may hold no"):
            await pool.exchange(f"GET{bad}", "/", {}, None)
        if " " not in bad:
            with pytest.raises(ValueError, match="may hold no"):
                await pool.exchange("GET", "/", {"X": bad}, None)
        with pytest.raises(ValueError):
            await pool.exchange("GET", "/", {"X": "\u20ac"}, None)
        assert (await get(pool)).body == b"{}"


RESPONSES = [
    (OK, 200, b"{}"),
    (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
    (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\n\r\n", 304, b""),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1;x=y\r\n}\r\n0\r\nT: t\r\n\r\n", 200, b"{}"),
    (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK, 200, b"{}"),
    (b"HTTP/1.1 500 \r\nContent-Length: 0\r\n\r\n", 500, b""),
]


@pytest.mark.parametrize(("content", "status", "body"), RESPONSES)
async def test_a_response_split_anywhere_is_the_same_response(content: bytes, status: int, body: bytes) -> None:
    for cut in range(1, len(content)):
        async with serving(responses(content[:cut], content[cut:])) as pool:
            response = await get(pool)
            assert (response.status, response.body, "link" in response.headers) == (status, body, False)
            assert (await get(pool)).body == body  # the connection still knows where it is


async def test_repeated_headers_are_joined_and_names_are_lower_case() -> None:
    content = b"HTTP/1.1 200 OK\r\nX-A: 1\r\nx-a: 2\r\nContent-Length: 0\r\n\r\n"
    async with serving(responses(content)) as pool:
        assert (await get(pool)).headers["x-a"] == "1, 2"


async def test_a_body_that_ends_with_the_connection() -> None:
    async with serving(responses(b"HTTP/1.1 200 OK\r\n\r\n{", b"}", then_close=True)) as pool:
        assert [(await get(pool)).body for _ in range(2)] == [b"{}", b"{}"]


INVALID = [
    b"hello\r\n\r\n",
    b"\x16\x03\x01" * 40,
    b"HTTP/1.1 abc OK\r\n\r\n",
    b"HTTP/2 200\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"HTTP/1.1 200 OK\r\nA B: c\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n" + b"x" * 1_001 + b"\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nX: " + b"y" * MAX_HEAD_BYTES,
    b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * MAX_HEAD_BYTES + b"\r\n",
    b"HTTP/1.1 100 Continue\r\nX: y\r\n\r\n" * MAX_HEAD_BYTES,
]


@pytest.mark.parametrize("content", INVALID, ids=range(len(INVALID)))
async def test_what_is_no_response_ends_the_exchange_and_its_connection(content: bytes) -> None:
    async with serving(responses(content)) as pool:
        for _ in range(2):
            with pytest.raises(InvalidResponse):
                await get(pool)


@pytest.mark.parametrize("content", [b"", b"HTTP/1.1 200 OK\r\nContent-Le", OK[:-1], RESPONSES[3][0][:-2]])
async def test_a_response_that_breaks_off_is_none(content: bytes) -> None:
    async with serving(responses(content, then_close=True)) as pool:
        with pytest.raises(ConnectionClosed) as caught:
            await get(pool)
        assert caught.value.is_begun == bool(content)


async def test_a_second_response_is_never_taken_for_the_next_request() -> None:
    """Response splitting: the connection is closed, whether the second one comes at once or later."""
    other = OK.replace(b"{}", b"!!")
    for parts in ((OK + other,), (OK, other), (OK + other[:9], other[9:]), (OK + b"\r\n\r\nx",)):
        async with serving(responses(*parts)) as pool:
            for _ in range(5):
                assert (await get(pool)).body == b"{}"
                await asyncio.sleep(0.01)


async def test_a_connection_that_its_server_closes_is_not_used_again() -> None:
    for content in (OK, OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"), OK.replace(b"1.1", b"1.0")):
        async with serving(responses(content, then_close=content is OK)) as pool:
            for _ in range(3):
                assert (await get(pool)).body == b"{}"
                await asyncio.sleep(0.02)  # the end of the connection arrives


async def test_a_request_is_never_sent_twice() -> None:
    """A server that closes kept connections just as they are used again: each loss is reported, none resent."""
    seen: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for number in range(2):
            seen.append((await reader.readuntil(b"\r\n\r\n")).split(b" ")[1])
            if number == 0:
                writer.write(OK)

    async with serving(serve) as pool:
        lost = 0
        for number in range(10):
            try:
                await get(pool, f"/{number}")
            except ConnectionClosed:
                lost += 1
    assert lost == 5
    assert seen == [f"/{number}".encode() for number in range(10)]


async def test_an_idle_connection_is_closed_after_its_time() -> None:
    connections: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)
        await responses(OK)(reader, writer)

    async with serving(serve, keep_alive_s=0.05) as pool:
        await get(pool)
        await get(pool)
        assert len(connections) == 1
        async with asyncio.timeout(20):
            await connections[0].wait_closed()
        await get(pool)
        assert len(connections) == 2


async def test_timeouts_of_each_phase() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async def trickles(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for byte in OK:
            writer.write(bytes([byte]))
            await asyncio.sleep(0.05)

    for serve in (silent, trickles):
        async with serving(serve, **FAST) as pool:
            with pytest.raises(TimedOut):
                await get(pool)
    async with serving(silent, **FAST) as pool:
        found = await asyncio.gather(*(get(pool) for _ in range(3)), return_exceptions=True)
        assert [type(each) for each in found] == [TimedOut] * 3


async def test_a_refused_connection_says_so() -> None:
    async with serving(responses(OK)) as pool:
        port = pool._origin.port  # pyright: ignore[reportPrivateUsage]
    with pytest.raises(CannotConnect):
        await get(pool_at(port))
    with pytest.raises(CannotConnect):
        await get(pool_at(port, origin=Origin("no-such-host.invalid", 80)))


async def test_a_cancelled_exchange_closes_its_connection() -> None:
    closed: list[bool] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        target = (await reader.readuntil(b"\r\n\r\n")).split(b" ")[1]
        if target == b"/slow":
            closed.append(await reader.read() == b"")
        else:
            writer.write(OK)

    async with serving(serve) as pool:
        slow = asyncio.create_task(get(pool, "/slow"))
        await asyncio.sleep(0.05)
        slow.cancel()
        assert (await get(pool)).body == b"{}"
        with pytest.raises(asyncio.CancelledError):
            await slow
        async with asyncio.timeout(20):
            while not closed:
                await asyncio.sleep(0.01)


async def test_each_request_gets_its_own_response_and_connections_are_used_again() -> None:
    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        while True:
            target = (await reader.readuntil(b"\r\n\r\n")).split(b" ")[1]
            await asyncio.sleep(0)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(target), target))

    async with serving(serve) as pool:
        for turn in range(70):
            found = await asyncio.gather(*(get(pool, f"/{turn}/{number}") for number in range(7)))
            assert [response.body for response in found] == [f"/{turn}/{number}".encode() for number in range(7)]
    assert connections == 7


async def test_closing_the_pool_ends_what_is_under_way() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with serving(silent) as pool:
        task = asyncio.create_task(get(pool))
        await asyncio.sleep(0.05)
        await pool.close()
        with pytest.raises(HttpFailure):
            await task


async def test_no_proxy_setting_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with serving(responses(OK)) as pool:
        assert (await get(pool)).status == 200


async def test_tls_is_verified(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            await responses(OK)(reader, writer)
        writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    trusting = ssl.create_default_context(cafile=certificate)
    good = pool_at(port, origin=Origin("localhost", port, is_tls=True), tls=trusting)
    assert [(await get(good)).body for _ in range(2)] == [b"{}", b"{}"]
    await good.close()
    for origin, tls in ((Origin("localhost", port, True), None), (Origin("127.0.0.1", port, True), trusting)):
        pool = pool_at(port, origin=origin, tls=tls)
        with pytest.raises(CannotConnect) as caught:
            await get(pool)
        assert isinstance(caught.value.__cause__, ssl.SSLCertVerificationError)
        await pool.close()
    server.close()


@given(
    st.lists(st.binary(max_size=40) | st.sampled_from([OK, *INVALID[:6], OK[:20], b"\r\n", b"0\r\n\r\n"]), max_size=5)
)
def test_whatever_arrives_is_a_response_or_a_failure(parts: list[bytes]) -> None:
    async def play() -> None:
        async with serving(responses(*parts, then_close=True), timeout_s=20.0) as pool:
            for _ in range(2):
                with contextlib.suppress(HttpFailure):
                    assert isinstance(await get(pool), Response)

    asyncio.run(play())
