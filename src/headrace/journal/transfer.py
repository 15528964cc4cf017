"""Moving a journal between databases: its tables and columns, and the port by which a command holds a journal at rest.

A row is a dictionary by column. Its values are the facts, not their storage: a text that an adapter keeps compressed
is whole in a row, and a flag is a bool. So rows of one adapter can be loaded into another.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from typing import Literal, Protocol

import msgspec

from headrace.clock import Clock, date_time
from headrace.errors import TransferError

Value = str | int | bool | bytes | None
Row = dict[str, Value]
Kind = Literal["text", "integer", "flag", "bytes"]

RESTORE, SWITCH, RESUME = "restoreJournal", "switchEngine", "resumeInstances"
"""Operations of the audit trail."""
EMBEDDED, TEMPORAL = "embedded", "temporal"
MOVED, BACKUP = "moved", "backup"
"""Why a journal is closed: its instances go on in another database, or it is a backup that was not restored yet."""

SKIP = 1 << 40
"""A restored journal gives its next events the numbers after the next multiple of this one. Numbers that were given
after the backup, and that subscribers may know, are all below it, so they do not come again."""
SKIPPED = ("outbox", "audit")
"""Tables whose numbers are known outside the journal."""


@dataclass(frozen=True, slots=True)
class Column:
    """`may_be_null`: a row may have None here. `fallback`: the value in files of revisions before this column."""

    name: str
    kind: Kind
    may_be_null: bool = False
    fallback: Value = None
    since: str = ""
    """The revision that added the column; empty where every file of this format has it."""


@dataclass(frozen=True, slots=True)
class Table:
    """`key`: the columns that tell its rows apart, by which they are ordered. Empty where the table has one row.

    `numbered`: the database gives out the numbers of `seq`, which never come again.
    """

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    numbered: bool = False

    @property
    def has_one_row(self) -> bool:
        return not self.key

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)


def _columns(text: str, since: str = "") -> tuple[Column, ...]:
    """Columns written as `name kind`, with a question mark behind the kind of one that may be None."""
    found: list[Column] = []
    for entry in text.split(","):
        name, kind = entry.split()
        found.append(Column(name, kind.rstrip("?"), kind.endswith("?"), since=since))  # pyright: ignore[reportArgumentType]
    return tuple(found)


TABLES: tuple[Table, ...] = (
    Table("identity", _columns("id text")),
    Table("time_served", _columns("served_s integer, probes integer")),
    Table(
        "journal_state",
        _columns("outbox_end integer, engine text, generation integer, closed text?, closed_at integer?"),
    ),
    Table("wanted", _columns("type text"), ("type",)),
    Table("positions", _columns("source text, position integer, served_s integer"), ("source",)),
    Table(
        "workflows",
        _columns("id text, name text?, config text, created_at integer, updated_at integer, deleted_at integer?"),
        ("id",),
    ),
    Table(
        "instances",  # an empty config is that of the workflow
        (
            *_columns(
                "id text, workflow_id text, config text, variables text, created_at integer, updated_at integer, "
                "terminated_at integer?, error text?, by_trigger flag, next_at integer?, trouble integer?, "
                "version integer"
            ),
            Column("kind", "text", fallback="run", since="0021"),
            *_columns("root_id text?, from_stage integer?, plan_id text?, failure text?, failure_code text?", "0021"),
            *_columns("abort_reason text?", "0032"),
            *_columns("amount text?", "0033"),
        ),
        ("id",),
    ),
    Table(
        "instance_variables",
        _columns("fingerprint integer, created_at integer, instance_id text"),
        ("fingerprint", "created_at", "instance_id"),
    ),
    Table(
        "lookups", _columns("term text, created_at integer, instance_id text"), ("term", "created_at", "instance_id")
    ),
    Table(
        "stages",
        (
            *_columns(
                "instance_id text, number integer, keyword text, input text, started_at integer, "
                "terminated_at integer?, error text?"
            ),
            *_columns("gate text?, deadline_at integer?, gate_passed_at integer?", "0026"),
            *_columns("outcome text?", "0028"),
            *_columns("skipped flag?", "0029"),
        ),
        ("instance_id", "number"),
    ),
    Table(
        "activities",
        _columns(
            "instance_id text, stage integer, position integer, name text, input text, started_at integer, "
            "attempt integer, key text, request_method text, request_path text, request_body bytes?, output text?, "
            "error text?, last_failure text?, next_execution_at integer?, needs_attention flag, "
            "terminated_at integer?, permitted_at integer?, attention text?, attention_at integer?"
        ),
        ("instance_id", "stage", "position"),
    ),
    Table(
        "resolutions",
        _columns(
            "instance_id text, stage integer, position integer, verdict text, evidence text, proof text?, reason text, "
            "principal text, at integer"
        ),
        ("instance_id", "stage", "position"),
    ),
    Table(
        "events",
        _columns("seq integer, instance_id text, name text, received_at integer, stage integer?"),
        ("seq",),
        numbered=True,
    ),
    Table(
        "nudges",
        _columns("seq integer, instance_id text, why text, at integer, tries integer"),
        ("seq",),
        numbered=True,
    ),
    Table(
        "triggers",
        (
            *_columns(
                "id text, name text, event text, event_name text, workflow_id text, version text?, filter text?, "
                "vars text?, created_at integer, after_seq integer, deleted_at integer?"
            ),
            *_columns("workflow_name text?, handle text?, set_name text?", "0030"),
            Column("revision", "integer", fallback=1, since="0030"),
        ),
        ("id",),
    ),
    Table(
        "former_triggers",
        _columns(
            "trigger_id text, revision integer, event text, event_name text, workflow_id text, workflow_name text?, "
            "version text?, filter text?, vars text?, after_seq integer, until_seq integer, replaced_at integer"
        ),
        ("trigger_id", "revision"),
    ),
    Table(
        "handles",
        _columns("name text, current integer, set_name text?, created_at integer, updated_at integer"),
        ("name",),
    ),
    Table(
        "versions",
        _columns("name text, n integer, workflow_id text, definition_hash text, created_at integer, principal text"),
        ("name", "n"),
    ),
    Table(
        "inbox",
        _columns(
            "seq integer, key text, type text, envelope text?, received_at integer, processed_at integer?, "
            "repeats integer, last_repeat_at integer?, depth integer, fingerprint bytes?, conflicts_with integer?, "
            "served_s integer"
        ),
        ("seq",),
        numbered=True,
    ),
    Table("event_keys", _columns("key text, seq integer"), ("key",)),
    Table(
        "occurrences",
        _columns(
            "id text, trigger_id text, event_key text, event text, created_at integer, depth integer, "
            "instance_id text?, error text?"
        ),
        ("trigger_id", "event_key"),
    ),
    Table(
        "outbox",
        _columns(
            "seq integer, type text, happened_at integer, payload text, instance_id text?, depth integer?, "
            "served_s integer"
        ),
        ("seq",),
        numbered=True,
    ),
    Table(
        "set_aside",
        _columns("publisher text, event_id text, type text, body text, reason text, at integer, served_s integer"),
        ("publisher", "event_id"),
    ),
    Table(
        "caller_keys",
        _columns(
            "owner text, key text, fingerprint bytes, status integer, body bytes, operation text, target text, "
            "created_at integer, served_s integer"
        ),
        ("owner", "key"),
    ),
    Table(
        "plans",
        (
            *_columns(
                "id text, hash text, document text, subject text, requester text, created_at integer, "
                "expires_at integer, state text, instance_id text?"
            ),
            *_columns("rest_of text?", "0026"),
        ),
        ("id",),
    ),
    Table(
        "decisions",
        _columns("target text, principal text, verdict text, hash text, reason text, at integer"),
        ("target", "principal"),
    ),
    Table(
        "certificates",
        (
            *_columns(
                "id text, subject text, content text, sha text, previous text?, kid text, jwk text, created_at integer"
            ),
            *_columns("from_at integer?, to_at integer?", "0031"),
        ),
        ("id",),
    ),
    Table(
        "successors",
        _columns("predecessor text, kind text, successor text, reason text, principal text, at integer, kept text?"),
        ("predecessor",),
    ),
    Table(
        "batches",
        _columns(
            "id text, kind text, selection text?, rate integer, max_open integer, stop_after integer, reason text, "
            "principal text, created_at integer, items integer, state text, planned integer, claim text, "
            "open integer, streak integer, hash text?, summary text?, why text?, starter text?, started_at integer?, "
            "ended_at integer?"
        ),
        ("id",),
    ),
    Table(
        "batch_items",
        _columns(
            "batch_id text, n integer, instance_id text?, run text?, hash text?, document text?, state text, "
            "code text?, message text?, made_id text?, started_at integer?, ended_at integer?"
        ),
        ("batch_id", "n"),
    ),
    Table(
        "audit",
        _columns("seq integer, at integer, principal text, client_id text?, operation text, target text"),
        ("seq",),
        numbered=True,
    ),
)
"""Every table, in an order in which each row comes after the rows that it is read with."""

DERIVED = {"triggers": ("name_folded",), "activities": ("scheduled_at",)}
"""By table, columns that follow from the others of their row. They are not moved, but made anew where the schema has
them.
"""
NUMBERED = tuple(table.name for table in TABLES if table.numbered)


@dataclass(frozen=True, slots=True)
class State:
    """`engine`: the one that drives the instances, empty before the first start; `generation` counts the owners.

    `closed`: why no server may run on this journal (`MOVED`, `BACKUP`), or None; `closed_at`: since when.
    """

    revision: str
    identity: str
    engine: str
    generation: int
    closed: str | None = None
    closed_at: int | None = None


@dataclass(frozen=True, slots=True)
class Waiting:
    """A running instance that waits for an event; `event` is the event's name."""

    instance_id: str
    event: str | None


