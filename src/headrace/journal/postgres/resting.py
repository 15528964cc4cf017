"""A journal in a database at rest: held under the owner's lock by one command, for exports, imports and restores."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterable
from typing import Any, LiteralString, cast

import msgspec
import psycopg
from psycopg import IsolationLevel
from psycopg.conninfo import conninfo_to_dict

from headrace.errors import AlreadyOwned, TransferError, Unavailable, Unusable
from headrace.journal.postgres.connections import fault_of, settings_of
from headrace.journal.postgres.migrations import migrate, require_current, require_known
from headrace.journal.postgres.owner import OWNER_LOCK
from headrace.journal.transfer import DERIVED, NUMBERED, Outlook, Row, State, Table, Value, Waiting, derived

__all__ = ["RestingPostgresJournal", "address_of", "migrate", "read_owner", "read_revision"]

PAGE = 200
LOOKS, LOOK_EVERY_S = 15, 0.1
"""The session of a process that has just ended stays visible for a moment."""
ERRORS = ("error", "last_failure", "reason")
"""Columns of texts from elsewhere, in which NUL, which PostgreSQL cannot store, becomes U+FFFD as in the writer."""

_SESSIONS = """
SELECT application_name FROM pg_stat_activity
WHERE datname = current_database() AND application_name LIKE 'headrace %' AND pid <> pg_backend_pid() ORDER BY 1
"""
_HOLDER = f"""
SELECT application_name FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid)
WHERE l.locktype = 'advisory' AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND l.classid = {OWNER_LOCK >> 32} AND l.objid = {OWNER_LOCK & 0xFFFF_FFFF} AND l.objsubid = 1 AND l.granted
"""
_OUTLOOK = """
WITH running AS (SELECT id, next_at FROM instances WHERE terminated_at IS NULL)
SELECT
    (SELECT count(*) FROM running),
    (SELECT count(DISTINCT instance_id) FROM activities JOIN running ON id = instance_id WHERE terminated_at IS NULL),
    (SELECT count(DISTINCT instance_id) FROM activities JOIN running ON id = instance_id WHERE needs_attention),
    (SELECT count(*) FROM running WHERE next_at > 0),
    (SELECT count(*) FROM triggers WHERE deleted_at IS NULL),
    (SELECT count(DISTINCT instance_id) FROM nudges),
    (SELECT max(updated_at) FROM instances)
"""
_WAITING = """
FROM stages AS s JOIN instances AS i ON i.id = s.instance_id
WHERE s.terminated_at IS NULL AND i.terminated_at IS NULL
AND (i.next_at IS NULL OR s.keyword = 'wait_event') AND NOT EXISTS (
    SELECT 1 FROM activities AS a WHERE a.instance_id = i.id AND a.stage = s.number AND a.terminated_at IS NULL)
