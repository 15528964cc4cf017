"""What every journal must do for the audit trail: with the write or not at all, and never changed."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest

from headrace.errors import NotFound, RepeatedKey
from headrace.journal.port import Required, Unit
from headrace.journal.records import AuditEntry
from headrace.journal.sqlite import SqliteJournal
from headrace.journal.sqlite.migrations import HEAD
from headrace.journal.writes import AddWorkflow, DeleteWorkflow
from headrace.usecases.idempotency import RESULT, Answer, Caller, CallerKey, record
from tests.support.journals import JOURNALS, adapter

LAST = 2**63 - 1
ALICE = Caller("alice", "createWorkflow", "app")


@pytest.fixture(params=JOURNALS)
async def journal(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Any]:
    async with adapter(request.param).open(tmp_path / "journal.db") as opened:
        yield opened


def created(workflow_id: str, caller: Caller | None = ALICE, at: int = 10) -> Unit:
    unit = Unit()
    unit.add(AddWorkflow(workflow_id=workflow_id, name="name", config="{}", created_at=at, updated_at=at))
    record(unit, caller, at, Answer(workflow_id, {"made": workflow_id}))
    return unit


async def test_a_write_is_signed(journal: SqliteJournal) -> None:
    await journal.commit(created("w1", at=11))
    await journal.commit(created("w2", caller=None))
    assert await journal.audit(LAST, 10) == [AuditEntry(1, 11, "alice", "app", "createWorkflow", "w1")]


async def test_a_write_that_fails_is_not_signed(journal: SqliteJournal) -> None:
    unit = Unit()
    unit.add(Required(DeleteWorkflow(at=10, workflow_id="nowhere"), partial(NotFound, "workflow", "nowhere")))
    record(unit, ALICE, 10, Answer("nowhere"))
    with pytest.raises(NotFound):
        await journal.commit(unit)
    assert await journal.audit(LAST, 10) == []


async def test_a_repeat_is_not_signed_again(journal: SqliteJournal) -> None:
    caller = Caller("alice", "createWorkflow", key=CallerKey("key", b"hash"))
    await journal.commit(created("w1", caller))
    with pytest.raises(RepeatedKey):
        await journal.commit(created("w2", caller))
    assert [entry.target for entry in await journal.audit(LAST, 10)] == ["w1"]
    remembered = await journal.remembered("", "key")
    assert remembered is not None and (remembered.status, remembered.body) == (RESULT, b'{"made":"w1"}')


async def test_it_is_read_newest_first_from_any_place_and_by_target_and_principal(journal: SqliteJournal) -> None:
    for number in range(10):
        await journal.commit(created(f"w{number}", Caller("alice" if number % 2 else "bob", "createWorkflow")))
    unit = Unit()
    record(unit, Caller("bob", "deleteWorkflow"), 20, Answer("w3"))
    await journal.commit(unit)
    assert [entry.seq for entry in await journal.audit(LAST, 3)] == [11, 10, 9]
    assert [entry.seq for entry in await journal.audit(9, 3)] == [8, 7, 6]
    assert [entry.seq for entry in await journal.audit(LAST, 99, principal="alice")] == [10, 8, 6, 4, 2]
    assert [entry.seq for entry in await journal.audit(11, 99, target="w3")] == [4]
    assert [entry.principal for entry in await journal.audit(LAST, 99, target="w3")] == ["bob", "alice"]
    assert [entry.seq for entry in await journal.audit(LAST, 99, target="w3", principal="bob")] == [11]
    assert await journal.audit(LAST, 99, target="w3", principal="carol") == []


CHANGES = ("UPDATE audit SET principal = 'bob'", "DELETE FROM audit")


async def test_nothing_of_it_can_be_changed_or_removed(tmp_path: Path) -> None:
    async with adapter("sqlite").open(tmp_path / "journal.db") as journal:
        await journal.commit(created("w1"))
        connection = sqlite3.connect(tmp_path / "journal.db", isolation_level=None)
        try:
            for statement in CHANGES:
                with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                    connection.execute(statement)
        finally:
            connection.close()
        assert [entry.principal for entry in await journal.audit(LAST, 10)] == ["alice"]


async def test_nothing_of_it_can_be_changed_or_removed_on_postgres(tmp_path: Path) -> None:
    """Neither by the user that Headrace connects as, nor by one with every right."""
    async with adapter("postgres").open(tmp_path / "journal.db") as journal:
        await journal.commit(created("w1"))
        with psycopg.connect((tmp_path / "journal.db.postgres").read_text(), autocommit=True) as connection:
            for statement in (*CHANGES, "TRUNCATE audit"):
                with pytest.raises(psycopg.errors.IntegrityError, match="append-only"):
                    connection.execute(statement)
            connection.execute("CREATE ROLE plain_user IN ROLE pg_write_all_data, pg_read_all_data")
            connection.execute("SET ROLE plain_user")
            with pytest.raises(psycopg.errors.IntegrityError, match="append-only"):
                connection.execute("DELETE FROM audit")
            connection.execute("RESET ROLE")
            connection.execute("DROP ROLE plain_user")
        assert [entry.principal for entry in await journal.audit(LAST, 10)] == ["alice"]


async def test_a_journal_of_the_third_release_gets_a_trail(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    connection = sqlite3.connect(path)
    connection.executescript((Path(__file__).parents[1] / "data/journal/0003.sql").read_text())
    connection.close()
    opened = await SqliteJournal.open(path)
    try:
        assert await opened.audit(LAST, 10) == [], "nobody knows who wrote before"
        await opened.commit(created("w1"))
        assert [entry.target for entry in await opened.audit(LAST, 10)] == ["w1"]
        assert await opened.workflow("w-old") is not None
    finally:
        await opened.close()
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT version_num FROM alembic_version").fetchone()[0] == HEAD
    connection.close()