@dataclass(frozen=True, slots=True)
class Outlook:
    """Numbers of instances by what they do when a server starts.

    `running` instances have not ended. Of these, `unsettled` have an effect whose outcome is not known, and `delayed`
    are in a delay; `waiting` lists the first of those that wait for an event, `waiting_count` counts all. `nudged`
    instances have a nudge that no worker has answered yet.
    """

    running: int
    unsettled: int
    attention: int
    delayed: int
    waiting_count: int
    waiting: tuple[Waiting, ...]
    triggers: int
    nudged: int
    last_at: int | None
    """The time of the last change to an instance."""


class RestingJournal(Protocol):
    """A journal that one command works on, most often while it holds the owner's lock, so that no server runs.

    Reads and writes raise Unavailable, Damaged or Unusable. `transaction` commits all of its writes together, or none.
    """

    @property
    def address(self) -> str:
        """The file or database, as messages name it; without a password."""
        ...

    def transaction(self) -> AbstractContextManager[None]: ...

    def state(self) -> State: ...

    def outlook(self, limit: int) -> Outlook:
        """`limit`: how many waiting instances are listed."""
        ...

    def count(self, table: Table) -> int: ...

    def rows(self, table: Table) -> Generator[Row]:
        """All rows, ordered by key, read a few at a time."""
        ...

    def load(self, table: Table, rows: Iterable[Row]) -> None:
        """Insert rows, of which there may be millions; the row of a table that has one is replaced.

        Raises TransferError where the database refuses a value.
        """
        ...

    def numbers(self) -> dict[str, int]:
        """By name of a numbered table, the last number that was ever given."""
        ...

    def set_numbers(self, numbers: dict[str, int]) -> None: ...

    def set_engine(self, engine: str) -> None: ...

    def nudge_open(self, at: int) -> int:
        """Add a nudge for each instance that has something to do or to wait for. Returns their number."""
        ...

    def set_closed(self, reason: str | None, at: int) -> None: ...

    def record(self, operation: str, principal: str, target: str, at: int) -> None:
        """Add an entry to the audit trail."""
        ...

    def set_outbox_end(self, seq: int) -> None:
        """Set the end of the outbox, and the position of each publisher that had acknowledged everything."""
        ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Operator:
    """The command's principal in the audit trail, the release that runs it, and the id of this run of the command."""

    principal: str
    release: str
    operation_id: str


