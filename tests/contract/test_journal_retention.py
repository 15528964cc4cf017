"""Retention counts the time in which a server ran: no clock that steps removes a key, an envelope or an event."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine

from headrace.journal.port import Unit
from headrace.journal.retention import MAX_STEP_S, Keep, Retention
from headrace.journal.retention_writes import ServeTime, TrimOutbox
from headrace.journal.sqlite import SqliteJournal, migrations
from headrace.journal.sqlite.migrations import HEAD, statements
from headrace.journal.writes import (
    AcceptEvent,
    AddDeadLetter,
    ProcessEvent,
    Publish,
    RememberKey,
    WantType,
    Write,
)
from tests.contract.test_journal_triggers import RELEASES, commit, version_of

DAY_S = 86_400
KEEP = Keep(keys_s=7 * DAY_S, events_s=30 * DAY_S, outbox_s=7 * DAY_S)
COLUMNS = [
    f"ALTER TABLE {table} ADD COLUMN served_s INTEGER NOT NULL DEFAULT 0"
    for table in ("caller_keys", "inbox", "outbox", "set_aside")
]


class StepClock:
    """Wall and monotonic clock, each moved by the test alone."""

    def __init__(self) -> None:
        self.wall_s = 1_800_000_000
        self.passed_s = 5_000.25

    def now_at(self) -> int:
        return self.wall_s * 1_000_000

    def monotonic_s(self) -> float:
        return self.passed_s

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("nothing sleeps here")

    def passes(self, seconds: float) -> None:
        self.wall_s += int(seconds)
        self.passed_s += seconds


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[SqliteJournal]:
    opened = await SqliteJournal.open(tmp_path / "journal.db")
    yield opened
    await opened.close()


def retention(journal: SqliteJournal, clock: StepClock) -> Retention:
    async def trim(before_s: int) -> None:
        await commit(journal, TrimOutbox(before_s=before_s))

    return Retention(journal, clock, KEEP, trim)


async def stored(journal: SqliteJournal, clock: StepClock, name: str) -> None:
    """One row of each kind that is kept for a time."""
    at = clock.now_at()
    rows: list[Write] = [
        RememberKey(
            owner="", key=name, fingerprint=b"hash", status=201, body=b"{}", operation="run", target="i1", at=at
        ),
        AcceptEvent(
            key=name,
            type="E",
            envelope="{}",
            received_at=at,
            depth=0,
            fingerprint=b"",
            place=None,
            conflict_key=f"conflict of {name}",
            old_key=None,
        ),
        WantType(type="E"),
        Publish(type="E", happened_at=at, payload="{}", instance_id=None, depth=None),
        AddDeadLetter(publisher="p", event_id=name, type="E", body="{}", reason="refused", at=at),
    ]
    await commit(journal, *rows)
    event = (await journal.waiting_events(0, 10))[-1]
    await commit(journal, ProcessEvent(at=at, seq=event.seq))


def kept(path: Path) -> dict[str, int]:
    connection = sqlite3.connect(path)
    counted = {
        "keys": "caller_keys",
        "envelopes": "inbox WHERE envelope IS NOT NULL",
        "outbox": "outbox",
        "set_aside": "set_aside",
    }
    found = {name: connection.execute(f"SELECT count(*) FROM {of}").fetchone()[0] for name, of in counted.items()}
    connection.close()
    return found


ONE_OF_EACH = {"keys": 1, "envelopes": 1, "outbox": 1, "set_aside": 1}


async def serve(retention: Retention, clock: StepClock, seconds: float) -> None:
    """A server runs for so long, in steps of its own."""
    left_s = seconds
    while left_s > 0:
        clock.passes(min(60.0, left_s))
        left_s -= 60.0
        await retention.count()
    await retention.sweep()


async def sweep_served(journal: SqliteJournal, clock: StepClock, served_s: int) -> None:
    """As if a server had run for so long since."""
    await commit(journal, ServeTime(seconds=served_s))
    await retention(journal, clock).sweep()


@pytest.mark.parametrize("days", [8, -8, 400, -400])
async def test_a_wall_clock_that_steps_and_comes_back_removes_nothing(
    journal: SqliteJournal, tmp_path: Path, days: int
) -> None:
    clock = StepClock()
    kept_in = retention(journal, clock)
    await stored(journal, clock, "before")
    clock.wall_s += days * DAY_S
    await stored(journal, clock, "meanwhile")
    await serve(kept_in, clock, 60)
    clock.wall_s -= days * DAY_S
    await serve(kept_in, clock, 3_600)
    assert kept(tmp_path / "journal.db") == dict.fromkeys(ONE_OF_EACH, 2)
    assert await journal.remembered("", "before") and await journal.remembered("", "meanwhile")


async def test_rows_are_removed_once_their_time_has_passed_and_never_before(
    journal: SqliteJournal, tmp_path: Path
) -> None:
    clock = StepClock()
    await serve(retention(journal, clock), clock, 1_000)
    await stored(journal, clock, "first")
    await sweep_served(journal, clock, 7 * DAY_S)
    assert kept(tmp_path / "journal.db") == ONE_OF_EACH
    await stored(journal, clock, "second")
    await sweep_served(journal, clock, MAX_STEP_S + 1)
    assert kept(tmp_path / "journal.db") == {"keys": 1, "envelopes": 2, "outbox": 1, "set_aside": 2}
    assert await journal.remembered("", "second") and not await journal.remembered("", "first")
    await sweep_served(journal, clock, 23 * DAY_S)
    assert kept(tmp_path / "journal.db") == {"keys": 0, "envelopes": 1, "outbox": 0, "set_aside": 1}


async def test_a_row_stored_between_two_counts_is_kept_for_all_of_its_time(journal: SqliteJournal) -> None:
    """It carries the earlier count."""
    clock = StepClock()
    server = retention(journal, clock)
    clock.passes(MAX_STEP_S - 1)
    await stored(journal, clock, "late")
    await server.count()
    await sweep_served(journal, clock, 7 * DAY_S - 1)
    assert await journal.remembered("", "late")
    await sweep_served(journal, clock, MAX_STEP_S)
    assert not await journal.remembered("", "late")


async def test_a_server_that_runs_for_a_minute_a_day_removes_nothing_for_its_days(
    journal: SqliteJournal, tmp_path: Path
) -> None:
    clock = StepClock()
    await stored(journal, clock, "key")
    for _ in range(30):
        server = retention(journal, clock)
        await server.sweep()
        clock.passes(60)
        await server.stop()
        clock.passes(DAY_S - 60)
    assert await retention(journal, clock).count() == 30 * 60
    assert kept(tmp_path / "journal.db") == ONE_OF_EACH


async def test_a_process_that_stood_still_did_not_serve(journal: SqliteJournal) -> None:
    clock = StepClock()
    server = retention(journal, clock)
    clock.passes(8 * DAY_S)
    assert await server.count() == MAX_STEP_S
    clock.passes(1)
    assert await server.count() == MAX_STEP_S + 1, "the days before are gone, and are not made up for"


async def test_parts_of_a_second_are_not_lost(journal: SqliteJournal) -> None:
    clock = StepClock()
    server = retention(journal, clock)
    counts: list[int] = []
    for _ in range(8):
        clock.passes(0.25)
        counts.append(await server.count())
    assert counts[-1] == 2


async def test_any_number_of_rows_is_removed(journal: SqliteJournal, tmp_path: Path) -> None:
    unit = Unit()
    for number in range(1_234):
        unit.add(
            RememberKey(
                owner="", key=f"k{number}", fingerprint=b"", status=201, body=b"", operation="run", target="i1", at=1
            )
        )
    await journal.commit(unit)
    await sweep_served(journal, StepClock(), 8 * DAY_S)
    assert kept(tmp_path / "journal.db")["keys"] == 0


# a journal of an earlier release


def released(path: Path, revision: str) -> sqlite3.Connection:
    """The third release's journal at a later revision, with a key in it."""
    connection = sqlite3.connect(path)
    connection.executescript((RELEASES / "0003.sql").read_text())
    connection.close()
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as upgrading:
        config = Config()
        config.set_main_option("script_location", str(Path(migrations.__file__).parent))
        config.attributes["connection"] = upgrading
        command.upgrade(config, revision)
    engine.dispose()
    return sqlite3.connect(path, isolation_level=None)


async def test_keys_of_an_earlier_release_are_kept_for_their_time_from_the_upgrade(tmp_path: Path) -> None:
    path, clock = tmp_path / "journal.db", StepClock()
    connection = released(path, "0006")
    connection.execute("INSERT INTO caller_keys VALUES ('old', x'00', 201, x'', 1)")
    connection.close()
    opened = await SqliteJournal.open(path)
    try:
        await sweep_served(opened, clock, 7 * DAY_S)
        assert kept(path)["keys"] == 1
        await sweep_served(opened, clock, MAX_STEP_S + 1)
        assert kept(path)["keys"] == 0
    finally:
        await opened.close()


@pytest.mark.parametrize("done", range(1, 12))
async def test_the_migration_may_be_cut_off_after_any_statement(tmp_path: Path, done: int) -> None:
    path = tmp_path / "journal.db"
    made = [*COLUMNS, *statements("0009.sql")]
    assert len(made) == 11
    connection = released(path, "0008")
    for statement in made[:done]:
        connection.execute(statement)
    connection.close()
    opened = await SqliteJournal.open(path)
    try:
        assert await retention(opened, StepClock()).count() == 0
    finally:
        await opened.close()
    assert version_of(path) == HEAD
