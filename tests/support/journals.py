"""The adapters that the suites of journal and engine are run for."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from headrace.journal.postgres import PostgresJournal
from headrace.journal.sqlite import SqliteJournal
from headrace.journal.sqlite.migrations import migrate_sqlite
from headrace.journal.testing import Capabilities
from tests.support import postgres
from tests.support.slow_reads import SlowReads

JOURNALS = ["sqlite", "slow-sqlite", "postgres"]
"""By name. One that has no adapter fails every test it is named for."""


@cache
def _migrated() -> bytes:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "journal.db"
        migrate_sqlite(str(path))
        return path.read_bytes()


def make_sqlite(path: Path) -> None:
    """Make a fresh journal where there is none. Migrations have tests of their own, and take most of an opening."""
    if path.exists():
        return
    path.write_bytes(_migrated())
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE identity SET id = lower(hex(randomblob(16)))")
        connection.commit()


@asynccontextmanager
async def _sqlite(path: Path) -> AsyncIterator[Any]:
    make_sqlite(path)
    opened = await SqliteJournal.open(path)
    yield opened
    await opened.close()


@asynccontextmanager
async def _slow_sqlite(path: Path) -> AsyncIterator[Any]:
    async with _sqlite(path) as opened:
        yield SlowReads(opened)


@asynccontextmanager
async def _postgres(path: Path) -> AsyncIterator[Any]:
    """The database of a path is made when it is first opened; the path's file holds its URL."""
    if postgres.programs() is None:
        pytest.skip(postgres.MISSING)
    url_file = path.with_name(path.name + ".postgres")
    if not url_file.exists():
        url_file.write_text(postgres.new_database())
    opened = await PostgresJournal.open(url_file.read_text())
    yield opened
    await opened.close()


@dataclass(frozen=True, slots=True)
class Adapter:
    """`open` opens the store of a path; opened again, it is the same one."""

    open: Callable[[Path], AbstractAsyncContextManager[Any]]
    capabilities: Capabilities


_ADAPTERS = {
    "sqlite": Adapter(_sqlite, Capabilities()),
    "slow-sqlite": Adapter(_slow_sqlite, Capabilities()),
    "postgres": Adapter(_postgres, Capabilities()),
}


def adapter(name: str) -> Adapter:
    """Raises LookupError for a name without an adapter: it must not pass as if it had been tested."""
    if name not in _ADAPTERS:
        raise LookupError(f"there is no journal adapter {name!r}; there are {', '.join(_ADAPTERS)}")
    return _ADAPTERS[name]
