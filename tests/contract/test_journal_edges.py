"""What the SQLite writer does when SQLite itself says no."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from headrace.errors import Unavailable
from headrace.journal.group import WriterLimits
from headrace.journal.port import Unit
from headrace.journal.sqlite.migrations import migrate_sqlite
from headrace.journal.sqlite.statements import named_statements, write_queries
from headrace.journal.sqlite.writer import GroupWriter
from headrace.journal.writes import AddWorkflow


class Failing(sqlite3.Connection):
    """Fails the statements it is told to, each once."""

    failures: dict[str, list[Exception]]

    def execute(self, sql: str, *arguments: Any) -> sqlite3.Cursor:
        if self.failures.get(sql):
            raise self.failures[sql].pop(0)
        return super().execute(sql, *arguments)


@asynccontextmanager
async def _writer(path: Path, **failures: list[Exception]) -> AsyncIterator[GroupWriter]:
    migrate_sqlite(str(path))
    connection = sqlite3.connect(path, 0.0, isolation_level=None, check_same_thread=False, factory=Failing)
    connection.failures = {name.replace("_", " "): errors for name, errors in failures.items()}
    writes, statements = write_queries(), named_statements()
    writer = GroupWriter(connection, writes, statements, WriterLimits(give_up_s=0.3), None)
    yield writer
    async with asyncio.timeout(3):
        await writer.close()
    connection.close()


def _workflow(workflow_id: str) -> Unit:
    unit = Unit()
    unit.add(AddWorkflow(workflow_id=workflow_id, name="name", config="{}", created_at=1, updated_at=1))
    return unit


def _stored(path: Path) -> set[str]:
    connection = sqlite3.connect(path)
    try:
        return {row[0] for row in connection.execute("SELECT id FROM workflows")}
    finally:
        connection.close()


@pytest.mark.parametrize(
    "failures",
    [
        {"BEGIN_IMMEDIATE": [sqlite3.DatabaseError("database disk image is malformed")]},
        {"BEGIN_IMMEDIATE": [MemoryError()]},
        {"COMMIT": [sqlite3.OperationalError("database or disk is full")]},
        {"COMMIT": [MemoryError()]},
        {
            "COMMIT": [sqlite3.OperationalError("disk I/O error")],
            "ROLLBACK": [sqlite3.OperationalError("disk I/O error")],
        },
    ],
    ids=["begin", "begin without memory", "commit", "commit without memory", "commit and rollback"],
)
async def test_a_write_that_cannot_be_made_is_refused_and_the_next_is_made(
    failures: dict[str, list[Exception]], tmp_path: Path
) -> None:
    path = tmp_path / "journal.db"
    async with _writer(path, **failures) as writer:
        async with asyncio.timeout(3):
            with pytest.raises(Unavailable):
                await writer.queue.commit(_workflow("refused"))
            await writer.queue.commit(_workflow("made"))
    assert _stored(path) == {"made"}


async def test_closing_does_not_wait_for_ever_for_a_file_that_stays_locked(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    async with _writer(path) as writer:
        thief = sqlite3.connect(path, isolation_level=None)
        thief.execute("BEGIN IMMEDIATE")
        refused = asyncio.ensure_future(writer.queue.commit(_workflow("refused")))
        await asyncio.sleep(0)
        async with asyncio.timeout(3):
            await writer.close()
        with pytest.raises(Unavailable):
            await refused
        thief.execute("ROLLBACK")
        thief.close()
    assert _stored(path) == set()
