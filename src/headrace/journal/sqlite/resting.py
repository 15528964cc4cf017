"""A journal's file at rest: held under the owner's lock by one command, for exports, imports and restores."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Generator, Iterable
from pathlib import Path
from typing import Any

from headrace.errors import TransferError, Unusable
from headrace.journal.sqlite.faults import fault_of, opening
from headrace.journal.sqlite.lock import JournalLock
from headrace.journal.sqlite.migrations import HEAD
from headrace.journal.sqlite.packing import packed, unpacked
from headrace.journal.transfer import DERIVED, NUMBERED, Outlook, Row, State, Table, Waiting, derived

_TEXT_OF_INSTANCE = "(SELECT text FROM instance_texts AS t WHERE t.instance_id = {})"
_STORED = {
    ("stages", "input"): f"packed(:input, {_TEXT_OF_INSTANCE.format(':instance_id')})",
    ("activities", "input"): "packed(:input, :request_body)",
    ("activities", "output"): "packed(:output, :request_body)",
}
"""How a text is stored, by table and column; texts under 256 characters are stored as they are."""
_READ = {
    ("stages", "input"): f"unpacked(input, {_TEXT_OF_INSTANCE.format('stages.instance_id')})",
    ("activities", "input"): "unpacked(input, request_body)",
    ("activities", "output"): "unpacked(output, request_body)",
}
_STAGE_INPUT = f"CASE typeof(input) WHEN 'blob' THEN {_READ['stages', 'input']} ELSE input END"

_OUTLOOK = """
WITH running AS (SELECT id, next_at FROM instances WHERE terminated_at IS NULL)
SELECT
    (SELECT count(*) FROM running),
    (SELECT count(DISTINCT instance_id) FROM activities JOIN running ON id = instance_id WHERE terminated_at IS NULL),
    (SELECT count(DISTINCT instance_id) FROM activities JOIN running ON id = instance_id WHERE needs_attention = 1),
    (SELECT count(*) FROM running WHERE next_at > 0),
    (SELECT count(*) FROM triggers WHERE deleted_at IS NULL),
    (SELECT count(DISTINCT instance_id) FROM nudges),
    (SELECT max(updated_at) FROM instances)
"""
_WAITING = f"""
SELECT stages.instance_id, json_extract({_STAGE_INPUT}, '$.event')
FROM stages JOIN instances AS i ON i.id = stages.instance_id
WHERE stages.terminated_at IS NULL AND i.terminated_at IS NULL
AND (i.next_at IS NULL OR stages.keyword = 'wait_event') AND NOT EXISTS (
    SELECT 1 FROM activities AS a WHERE a.instance_id = i.id AND a.stage = stages.number AND a.terminated_at IS NULL)
