"""Identities that an earlier release stored whole: the event is known after the migration, and after an import."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest

from headrace.clock import SystemClock
from headrace.events.envelope import envelope_of
from headrace.events.inbox import Arrival, Inbox, Receipt
from headrace.journal.archive import export_journal, import_journal
from headrace.journal.event_keys import MAX_KEY_BYTES, REVISION, rebounded
from headrace.journal.postgres.migrations import migrate
from headrace.journal.sqlite.migrations import HEAD, migrate_sqlite
from headrace.journal.transfer import Operator
from headrace.telemetry import Telemetry
from tests.support.journals import adapter
from tests.support.resting import RESTING

LONG_ID = "\u20ac" * 500


def arrival(place: str, own: str, amount: int) -> Arrival:
    envelope = {"type": "T", "app": "a", "version": "v", "id": own, "payload": {"amount": amount}}
    return Arrival.of(place, envelope_of(envelope))


FIRST = arrival("broker:1", LONG_ID, 1)
OTHER = arrival("broker:2", LONG_ID, 2)
SHORT = arrival("broker:3", "short", 1)


def encoded(*parts: str) -> str:
    """A key, as releases up to 0.2.0 made it of any parts."""
    return json.dumps(parts, ensure_ascii=False, separators=(",", ":"))


EARLIER = encoded("event", "a", "T", "v", LONG_ID)
EARLIER_CONFLICT = encoded("conflict", EARLIER, OTHER.fingerprint.hex())
CONFLICT = encoded("conflict", FIRST.key, OTHER.fingerprint.hex())


async def receive(path: Path, database: str, *arrivals: Arrival) -> list[Receipt]:
    async with adapter(database).open(path) as journal:
        return await Inbox(journal, SystemClock(), Telemetry(SystemClock()), lambda: None).accept(arrivals)


def execute(path: Path, database: str, *statements: tuple[str, list[Any]]) -> list[str]:
    """Carry out statements; gives the keys of all events then."""
    connection: Any = sqlite3.connect(path) if database == "sqlite" else psycopg.connect(url(path))
    with closing(connection), connection:
        for statement, values in statements:
            connection.execute(statement if database == "sqlite" else statement.replace("?", "%s"), values)
        return [row[0] for row in connection.execute("SELECT key FROM inbox ORDER BY seq").fetchall()]


def url(path: Path) -> str:
    return path.with_name(path.name + ".postgres").read_text()


@pytest.mark.parametrize("database", RESTING)
async def test_a_migrated_journal_knows_its_events(tmp_path: Path, database: str) -> None:
    path = tmp_path / "journal.db"
    RESTING[database].create(path)
    assert await receive(path, database, FIRST, OTHER, SHORT) == [Receipt.NEW, Receipt.CONFLICTING, Receipt.NEW]
    earlier = execute(
        path,
        database,
        ("UPDATE inbox SET key = ? WHERE key = ?", [EARLIER, FIRST.key]),
        ("UPDATE inbox SET key = ? WHERE key = ?", [EARLIER_CONFLICT, CONFLICT]),
        ("UPDATE alembic_version SET version_num = ?", ["0019"]),
    )
    assert earlier == [EARLIER, EARLIER_CONFLICT, SHORT.key] and len(EARLIER.encode()) > MAX_KEY_BYTES
    if database == "sqlite":
        migrate_sqlite(str(path))
    else:
        migrate(url(path))
    assert execute(path, database) == [FIRST.key, CONFLICT, SHORT.key]
    assert len(FIRST.key.encode()) <= MAX_KEY_BYTES
    again = [arrival("broker:4", LONG_ID, 1), arrival("broker:5", LONG_ID, 2), arrival("broker:6", "short", 1)]
    assert await receive(path, database, *again) == [Receipt.REPEATED, Receipt.CONFLICTING, Receipt.REPEATED]
    assert execute(path, database) == [FIRST.key, CONFLICT, SHORT.key]


@pytest.mark.parametrize("database", RESTING)
async def test_an_export_of_an_earlier_release_is_imported_with_bounded_keys(tmp_path: Path, database: str) -> None:
    path, file = tmp_path / "journal.db", tmp_path / "export"
    RESTING["sqlite"].create(path)
    await receive(path, "sqlite", FIRST, OTHER, SHORT)
    execute(
        path,
        "sqlite",
        ("UPDATE inbox SET key = ? WHERE key = ?", [EARLIER, FIRST.key]),
        ("UPDATE inbox SET key = ? WHERE key = ?", [EARLIER_CONFLICT, CONFLICT]),
    )
    operator, clock = Operator("operator:test", "0.2.0", "export-1"), SystemClock()
    with closing(RESTING["sqlite"].open(path)) as journal:
        export_journal(journal, file, operator, clock, is_copy=True, report=lambda table, count: None)
    *lines, last = file.read_bytes().splitlines(keepends=True)
    assert HEAD >= REVISION and HEAD.encode() in lines[0]
    lines[0] = lines[0].replace(f'"{HEAD}"'.encode(), b'"0017"')
    end = msgspec.json.decode(last)
    end["end"]["sha256"] = sha256(b"".join(lines)).hexdigest()
    file.write_bytes(b"".join([*lines, msgspec.json.encode(end), b"\n"]))
    target = tmp_path / "target/journal.db"
    RESTING[database].create(target)
    with closing(RESTING[database].open(target)) as journal:
        import_journal(journal, file, operator, clock, report=lambda table, count: None)
    assert execute(target, database) == [FIRST.key, CONFLICT, SHORT.key]


@pytest.mark.parametrize("key", ["id:" + LONG_ID, "[" + LONG_ID, SHORT.key, CONFLICT, FIRST.key])
def test_other_keys_stay_or_become_short(key: str) -> None:
    made = rebounded(key)
    assert rebounded(made) == made and (made == key or len(key.encode()) > MAX_KEY_BYTES > len(made))
    assert key[0] == "[" or made == key
