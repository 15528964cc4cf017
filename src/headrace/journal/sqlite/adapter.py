"""The journal on SQLite: WAL, `synchronous=FULL`, one writer thread, group commit.

Point reads run on the event loop (some 10 microseconds from the page cache, WAL readers never wait for the
writer); lists are read in pages so that they never hold the loop for long.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from msgspec import structs

from headrace.errors import Unavailable, Unusable
from headrace.journal.chains import owner_of, places_of, reads_named, whole_stage, whole_stages
from headrace.journal.group import CommitMeter, WriterLimits
from headrace.journal.list_queries import list_query, no_earlier, since, summary_of
from headrace.journal.lists import (
    NEWEST,
    AnyList,
    AttentionList,
    BatchList,
    HandleList,
    InstanceList,
    InstanceSearch,
    KeptTriggerList,
    OccurrenceList,
    Place,
    PlanList,
    TriggerList,
    WorkflowList,
)
from headrace.journal.lookups import Lookups
from headrace.journal.port import Results, Unit, WhichTimes
from headrace.journal.records import (
    ActivityRow,
    AttentionRow,
    AuditEntry,
    Batch,
    BatchItem,
    Certificate,
    Decision,
    Due,
    EngineState,
    Handle,
    InboxEvent,
    Instance,
    InstanceSummary,
    InstanceTimes,
    ItemCount,
    ItemEnding,
    Link,
    NameUse,
    Occurrence,
    OutboxEvent,
    Plan,
    Remembered,
    Requester,
    ResolutionRow,
    SetAside,
    Stage,
    StaleNudge,
    Standing,
    Successor,
    Trigger,
    Version,
    Workflow,
)
from headrace.journal.sqlite.faults import damaged, is_damage, opening, require_space
from headrace.journal.sqlite.lock import JournalLock
from headrace.journal.sqlite.migrations import migrate_sqlite
from headrace.journal.sqlite.packing import packed, unpacked
from headrace.journal.sqlite.statements import named_statements, write_queries
from headrace.journal.sqlite.wal import require_whole_log
from headrace.journal.sqlite.writer import GroupWriter, in_thread
from headrace.journal.transfer import about_closed
from headrace.journal.writes import EndInstance, Probe

PAGE = 200
PAGE_BYTES = 48 << 20
"""Limit of the bytes of a page; a page that would be larger holds fewer rows."""
WAITING_BYTES = 4 << 20
CONTINUATION = "continuation"
FRESH_S = 1.0
"""Age of a commit that still proves that commits succeed: callers of `/readyz` cannot keep the disk busy."""

ListT = TypeVar("ListT", bound=AnyList)
RowT = TypeVar("RowT", bound=Workflow | Instance | InstanceSummary | Trigger | Occurrence | AttentionRow)


class SqliteJournal:
    """See `journal.port.Journal`. Make one with `open`."""

    def __init__(
        self, path: Path, lock: JournalLock, reader: sqlite3.Connection, writer: GroupWriter, sql: dict[str, str]
    ) -> None:
        self._path = path
        self._lock = lock
        self._reader = reader
        self._writer, self._queue = writer, writer.queue
        self._sql = sql
        self._on_endings: Callable[[Sequence[str]], None] | None = None
        self.lookups = Lookups(self._rows_soon)

    @classmethod
    async def open(
        cls, path: Path, *, limits: WriterLimits | None = None, meter: CommitMeter | None = None
    ) -> SqliteJournal:
        """Take ownership of the file, bring its schema up to date and start the writer.

        Raises AlreadyOwned when another server has it, Unusable or Damaged when a person must act, and Unavailable
        when another attempt may succeed.
        """
        async with contextlib.AsyncExitStack() as stack:
            stack.enter_context(opening(path))
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            require_space(path.parent)
            lock = JournalLock(path)
            stack.callback(lock.release)
            require_whole_log(path)
            await in_thread(migrate_sqlite, str(path))
            sql, writes = named_statements(), write_queries()
            reader, connection = (stack.enter_context(contextlib.closing(_connect(path))) for _ in range(2))
            reader.execute(sql["counts"]).fetchone()
            closed, closed_at = reader.execute(sql["closed"]).fetchone()
            if closed is not None:
                raise Unusable(about_closed(closed, closed_at))
            opened = cls(path, lock, reader, GroupWriter(connection, writes, sql, limits or WriterLimits(), meter), sql)
            stack.pop_all()
            return opened
        raise AssertionError("unreachable")

    @property
    def commits(self) -> int:
        """Durable commits since the start."""
        return self._queue.commits

    @property
    def queued_units(self) -> int:
        """Units that wait for a commit."""
        return self._queue.queued_units

    def commit(self, unit: Unit) -> Awaitable[Results]:
        committed = self._queue.commit(unit)
        if self._on_endings is not None:
            committed.add_done_callback(partial(self._report_endings, unit))
        return committed

    def watch_endings(self, callback: Callable[[Sequence[str]], None]) -> None:
        self._on_endings = callback

    def _report_endings(self, unit: Unit, committed: asyncio.Future[Results]) -> None:
        ended = [write.instance_id for write in unit.writes if isinstance(write, EndInstance)]
        if ended and self._on_endings is not None and not committed.cancelled() and committed.exception() is None:
            self._on_endings(ended)

    # reads

    def _rows(self, name: str, *parameters: Any) -> list[tuple[Any, ...]]:
        try:
            return self._reader.execute(self._sql[name], parameters).fetchall()
        except sqlite3.DatabaseError as error:
            raise self._unreadable(error) from error

    async def _rows_soon(self, name: str, *parameters: Any) -> list[tuple[Any, ...]]:
        return self._rows(name, *parameters)

    def _rows_within(self, max_bytes: int, name: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """The first of them, one at least, that hold no more."""
        found: list[tuple[Any, ...]] = []
        length = 0
        try:
            with contextlib.closing(self._reader.execute(self._sql[name], parameters)) as cursor:
                for row in cursor:
                    length += sum(len(value) for value in row if isinstance(value, str | bytes))
                    if found and length > max_bytes:
                        break
                    found.append(row)
        except sqlite3.DatabaseError as error:
            raise self._unreadable(error) from error
        return found

    def _unreadable(self, error: sqlite3.DatabaseError) -> Exception:
        if is_damage(error):
            return self._writer.refuse(damaged(error))
        if isinstance(error, sqlite3.OperationalError):
            return Unavailable(f"the journal cannot be read: {error}")
        return error

    # lists

    def _page(self, rows: AnyList, place: Place, limit: int) -> list[tuple[Any, ...]]:
        name, filters = list_query(rows)
        if isinstance(rows, InstanceSearch):
            filters = (*filters, since(rows))
        return self._rows_within(PAGE_BYTES, f"{name}_page", *filters, *place, limit)

    async def _pages(
        self, rows: ListT, read: Callable[[ListT, Place, int], Awaitable[list[RowT]]]
    ) -> AsyncIterator[list[RowT]]:
        place = NEWEST
        while page := await read(rows, place, PAGE):
            yield page
            place = Place(page[-1].created_at, page[-1].id)
            await asyncio.sleep(0)

    async def places_before(self, rows: AnyList, place: Place, limit: int) -> list[Place]:
        name, filters = list_query(rows)
        if isinstance(rows, InstanceSearch):
            place = no_earlier(rows, place)
        return [Place(*row) for row in self._rows(f"{name}_before", *filters, *place, limit)]

    # workflows and instances

    async def workflow(self, workflow_id: str) -> Workflow | None:
        rows = self._rows("workflow", workflow_id)
        return Workflow(*rows[0]) if rows else None

    async def workflows(self) -> AsyncIterator[list[Workflow]]:
        async for page in self._pages(WorkflowList(), self.workflows_after):
            yield page

    async def workflows_after(self, rows: WorkflowList, place: Place, limit: int) -> list[Workflow]:
        return [Workflow(*row) for row in self._page(rows, place, limit)]

    async def instance(self, instance_id: str) -> Instance | None:
        rows = self._rows("instance", instance_id)
        return self._whole(rows[0]) if rows else None

    async def instances(self, workflow_id: str | None = None, running: bool = False) -> AsyncIterator[list[Instance]]:
        async for page in self._pages(InstanceList(workflow_id, running), self.instances_after):
            yield page

    async def instances_after(self, rows: InstanceList, place: Place, limit: int) -> list[Instance]:
        return [self._whole(row) for row in self._page(rows, place, limit)]

    async def summaries_after(self, rows: InstanceSearch, place: Place, limit: int) -> list[InstanceSummary]:
        return [summary_of(row) for row in self._page(rows, place, limit)]

    async def standing(self, instance_id: str) -> Standing | None:
        """Also what earlier instances of a case did in the stage that a continuation begins with."""
        with self._snapshot():
            rows = self._rows("instance", instance_id)
            if not rows:
                return None
            instance = self._whole(rows[0])
            last = instance.stages[-1].number
            activities = self._activities(instance_id, last)
            version, nudge_seq = self._rows("version", instance_id)[0]
            _, inherited = self._run_of(instance_id, last) if instance.kind == CONTINUATION else ("", [])
            signed = self._rows("signed", instance.plan_id) if instance.plan_id is not None else []
            reads = self._reads(instance, reads_named(instance))
        plan, approvals = signed[0] if signed else (None, 0)
        return Standing(instance, activities, version, nudge_seq, plan, tuple(inherited), approvals, tuple(reads))

    def _whole(self, row: tuple[Any, ...]) -> Instance:
        """An instance with its stages, also those that it takes over."""
        instance = _instance(row, self._stages(row[0]))
        if not instance.from_stage:
            return instance
        chain = self._chain(instance.id, instance.from_stage)
        before = [stage for link in chain[1:] for stage in self._stages(link.instance_id)]
        return structs.replace(instance, stages=tuple(whole_stages(instance.id, instance.stages, chain, before)))

    def _chain(self, instance_id: str, from_stage: int) -> list[Link]:
        """An instance, the one that it continues, and so on."""
        before = [Link(*row) for row in self._rows("continued", instance_id)]
        return [Link(instance_id, from_stage), *before]

    def _run_of(self, instance_id: str, stage: int) -> tuple[str, list[ActivityRow]]:
        """The instance of its chain that ran a stage last, and effects of those that had begun it before."""
        rows = self._rows("instance", instance_id)
        chain = self._chain(instance_id, (_instance(rows[0], ()).from_stage if rows else None) or 0)
        owner, earlier = owner_of(stage, chain)
        found = (row for link in earlier for row in self._activities(link.instance_id, stage))
        return owner.instance_id, [row for row in found if row.key]

    @contextlib.contextmanager
    def _snapshot(self) -> Generator[None]:
        """Reads within see the journal as it is at the first of them, whatever the writer's thread commits."""
        self._reader.execute("BEGIN")
        try:
            yield
        finally:
            self._reader.execute("ROLLBACK")

    async def stages(self, instance_id: str) -> list[Stage]:
        return list(self._stages(instance_id))

    def _stages(self, instance_id: str) -> tuple[Stage, ...]:
        rows = self._rows("stages", instance_id)
        return tuple(
            structs.replace(
                Stage(instance_id, number, keyword, self._unpacked(text, base), *rest),
                skipped=None if skipped is None else bool(skipped),
            )
            for instance_id, number, keyword, text, *rest, skipped, base in rows
        )

    async def activities(self, instance_id: str, stage: int) -> list[ActivityRow]:
        return self._whole_stage(instance_id, stage)

    def _whole_stage(self, instance_id: str, stage: int) -> list[ActivityRow]:
        """The activities of a stage, also those that a continuation takes over."""
        own = self._activities(instance_id, stage)
        if not self._rows("predecessor", instance_id):
            return list(own)
        owner, earlier = self._run_of(instance_id, stage)
        return whole_stage(own if owner == instance_id else self._activities(owner, stage), earlier)

    def _reads(self, instance: Instance, stages: Sequence[int]) -> Sequence[ActivityRow]:
        """The reads of these stages, also of those that a continuation takes over."""
        if not stages:
            return ()
        chain = self._chain(instance.id, instance.from_stage or 0)
        return [self._activity(row) for row in self._rows("reads", json.dumps(places_of(stages, chain)))]

    def _activities(self, instance_id: str, stage: int) -> tuple[ActivityRow, ...]:
        return tuple(self._activity(row) for row in self._rows("activities", instance_id, stage))

    def _activity(self, row: tuple[Any, ...]) -> ActivityRow:
        values = list(row)
        values[4], values[11] = self._unpacked(row[4], row[10]), self._unpacked(row[11], row[10])
        return ActivityRow(*values[:15], needs_attention=bool(row[15]), terminated_at=row[16], permitted_at=row[17])

    def _unpacked(self, stored: Any, base: Any) -> Any:
        if not isinstance(stored, bytes):
            return stored
        try:
            return unpacked(stored, base)
        except zlib.error as error:
            raise self._writer.refuse(damaged(error)) from error

    async def attention_after(self, rows: AttentionList, place: Place, limit: int) -> list[AttentionRow]:
        return [AttentionRow(*row) for row in self._page(rows, place, limit)]

    async def successor(self, predecessor: str) -> Successor | None:
        rows = self._rows("successor", predecessor)
        return Successor(*rows[0]) if rows else None

    async def predecessor(self, successor: str) -> Successor | None:
        rows = self._rows("predecessor", successor)
        return Successor(*rows[0]) if rows else None

    async def resolutions(self, instance_id: str) -> list[ResolutionRow]:
        return [ResolutionRow(*row) for row in self._rows("resolutions", instance_id)]

    async def remembered(self, owner: str, key: str) -> Remembered | None:
        rows = self._rows("remembered", owner, key)
        return Remembered(*rows[0]) if rows else None

    async def audit(self, before_seq: int, limit: int, *, target: str = "", principal: str = "") -> list[AuditEntry]:
        name = "audit_of_target_page" if target else "audit_of_principal_page" if principal else "audit_page"
        filters = {"audit_of_target_page": (target, principal), "audit_of_principal_page": (principal,)}.get(name, ())
        return [AuditEntry(*row) for row in self._rows(name, *filters, before_seq, limit)]

    async def plan(self, plan_id: str) -> Plan | None:
        rows = self._rows("plan", plan_id)
        return Plan(*rows[0]) if rows else None

    async def plans_of(self, instance_id: str) -> list[Plan]:
        return [Plan(*row) for row in self._rows("plans_of", instance_id)]

    async def decisions(self, target: str) -> list[Decision]:
        return [Decision(*row) for row in self._rows("decisions", target)]

    async def requesters(self, target: str) -> list[Requester]:
        return [Requester(*row) for row in self._rows("requesters", target)]

    async def movers(self, trigger_id: str, workflow_id: str, until_at: int, instance_id: str = "") -> list[Requester]:
        rows = self._rows("movers", instance_id, workflow_id, trigger_id, until_at)
        return [Requester(*row) for row in rows]

    async def case_requesters(self, instance_ids: Sequence[str]) -> list[str | None]:
        return [principal for (principal,) in self._rows("case_requesters", json.dumps(instance_ids))]

    async def abort_reason(self, instance_id: str) -> str | None:
        return next((value for (value,) in self._rows("abort_reason", instance_id)), None)

    async def trigger_of(self, instance_id: str) -> str | None:
        return next((value for (value,) in self._rows("trigger_of", instance_id)), None)

    async def certificate(self, certificate_id: str) -> Certificate | None:
        rows = self._rows("certificate", certificate_id)
        return Certificate(*rows[0]) if rows else None

    async def certificate_before(self, at: int) -> Certificate | None:
        rows = self._rows("certificate_before", at)
        return Certificate(*rows[0]) if rows else None

    async def instance_times(self, which: WhichTimes, after: Place, limit: int) -> list[InstanceTimes]:
        return [InstanceTimes(*row) for row in self._rows(f"{which}_after", *after, limit)]

    async def certificate_keys(self) -> list[str]:
        found: list[str] = []
        after = ""
        while rows := self._rows("certificate_key_after", after):
            after = rows[0][0]
            found.append(rows[0][1])
        return found

    async def plans_after(self, rows: PlanList, place: Place, limit: int) -> list[Plan]:
        return [Plan(*row[:8]) for row in self._page(rows, place, limit)]

    # batches

    async def batch(self, batch_id: str) -> Batch | None:
        rows = self._rows("batch", batch_id)
        return Batch(*rows[0]) if rows else None

    async def batches_after(self, rows: BatchList, place: Place, limit: int) -> list[Batch]:
        return [Batch(*row) for row in self._page(rows, place, limit)]

    async def batches_under_way(self) -> list[str]:
        return [row[0] for row in self._rows("batches_under_way")]

    async def batch_items(self, batch_id: str, after_n: int, limit: int, state: str = "") -> list[BatchItem]:
        name, filters = ("batch_items_in_state", (batch_id, state)) if state else ("batch_items", (batch_id,))
        return [BatchItem(*row) for row in self._rows(name, *filters, after_n, limit)]

    async def batch_item(self, batch_id: str, n: int) -> BatchItem | None:
        return next((BatchItem(*row) for row in self._rows("batch_item", batch_id, n)), None)

    async def batch_counts(self, batch_id: str) -> list[ItemCount]:
        return [ItemCount(*row) for row in self._rows("batch_counts", batch_id)]

    async def item_endings(self, batch_id: str, limit: int) -> list[ItemEnding]:
        return [ItemEnding(*row) for row in self._rows("item_endings", batch_id, limit)]

    # names

    async def handle(self, name: str) -> Handle | None:
        return next((Handle(*row) for row in self._rows("handle", name)), None)

    async def handles_after(self, rows: HandleList, place: Place, limit: int) -> list[Handle]:
        return [Handle(*row) for row in self._page(rows, place, limit)]

    async def versions(self, name: str) -> list[Version]:
        return [Version(*row) for row in self._rows("versions", name)]

    async def uses_of_name(self, name: str) -> list[NameUse]:
        return [NameUse(row[0], bool(row[1]), bool(row[2])) for row in self._rows("uses_of_name", name)]

    async def kept_trigger(self, handle: str) -> Trigger | None:
        return next((Trigger(*row) for row in self._rows("kept_trigger", handle)), None)

    async def kept_triggers_after(self, rows: KeptTriggerList, place: Place, limit: int) -> list[Trigger]:
        return [Trigger(*row) for row in self._page(rows, place, limit)]

    # triggers and events

    async def trigger(self, trigger_id: str) -> Trigger | None:
        return next((Trigger(*row) for row in self._rows("trigger", trigger_id)), None)

    async def triggers(self, name: str | None = None) -> AsyncIterator[list[Trigger]]:
        async for page in self._pages(TriggerList(name), self.triggers_after):
            yield page

    async def triggers_after(self, rows: TriggerList, place: Place, limit: int) -> list[Trigger]:
        return [Trigger(*row) for row in self._page(rows, place, limit)]

    async def triggers_on(self, names: tuple[str, str], seq: int) -> list[Trigger]:
        return [Trigger(*row) for row in self._rows("triggers_on", *names, seq)]

    async def trigger_count(self) -> int:
        return self._rows("trigger_count")[0][0]

    async def occurrences(self, trigger_id: str) -> AsyncIterator[list[Occurrence]]:
        async for page in self._pages(OccurrenceList(trigger_id), self.occurrences_after):
            yield page

    async def occurrences_after(self, rows: OccurrenceList, place: Place, limit: int) -> list[Occurrence]:
        found = self._page(rows, place, limit)
        return [Occurrence(*row, instance=await self.instance(row[6]) if row[6] else None) for row in found]

    async def occurrence(self, trigger_id: str, event_key: str) -> Occurrence | None:
        rows = self._rows("occurrence", trigger_id, event_key)
        return Occurrence(*rows[0]) if rows else None

    async def depth_of_instance(self, instance_id: str) -> int:
        rows = self._rows("depth_of_instance", instance_id)
        return rows[0][0] if rows else 0

    async def depth_of_metadata(self, path: str, body: bytes) -> int:
        rows = self._rows("depth_of_metadata", path, body)
        return rows[0][0] if rows else 0

    async def depth_of_initiation(self, scheduled_at: str) -> int:
        return self._rows("depth_of_initiation", scheduled_at)[0][0]

    async def waiting_events(self, after_seq: int, limit: int) -> list[InboxEvent]:
        return [InboxEvent(*row) for row in self._rows_within(WAITING_BYTES, "waiting_events", after_seq, limit)]

    async def unidentified_events(self, after_seq: int, limit: int) -> list[InboxEvent]:
        return [InboxEvent(*row) for row in self._rows_within(WAITING_BYTES, "unidentified_events", after_seq, limit)]

    async def events(self, *, repeated: bool = False, conflicting: bool = False) -> AsyncIterator[list[InboxEvent]]:
        name = "conflicting_events_page" if conflicting else "repeated_events_page" if repeated else "events_page"
        position = 2**63 - 1
        while page := [InboxEvent(*row) for row in self._rows(name, position, PAGE)]:
            yield page
            position = page[-1].seq
            await asyncio.sleep(0)

    async def position(self, source: str) -> int | None:
        rows = self._rows("position", source)
        return rows[0][0] if rows else None

    # what is published

    async def identity(self) -> str:
        return self._rows("identity")[0][0]

    async def outbox(self, after_seq: int, limit: int) -> list[OutboxEvent]:
        return [OutboxEvent(*row) for row in self._rows("outbox_page", after_seq, limit)]

    async def outbox_end(self) -> int:
        return self._rows("outbox_end")[0][0]

    async def outbox_news(self) -> None:
        await self._queue.publications()

    def watch_inbox(self, callback: Callable[[], None]) -> None:
        """No other process writes to this journal."""

    async def set_aside(self, limit: int) -> list[SetAside]:
        return [SetAside(*row) for row in self._rows("set_aside_page", limit)]

    async def dead_letters_of(self, publisher: str, limit: int, event_id: str | None = None) -> list[SetAside]:
        return [SetAside(*row) for row in self._rows("dead_letters_of", publisher, event_id, limit)]

    # what an engine asks

    async def due(self, after_at: int, after_row: int, until_at: int, limit: int) -> list[Due]:
        return [Due(*row) for row in self._rows("due", after_at, after_row, until_at, limit)]

    async def next_deadline(self, after_at: int) -> int | None:
        return self._rows("next_deadline", after_at)[0][0]

    async def stale_nudges(self, before_at: int, limit: int) -> list[StaleNudge]:
        return [StaleNudge(*row) for row in self._rows("stale_nudges", before_at, limit)]

    async def open_instances(self, after_id: str, limit: int) -> list[str]:
        return [row[0] for row in self._rows("open_instances", after_id, limit)]

    async def engine(self) -> EngineState:
        return EngineState(*self._rows("engine")[0])

    async def clock_at(self) -> int:
        return self._rows("clock")[0][0]

    async def counts(self) -> tuple[int, int]:
        """The number of instances that have not ended, and of their activities that need attention."""
        row = self._rows("counts")[0]
        return row[0], row[1]

    # life

    async def check(self) -> None:
        try:
            self._lock.require_place()
            require_space(self._path.parent)
        except OSError as error:
            raise Unavailable(f"the journal cannot be read: {error}") from error
        if self._queue.has_committed_within(FRESH_S):
            return
        unit = Unit()
        unit.add(Probe())
        await self._queue.commit(unit)

    async def close(self) -> None:
        await self._writer.close()
        self._reader.close()
        self._lock.release()


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=256)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA busy_timeout=0")  # the loop never waits for a lock; the writer tries again
    connection.execute("PRAGMA cache_size=-65536")
    connection.execute("PRAGMA wal_autocheckpoint=4000")
    connection.execute("PRAGMA temp_store=MEMORY")  # else pages of a commit may pass through a file in /var/tmp
    connection.create_function("packed", 2, packed, deterministic=True)
    return connection


def _instance(row: tuple[Any, ...], stages: tuple[Stage, ...]) -> Instance:
    values: list[Any] = [*row[:8], bool(row[8]), stages, *row[9:]]
    return Instance(*values)
