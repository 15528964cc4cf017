"""Connections for reads: some of them, opened when they are first needed, each used by one read at a time."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any

import psycopg

from headrace.errors import Unavailable
from headrace.journal.postgres.connections import (
    READER_SESSION,
    Connection,
    as_query,
    connect,
    has_failed,
    unavailable,
)

Row = tuple[Any, ...]


class Readers:
    """At most `size` connections. A read that finds its connection cut is repeated once on a new one."""

    def __init__(self, url: str, size: int) -> None:
        self._url = url
        self._idle: list[Connection] = []
        self._free = asyncio.Semaphore(size)
        self._is_closed = False

    async def rows(self, query: str, *parameters: Any) -> list[Row]:
        """The rows of one query. Raises Unavailable."""
        if any("\0" in each for each in parameters if isinstance(each, str)):
            return []  # the database stores no such text
        async with self._free:
            for attempt in range(2):
                try:
                    if self._is_closed:
                        raise Unavailable("the journal is closed")
                    connection = self._idle.pop() if self._idle else await connect(self._url, "reader", READER_SESSION)
                    return await self._read_on(connection, query, parameters)
                except psycopg.OperationalError as error:
                    if attempt:
                        raise unavailable(error) from error
                    await self._close_idle()
                except psycopg.Error as error:
                    raise Unavailable(f"the journal cannot be read: {error}") from error
        raise AssertionError("unreachable")

    async def _read_on(self, connection: Connection, query: str, parameters: Sequence[Any]) -> list[Row]:
        is_clean = False
        try:
            rows = await (await connection.execute(as_query(query), parameters)).fetchall()
            is_clean = True
            return rows
        finally:
            if is_clean and not has_failed(connection) and not self._is_closed:
                self._idle.append(connection)
            else:
                await asyncio.shield(connection.close())

    async def _close_idle(self) -> None:
        """After one was found cut, the others are cut too."""
        while self._idle:
            with contextlib.suppress(psycopg.Error):
                await self._idle.pop().close()

    async def close(self) -> None:
        self._is_closed = True
        await self._close_idle()