class _Scheduled(msgspec.Struct, rename="camel"):
    scheduled_at: str | None = None


def derived(table: str, row: Row) -> Row:
    """The values of `DERIVED` for a row."""
    if table == "triggers":
        return {"name_folded": str(row["name"]).casefold()}
    if table == "activities":
        body, found = row["request_body"], None
        if isinstance(body, bytes) and b'"scheduledAt"' in body:
            with suppress(msgspec.MsgspecError):
                found = msgspec.json.decode(body, type=_Scheduled).scheduled_at
        return {"scheduled_at": found}
    return {}


def about_closed(reason: str, closed_at: int | None) -> str:
    """Why no server may run on a closed journal, and what to do."""
    when = "" if closed_at is None else f" {date_time(closed_at)[:19].replace('T', ' ')} UTC"
    if reason == MOVED:
        return (
            f"it was exported{when and ' at' + when}, and its instances go on where the file was imported. If it was "
            "not imported, and never will be, `headrace export --undo` opens this journal again."
        )
    return f"it is a backup{when and ' of' + when}, which `headrace restore` must restore first."


def restored(journal: RestingJournal, operator: Operator, clock: Clock) -> int | None:
    """Open a journal that was restored from a backup. Returns the time of the backup, if the backup holds it.

    Raises TransferError for a journal that was moved to another database.
    """
    with journal.transaction():
        state = journal.state()
        if state.closed == MOVED:
            raise TransferError(f"{journal.address}: {about_closed(state.closed, state.closed_at)}")
        skip_numbers(journal)
        journal.set_closed(None, clock.now_at())
        journal.record(RESTORE, operator.principal, operator.operation_id, clock.now_at())
    return state.closed_at


