"""The journal: the durable record of workflows, instances, stages, activities, events and callers' keys.

It belongs to the store, not to the engine: every read API is answered from it, whichever engine runs.
Writes go in *units*. A unit is what must happen together for one instance (or one request); the units
of a moment share one durable commit, each within its own savepoint, so a bad one fails alone.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Literal, Protocol, final

import msgspec

from headrace.journal.lists import (
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
from headrace.journal.writes import Publish, Result, Write

WhichTimes = Literal["ended", "running", "canceled"]

Results = Sequence[Result]
"""The results of the writes of a unit, in their order; a write without a result contributes none."""


@final
class Required(msgspec.Struct, frozen=True):
    """A write that must change something: else the whole unit fails with the error that `error` makes."""

    write: Write
    error: Callable[[], Exception]


@final
class Later(msgspec.Struct, frozen=True):
    """A write that is made inside the commit, from the results of the unit's earlier writes."""

    make: Callable[[Results], Write]


@final
class WhenWanted(msgspec.Struct, frozen=True):
    """An event that is published inside the commit, if its type is wanted then; else `make` need not be called."""

    type: str
    make: Callable[[], Publish]


Entry = Write | Required | Later | WhenWanted


class Unit(list[Entry]):
    """Writes that are committed together: all of them are durable when `Journal.commit` returns, or none ever is."""

    __slots__ = ()

    add = list[Entry].append
    """Add a write, to be made after those before it."""

    @property
    def writes(self) -> list[Write]:
        """The writes that are known before the commit."""
        known = (entry.write if isinstance(entry, Required) else entry for entry in self)
        return [write for write in known if isinstance(write, Write)]


