"""A ledger that does nothing, in a process of its own: every POST gets the 200 of the transaction it asks for.

    python -m bench.downstream        prints its port, then serves until it is told to stop

It is as cheap as a Python process can be (uvloop, one protocol object for each connection, nothing decoded), so that
what is measured is the caller. It speaks just enough HTTP/1.1: keep-alive, `Content-Length`, pipelining.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import uvloop

TAIL = (
    b',"id":1,"timestamp":"2026-01-01T00:00:00Z","insertedAt":"2026-01-01T00:00:00Z",'
    b'"updatedAt":"2026-01-01T00:00:00Z","reverted":false}}'
)
LATENCY_S = float(os.environ.get("BENCH_LATENCY_MS", "0")) / 1e3
HEAD_END = b"\r\n\r\n"
LENGTH = b"content-length:"


class Ledger(asyncio.Protocol):
    """One connection."""

    def __init__(self) -> None:
        self._buffer = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are not instances of it

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (sizes := _sizes(self._buffer)) and len(self._buffer) >= sum(sizes):
            head, body = sizes
            response = _response(self._buffer[head : head + body])
            if LATENCY_S:
                asyncio.get_running_loop().call_later(LATENCY_S, self._transport.write, response)
            else:
                self._transport.write(response)
            self._buffer = self._buffer[head + body :]


def _response(request: bytes) -> bytes:
    """The transaction that was asked for: a careful caller compares it."""
    body = b'{"data":' + request[:-1] + TAIL
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


def _sizes(buffer: bytes) -> tuple[int, int] | None:
    """Bytes of head and body of the first request in the buffer; None while its head is incomplete."""
    end = buffer.find(HEAD_END)
    if end < 0:
        return None
    head = buffer[:end].lower()
    start = head.find(LENGTH)
    if start < 0:
        return end + len(HEAD_END), 0
    stop = head.find(b"\r\n", start)
    return end + len(HEAD_END), int(head[start + len(LENGTH) : stop if stop > 0 else end])


@contextmanager
def running(latency_ms: int = 0) -> Iterator[str]:
    """The URL of such a process, which takes that long to answer; ended at the exit."""
    command = [sys.executable, "-m", "bench.downstream", "--with-parent"]
    environment = {**os.environ, "BENCH_LATENCY_MS": str(latency_ms)}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.terminate()


async def serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Ledger, "127.0.0.1", 0)
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    if "--with-parent" in sys.argv:
        loop.add_reader(0, stop.set)  # the parent's end of the pipe closes, also when it is killed
    os.write(1, b"%d\n" % server.sockets[0].getsockname()[1])
    await stop.wait()
    server.close()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve())
