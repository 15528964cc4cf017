"""Reads of single rows that share a statement: those that are asked for within one turn of the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from headrace.journal.postgres.readers import Row

MAX_IDS = 32
"""Rows of one statement: each may hold a definition and variables of a megabyte."""


class SharedReads:
    """`read` returns the rows of some ids, each with its id first. It begins after the last of them was asked for."""

    def __init__(self, read: Callable[[list[str]], Awaitable[list[Row]]]) -> None:
        self._read = read
        self._ids: set[str] = set()
        self._reading: asyncio.Task[dict[str, Row]] | None = None

    async def row(self, row_id: str) -> Row | None:
        """The row with this id, or None. Raises what `read` raises, to every caller that shares the statement."""
        if "\0" in row_id:
            return None  # the database stores no such text
        if self._reading is None or len(self._ids) == MAX_IDS:
            self._ids = set()
            self._reading = asyncio.create_task(self._rows(self._ids))
        self._ids.add(row_id)
        return (await asyncio.shield(self._reading)).get(row_id)

    async def _rows(self, ids: set[str]) -> dict[str, Row]:
        if ids is self._ids:
            self._reading = None  # reads that are asked for from now on share the next one
        return {row[0]: row for row in await self._read(list(ids))}
