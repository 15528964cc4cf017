"""The journals that exports, imports and restores are tested with, and rows for each of their tables."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from headrace.journal.postgres.resting import RestingPostgresJournal
from headrace.journal.sqlite.migrations import migrate_sqlite
from headrace.journal.sqlite.resting import RestingSqliteJournal
from headrace.journal.transfer import Column, RestingJournal, Row, Table, Value
from tests.support import postgres

LONG = json.dumps(
    {
        "note": 'said "yes" in Zürich, € 5',
        "postings": [{"destination": f"users:{number}", "amount": 10**30 + number} for number in range(12)],
    },
    ensure_ascii=False,
)
"""Long enough to be compressed where an adapter compresses."""


UNIQUE = {("plans", "instance_id"), ("inbox", "key"), ("occurrences", "instance_id"), ("resolutions", "proof")} | {
    *(("successors", "successor"), ("triggers", "handle"))
}
"""Columns beside the keys whose values must differ."""


@dataclass(frozen=True, slots=True)
class Resting:
    """`create` makes an empty journal of this release; `columns` reads those of its schema that hold facts."""

    create: Callable[[Path], None]
    open: Callable[[Path], RestingJournal]
    columns: Callable[[Path], dict[str, set[str]]]


def _sqlite_columns(path: Path) -> dict[str, set[str]]:
    with closing(sqlite3.connect(path)) as connection:
        names = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
        tables = [name for (name,) in names.fetchall()]
        return {
            name: {row[1] for row in connection.execute(f"PRAGMA table_xinfo({name})") if row[6] == 0}
            for name in tables
        }


def _create_sqlite(path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    migrate_sqlite(str(path))


def _url(path: Path) -> str:
    """The file of a path holds the URL of its database, as in `tests/support/journals.py`."""
    return path.with_name(path.name + ".postgres").read_text()


def _create_postgres(path: Path) -> None:
    if postgres.programs() is None:
        pytest.skip(postgres.MISSING)
    path.parent.mkdir(exist_ok=True)
    path.with_name(path.name + ".postgres").write_text(postgres.new_database())


def _postgres_columns(path: Path) -> dict[str, set[str]]:
    """Those that the database does not compute or number by itself."""
    with psycopg.connect(_url(path)) as connection:
        rows = connection.execute(
            "SELECT table_name, column_name FROM information_schema.columns "
            "WHERE table_schema = 'public' AND is_generated = 'NEVER' "
            "AND NOT (is_identity = 'YES' AND column_name = 'row')"
        )
        found: dict[str, set[str]] = {}
        for table, column in rows:
            found.setdefault(table, set()).add(column)
    return found


def _open_postgres(path: Path) -> RestingJournal:
    return RestingPostgresJournal.open(_url(path))


RESTING: dict[str, Resting] = {
    "sqlite": Resting(_create_sqlite, RestingSqliteJournal.open, _sqlite_columns),
    "postgres": Resting(_create_postgres, _open_postgres, _postgres_columns),
}


def rows_of(table: Table, count: int = 40) -> list[Row]:
    """Rows that differ in their key, with the values that are hard to keep."""
    numbers = range(1) if table.has_one_row else range(count)
    return [{column.name: _value(table, column, number) for column in table.columns} for number in numbers]


def _value(table: Table, column: Column, number: int) -> Value:
    if column.may_be_null and number % 3 == 0:
        return None
    if table.numbered and column.name == "seq":
        return number + 1
    is_key = column.name in table.key or (table.name, column.name) in UNIQUE
    match column.kind:
        case "text":
            text = f"{column.name}-{number:03}"
            return text if is_key or number % 2 else _texts(text)[number // 2 % 4]
        case "integer":
            return number if is_key else [number, 0, 2**63 - 1, -(2**63)][number // 2 % 4]
        case "flag":
            return number % 2 == 0
        case "bytes":
            return [b"", bytes(range(256)) * 3, LONG.encode(), str(number).encode()][number // 2 % 4]


def _texts(text: str) -> list[str]:
    return ["", LONG, f"{text} \u20ac \U0001f600 \x01\x7f \\ \" ' \n", "null"]
