"""Every journal passes the suite of `headrace.journal.testing`; `tests/support/journals.py` lists the adapters."""

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
from headrace.journal.sqlite import SqliteJournal
from headrace.journal.sqlite.lock import AlreadyOwned
from headrace.journal.sqlite.migrations import statements
from headrace.journal.testing import Check, checks
from headrace.journal.writes import AddWorkflow, Probe
from tests.support.journals import JOURNALS, adapter

SUITE = [(name, check) for name in JOURNALS for check in checks(adapter(name).capabilities)]


@pytest.fixture(params=JOURNALS)
async def journal(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Any]:
    async with adapter(request.param).open(tmp_path / "journal.db") as opened:
        yield opened


@pytest.mark.parametrize(("name", "check"), SUITE, ids=lambda each: each if isinstance(each, str) else each.__name__)
async def test_the_suite(name: str, check: Check, tmp_path: Path) -> None:
    await check(lambda: adapter(name).open(tmp_path / "journal.db"))


@pytest.mark.parametrize("name", ["oracle", "no-such-database", ""])
def test_an_adapter_that_does_not_exist_fails(name: str) -> None:
    with pytest.raises(LookupError, match="no journal adapter"):
        adapter(name)


@pytest.mark.parametrize("check", checks(adapter("sqlite").capabilities), ids=lambda check: check.__name__)
async def test_the_suite_fails_for_a_journal_that_writes_nothing(check: Check, tmp_path: Path) -> None:
    """One that confirms each commit and keeps none of it."""

    class Forgetful:
        def __init__(self, journal: SqliteJournal) -> None:
            self._journal = journal

        async def commit(self, unit: Unit) -> list[Any]:
            return []

        def __getattr__(self, name: str) -> Any:
            return getattr(self._journal, name)

    @asynccontextmanager
    async def forgetful() -> AsyncIterator[Any]:
        async with adapter("sqlite").open(tmp_path / "journal.db") as opened:
            yield Forgetful(opened)

    with pytest.raises((AssertionError, ValueError, TimeoutError)):
        async with asyncio.timeout(1):
            await check(forgetful)


async def test_units_of_a_moment_share_a_commit(tmp_path: Path) -> None:
    journal = await SqliteJournal.open(tmp_path / "journal.db")
    units = [Unit() for _ in range(3)]
    for unit in units:
        unit.add(Probe())
    await asyncio.gather(*(journal.commit(unit) for unit in units))
    assert journal.commits == 1
    await journal.close()


def _workflow(unit: Unit, workflow_id: str = "w1") -> None:
    unit.add(AddWorkflow(workflow_id=workflow_id, name="name", config='{"stages":[]}', created_at=10, updated_at=10))


async def test_a_second_owner_is_refused_and_told_who_has_it(tmp_path: Path) -> None:
    first = await SqliteJournal.open(tmp_path / "journal.db")
    with pytest.raises(AlreadyOwned, match=r"in use by another Headrace server \(process \d+\)"):
        await SqliteJournal.open(tmp_path / "journal.db")
    await first.close()
    await (await SqliteJournal.open(tmp_path / "journal.db")).close()


async def test_a_blocked_database_refuses_and_the_write_never_happens_later(tmp_path: Path) -> None:
    journal = await SqliteJournal.open(tmp_path / "journal.db", limits=WriterLimits(give_up_s=0.05))
    thief = sqlite3.connect(tmp_path / "journal.db", isolation_level=None, check_same_thread=False)
    thief.execute("BEGIN IMMEDIATE")
    refused, later = Unit(), Unit()
    _workflow(refused, "refused")
    _workflow(later, "later")
    with pytest.raises(Unavailable, match="in time"):
        await journal.commit(refused)
    thief.execute("ROLLBACK")
    await journal.commit(later)
    assert await journal.workflow("later") is not None
    assert await journal.workflow("refused") is None
    thief.close()
    await journal.close()


async def test_a_process_that_ends_while_it_makes_the_schema_is_no_harm(tmp_path: Path) -> None:
    half = sqlite3.connect(tmp_path / "journal.db")
    for statement in statements("0001.sql")[:4]:
        half.execute(statement)
    half.close()
    journal = await SqliteJournal.open(tmp_path / "journal.db")
    unit = Unit()
    _workflow(unit)
    await journal.commit(unit)
    assert await journal.workflow("w1") is not None
    await journal.close()
