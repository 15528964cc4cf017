"""The journal in memory, for tests of workflows: each unit is committed at once, on the caller's thread.

It answers with the queries of the file's journal, and writes with them. What is awaited never waits, so that a caller
without an event loop can use it. It ends with its process.
"""

from __future__ import annotations

import contextlib
import sqlite3
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

from headrace.journal.lookups import Lookups
from headrace.journal.port import Results, Unit
from headrace.journal.sqlite.adapter import SqliteJournal
from headrace.journal.sqlite.migrations import migrate_sqlite
from headrace.journal.sqlite.packing import packed
from headrace.journal.sqlite.statements import WriteQuery, named_statements, write_queries
from headrace.journal.sqlite.writer import UnitWriter
from headrace.journal.writes import Write


class MemoryJournal(SqliteJournal):
    """A journal that holds what an image does, as `image` returned it; without one it is empty."""

    def __init__(self, image: bytes | None = None) -> None:
        connection = sqlite3.connect(":memory:", isolation_level=None, cached_statements=256)
        connection.deserialize(_empty() if image is None else image)
        connection.create_function("packed", 2, packed, deterministic=True)
        self._reader = connection
        self._sql, queries = _queries()
        self._units = UnitWriter(connection, queries, self._sql)
        self.lookups = Lookups(self._rows_soon)

    async def commit(self, unit: Unit) -> Results:
        self._reader.execute("BEGIN")
        try:
            self._units.begin()
            results = self._units.write(unit)
            self._units.end_in_order([results])
        except BaseException:
            self._reader.execute("ROLLBACK")
            raise
        self._reader.execute("COMMIT")
        return results

    def image(self) -> bytes:
        """All that it holds, for other journals in memory to begin with."""
        return self._reader.serialize()

    async def check(self) -> None:
        """Memory takes every write."""

    async def close(self) -> None:
        self._reader.close()


@lru_cache(maxsize=1)
def _empty() -> bytes:
    """The image of an empty journal of this release."""
    with TemporaryDirectory(prefix="headrace-") as folder:
        path = Path(folder) / "journal.db"
        migrate_sqlite(str(path))
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("PRAGMA journal_mode=DELETE")  # an image with a write-ahead log cannot be opened
            return connection.serialize()


@lru_cache(maxsize=1)
def _queries() -> tuple[dict[str, str], dict[type[Write], WriteQuery]]:
    return named_statements(), write_queries()