ORDER BY stages.instance_id
"""


class RestingSqliteJournal:
    """Implements `headrace.journal.transfer.RestingJournal`."""

    def __init__(self, path: Path, connection: sqlite3.Connection, lock: JournalLock | None) -> None:
        self._path = path
        self._connection = connection
        self._lock = lock

    @classmethod
    def open(cls, path: Path, *, only_reads: bool = False) -> RestingSqliteJournal:
        """Hold a journal of this release's schema that is there. One that only reads may have a running server.

        Raises AlreadyOwned while a server runs on it, Unusable, Damaged or Unavailable.
        """
        if not path.exists():
            raise Unusable(f"{path} does not exist")
        with contextlib.ExitStack() as stack:
            stack.enter_context(opening(path))
            lock = None if only_reads else JournalLock(path)
            if lock is not None:
                stack.callback(lock.release)
            address = f"{path.absolute().as_uri()}?mode={'ro' if only_reads else 'rw'}"
            connection = stack.enter_context(
                contextlib.closing(sqlite3.connect(address, uri=True, isolation_level=None))
            )
            (revision,) = connection.execute("SELECT version_num FROM alembic_version").fetchone() or ("none",)
            if revision != HEAD:
                known = "`headrace migrate` brings it to" if revision < HEAD else "a newer release wrote it;"
                raise Unusable(f"its schema is {revision}: {known} this release's {HEAD}")
            pragmas = ("journal_mode=WAL", "synchronous=FULL", "temp_store=MEMORY", "cache_size=-65536")
            for pragma in () if only_reads else pragmas:
                connection.execute(f"PRAGMA {pragma}")
            connection.create_function("packed", 2, packed, deterministic=True)
            connection.create_function("unpacked", 2, unpacked, deterministic=True)
            stack.pop_all()
            return cls(path, connection, lock)
        raise AssertionError("unreachable")

    @property
    def address(self) -> str:
        return str(self._path)

    @contextlib.contextmanager
    def transaction(self) -> Generator[None]:
        with self._faults():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    @contextlib.contextmanager
    def _faults(self) -> Generator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise fault_of(error) or TransferError(f"{self._path}: {error}") from error

    # what is there

    def state(self) -> State:
        return State(
            *self._one(
                "SELECT version_num, identity.id, engine, generation, closed, closed_at "
                "FROM alembic_version, identity, journal_state"
            )
        )

    def outlook(self, limit: int) -> Outlook:
        running, unsettled, attention, delayed, triggers, nudged, last_at = self._one(_OUTLOOK)
        (waiting_count,) = self._one(f"SELECT count(*) FROM ({_WAITING})")
        waiting = [Waiting(*row) for row in self._connection.execute(f"{_WAITING} LIMIT ?", (limit,))]
        return Outlook(running, unsettled, attention, delayed, waiting_count, tuple(waiting), triggers, nudged, last_at)

    def count(self, table: Table) -> int:
        return self._one(f"SELECT count(*) FROM {table.name}")[0]

    def _one(self, sql: str) -> tuple[Any, ...]:
        with self._faults():
            return self._connection.execute(sql).fetchone()

    # rows

    def rows(self, table: Table) -> Generator[Row]:
        columns = [_read(table.name, name) for name in table.names]
        order = f" ORDER BY {', '.join(table.key)}" if table.key else ""
        flags = [column.name for column in table.columns if column.kind == "flag"]
        with self._faults(), contextlib.closing(self._connection.cursor()) as cursor:
            for values in cursor.execute(f"SELECT {', '.join(columns)} FROM {table.name}{order}"):
                row: Row = dict(zip(table.names, values, strict=True))
                for name in flags:
                    row[name] = None if row[name] is None else bool(row[name])
                yield row

    def load(self, table: Table, rows: Iterable[Row]) -> None:
        if table.has_one_row:
            sql = f"UPDATE {table.name} SET {', '.join(f'{name} = :{name}' for name in table.names)}"
        else:
            there = {row[1] for row in self._connection.execute(f"PRAGMA table_info({table.name})")}
            names = (*table.names, *(name for name in DERIVED.get(table.name, ()) if name in there))
            values = ", ".join(_stored(table.name, name) for name in names)
            sql = f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({values})"
        with self._faults():
            self._connection.executemany(sql, ({**row, **derived(table.name, row)} for row in rows))

    def numbers(self) -> dict[str, int]:
        with self._faults():
            given = dict(self._connection.execute("SELECT name, seq FROM sqlite_sequence"))
        return {name: given.get(name, 0) for name in NUMBERED}

    def set_numbers(self, numbers: dict[str, int]) -> None:
        with self._faults():
            for name, number in numbers.items():
                self._connection.execute("DELETE FROM sqlite_sequence WHERE name = ?", (name,))
                self._connection.execute("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", (name, number))

    # marks

    def set_engine(self, engine: str) -> None:
        with self._faults():
            self._connection.execute("UPDATE journal_state SET engine = ?", (engine,))

    def nudge_open(self, at: int) -> int:
        with self._faults():
            return self._connection.execute(
                "INSERT INTO nudges (instance_id, why, at) "
                "SELECT id, 'resume', ? FROM instances WHERE terminated_at IS NULL OR next_at IS NOT NULL",
                (at,),
            ).rowcount

    def set_closed(self, reason: str | None, at: int) -> None:
        closed_at = None if reason is None else at
        with self._faults():
            self._connection.execute("UPDATE journal_state SET closed = ?, closed_at = ?", (reason, closed_at))

    def record(self, operation: str, principal: str, target: str, at: int) -> None:
        with self._faults():
            self._connection.execute(
                "INSERT INTO audit (at, principal, operation, target) VALUES (?, ?, ?, ?)",
                (at, principal, operation, target),
            )

    def set_outbox_end(self, seq: int) -> None:
        with self._faults():
            self._connection.execute(
                "UPDATE positions SET position = ? WHERE source GLOB 'to:*' "
                "AND position = (SELECT outbox_end FROM journal_state)",
                (seq,),
            )
            self._connection.execute("UPDATE journal_state SET outbox_end = ?", (seq,))

    def close(self) -> None:
        self._connection.close()
        if self._lock is not None:
            self._lock.release()


def _read(table: str, name: str) -> str:
    sql = _READ.get((table, name))
    return name if sql is None else f"CASE typeof({name}) WHEN 'blob' THEN {sql} ELSE {name} END"


def _stored(table: str, name: str) -> str:
    sql = _STORED.get((table, name))
    return f":{name}" if sql is None else f"CASE WHEN length(:{name}) >= 256 THEN {sql} ELSE :{name} END"
