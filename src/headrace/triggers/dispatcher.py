"""Brings accepted events to the triggers that wait for them, in order of arrival, many at a time.

The start of an instance and the record of why it was started are one commit, unique for trigger and event: after a
crash, at whatever moment, an event is processed again and starts nothing twice. An error of one trigger or of one event
is recorded there and delays no other.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import msgspec
import structlog

from headrace.background import first_of
from headrace.clock import Clock, Ids
from headrace.engine.port import Engine
from headrace.errors import HeadraceError, InvalidValue, NotFound, Unavailable, VersionMoved
from headrace.events import event_json, identity
from headrace.events.envelope import Envelope, stored_envelope
from headrace.events.outbox import Outbox
from headrace.journal.name_writes import RequireVersion
from headrace.journal.port import Journal, Required, Unit
from headrace.journal.records import InboxEvent, Trigger
from headrace.journal.writes import AddNudge, AddOccurrence, ProcessEvent
from headrace.runner.runners import Runners
from headrace.triggers.expressions import EvaluationFailed, Evaluator
from headrace.triggers.fair_queue import FairQueue
from headrace.triggers.firing import Firing, VariablesFailed, may_take_long
from headrace.triggers.matching import causes, initiation_scheduled, is_on, metadata_written
from headrace.triggers.meter import TriggerMeter

log = structlog.get_logger("headrace.triggers")

PAGE = 200
RETRY_S = 1.0
LOOK_EVERY_S = 1.0
"""Time after which the inbox is looked at although nothing has said that there are new events."""
AGAIN_S = 60.0
LARGE_CHARACTERS = 64 << 10
"""A larger event is read again when its turn comes; few of them are in memory at once."""
LARGE_AT_ONCE = 2
LARGE_PAUSE_S = 0.05
"""A pause after each large event: reading it takes a tenth of a second in which the process does nothing else."""
MAX_DEPTH = 8
"""The longest chain of triggers, each fired by what the one before it started (decision T6)."""
MAX_ERROR_CHARACTERS = 4_000
_LARGE = "large"


class AlreadyFired(HeadraceError):
    """This trigger has fired on this event, or was deleted in the meantime: nothing is started."""


@dataclass(frozen=True, slots=True)
class DispatcherLimits:
    """`events`: events processed at once, at most half of them for one trigger that takes long.

    `firings`: triggers of one event that fire at once. `parked`: events that wait without a slot because one of their
    triggers has its half; with more of them, all events wait.
    """

    events: int = 256
    firings: int = 32
    parked: int = 100_000


@dataclass(frozen=True, slots=True)
class _Match:
    """A trigger for the type of an event; its filter is not evaluated yet. `depth`: of the instance it would start."""

    trigger: Trigger
    event: InboxEvent
    envelope: Envelope
    payload: str
    depth: int


class Dispatcher:
    """Processes the events of the inbox: each fires its triggers once, even after a crash in the middle."""

    def __init__(
        self,
        journal: Journal,
        engine: Engine,
        runners: Runners,
        evaluator: Evaluator,
        clock: Clock,
        ids: Ids,
        meter: TriggerMeter,
        limits: DispatcherLimits | None = None,
        outbox: Outbox | None = None,
        woken: asyncio.Event | None = None,
    ) -> None:
        """`woken`: set where the inbox may have new events; shared with the inbox, as dispatchers come and go."""
        self._journal = journal
        self._engine = engine
        self._runners = runners
        self._evaluator = evaluator
        self._clock = clock
        self._ids = ids
        self._meter = meter
        self._limits = limits or DispatcherLimits()
        self._outbox = outbox or Outbox()
        self._slots = asyncio.Semaphore(self._limits.events)
        self._woken = woken or asyncio.Event()
        self._shares = FairQueue(max(1, self._limits.events // 2), self._limits.parked)
        self._large = FairQueue(LARGE_AT_ONCE, sys.maxsize)
        self._taken_seq = 0
        self._is_stopping = False
        self._tasks: set[asyncio.Task[None]] = set()

    # while this process has the duty

    async def run(self) -> None:
        """Process the events that an earlier process left, then those that come, until cancelled.

        It runs once: what it remembers of events would be wrong after another process has had the duty.
        """
        try:
            await self._work_off()
        finally:
            self._is_stopping = True
            tasks = list(self._tasks)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def wake(self) -> None:
        """Look for new events of the inbox."""
        self._woken.set()

    async def idle(self) -> None:
        """Return when every accepted event is processed."""
        while self._tasks or self._parked or await self._journal.waiting_events(self._taken_seq, 1):
            await asyncio.wait(self._tasks, timeout=RETRY_S) if self._tasks else await asyncio.sleep(0)

    @property
    def _parked(self) -> int:
        return self._shares.parked + self._large.parked

    # waiting events

    async def _work_off(self) -> None:
        """Launch the events that wait, in order, and those that come; run until cancelled."""
        while True:
            self._woken.clear()
            try:
                while page := await self._journal.waiting_events(self._taken_seq, PAGE):
                    for event in page:
                        await self._slots.acquire()
                        self._taken_seq = event.seq
                        self._launch(self._carry_through(_light(event)))
                    await asyncio.sleep(0)
            except Exception as error:  # noqa: BLE001  # whatever it is, later events must be processed
                log.warning("the journal cannot be read; events wait", reason=repr(error))
                await self._clock.sleep(RETRY_S)
                continue
            await first_of(self._woken.wait(), self._clock.sleep(LOOK_EVERY_S))

    def _launch(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _carry_through(self, event: InboxEvent) -> None:
        """Process an event, which holds a slot. While the journal cannot commit, all of it is tried again.

        What was recorded is left. An unexpected error costs this event a minute, and the others nothing.
        """
        try:
            while True:
                try:
                    await (self._process_large(event) if event.envelope is None else self._process(event))
                    return
                except Unavailable as error:
                    log.warning("the journal cannot commit; an event waits", event_key=event.key, reason=str(error))
                    await self._clock.sleep(RETRY_S)
        except Exception:
            log.exception("an event could not be processed; it is tried again later", event_key=event.key)
            asyncio.get_running_loop().call_later(AGAIN_S, self._again, event)
        finally:
            self._slots.release()

    def _again(self, event: InboxEvent) -> None:
        if not self._is_stopping:
            self._launch(self._once_more(event))

    async def _once_more(self, event: InboxEvent) -> None:
        await self._slots.acquire()
        await self._carry_through(event)

    def _launch_parked(self, shares: FairQueue, key: str) -> None:
        seq = None if self._is_stopping else shares.next_parked(key)
        if seq is not None:
            self._launch(self._resume_parked(shares, key, seq))

    async def _resume_parked(self, shares: FairQueue, key: str, seq: int) -> None:
        """Process a parked event. Where it is parked again, for another reason, the next one gets its place."""
        await self._slots.acquire()
        event = await self._unprocessed(seq)
        shares.arrive(key)
        if event is None:
            self._slots.release()
        else:
            await self._carry_through(_light(event))
        self._launch_parked(shares, key)

    async def _unprocessed(self, seq: int) -> InboxEvent | None:
        """The event of this number, unless it is processed already; read however long the journal takes."""
        while True:
            try:
                page = await self._journal.waiting_events(seq - 1, 1)
            except Exception as error:  # noqa: BLE001  # nothing else launches it before the next start
                log.warning("the journal cannot be read; an event waits", reason=repr(error))
                await self._clock.sleep(RETRY_S)
            else:
                return page[0] if page and page[0].seq == seq else None

    # one event

    async def _process_large(self, event: InboxEvent) -> None:
        """Process an event that is read for its turn, or park it: while others have theirs, it has no slot."""
        if self._large.is_parked([_LARGE], event.seq):
            return
        try:
            for whole in await self._journal.waiting_events(event.seq - 1, 1):
                if whole.seq == event.seq:
                    await self._process(whole)
            await self._clock.sleep(LARGE_PAUSE_S)
        finally:
            self._large.give_back([_LARGE])
            self._launch_parked(self._large, _LARGE)

    async def _process(self, event: InboxEvent) -> None:
        """Process an event, or park it until one of its triggers has capacity."""
        envelope = stored_envelope(event.envelope or "")
        triggers = [
            trigger
            for trigger in await self._journal.triggers_on(envelope.names, event.seq)
            if is_on(trigger, envelope)
        ]
        slow = [trigger.id for trigger in triggers if may_take_long(trigger, self._evaluator)]
        if self._shares.is_parked(slow, event.seq):
            return
        try:
            if triggers:
                await self._fire_all(triggers, event, envelope)
        finally:
            self._shares.give_back(slow)
            for trigger_id in slow:
                self._launch_parked(self._shares, trigger_id)
        unit = Unit()
        unit.add(ProcessEvent(at=self._clock.now_at(), seq=event.seq))
        await self._journal.commit(unit)

    async def _fire_all(self, triggers: list[Trigger], event: InboxEvent, envelope: Envelope) -> None:
        """Fire the triggers of an event at once. Its depth is that of the instance whose effect caused it, if any."""
        depths = [event.depth, *[await self._journal.depth_of_instance(cause) for cause in causes(envelope)]]
        if (request := metadata_written(envelope)) is not None:
            depths.append(await self._journal.depth_of_metadata(request.path, request.body or b""))
        if (scheduled := initiation_scheduled(envelope)) is not None:
            depths.append(await self._journal.depth_of_initiation(scheduled))
        payload = event_json.shown(envelope.payload)
        matches = [_Match(trigger, event, envelope, payload, 1 + max(depths)) for trigger in triggers]
        if len(matches) == 1:
            await self._fire(matches[0])
            return
        slots = asyncio.Semaphore(self._limits.firings)

        async def fire(match: _Match) -> None:
            async with slots:
                await self._fire(match)

        results = await asyncio.gather(*(fire(match) for match in matches), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result

    async def _fire(self, match: _Match) -> None:
        """Fire one trigger, unless it has fired on this event before a crash or its filter does not match.

        A filter that raises is about another kind of event: no match. One over its budget is a failed occurrence.
        """
        if await self._journal.occurrence(match.trigger.id, match.event.key) is not None:
            return
        firing = Firing(self._evaluator, match.trigger, match.envelope.payload)
        try:
            is_match = await firing.matches()
        except EvaluationFailed as error:
            if error.is_over_budget:
                await self._record_failure(match, f"filter: {error}", is_guarded=False)
                return
            self._meter.filter_failed()
            # Without the error, which may quote the event. A test of the trigger shows it.
            hint = {"hint": "; ".join(error.hints)} if error.hints else {}
            log.warning("a filter failed over an event", trigger_id=match.trigger.id, event_key=match.event.key, **hint)
            return
        while is_match:
            try:
                await self._start(match, firing)
                return
            except VersionMoved:
                now = await self._journal.triggers_on(match.envelope.names, match.event.seq)
                same = [each for each in now if (each.id, each.revision) == (match.trigger.id, match.trigger.revision)]
                if not same:  # it is deleted
                    return
                match = replace(match, trigger=same[0])

    async def _start(self, match: _Match, firing: Firing) -> None:
        """Start the workflow, or record why that fails. Raises VersionMoved where that was about another version."""
        if match.trigger.workflow_name is not None and match.trigger.current is None:
            await self._record_failure(match, f"there is no workflow with the name {match.trigger.workflow_name!r}")
            return
        workflow = await self._journal.workflow(match.trigger.workflow_id)
        if workflow is None or workflow.deleted_at is not None:
            await self._record_failure(match, f"workflow {match.trigger.workflow_id!r} was deleted")
            return
        if match.depth > MAX_DEPTH:
            error = f"a loop: {MAX_DEPTH} triggers, one after the other, led to this event"
            await self._record_failure(match, error, is_published=False)  # else the loop would go on by that
            return
        if match.event.conflicts_with is not None:
            known = identity.conflicting(match.event.key)
            error = f"conflict: an event with the identity {known} was accepted before, with another payload"
            await self._record_failure(match, error)
            return
        try:
            variables = await firing.variables()
            runner, unit = self._runners.start(workflow, variables, sends=self._engine.sends_at_once, by_trigger=True)
            unit[:0] = _guards(match.trigger)
            occurrence_id = self._add_occurrence(unit, match, instance_id=runner.id)
            self._outbox.trigger_succeeded(unit, runner.created_at, occurrence_id, match.trigger.id, runner.id)
            if self._engine.needs_nudges and runner.ended_at is None:
                unit.add(AddNudge(instance_id=runner.id, why="start", at=runner.created_at))
            async with self._engine.begin(runner):
                await self._journal.commit(unit)
        except AlreadyFired:
            return
        except (InvalidValue, NotFound, VariablesFailed) as error:
            await self._record_failure(match, str(error))
            return
        self._meter.occurrence("started")

    async def _record_failure(
        self, match: _Match, error: str, *, is_published: bool = True, is_guarded: bool = True
    ) -> None:
        """Record why a trigger starts nothing. `is_guarded`: it is about the version of the workflow's name."""
        unit = Unit()
        unit.extend(_guards(match.trigger) if is_guarded else ())
        error = error[:MAX_ERROR_CHARACTERS].encode(errors="replace").decode()
        occurrence_id = self._add_occurrence(unit, match, error=error)
        if is_published:
            now_at = self._clock.now_at()
            self._outbox.trigger_failed(unit, now_at, occurrence_id, match.trigger.id, error, match.depth)
        try:
            await self._journal.commit(unit)
        except AlreadyFired:
            return
        self._meter.occurrence("failed")
        log.warning(
            "a trigger failed to fire; its occurrence tells why", trigger_id=match.trigger.id, event_key=match.event.key
        )

    def _add_occurrence(
        self, unit: Unit, match: _Match, *, instance_id: str | None = None, error: str | None = None
    ) -> str:
        """Add the occurrence of a match to a unit, and return its id."""
        occurrence_id = self._ids.new()
        occurrence = AddOccurrence(
            occurrence_id=occurrence_id,
            trigger_id=match.trigger.id,
            event_key=match.event.key,
            event=match.payload,
            created_at=self._clock.now_at(),
            depth=match.depth,
            instance_id=instance_id,
            error=error,
        )
        unit.add(Required(occurrence, partial(AlreadyFired, match.event.key)))
        return occurrence_id


def _guards(trigger: Trigger) -> list[Required]:
    """Guards of a unit that starts a workflow by its name: the version is the current one at the commit."""
    name, number = trigger.workflow_name, trigger.current
    if name is None or number is None:
        return []
    return [Required(RequireVersion(name=name, number=number), partial(VersionMoved, name))]


def _light(event: InboxEvent) -> InboxEvent:
    """The event; a large one without its envelope."""
    if event.envelope is None or len(event.envelope) <= LARGE_CHARACTERS:
        return event
    return msgspec.structs.replace(event, envelope=None)
