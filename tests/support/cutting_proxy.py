"""A TCP proxy in front of PostgreSQL that cuts a connection at a COMMIT: before the server has it, or after.

It reads the messages of the protocol that a client sends. What it must not pass on is thrown away with the connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
from typing import Literal

ENCRYPTION = (80877103, 80877104)
"""Codes of the questions whether the server speaks TLS, or GSSAPI."""

Where = Literal["before", "after"]


class CuttingProxy:
    """`cut = "before"`: the next COMMIT does not reach the server; `"after"`: its answer does not reach the client."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: list[asyncio.StreamWriter] = []
        self.cut: Where | None = None
        self.cuts = 0
        self.is_refusing = False
        """New connections are closed at once."""
        self.port = 0

    async def __aenter__(self) -> CuttingProxy:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in self._writers:
            writer.close()
        await asyncio.gather(*(writer.wait_closed() for writer in self._writers), return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        if self.is_refusing:
            writer.close()
            return
        upstream_reader, upstream_writer = await asyncio.open_connection("127.0.0.1", self._target)
        self._writers.append(upstream_writer)
        link = _Link(self, upstream_writer, writer)
        for work in (link.requests(reader), link.responses(upstream_reader)):
            task = asyncio.ensure_future(work)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)


class _Link:
    def __init__(self, proxy: CuttingProxy, upstream: asyncio.StreamWriter, downstream: asyncio.StreamWriter) -> None:
        self._proxy = proxy
        self._upstream, self._downstream = upstream, downstream
        self._is_cut = False
        self._commits: set[bytes] = set()
        """Names of prepared statements that commit."""

    async def requests(self, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            is_started = False
            while not is_started:  # the first messages have no kind: a question for encryption, then the start
                length, code = struct.unpack(">II", first := await reader.readexactly(8))
                self._upstream.write(first + await reader.readexactly(length - 8))
                is_started = code not in ENCRYPTION
            while True:
                kind = await reader.readexactly(1)
                (length,) = struct.unpack(">I", size := await reader.readexactly(4))
                body = await reader.readexactly(length - 4)
                if self._is_commit(kind, body) and self._proxy.cut is not None:
                    await self._cut(reader, kind + size + body)
                    return
                self._upstream.write(kind + size + body)
                await self._upstream.drain()
        self._close()

    def _is_commit(self, kind: bytes, body: bytes) -> bool:
        """COMMIT as a query, or as the binding of a statement that was prepared as one."""
        if kind == b"P":
            name, text, _ = body.split(b"\0", 2)
            if text == b"COMMIT":
                self._commits.add(name)
        if kind == b"B":
            return body.split(b"\0", 2)[1] in self._commits
        return kind == b"Q" and body.rstrip(b"\0") == b"COMMIT"

    async def _cut(self, reader: asyncio.StreamReader, message: bytes) -> None:
        where, self._proxy.cut = self._proxy.cut, None
        self._proxy.cuts += 1
        if where == "before":
            self._close()
            return
        self._is_cut = True
        self._upstream.write(message)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while (kind := await reader.readexactly(1)) != b"S":  # up to the client's Sync, so that it is carried out
                (length,) = struct.unpack(">I", size := await reader.readexactly(4))
                self._upstream.write(kind + size + await reader.readexactly(length - 4))
            self._upstream.write(kind + await reader.readexactly(4))
            await self._upstream.drain()

    async def responses(self, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(ConnectionError):
            while content := await reader.read(1 << 16):
                if self._is_cut:
                    break  # the server has answered: it has committed, and nobody hears of it
                self._downstream.write(content)
                await self._downstream.drain()
        self._close()

    def _close(self) -> None:
        self._upstream.close()
        self._downstream.close()