class Journal(Protocol):
    """The port of a database: units in, rows out. Every adapter passes the suite of `headrace.journal.testing`.

    Commits are ordered: an event of the inbox or outbox has a greater number than those of earlier commits, so a reader
    that follows the numbers passes over none. Numbers may have gaps and never come again. A read sees the commits that
    were confirmed before it began.
    """

    # writes

    def commit(self, unit: Unit) -> Awaitable[Results]:
        """Commit the unit: durable when it has been awaited. Every error is raised by awaiting, none by the call.

        Raises the unit's own error, RepeatedKey, or Unavailable (then nothing was written and never will be).
        """
        ...

    # reads

    @property
    def lookups(self) -> Lookups:
        """Searches of instances by terms, counts and amounts."""
        ...

    async def workflow(self, workflow_id: str) -> Workflow | None:
        """Also a deleted one (`deleted_at` set)."""
        ...

    def workflows(self) -> AsyncIterator[list[Workflow]]:
        """All that are not deleted, newest first, in pages."""
        ...

    async def instance(self, instance_id: str) -> Instance | None:
        """With its started stages; a continuation also with those of the instances before it that it takes over."""
        ...

    def instances(self, workflow_id: str | None = None, running: bool = False) -> AsyncIterator[list[Instance]]:
        """Newest first, in pages, with their stages. `running`: only those that have not ended."""
        ...

    async def standing(self, instance_id: str) -> Standing | None:
        """The state of an instance, read in one snapshot."""
        ...

    async def stages(self, instance_id: str) -> list[Stage]:
        """The stages that the instance itself has begun."""
        ...

    async def activities(self, instance_id: str, stage: int) -> list[ActivityRow]:
        """Return also those that a continuation takes over: each row names the instance that ran it."""
        ...

    async def successor(self, predecessor: str) -> Successor | None:
        """Return what came after an instance, as continuation or undo."""
        ...

    async def predecessor(self, successor: str) -> Successor | None:
        """Return what an instance came after."""
        ...

    async def resolutions(self, instance_id: str) -> list[ResolutionRow]:
        """Return what persons decided about effects of an instance, by stage and position."""
        ...

    async def remembered(self, owner: str, key: str) -> Remembered | None:
        """The response to this caller's key; else the row of release 0.1.0 under this key, which names no caller."""
        ...

    async def audit(self, before_seq: int, limit: int, *, target: str = "", principal: str = "") -> list[AuditEntry]:
        """Audit entries before this number, newest first; of one target, of one principal, or of all."""
        ...

    async def instance_times(self, which: WhichTimes, after: Place, limit: int) -> list[InstanceTimes]:
        """Instances behind a place, the oldest first: `ended` by their end, the others by their start.

        `canceled`: the aborted ones, also while one of their effects is in progress.
        """
        ...

    # pages of lists: up to `limit` rows after a place, the newest first

    async def workflows_after(self, rows: WorkflowList, place: Place, limit: int) -> list[Workflow]: ...

    async def instances_after(self, rows: InstanceList, place: Place, limit: int) -> list[Instance]:
        """With their stages."""
        ...

    async def summaries_after(self, rows: InstanceSearch, place: Place, limit: int) -> list[InstanceSummary]: ...

    async def attention_after(self, rows: AttentionList, place: Place, limit: int) -> list[AttentionRow]:
        """Also effects of aborted instances, as long as they are open."""
        ...

    async def triggers_after(self, rows: TriggerList, place: Place, limit: int) -> list[Trigger]: ...

    async def occurrences_after(self, rows: OccurrenceList, place: Place, limit: int) -> list[Occurrence]:
        """With their instances."""
        ...

    async def places_before(self, rows: AnyList, place: Place, limit: int) -> list[Place]:
        """Up to `limit` places of rows before a place, the nearest first: from the oldest to the newest."""
        ...

    async def plan(self, plan_id: str) -> Plan | None: ...

    async def plans_of(self, instance_id: str) -> list[Plan]:
        """Return the plan that started an instance, and those of the rest of it, with documents, the oldest first."""
        ...

    async def decisions(self, target: str) -> list[Decision]:
        """Return what persons decided about a plan, the oldest first."""
        ...

    async def requesters(self, target: str) -> list[Requester]:
        """Return the principals that asked for an instance, also by its batch, or created a trigger, by the time of it.

        Empty where the audit trail shows none. Principals that acted on it afterwards are not among them.
        """
        ...

    async def movers(self, trigger_id: str, workflow_id: str, until_at: int, instance_id: str = "") -> list[Requester]:
        """Return who published the version that this trigger starts by name, and who moved the name since.

        Empty for a trigger that starts a workflow by its id. `until_at`: of the start. `instance_id`: the trigger is
        taken as it was when the event of this instance was accepted; without it, as it is now.
        """
        ...

    async def case_requesters(self, instance_ids: Sequence[str]) -> list[str | None]:
        """Return the principals that asked for these instances and for the ones that they continue or undo.

        With those that made or moved a name until a trigger started it.
        A None in the list: one of these instances has no recorded requester.
        """
        ...

    async def abort_reason(self, instance_id: str) -> str | None:
        """Return why an instance was aborted; None where it was not, or no reason was given."""
        ...

    async def trigger_of(self, instance_id: str) -> str | None:
        """Return the trigger that started an instance; None where none did."""
        ...

    async def certificate(self, certificate_id: str) -> Certificate | None: ...

    async def certificate_before(self, at: int) -> Certificate | None:
        """The certificate of the last period that had ended at a time; of several for one period, the one made last."""
        ...

    async def certificate_keys(self) -> list[str]:
        """The public keys of all certificates as JSON, each once, by their ids."""
        ...

    async def plans_after(self, rows: PlanList, place: Place, limit: int) -> list[Plan]:
        """A page of plans without their documents."""
        ...

    # batches

    async def batch(self, batch_id: str) -> Batch | None: ...

    async def batches_after(self, rows: BatchList, place: Place, limit: int) -> list[Batch]: ...

    async def batches_under_way(self) -> list[str]:
        """Batches that a driver has something to do for: previewing or running, or with items that are not over."""
        ...

    async def batch_items(self, batch_id: str, after_n: int, limit: int, state: str = "") -> list[BatchItem]:
        """Items after a number, in order, without their documents; `state`: only those in it."""
        ...

    async def batch_item(self, batch_id: str, n: int) -> BatchItem | None: ...

    async def batch_counts(self, batch_id: str) -> list[ItemCount]: ...

    async def item_endings(self, batch_id: str, limit: int) -> list[ItemEnding]:
        """Started items whose instance has ended, in the order of these ends."""
        ...

    # names

    async def handle(self, name: str) -> Handle | None: ...

    async def handles_after(self, rows: HandleList, place: Place, limit: int) -> list[Handle]:
        """The id of the place of a name is the name."""
        ...

    async def versions(self, name: str) -> list[Version]:
        """The newest first; also those of a name that was taken away."""
        ...

    async def uses_of_name(self, name: str) -> list[NameUse]:
        """Return the triggers that need a name or one of its versions, and are not deleted."""
        ...

    async def kept_trigger(self, handle: str) -> Trigger | None:
        """Return the trigger that is kept under a name, unless it is deleted."""
        ...

    async def kept_triggers_after(self, rows: KeptTriggerList, place: Place, limit: int) -> list[Trigger]: ...

    # triggers and events

    async def trigger(self, trigger_id: str) -> Trigger | None:
        """Also a deleted one (`deleted_at` set)."""
        ...

    def triggers(self, name: str | None = None) -> AsyncIterator[list[Trigger]]:
        """All that are not deleted, newest first, in pages. `name`: only those whose name holds it, in any case."""
        ...

    async def triggers_on(self, names: tuple[str, str], seq: int) -> list[Trigger]:
        """Triggers on one of these events (in lower case) that were created before event `seq` came, in order.

        Each with the definition that it had when the event came; one that was replaced is without its workflow's name,
        and has the version that was current until then.
        """
        ...

    async def trigger_count(self) -> int:
        """The number of triggers that are not deleted."""
        ...

    def occurrences(self, trigger_id: str) -> AsyncIterator[list[Occurrence]]:
        """Newest first, in pages, with their instances."""
        ...

    async def occurrence(self, trigger_id: str, event_key: str) -> Occurrence | None:
        """Without its instance."""
        ...

    async def depth_of_instance(self, instance_id: str) -> int:
        """How many triggers led to it, one after the other; 0 for an instance that a caller started."""
        ...

    async def depth_of_metadata(self, path: str, body: bytes) -> int:
        """The same of the last instance that wrote this metadata to this path; 0 where none did."""
        ...

    async def depth_of_initiation(self, scheduled_at: str) -> int:
        """The greatest of the instances that asked for a transfer initiation at this moment."""
        ...

    async def waiting_events(self, after_seq: int, limit: int) -> list[InboxEvent]:
        """The events that are not processed, in order; fewer than `limit` where they are large."""
        ...

    async def unidentified_events(self, after_seq: int, limit: int) -> list[InboxEvent]:
        """Events of release 0.1.0 whose identity and fingerprint are not stored yet, in order."""
        ...

    def events(self, *, repeated: bool = False, conflicting: bool = False) -> AsyncIterator[list[InboxEvent]]:
        """Newest first, in pages, without their envelopes.

        `repeated`: only those that came more than once; `conflicting`: only those in conflict with an earlier one.
        """
        ...

    async def position(self, source: str) -> int | None:
        """How far a source of events was read; None before the first time."""
        ...

    # what is published

    async def identity(self) -> str:
        """The name of the journal, which never changes."""
        ...

    async def outbox(self, after_seq: int, limit: int) -> list[OutboxEvent]:
        """Events of the outbox, in order."""
        ...

    async def outbox_end(self) -> int:
        """The number of the last event that was ever in the outbox."""
        ...

    async def outbox_news(self) -> None:
        """Returns after the next commit that has put something into the outbox."""
        ...

    async def set_aside(self, limit: int) -> list[SetAside]:
        """Dead letters of all publishers, newest first."""
        ...

    async def dead_letters_of(self, publisher: str, limit: int, event_id: str | None = None) -> list[SetAside]:
        """Dead letters of one publisher, in the order of their events; `event_id`: only that of this event."""
        ...

    def watch_inbox(self, callback: Callable[[], None]) -> None:
        """Call it, from now on, after a commit of another process has put events into the inbox. A hint."""
        ...

    # what an engine asks

    async def due(self, after_at: int, after_row: int, until_at: int, limit: int) -> list[Due]:
        """Instances that the engine must look at until then, by next_at and row, after such a position.

        next_at is 0 where there is something to do at once, else the end of a delay.
        """
        ...

    async def next_deadline(self, after_at: int) -> int | None:
        """The first end of a delay after this moment."""
        ...

    # what a server reports

    async def counts(self) -> tuple[int, int]:
        """The number of instances that have not ended, and of their activities that need attention."""
        ...

    # what an engine of several processes asks

    async def stale_nudges(self, before_at: int, limit: int) -> list[StaleNudge]:
        """Instances that have a nudge from before this moment, the oldest first."""
        ...

    async def open_instances(self, after_id: str, limit: int) -> list[str]:
        """Instances that have something to do or to wait for, by id: also aborted ones that are not settled."""
        ...

    async def engine(self) -> EngineState: ...

    def watch_endings(self, callback: Callable[[Sequence[str]], None]) -> None:
        """Call it, from now on, with the instances that a commit has ended, in whichever process that is known.

        A hint: some ends are not reported, and no instances at all means that some have ended.
        """
        ...

    async def clock_at(self) -> int:
        """The wall clock of the database, by which `ActivityRow.permitted_at` is noted."""
        ...

    # life

    async def check(self) -> None:
        """Write something to the disk. Raises Unavailable with the reason where a commit does not succeed now."""
        ...

    async def close(self) -> None: ...


async def sweep(journal: Journal, write: Write) -> None:
    """Repeat a write that removes some rows at a time, a commit each, until nothing is left. Raises Unavailable."""
    unit = Unit()
    unit.add(write)
    while await journal.commit(unit):
        pass
