"""The journal on PostgreSQL. Several processes may have one open, each with a writer, some readers and a listener."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, TypeVar

import msgspec
import psycopg
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
from headrace.journal.port import Results, Unit, WhichTimes
from headrace.journal.postgres.connections import Connection, connect_writer, fault_of
from headrace.journal.postgres.listener import Listener
from headrace.journal.postgres.lookups import PostgresLookups
from headrace.journal.postgres.migrations import require_current
from headrace.journal.postgres.notifications import News
from headrace.journal.postgres.owner import Owner
from headrace.journal.postgres.readers import Readers, Row
from headrace.journal.postgres.shared_reads import SharedReads
from headrace.journal.postgres.statements import named_statements, write_queries
from headrace.journal.postgres.writer import PostgresWriter
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
from headrace.journal.transfer import about_closed
from headrace.journal.writes import Probe

PAGE = 200
CONTINUATION = "continuation"
FRESH_S = 1.0
"""Age of a commit that still proves that commits succeed: callers of `/readyz` cannot keep the database busy."""
READERS = 4

ListT = TypeVar("ListT", bound=AnyList)
RowT = TypeVar("RowT", bound=Workflow | Instance | InstanceSummary | Trigger | Occurrence | AttentionRow)


class _Activity(ActivityRow, frozen=True):
    """As JSON has it."""

    request_body: str | None = None  # pyright: ignore[reportIncompatibleVariableOverride]


_decode_stages = msgspec.json.Decoder(tuple[Stage, ...]).decode
_decode_activities = msgspec.json.Decoder(tuple[_Activity, ...]).decode


class PostgresJournal:
    """See `journal.port.Journal`. Make one with `open`."""

    def __init__(self, writer: PostgresWriter, readers: Readers, watchers: _Watchers) -> None:
        self._writer, self._queue = writer, writer.queue
        self._readers = readers
        self._watchers = watchers
        self._sql = named_statements()
        self._outbox_end: int | None = None
        self._listener: Listener | None = None
        self._instances = SharedReads(lambda ids: self._rows("instance", ids))
        self._standings = SharedReads(lambda ids: self._rows("standing", ids))
        self.lookups = PostgresLookups(self._rows)

    @classmethod
    async def open(
        cls, url: str, *, limits: WriterLimits | None = None, meter: CommitMeter | None = None, readers: int = READERS
    ) -> PostgresJournal:
        """Connect to a journal whose schema is that of this release, which `migrate` makes.

        Raises Unusable where a person must act, and Unavailable where another attempt may succeed.
        """
        pool, watchers = Readers(url, readers), _Watchers()
        async with contextlib.AsyncExitStack() as stack:
            try:
                connection = await connect_writer(url)
                stack.push_async_callback(connection.close)
                stack.push_async_callback(pool.close)
                await _require_usable(connection, pool)
            except psycopg.Error as error:
                fault = fault_of(error)
                raise type(fault)(f"the database cannot be opened: {fault}") from error
            except Unusable as error:
                raise Unusable(f"the database cannot be opened: {error}") from error
            queries, statements = write_queries(), named_statements()
            writer = PostgresWriter(
                url, connection, queries, statements, limits or WriterLimits(), meter, watchers.tell
            )
            opened = cls(writer, pool, watchers)
            opened._listener = Listener(url, opened._heard, opened._look)
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

    @property
    def owner(self) -> Owner:
        """Whether this process owns the journal, and how it becomes the owner."""
        return self._writer.owner

    def commit(self, unit: Unit) -> Awaitable[Results]:
        return self._queue.commit(unit)

    # what other processes do

    def watch_endings(self, callback: Callable[[Sequence[str]], None]) -> None:
        """Call it, from now on, with the instances that a commit of any process has ended; empty: some. A hint."""
        self._watchers.endings.append(callback)

    def watch_inbox(self, callback: Callable[[], None]) -> None:
        """Call it, from now on, after a commit of another process has put events into the inbox. A hint."""
        self._watchers.inbox.append(callback)

    def _heard(self, news: News) -> None:
        """The news of a commit, also of one of this process, which `finish` has told already."""
        self._watchers.tell(news)
        if news.accepted:
            for callback in self._watchers.inbox:
                callback()
        if news.published:
            self._queue.announce()

    async def _look(self) -> None:
        """Announce what was published while nothing was heard."""
        with contextlib.suppress(Unavailable):
            end = await self.outbox_end()
            if self._outbox_end is not None and end != self._outbox_end:
                self._queue.announce()
            self._outbox_end = end

    # reads

    async def _rows(self, name: str, *parameters: Any) -> list[Row]:
        return await self._readers.rows(self._sql[name], *parameters)

    # lists

    async def _page(self, rows: AnyList, place: Place, limit: int) -> list[Row]:
        name, filters = list_query(rows)
        if isinstance(rows, InstanceSearch):
            filters = (*filters, since(rows))
        return await self._rows(f"{name}_page", *filters, *place, limit)

    async def _pages(
        self, rows: ListT, read: Callable[[ListT, Place, int], Awaitable[list[RowT]]]
    ) -> AsyncIterator[list[RowT]]:
        place = NEWEST
        while page := await read(rows, place, PAGE):
            yield page
            place = Place(page[-1].created_at, page[-1].id)

    async def places_before(self, rows: AnyList, place: Place, limit: int) -> list[Place]:
        name, filters = list_query(rows)
        if isinstance(rows, InstanceSearch):
            place = no_earlier(rows, place)
        return [Place(*row) for row in await self._rows(f"{name}_before", *filters, *place, limit)]

    # workflows and instances

    async def workflow(self, workflow_id: str) -> Workflow | None:
        return next((Workflow(*row) for row in await self._rows("workflow", workflow_id)), None)

    async def workflows(self) -> AsyncIterator[list[Workflow]]:
        async for page in self._pages(WorkflowList(), self.workflows_after):
            yield page

    async def workflows_after(self, rows: WorkflowList, place: Place, limit: int) -> list[Workflow]:
        return [Workflow(*row[:6]) for row in await self._page(rows, place, limit)]

    async def instance(self, instance_id: str) -> Instance | None:
        row = await self._instances.row(instance_id)
        return None if row is None else await self._whole(_instance(row, _stages(row[15])))

    async def _whole(self, instance: Instance) -> Instance:
        """An instance with its stages, also those that it takes over."""
        if not instance.from_stage:
            return instance
        chain = await self._chain(instance.id, instance.from_stage)
        before = [Stage(*row) for row in await self._rows("stages_of", [link.instance_id for link in chain[1:]])]
        return structs.replace(instance, stages=tuple(whole_stages(instance.id, instance.stages, chain, before)))

    async def _chain(self, instance_id: str, from_stage: int) -> list[Link]:
        """An instance, the one that it continues, and so on."""
        before = [Link(*row) for row in await self._rows("continued", instance_id)]
        return [Link(instance_id, from_stage), *before]

    async def _run_of(self, instance: Instance, stage: int) -> tuple[str, list[ActivityRow]]:
        """The instance of its chain that ran a stage last, and effects of those that had begun it before."""
        owner, earlier = owner_of(stage, await self._chain(instance.id, instance.from_stage or 0))
        found = [row for link in earlier for row in await self._activities(link.instance_id, stage)]
        return owner.instance_id, [row for row in found if row.key]

    async def instances(self, workflow_id: str | None = None, running: bool = False) -> AsyncIterator[list[Instance]]:
        async for page in self._pages(InstanceList(workflow_id, running), self.instances_after):
            yield page

    async def instances_after(self, rows: InstanceList, place: Place, limit: int) -> list[Instance]:
        return await self._with_stages(await self._page(rows, place, limit))

    async def _with_stages(self, rows: Sequence[Row]) -> list[Instance]:
        stages: dict[str, list[Stage]] = {row[0]: [] for row in rows}
        for row in await self._rows("stages_of", list(stages)) if rows else ():
            stages[row[0]].append(Stage(*row))
        return [await self._whole(_instance(row, stages[row[0]])) for row in rows]

    async def summaries_after(self, rows: InstanceSearch, place: Place, limit: int) -> list[InstanceSummary]:
        return [summary_of(row) for row in await self._page(rows, place, limit)]

    async def standing(self, instance_id: str) -> Standing | None:
        """One statement, and others only for a continuation or where conditions may name reads."""
        row = await self._standings.row(instance_id)
        if row is None:
            return None
        stages, version, nudge_seq, activities, plan, approvals = row[15:]
        instance = await self._whole(_instance(row, _stages(stages)))
        own, inherited = _activities(activities), list[ActivityRow]()
        if instance.kind == CONTINUATION:  # what came before an instance does not change any more
            _, inherited = await self._run_of(instance, instance.stages[-1].number)
        reads = await self._reads(instance, reads_named(instance))  # stages that have ended do not change any more
        return Standing(instance, own, version, nudge_seq, plan, tuple(inherited), approvals, tuple(reads))

    async def stages(self, instance_id: str) -> list[Stage]:
        return [Stage(*row) for row in await self._rows("stages", instance_id)]

    async def activities(self, instance_id: str, stage: int) -> list[ActivityRow]:
        own = await self._activities(instance_id, stage)
        instance = await self.instance(instance_id) if await self._rows("predecessor", instance_id) else None
        if instance is None or instance.kind != CONTINUATION:
            return own
        owner, earlier = await self._run_of(instance, stage)
        return whole_stage(own if owner == instance_id else await self._activities(owner, stage), earlier)

    async def _reads(self, instance: Instance, stages: Sequence[int]) -> list[ActivityRow]:
        """The reads of these stages, also of those that a continuation takes over."""
        if not stages:
            return []
        chain = await self._chain(instance.id, instance.from_stage) if instance.from_stage else [Link(instance.id, 0)]
        places = places_of(stages, chain)
        rows = await self._rows("reads", [each for each, _ in places], [stage for _, stage in places])
        return [ActivityRow(*row) for row in rows]

    async def _activities(self, instance_id: str, stage: int) -> list[ActivityRow]:
        return [ActivityRow(*row) for row in await self._rows("activities", instance_id, stage)]

    async def successor(self, predecessor: str) -> Successor | None:
        return next((Successor(*row) for row in await self._rows("successor", predecessor)), None)

    async def predecessor(self, successor: str) -> Successor | None:
        return next((Successor(*row) for row in await self._rows("predecessor", successor)), None)

    async def attention_after(self, rows: AttentionList, place: Place, limit: int) -> list[AttentionRow]:
        return [AttentionRow(*row[:17]) for row in await self._page(rows, place, limit)]

    async def resolutions(self, instance_id: str) -> list[ResolutionRow]:
        return [ResolutionRow(*row) for row in await self._rows("resolutions", instance_id)]

    async def remembered(self, owner: str, key: str) -> Remembered | None:
        return next((Remembered(*row) for row in await self._rows("remembered", owner, key)), None)

    async def audit(self, before_seq: int, limit: int, *, target: str = "", principal: str = "") -> list[AuditEntry]:
        name = "audit_of_target_page" if target else "audit_of_principal_page" if principal else "audit_page"
        filters = {"audit_of_target_page": (target, principal), "audit_of_principal_page": (principal,)}.get(name, ())
        return [AuditEntry(*row) for row in await self._rows(name, *filters, before_seq, limit)]

    async def plan(self, plan_id: str) -> Plan | None:
        return next((Plan(*row) for row in await self._rows("plan", plan_id)), None)

    async def plans_of(self, instance_id: str) -> list[Plan]:
        return [Plan(*row) for row in await self._rows("plans_of", instance_id)]

    async def decisions(self, target: str) -> list[Decision]:
        return [Decision(*row) for row in await self._rows("decisions", target)]

    async def requesters(self, target: str) -> list[Requester]:
        return [Requester(*row) for row in await self._rows("requesters", target)]

    async def movers(self, trigger_id: str, workflow_id: str, until_at: int, instance_id: str = "") -> list[Requester]:
        rows = await self._rows("movers", instance_id, workflow_id, trigger_id, until_at)
        return [Requester(*row) for row in rows]

    async def case_requesters(self, instance_ids: Sequence[str]) -> list[str | None]:
        return [principal for (principal,) in await self._rows("case_requesters", list(instance_ids))]

    async def abort_reason(self, instance_id: str) -> str | None:
        rows = await self._rows("abort_reason", instance_id)
        return rows[0][0] if rows else None

    async def trigger_of(self, instance_id: str) -> str | None:
        rows = await self._rows("trigger_of", instance_id)
        return rows[0][0] if rows else None

    async def certificate(self, certificate_id: str) -> Certificate | None:
        return next((Certificate(*row) for row in await self._rows("certificate", certificate_id)), None)

    async def certificate_before(self, at: int) -> Certificate | None:
        return next((Certificate(*row) for row in await self._rows("certificate_before", at)), None)

    async def instance_times(self, which: WhichTimes, after: Place, limit: int) -> list[InstanceTimes]:
        return [InstanceTimes(*row) for row in await self._rows(f"{which}_after", *after, limit)]

    async def certificate_keys(self) -> list[str]:
        found: list[str] = []
        after = ""
        while rows := await self._rows("certificate_key_after", after):
            after = rows[0][0]
            found.append(rows[0][1])
        return found

    async def plans_after(self, rows: PlanList, place: Place, limit: int) -> list[Plan]:
        return [Plan(*row[:8]) for row in await self._page(rows, place, limit)]

    # batches

    async def batch(self, batch_id: str) -> Batch | None:
        return next((Batch(*row) for row in await self._rows("batch", batch_id)), None)

    async def batches_after(self, rows: BatchList, place: Place, limit: int) -> list[Batch]:
        return [Batch(*row) for row in await self._page(rows, place, limit)]

    async def batches_under_way(self) -> list[str]:
        return [row[0] for row in await self._rows("batches_under_way")]

    async def batch_items(self, batch_id: str, after_n: int, limit: int, state: str = "") -> list[BatchItem]:
        name, filters = ("batch_items_in_state", (batch_id, state)) if state else ("batch_items", (batch_id,))
        return [BatchItem(*row) for row in await self._rows(name, *filters, after_n, limit)]

    async def batch_item(self, batch_id: str, n: int) -> BatchItem | None:
        return next((BatchItem(*row) for row in await self._rows("batch_item", batch_id, n)), None)

    async def batch_counts(self, batch_id: str) -> list[ItemCount]:
        return [ItemCount(*row) for row in await self._rows("batch_counts", batch_id)]

    async def item_endings(self, batch_id: str, limit: int) -> list[ItemEnding]:
        return [ItemEnding(*row) for row in await self._rows("item_endings", batch_id, limit)]

    # names

    async def handle(self, name: str) -> Handle | None:
        return next((Handle(*row) for row in await self._rows("handle", name)), None)

    async def handles_after(self, rows: HandleList, place: Place, limit: int) -> list[Handle]:
        return [Handle(*row) for row in await self._page(rows, place, limit)]

    async def versions(self, name: str) -> list[Version]:
        return [Version(*row) for row in await self._rows("versions", name)]

    async def uses_of_name(self, name: str) -> list[NameUse]:
        return [NameUse(row[0], bool(row[1]), bool(row[2])) for row in await self._rows("uses_of_name", name)]

    async def kept_trigger(self, handle: str) -> Trigger | None:
        return next((Trigger(*row) for row in await self._rows("kept_trigger", handle)), None)

    async def kept_triggers_after(self, rows: KeptTriggerList, place: Place, limit: int) -> list[Trigger]:
        return [Trigger(*row[:15]) for row in await self._page(rows, place, limit)]

    # triggers and events

    async def trigger(self, trigger_id: str) -> Trigger | None:
        return next((Trigger(*row) for row in await self._rows("trigger", trigger_id)), None)

    async def triggers(self, name: str | None = None) -> AsyncIterator[list[Trigger]]:
        async for page in self._pages(TriggerList(name), self.triggers_after):
            yield page

    async def triggers_after(self, rows: TriggerList, place: Place, limit: int) -> list[Trigger]:
        return [Trigger(*row[:15]) for row in await self._page(rows, place, limit)]

    async def triggers_on(self, names: tuple[str, str], seq: int) -> list[Trigger]:
        return [Trigger(*row) for row in await self._rows("triggers_on", *names, seq)]

    async def trigger_count(self) -> int:
        return (await self._rows("trigger_count"))[0][0]

    async def occurrences(self, trigger_id: str) -> AsyncIterator[list[Occurrence]]:
        async for page in self._pages(OccurrenceList(trigger_id), self.occurrences_after):
            yield page

    async def occurrences_after(self, rows: OccurrenceList, place: Place, limit: int) -> list[Occurrence]:
        found = [Occurrence(*row[:8]) for row in await self._page(rows, place, limit)]
        started = [each.instance_id for each in found if each.instance_id is not None]
        instances = await self._with_stages(await self._rows("instances_by_id", started)) if started else []
        by_id = {each.id: each for each in instances}
        return [structs.replace(each, instance=by_id.get(each.instance_id or "")) for each in found]

    async def occurrence(self, trigger_id: str, event_key: str) -> Occurrence | None:
        return next((Occurrence(*row) for row in await self._rows("occurrence", trigger_id, event_key)), None)

    async def depth_of_instance(self, instance_id: str) -> int:
        rows = await self._rows("depth_of_instance", instance_id)
        return rows[0][0] if rows else 0

    async def depth_of_metadata(self, path: str, body: bytes) -> int:
        rows = await self._rows("depth_of_metadata", path, body)
        return rows[0][0] if rows else 0

    async def depth_of_initiation(self, scheduled_at: str) -> int:
        rows = await self._rows("depth_of_initiation", scheduled_at)
        return rows[0][0] if rows else 0

    async def waiting_events(self, after_seq: int, limit: int) -> list[InboxEvent]:
        return [InboxEvent(*row[:10]) for row in await self._rows("waiting_events", after_seq, limit)]

    async def unidentified_events(self, after_seq: int, limit: int) -> list[InboxEvent]:
        return [InboxEvent(*row[:10]) for row in await self._rows("unidentified_events", after_seq, limit)]

    async def events(self, *, repeated: bool = False, conflicting: bool = False) -> AsyncIterator[list[InboxEvent]]:
        name = "conflicting_events_page" if conflicting else "repeated_events_page" if repeated else "events_page"
        position = 2**63 - 1
        while page := [InboxEvent(*row) for row in await self._rows(name, position, PAGE)]:
            yield page
            position = page[-1].seq

    async def position(self, source: str) -> int | None:
        rows = await self._rows("position", source)
        return rows[0][0] if rows else None

    # what is published

    async def identity(self) -> str:
        return (await self._rows("identity"))[0][0]

    async def outbox(self, after_seq: int, limit: int) -> list[OutboxEvent]:
        return [OutboxEvent(*row[:5]) for row in await self._rows("outbox_page", after_seq, limit)]

    async def outbox_end(self) -> int:
        return (await self._rows("outbox_end"))[0][0]

    async def outbox_news(self) -> None:
        await self._queue.publications()

    async def set_aside(self, limit: int) -> list[SetAside]:
        return [SetAside(*row) for row in await self._rows("set_aside_page", limit)]

    async def dead_letters_of(self, publisher: str, limit: int, event_id: str | None = None) -> list[SetAside]:
        return [SetAside(*row) for row in await self._rows("dead_letters_of", publisher, event_id, limit)]

    # what an engine asks

    async def due(self, after_at: int, after_row: int, until_at: int, limit: int) -> list[Due]:
        return [Due(*row) for row in await self._rows("due", after_at, after_row, until_at, limit)]

    async def next_deadline(self, after_at: int) -> int | None:
        return (await self._rows("next_deadline", after_at))[0][0]

    async def stale_nudges(self, before_at: int, limit: int) -> list[StaleNudge]:
        return [StaleNudge(*row) for row in await self._rows("stale_nudges", before_at, limit)]

    async def open_instances(self, after_id: str, limit: int) -> list[str]:
        return [row[0] for row in await self._rows("open_instances", after_id, limit)]

    async def engine(self) -> EngineState:
        return EngineState(*(await self._rows("engine"))[0])

    async def clock_at(self) -> int:
        return (await self._rows("clock"))[0][0]

    async def counts(self) -> tuple[int, int]:
        """The number of instances that have not ended, and of their activities that need attention."""
        row = (await self._rows("counts"))[0]
        return row[0], row[1]

    # life

    async def check(self) -> None:
        if self._queue.has_committed_within(FRESH_S):
            return
        unit = Unit()
        unit.add(Probe())
        await self._queue.commit(unit)

    async def close(self) -> None:
        if self._listener is not None:
            await self._listener.close()
        await self._writer.close()
        await self._readers.close()


class _Watchers:
    """Callbacks that run after commits."""

    def __init__(self) -> None:
        self.endings: list[Callable[[Sequence[str]], None]] = []
        self.inbox: list[Callable[[], None]] = []

    def tell(self, news: News) -> None:
        if news.ended == []:
            return
        for callback in self.endings:
            callback(news.ended or [])


async def _require_usable(writer: Connection, readers: Readers) -> None:
    """Require a database in UTF-8 with the schema of this release, reached without a proxy that shares connections."""
    encoding, pid = (
        await (await writer.execute("SELECT current_setting('server_encoding'), pg_backend_pid()")).fetchall()
    )[0]
    if encoding != "UTF8":
        raise Unusable(f"its encoding is {encoding}; Headrace needs UTF8")
    ((other,),) = await readers.rows("SELECT pg_backend_pid()")
    ((again,),) = await (await writer.execute("SELECT pg_backend_pid()")).fetchall()
    if pid == other or pid != again:
        raise Unusable(
            "connections share a process of the database, as behind a proxy that pools transactions; "
            "HEADRACE_DATABASE_URL must reach PostgreSQL directly or through session pooling"
        )
    ((table,),) = await readers.rows("SELECT to_regclass('alembic_version')::text")
    if table is None:
        require_current(None)
    ((revision, works_from),) = await readers.rows("SELECT version_num, works_from FROM alembic_version, journal_state")
    require_current(revision, works_from)
    ((closed, closed_at),) = await readers.rows("SELECT closed, closed_at FROM journal_state")
    if closed is not None:
        raise Unusable(about_closed(closed, closed_at))


def _instance(row: Row, stages: Sequence[Stage]) -> Instance:
    values: list[Any] = [*row[:9], tuple(stages), *row[9:15]]
    return Instance(*values)


def _stages(text: str | None) -> Sequence[Stage]:
    return () if text is None else _decode_stages(text)


def _activities(text: str | None) -> tuple[ActivityRow, ...]:
    """A request's body comes as PostgreSQL writes bytes: in hexadecimal digits after two other characters."""
    found: list[ActivityRow] = []
    for each in () if text is None else _decode_activities(text):
        body = each.request_body
        members: dict[str, Any] = {**structs.asdict(each), "request_body": body and bytes.fromhex(body[2:])}
        found.append(ActivityRow(**members))
    return tuple(found)
