"""The mark of a writer: its row in the database, by which it finds out whether a commit succeeded.

Each transaction of the writer counts the row's batch up. Where the answer to a commit is lost, the row says whether the
commit happened. The number of a transaction would not: after a crash PostgreSQL gives numbers out again that were not
on its disk yet, and calls the lost transaction committed as soon as another one with its number is.
"""

from __future__ import annotations

from headrace.journal.postgres.connections import Connection

KEPT = 1_000
"""Rows of so many later writers are there before one is removed: a writer does not live through so many starts."""


class Mark:
    """Made once for each writer, and kept when its connection is made anew."""

    def __init__(self) -> None:
        self._writer = 0
        self._batch = 0

    async def make(self, connection: Connection) -> None:
        """Store the row, unless that was done. Raises psycopg.Error."""
        if self._writer:
            return
        cursor = await connection.execute("INSERT INTO writers DEFAULT VALUES RETURNING id")
        writer = (await cursor.fetchall())[0][0]
        await connection.execute("DELETE FROM writers WHERE id <= $1", (writer - KEPT,))
        self._writer = writer

    async def begin(self, connection: Connection) -> None:
        """Begin a transaction that carries the mark of a new batch. Raises psycopg.Error."""
        self._batch += 1
        await connection.execute("BEGIN")
        await connection.execute("UPDATE writers SET batch = $2 WHERE id = $1", (self._writer, self._batch))

    async def is_committed(self, connection: Connection) -> bool:
        """Whether the last batch is; a transaction that has not ended yet is waited for. Raises psycopg.Error."""
        cursor = await connection.execute("SELECT batch FROM writers WHERE id = $1 FOR UPDATE", (self._writer,))
        rows = await cursor.fetchall()
        return bool(rows) and rows[0][0] == self._batch
