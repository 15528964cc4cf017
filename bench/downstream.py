"""A ledger that does nothing, in a process of its own: every POST gets the 200 of a created transaction.

    python -m bench.downstream        prints its port, then serves until it is told to stop

It is as cheap as a Python process can be (uvloop, one protocol object for each connection, a constant body), so that
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

BODY = (
    b'{"data":{"id":1,"postings":[{"source":"customers:1","destination":"merchants:1","amount":100,"asset":"USD/2"}],'
    b'"metadata":{},"timestamp":"2026-01-01T00:00:00.000000Z","insertedAt":"2026-01-01T00:00:00.000000Z",'
    b'"updatedAt":"2026-01-01T00:00:00.000000Z","reference":"headrace:bench","reverted":false}}'
)
REPLY = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY)
HEAD_END = b"\r\n\r\n"
LENGTH = b"content-length:"


class Ledger(asyncio.Protocol):
    """One connection."""

    def __init__(self) -> None:
        self._buffer = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are not instances of it

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        replies = 0
        while (size := _request_size(self._buffer)) and len(self._buffer) >= size:
            self._buffer = self._buffer[size:]
            replies += 1
        if replies and self._transport is not None:
            self._transport.write(REPLY * replies)


def _request_size(buffer: bytes) -> int:
    """Bytes of the first request in the buffer; 0 while its head is incomplete."""
    end = buffer.find(HEAD_END)
    if end < 0:
        return 0
    head = buffer[:end].lower()
    start = head.find(LENGTH)
    if start < 0:
        return end + len(HEAD_END)
    stop = head.find(b"\r\n", start)
    return end + len(HEAD_END) + int(head[start + len(LENGTH) : stop if stop > 0 else end])


@contextmanager
def running() -> Iterator[str]:
    """The URL of such a process, ended at the exit."""
    process = subprocess.Popen([sys.executable, "-m", "bench.downstream"], stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


async def serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Ledger, "127.0.0.1", 0)
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    os.write(1, b"%d\n" % server.sockets[0].getsockname()[1])
    await stop.wait()
    server.close()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve())