"""


class _Wait(msgspec.Struct):
    event: str = ""


class RestingPostgresJournal:
    """Implements `headrace.journal.transfer.RestingJournal`."""

    def __init__(self, url: str, connection: psycopg.Connection[tuple[Any, ...]]) -> None:
        self._connection = connection
        self.address = address_of(url)

    @classmethod
    def open(cls, url: str, *, is_alone: bool = True) -> RestingPostgresJournal:
        """Connect to a journal of this release's schema. `is_alone`: hold it, so that no server runs on it.

        Raises AlreadyOwned while a process of Headrace is connected, Unusable or Unavailable.
        """
        with connected(url) as connection:
            try:
                require_current(schema_of(connection))
            except Unusable as error:
                raise Unusable(f"{address_of(url)} cannot be opened: {error}") from error
            if is_alone:
                _require_alone(connection, url)
            connection.execute("SET idle_in_transaction_session_timeout = 0; SET statement_timeout = 0")
            connection.isolation_level = IsolationLevel.REPEATABLE_READ
            return cls(url, connection)
        raise AssertionError("unreachable")

    @contextlib.contextmanager
    def transaction(self) -> Generator[None]:
        with self._faults(), self._connection.transaction():
            yield

    @contextlib.contextmanager
    def _faults(self) -> Generator[None]:
        try:
            yield
        except psycopg.OperationalError as error:
            raise Unavailable(f"{self.address} does not answer: {_first_line(error)}") from error
        except psycopg.Error as error:
            raise TransferError(f"{self.address}: {_first_line(error)}") from error

    def _execute(self, sql: str, *values: Value) -> psycopg.Cursor[tuple[Any, ...]]:
        with self._faults():
            return self._connection.execute(cast("LiteralString", sql), values or None)

    def _one(self, sql: str, *values: Value) -> tuple[Any, ...]:
        row = self._execute(sql, *values).fetchone()
        assert row is not None
        return row

    # state

    def state(self) -> State:
        return State(
            *self._one(
                "SELECT version_num, identity.id, engine, generation, closed, closed_at "
                "FROM alembic_version, identity, journal_state"
            )
        )

    def outlook(self, limit: int) -> Outlook:
        running, unsettled, attention, delayed, triggers, nudged, last_at = self._one(_OUTLOOK)
        (waiting_count,) = self._one(f"SELECT count(*) {_WAITING}")
        rows = self._execute(f"SELECT s.instance_id, s.input {_WAITING} ORDER BY 1 LIMIT %s", limit).fetchall()
        waiting = tuple(Waiting(instance_id, msgspec.json.decode(text, type=_Wait).event) for instance_id, text in rows)
        return Outlook(running, unsettled, attention, delayed, waiting_count, waiting, triggers, nudged, last_at)

    # rows

    def count(self, table: Table) -> int:
        return self._one(f"SELECT count(*) FROM {table.name}")[0]

    def rows(self, table: Table) -> Generator[Row]:
        order = f" ORDER BY {', '.join(table.key)}" if table.key else ""
        sql = f"SELECT {', '.join(table.names)} FROM {table.name}{order}"
        with self.transaction(), self._connection.cursor(name="transfer_rows") as cursor:
            cursor.itersize = PAGE
            for values in cursor.execute(cast("LiteralString", sql)):
                yield dict(zip(table.names, values, strict=True))

    def load(self, table: Table, rows: Iterable[Row]) -> None:
        if table.has_one_row:
            changes = ", ".join(f"{name} = %s" for name in table.names)
            for row in rows:
                self._execute(f"UPDATE {table.name} SET {changes}", *(row[name] for name in table.names))
            return
        names = (*table.names, *DERIVED.get(table.name, ()))
        sql = f"COPY {table.name} ({', '.join(names)}) FROM STDIN"
        with (
            self._faults(),
            self._connection.cursor() as cursor,
            cursor.copy(cast("LiteralString", sql)) as copy,
        ):
            for row in rows:
                whole = {**row, **derived(table.name, row)}
                copy.write_row([self._storable(table, name, whole[name]) for name in names])

    def _storable(self, table: Table, name: str, value: Value) -> Value:
        if not isinstance(value, str) or "\0" not in value:
            return value
        if name in ERRORS:
            return value.replace("\0", "\ufffd")
        raise TransferError(f"{self.address}: a {name} of {table.name} holds NUL, which PostgreSQL cannot store")

    def numbers(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for name in NUMBERED:
            (sequence,) = self._one("SELECT pg_get_serial_sequence(%s, 'seq')", name)
            number, is_given = self._one(f"SELECT last_value, is_called FROM {sequence}")
            found[name] = number if is_given else 0
        return found

    def set_numbers(self, numbers: dict[str, int]) -> None:
        for name, number in numbers.items():
            self._execute("SELECT setval(pg_get_serial_sequence(%s, 'seq'), %s, %s)", name, max(number, 1), number > 0)

    # changes

    def set_engine(self, engine: str) -> None:
        self._execute("UPDATE journal_state SET engine = %s", engine)

    def nudge_open(self, at: int) -> int:
        return self._execute(
            "INSERT INTO nudges (instance_id, why, at) "
            "SELECT id, 'resume', %s FROM instances WHERE terminated_at IS NULL OR next_at IS NOT NULL",
            at,
        ).rowcount

    def set_closed(self, reason: str | None, at: int) -> None:
        self._execute("UPDATE journal_state SET closed = %s, closed_at = %s", reason, None if reason is None else at)

    def record(self, operation: str, principal: str, target: str, at: int) -> None:
        self._execute(
            "INSERT INTO audit (at, principal, operation, target) VALUES (%s, %s, %s, %s)",
            at,
            principal,
            operation,
            target,
        )

    def set_outbox_end(self, seq: int) -> None:
        self._execute(
            "UPDATE positions SET position = %s "
            "WHERE source LIKE 'to:%%' AND position = (SELECT outbox_end FROM journal_state)",
            seq,
        )
        self._execute("UPDATE journal_state SET outbox_end = %s", seq)

    def close(self) -> None:
        self._connection.close()


def read_revision(url: str) -> str | None:
    """The schema of a database; None where it has no journal. Raises Unusable for a newer one, or Unavailable."""
    with connected(url) as connection, connection:
        revision = schema_of(connection)
        try:
            require_known(revision)
        except Unusable as error:
            raise Unusable(f"{address_of(url)} cannot be opened: {error}") from error
        return revision


def read_owner(url: str) -> str | None:
    """The process that owns the journal, as it names itself to the database; None where none does."""
    with connected(url) as connection, connection:
        row = connection.execute(cast("LiteralString", _HOLDER)).fetchone()
        return None if row is None else str(row[0])


@contextlib.contextmanager
def connected(url: str) -> Generator[psycopg.Connection[tuple[Any, ...]]]:
    """A connection that the body keeps; it is closed if the body raises. Raises Unusable or Unavailable."""
    connection: psycopg.Connection[tuple[Any, ...]] | None = None
    try:
        connection = psycopg.connect(settings_of(url, "command"), autocommit=True)
        yield connection
    except BaseException as error:
        if connection is not None:
            connection.close()
        if not isinstance(error, psycopg.Error):
            raise
        fault = fault_of(error)
        raise type(fault)(f"{address_of(url)} cannot be opened: {fault}") from error


def schema_of(connection: psycopg.Connection[tuple[Any, ...]]) -> str | None:
    (table,) = connection.execute("SELECT to_regclass('alembic_version')").fetchone() or (None,)
    row = None if table is None else connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return None if row is None else str(row[0])


def address_of(url: str) -> str:
    """Host and database, without the password."""
    given = conninfo_to_dict(url)
    host = given.get("host") or "localhost"
    return f"postgresql://{host}{':' + str(given['port']) if 'port' in given else ''}/{given.get('dbname', '')}"


def _require_alone(connection: psycopg.Connection[tuple[Any, ...]], url: str) -> None:
    """Servers, standbys and workers are all connected, though at most one of them has the owner's lock."""
    others: list[str] = []
    for _ in range(LOOKS):
        (has_lock,) = connection.execute("SELECT pg_try_advisory_lock(%s)", (OWNER_LOCK,)).fetchone() or (False,)
        others = [row[0] for row in connection.execute(cast("LiteralString", _SESSIONS))]
        if has_lock and not others:
            return
        if has_lock:
            connection.execute("SELECT pg_advisory_unlock(%s)", (OWNER_LOCK,))
        connection.execute("SELECT pg_sleep(%s)", (LOOK_EVERY_S,))
    raise AlreadyOwned(
        f"{address_of(url)} is in use by Headrace ({', '.join(dict.fromkeys(others)) or 'unknown'}). "
        "Stop every server, standby and worker."
    )


def _first_line(error: psycopg.Error) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
