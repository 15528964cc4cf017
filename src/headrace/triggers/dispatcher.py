"""Takes accepted events to the triggers that wait for them, in order of arrival, many at a time.

The start of an instance and the record of why it was started are one commit, unique for trigger and event: after a
crash, at whatever moment, an event is taken up again and starts nothing twice. What goes wrong with one trigger or
one event is recorded there and holds up no other.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

import msgspec
import structlog

from headrace.clock import Clock, Ids
from headrace.engine.port import Engine
from headrace.errors import HeadraceError, InvalidValue, NotFound, Unavailable
from headrace.events import identity, texts
from headrace.events.envelope import Envelope, stored_envelope
from headrace.events.outbox import Outbox
from headrace.journal.port import Journal, Unit
from headrace.journal.records import InboxEvent, Instance, Trigger
from headrace.journal.writes import AddOccurrence, ProcessEvent
from headrace.triggers.expressions import EvaluationFailed, Evaluator
from headrace.triggers.fair_queue import FairQueue
from headrace.triggers.firing import Firing, VariablesFailed, may_take_long
from headrace.triggers.matching import causes, initiation_scheduled, is_on, metadata_written
from headrace.triggers.meter import TriggerMeter

log = structlog.get_logger("headrace.triggers")

PAGE = 200
RETRY_S = 1.0
AGAIN_S = 60.0
LARGE_CHARACTERS = 64 << 10
"""Beyond this an event is read again when it is its turn; of such, only some are in memory at once."""
LARGE_AT_ONCE = 2
LARGE_PAUSE_S = 0.05
"""After each of them: reading it takes a tenth of a second in which nobody else gets on."""
MAX_DEPTH = 8
"""Triggers one after the other, each set off by what the one before it started (decision T6)."""
MAX_ERROR_CHARACTERS = 4_000
_LARGE = "large"


class AlreadyFired(HeadraceError):
    """This trigger has fired on this event, or was deleted in the meantime: nothing is started."""


@dataclass(frozen=True, slots=True)
class DispatcherLimits:
    """`events`: under way at once, half of them for one trigger that takes long; `firings`: of one event at once.

    `parked`: events that wait outside because a trigger of theirs has its half; with more of them, all wait.
    """

    events: int = 256
    firings: int = 32
    parked: int = 100_000


@dataclass(frozen=True, slots=True)
class _Match:
    """A trigger that is on the type of an event. `depth` is that of what it would start."""

    trigger: Trigger
    event: InboxEvent
    envelope: Envelope
    payload: str
    depth: int


class Dispatcher:
    def __init__(
        self,
        journal: Journal,
        engine: Engine,
        evaluator: Evaluator,
        clock: Clock,
        ids: Ids,
        meter: TriggerMeter,
        limits: DispatcherLimits | None = None,
        outbox: Outbox | None = None,
    ) -> None:
        self._journal = journal
        self._engine = engine
        self._evaluator = evaluator
        self._clock = clock
        self._ids = ids
        self._meter = meter
        self._limits = limits or DispatcherLimits()
        self._outbox = outbox or Outbox()
        self._slots = asyncio.Semaphore(self._limits.events)
        self._woken = asyncio.Event()
        self._shares = FairQueue(max(1, self._limits.events // 2), self._limits.parked)
        self._large = FairQueue(LARGE_AT_ONCE, sys.maxsize)
        self._taken_seq = 0
        self._is_stopping = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._work: asyncio.Task[None] | None = None

    # life

    async def start(self) -> None:
        """Takes up what an earlier process left, then what comes."""
        self._work = asyncio.create_task(self._take_up(), name="headrace-dispatcher")

    async def stop(self) -> None:
        self._is_stopping = True
        tasks = [*self._tasks, *([self._work] if self._work is not None else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def wake(self) -> None:
        """There are events that were not there before."""
        self._woken.set()

    async def idle(self) -> None:
        """Returns when every event that was accepted has been taken to its triggers."""
        while self._tasks or self._parked or await self._journal.waiting_events(self._taken_seq, 1):
            await asyncio.wait(self._tasks, timeout=RETRY_S) if self._tasks else await asyncio.sleep(0)

    @property
    def _parked(self) -> int:
        return self._shares.parked + self._large.parked

    # taking events up

    async def _take_up(self) -> None:
        while True:
            self._woken.clear()
            try:
                await self._take_up_waiting()
            except Exception as error:  # noqa: BLE001  # whatever it is, events must go on being taken up
                log.warning("the journal cannot be read; events wait", reason=repr(error))
                await self._clock.sleep(RETRY_S)
                continue
            await self._woken.wait()

    async def _take_up_waiting(self) -> None:
        while page := await self._journal.waiting_events(self._taken_seq, PAGE):
            for event in page:
                await self._slots.acquire()
                self._taken_seq = event.seq
                self._launch(self._carry_through(_light(event)))
            await asyncio.sleep(0)

    def _launch(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _carry_through(self, event: InboxEvent) -> None:
        """Holds a slot. An error of ours costs this event a minute, and the others nothing."""
        try:
            while not await self._is_processed(event):
                await self._clock.sleep(RETRY_S)
        except Exception:
            log.exception("an event could not be taken to its triggers; it is tried again later", event_key=event.key)
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
            self._launch(self._take_up_parked(shares, key, seq))

    async def _take_up_parked(self, shares: FairQueue, key: str, seq: int) -> None:
        """It may be parked again, for another reason: then the next one can have its place."""
        await self._slots.acquire()
        event = await self._read_surely(seq)
        shares.arrive(key)
        if event is None:
            self._slots.release()
        else:
            await self._carry_through(_light(event))
        self._launch_parked(shares, key)

    async def _read_surely(self, seq: int) -> InboxEvent | None:
        """None for one that is processed already."""
        while True:
            try:
                page = await self._journal.waiting_events(seq - 1, 1)
            except Exception as error:  # noqa: BLE001  # nobody else knows of it before the next start
                log.warning("the journal cannot be read; an event waits", reason=repr(error))
                await self._clock.sleep(RETRY_S)
            else:
                return page[0] if page and page[0].seq == seq else None

    async def _is_processed(self, event: InboxEvent) -> bool:
        """False when the journal could not commit: then all of it is tried again, and what was recorded is left."""
        try:
            if event.envelope is not None:
                await self._process(event)
            else:
                await self._process_large(event)
        except Unavailable as error:
            log.warning("the journal cannot commit; an event waits", event_key=event.key, reason=str(error))
            return False
        return True

    # one event

    async def _process_large(self, event: InboxEvent) -> None:
        """Done, or parked: while it waits for its turn, or others wait for a link, it has no slot."""
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
        """Done, or parked: then it is taken up again when a trigger of its has gone on."""
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
        depth = 1 + max(event.depth, await self._depth_of_cause(envelope))
        payload = texts.shown(envelope.payload)
        matches = [_Match(trigger, event, envelope, payload, depth) for trigger in triggers]
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

    async def _depth_of_cause(self, envelope: Envelope) -> int:
        """Of the instance of ours whose effect the event tells of."""
        depths = [await self._journal.depth_of_instance(cause) for cause in causes(envelope)]
        if (request := metadata_written(envelope)) is not None:
            depths.append(await self._journal.depth_of_metadata(request.path, request.body or b""))
        if (scheduled := initiation_scheduled(envelope)) is not None:
            depths.append(await self._journal.depth_of_initiation(scheduled))
        return max(depths, default=0)

    async def _fire(self, match: _Match) -> None:
        if await self._journal.occurrence(match.trigger.id, match.event.key) is not None:
            return  # before a crash
        firing = Firing(self._evaluator, match.trigger, match.envelope.payload)
        try:
            if not await firing.matches():
                return
        except EvaluationFailed as error:
            await self._filter_failed(match, error)
            return
        await self._start(match, firing)

    async def _filter_failed(self, match: _Match, error: EvaluationFailed) -> None:
        """Over its budget it is a failed occurrence; else this event is not of the kind that the filter is about."""
        if error.is_over_budget:
            await self._record_failure(match, f"filter: {error}")
            return
        self._meter.filter_failed()
        # Without the error, which may quote the event. Trying the trigger out shows it.
        hint = {"hint": "; ".join(error.hints)} if error.hints else {}
        log.warning("a filter failed over an event", trigger_id=match.trigger.id, event_key=match.event.key, **hint)

    async def _start(self, match: _Match, firing: Firing) -> None:
        workflow = await self._journal.workflow(match.trigger.workflow_id)
        if workflow is None or workflow.deleted_at is not None:
            await self._record_failure(match, f"workflow {match.trigger.workflow_id!r} was deleted")
            return
        if match.depth > MAX_DEPTH:
            error = f"a loop: {MAX_DEPTH} triggers, one after the other, led to this event"
            await self._record_failure(match, error, is_told=False)  # else the loop would go on by that
            return
        if match.event.conflicts_with is not None:
            known = identity.conflicting(match.event.key)
            error = f"conflict: an event with the identity {known} was accepted before, with another payload"
            await self._record_failure(match, error)
            return
        try:
            variables = await firing.variables()
            await self._engine.run(
                workflow,
                variables,
                started_by_trigger=True,
                also=lambda instance, unit: self._add_start(unit, match, instance),
            )
        except AlreadyFired:
            return
        except (InvalidValue, NotFound, VariablesFailed) as error:
            await self._record_failure(match, str(error))
            return
        self._meter.occurrence("started")

    async def _record_failure(self, match: _Match, error: str, *, is_told: bool = True) -> None:
        unit = Unit()
        error = error[:MAX_ERROR_CHARACTERS].encode(errors="replace").decode()
        occurrence_id = self._add_occurrence(unit, match, error=error)
        if is_told:
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

    def _add_start(self, unit: Unit, match: _Match, instance: Instance) -> None:
        occurrence_id = self._add_occurrence(unit, match, instance_id=instance.id)
        self._outbox.trigger_succeeded(unit, instance.created_at, occurrence_id, match.trigger.id, instance.id)

    def _add_occurrence(
        self, unit: Unit, match: _Match, *, instance_id: str | None = None, error: str | None = None
    ) -> str:
        """Gives its id."""
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
        unit.add(occurrence, or_raise=AlreadyFired(match.event.key))
        return occurrence_id


def _light(event: InboxEvent) -> InboxEvent:
    """A large one without its envelope."""
    if event.envelope is None or len(event.envelope) <= LARGE_CHARACTERS:
        return event
    return msgspec.structs.replace(event, envelope=None)