def switch_engine(journal: RestingJournal, engine: str, operator: Operator, clock: Clock) -> str:
    """Let another engine drive the instances. Returns the one before.

    Temporal's workers learn of instances by nudges, so each open instance gets one. Raises TransferError.
    """
    with journal.transaction():
        state = journal.state()
        if state.closed is not None:
            raise TransferError(f"{journal.address}: {about_closed(state.closed, state.closed_at)}")
        if state.engine != engine:
            journal.set_engine(engine)
            if engine == TEMPORAL:
                journal.nudge_open(clock.now_at())
            journal.record(SWITCH, operator.principal, engine, clock.now_at())
    return state.engine


def resume_instances(journal: RestingJournal, operator: Operator, clock: Clock) -> int:
    """Ask Temporal's workers for a look at every open instance. Returns the number of instances.

    Raises TransferError where another engine drives them, which needs no request.
    """
    state = journal.state()
    if state.closed is not None:
        raise TransferError(f"{journal.address}: {about_closed(state.closed, state.closed_at)}")
    if state.engine != TEMPORAL:
        raise TransferError(
            f"the engine of {journal.address} is {state.engine or 'not chosen yet'}: it looks at every open instance "
            "when a server starts, so there is nothing to resume"
        )
    with journal.transaction():
        count = journal.nudge_open(clock.now_at())
        journal.record(RESUME, operator.principal, operator.operation_id, clock.now_at())
    return count


def skip_numbers(journal: RestingJournal) -> None:
    """Let the numbers of events and of the audit trail go on where no number was given before; to be called in a
    transaction.
    """
    numbers = journal.numbers()
    later = {name: (numbers[name] // SKIP + 1) * SKIP for name in SKIPPED}
    journal.set_numbers(later)
    journal.set_outbox_end(later["outbox"])
