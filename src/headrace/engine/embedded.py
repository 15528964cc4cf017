"""The embedded engine: every instance that has something to do is an asyncio task in this process.

It only schedules. A task drives its instance until it has to wait for a delay or an event; then nothing of the
instance stays in memory, and one indexed query finds it again. Recovery is the same path: at the start, all that
the journal holds as not ended and not waiting is due at once.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

import structlog

from headrace.clock import Clock, Ids
from headrace.effects.port import Done, Downstream, Refused
from headrace.effects.protocol import (
    Backoff,
    CreateLedger,
    EffectProtocol,
    LookUpFirst,
    NeedsAttention,
    NotBooked,
    Pause,
    Send,
    family_of,
)
from headrace.effects.requests import create_ledger
from headrace.engine.limits import EngineLimits
from headrace.engine.meter import Meter, NoMeter
from headrace.engine.plans import Plans
from headrace.engine.reports import report_attempt, report_call, report_closed, report_end
from headrace.engine.run import DRIVEN, OpenActivity, Run, json_text
from headrace.engine.services import Services
from headrace.errors import AlreadyEnded, NotFound, Unavailable
from headrace.events.outbox import Outbox
from headrace.journal import writes
from headrace.journal.port import Caller, Journal, Unit
from headrace.journal.records import Instance, Workflow
from headrace.journal.searches import fingerprints
from headrace.workflows.commands import INTERNAL_LEDGER, CreateTransaction

log = structlog.get_logger("headrace.engine")

STRAY_S = 10.0
TIMER_CHECK_S = 1.0  # how soon a step of the wall clock is noticed


class EmbeddedEngine:
    """See `engine.port.Engine`."""

    def __init__(
        self,
        journal: Journal,
        downstream: Downstream,
        clock: Clock,
        ids: Ids,
        limits: EngineLimits | None = None,
        *,
        meter: Meter | None = None,
        jitter: Callable[[], float],
        outbox: Outbox | None = None,
    ) -> None:
        self._journal = journal
        self._clock = clock
        self._ids = ids
        self._limits = limits or EngineLimits()
        self._meter = meter or NoMeter()
        self._outbox = outbox or Outbox()
        self._backoff = Backoff(self._limits.retry_base_s, self._limits.retry_cap_s, jitter)
        self._services = Services(
            downstream,
            clock,
            self._meter,
            ceiling=self._limits.concurrency,
            start=self._limits.concurrency_start,
        )
        self._runs: dict[str, Run] = {}
        self._waiters: dict[str, list[asyncio.Future[None]]] = {}
        self._plans = Plans()
        self._is_stopping = False
        self._has_backlog = True  # what an earlier process left
        self._pausing = 0
        self._next_deadline_at: int | None = None
        self._kick = asyncio.Event()
        self._background: set[asyncio.Task[None]] = set()
        self._timer: asyncio.Task[None] | None = None

    # life

    async def start(self) -> None:
        self._timer = asyncio.create_task(self._schedule(), name="headrace-scheduler")

    async def stop(self) -> None:
        self._is_stopping = True
        if self._timer is not None:
            self._timer.cancel()
        self._services.close()
        for run in list(self._runs.values()):
            run.interrupt_pause()
        tasks = [run.task for run in self._runs.values() if run.task is not None]
        if tasks:
            _, pending = await asyncio.wait(tasks, timeout=self._limits.stop_s)
            for task in pending:
                task.cancel()
            await asyncio.gather(*pending, return_exceptions=True)

    @property
    def active_instances(self) -> int:
        """Instances in memory: those with something to do."""
        return len(self._runs)

    # what callers ask

    async def run(
        self,
        workflow: Workflow,
        variables: dict[str, str],
        *,
        started_by_trigger: bool = False,
        caller: Caller | None = None,
        answer: Callable[[Instance], bytes] | None = None,
        also: Callable[[Instance, Unit], None] | None = None,
    ) -> Instance:
        plan = self._plans.of(workflow)
        plan.check(variables)
        run = Run(
            self._ids.new(),
            workflow.id,
            plan.stages,
            variables,
            self._clock.now_at(),
            self._clock.now_at,
            self._limits.rules,
            self._outbox,
            by_trigger=started_by_trigger,
        )
        unit = Unit()
        text = json_text(variables)
        instance_row = writes.AddInstance(
            instance_id=run.id,
            workflow_id=workflow.id,
            config=workflow.config,
            variables=text,
            created_at=run.created_at,
            by_trigger=started_by_trigger,
        )
        unit.add(instance_row, or_raise=NotFound("workflow", workflow.id))
        if variables:
            hashes = json.dumps(fingerprints(variables))
            unit.add(writes.AddVariables(created_at=run.created_at, instance_id=run.id, fingerprints=hashes))
        run.begin(unit)
        instance = run.as_instance(workflow.config, text)
        if caller is not None:
            unit.sign(caller, run.created_at, run.id, 201, b"" if answer is None else answer(instance))
        if also is not None:
            also(instance, unit)
        self._runs[run.id] = run
        try:
            async with run.lock:  # who finds it in the journal already and aborts it waits for this
                await self._journal.commit(unit)
        except BaseException as error:
            del self._runs[run.id]
            if isinstance(error, asyncio.CancelledError):  # the caller went away; the commit may still happen
                asyncio.get_running_loop().call_later(STRAY_S, self._take_up_later, run.id)
            raise
        self._meter.instance_started(workflow.id)
        if run.ended_at is not None:
            self._ended(run)
            self._let_go_of(run)
        elif self._is_full() and not run.aborts:
            del self._runs[run.id]
            self._has_backlog = True
        else:
            self._launch(run)
        return instance

    async def wait(self, instance_id: str, timeout_s: float) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiters = self._waiters.setdefault(instance_id, [])
        waiters.append(future)
        try:
            run = self._runs.get(instance_id)
            if run is None or run.ended_at is not None:
                instance = await self._journal.instance(instance_id)
                if instance is None or instance.is_terminal:
                    return
            timer = asyncio.get_running_loop().call_later(timeout_s, _let_go, future)
            await future
            timer.cancel()
        finally:
            waiters.remove(future)
            if not waiters:
                self._waiters.pop(instance_id, None)

    async def send_event(self, instance_id: str, name: str, *, caller: Caller | None = None) -> None:
        await self._to_the_end(self._send_event(instance_id, name, caller))

    async def _send_event(self, instance_id: str, name: str, caller: Caller | None) -> None:
        await self._must_run(instance_id)
        unit = Unit()
        event = writes.AddEvent(instance_id=instance_id, name=name, received_at=self._clock.now_at())
        unit.add(event, or_raise=AlreadyEnded(instance_id))
        unit.add(writes.WakeInstance(instance_id=instance_id))
        unit.sign(caller, self._clock.now_at(), instance_id)
        await self._journal.commit(unit)
        run = self._runs.get(instance_id)
        if run is not None:
            run.is_woken = True
        elif self._is_full():
            self._has_backlog = True
        else:
            await self._take_up_surely(instance_id)

    async def abort(self, instance_id: str, *, caller: Caller | None = None) -> None:
        await self._to_the_end(self._abort(instance_id, caller))

    async def _abort(self, instance_id: str, caller: Caller | None) -> None:
        await self._must_run(instance_id)
        run = self._runs.get(instance_id) or await self._take_up(instance_id)
        if run is None:
            await self._must_run(instance_id)
            raise Unavailable("the instance cannot be restored; the log says why")
        run.aborts += 1  # read as the last thing before an attempt begins; and it stays in memory
        try:
            await self._abort_run(run, caller)
        finally:
            run.aborts -= 1
            run.interrupt_pause()
            if not run.aborts:
                await self._go_on(run)

    async def _abort_run(self, run: Run, caller: Caller | None) -> None:
        try:
            async with asyncio.timeout(self._limits.abort_s):  # queues at once, ahead of what `run.aborts` stops
                await run.lock.acquire()
        except TimeoutError:
            raise Unavailable("the journal cannot commit at the moment") from None
        try:
            if run.is_stale:
                raise Unavailable("the journal cannot commit at the moment")
            if run.ended_at is not None:
                raise AlreadyEnded(run.id)
            unit, was_for_a_person = Unit(), run.needs_attention
            run.cancel(unit, AlreadyEnded(run.id))
            unit.sign(caller, self._clock.now_at(), run.id)
            try:
                await self._journal.commit(unit)
            except BaseException:
                run.is_stale = True
                if run.task is not None:
                    run.task.cancel()
                raise
            if was_for_a_person:
                self._meter.needs_attention(-1)  # who aborts it has decided
        finally:
            run.lock.release()
        self._ended(run)

    async def _go_on(self, run: Run) -> None:
        """After an abort: what it kept in memory is driven again; after one that failed, from what the journal has."""
        if run.is_stale:
            if run.task is not None:
                await asyncio.wait((run.task,))  # attempts of one effect never overlap
            self._let_go_of(run)
            await self._take_up_surely(run.id)
        elif run.task is not None and run.task.done():
            self._launch(run)

    def _let_go_of(self, run: Run) -> None:
        """Only one may stand for an instance: one that is being aborted stays."""
        if not run.aborts and self._runs.get(run.id) is run:
            del self._runs[run.id]

    async def _to_the_end(self, work: Coroutine[Any, Any, None]) -> None:
        """A caller that goes away leaves nothing half done."""
        await asyncio.shield(self._in_background(work))

    def _in_background(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._is_over)
        return task

    def _is_over(self, task: asyncio.Task[None]) -> None:
        self._background.discard(task)
        if not task.cancelled():
            task.exception()  # told to the caller, if there still is one

    async def _must_run(self, instance_id: str) -> None:
        instance = await self._journal.instance(instance_id)
        if instance is None:
            raise NotFound("instance", instance_id)
        if instance.is_terminal:
            raise AlreadyEnded(instance_id)

    # taking instances up

    def _is_full(self) -> bool:
        """Instances that wait for a failing service do not count: those of the other services go on."""
        active = len(self._runs) - self._pausing
        return active >= self._limits.max_active and active - self._services.held_back >= self._limits.max_active

    async def _take_up_surely(self, instance_id: str) -> None:
        """If it cannot be read now, it is found with all else that has something to do."""
        if self._is_stopping:
            return
        try:
            await self._take_up(instance_id)
        except Exception as error:  # noqa: BLE001  # whatever it is, the instance must not be forgotten
            log.warning("an instance cannot be taken up; trying again", instance_id=instance_id, reason=str(error))
            self._has_backlog = True

    async def _take_up(self, instance_id: str) -> Run | None:
        """Restore an instance from the journal and drive it. None when there is nothing to drive."""
        if instance_id in self._runs:
            return self._runs[instance_id]
        instance = await self._journal.instance(instance_id)
        return None if instance is None else await self._restore(instance)

    async def _restore(self, instance: Instance, *, has_activities: bool = True) -> Run | None:
        stage = instance.stages[-1]
        if instance.is_terminal and stage.terminated_at is not None:
            return None
        activities = await self._journal.activities(instance.id, stage.number) if has_activities else []
        if instance.id in self._runs:  # somebody else was faster
            return self._runs[instance.id]
        try:
            run = Run.restore(instance, activities, self._clock.now_at, self._limits.rules, self._outbox)
        except Exception as error:  # noqa: BLE001  # whatever it is, it is this instance's and holds up no other
            log.error("instance cannot go on", instance_id=instance.id, reason=repr(error))
            return None
        self._runs[instance.id] = run
        self._launch(run)
        return run

    def _launch(self, run: Run) -> None:
        run.task = asyncio.create_task(self._drive(run))

    async def _schedule(self) -> None:
        """Take up what is due: at the start everything with something to do, then delays as they end.

        The wall clock decides (decision E4); it is looked at every second at least, as it may step.
        """
        while True:
            self._kick.clear()
            try:
                wait_s = await self._take_up_what_is_due()
            except Exception as error:  # noqa: BLE001  # delays must go on ending, whatever this was
                log.warning("what is due cannot be taken up; trying again", reason=str(error))
                self._has_backlog, wait_s = True, TIMER_CHECK_S
            sleep = asyncio.ensure_future(self._clock.sleep(wait_s))
            kick = asyncio.ensure_future(self._kick.wait())
            try:
                await asyncio.wait((sleep, kick), return_when=asyncio.FIRST_COMPLETED)
            finally:
                sleep.cancel()
                kick.cancel()

    async def _take_up_what_is_due(self) -> float:
        """Gives the seconds to wait before looking again."""
        if self._has_backlog and not self._is_full():
            self._has_backlog = False
            await self._take_up_due(-1, 0)
        now_at = self._clock.now_at()
        await self._take_up_due(0, now_at)
        self._next_deadline_at = await self._journal.next_deadline(now_at)
        if self._next_deadline_at is None:
            return TIMER_CHECK_S
        return min(TIMER_CHECK_S, max(0.0, (self._next_deadline_at - self._clock.now_at()) / 1e6))

    async def _take_up_due(self, after_at: int, until_at: int) -> None:
        position = (after_at, 2**63 - 1)
        while page := await self._journal.due(*position, until_at, 500):
            for due in page:
                if due.instance.id in self._runs:
                    continue
                if self._is_full():
                    self._has_backlog = True
                    return
                if due.next_at:
                    self._meter.timer_lag((self._clock.now_at() - due.next_at) / 1e6)
                await self._restore(due.instance, has_activities=due.has_activities)
            position = (page[-1].next_at, page[-1].row)
            await asyncio.sleep(0)

    def _sleep_until(self, deadline_at: int) -> None:
        if self._next_deadline_at is None or deadline_at < self._next_deadline_at:
            self._kick.set()

    # driving one instance

    async def _drive(self, run: Run) -> None:
        DRIVEN.set(run)
        try:
            await self._drive_until_waiting(run)
        except asyncio.CancelledError:
            raise
        except Exception:
            log.exception("instance stopped by an error of ours; it is taken up again later", instance_id=run.id)
            if not self._is_stopping:
                asyncio.get_running_loop().call_later(60.0, self._take_up_later, run.id)
        finally:
            self._let_go_of(run)
            if self._has_backlog and not self._is_full():
                self._kick.set()

    def _take_up_later(self, instance_id: str) -> None:
        self._in_background(self._take_up_surely(instance_id))

    async def _drive_until_waiting(self, run: Run) -> None:
        while not self._is_stopping:
            if run.open is not None:
                if not run.needs_attention or run.ended_at is not None:
                    await self._perform(run, run.open)
                if run.needs_attention:
                    return
                continue
            if run.ended_at is not None:
                return
            if run.waits_for_event is not None:
                if not run.is_woken:
                    return
                run.is_woken = False
            elif run.sleeps_until_at is not None and run.sleeps_until_at > self._clock.now_at():
                self._sleep_until(run.sleeps_until_at)
                return
            await self._move(run, None, _nothing)

    async def _move(self, run: Run, opened: OpenActivity | None, record: Callable[[Unit], None]) -> None:
        """Record the outcome of `opened` and advance to the next command, in one commit.

        An abort may commit while this waits for the lock. It has then closed an activity that was never sent, and the
        stage with it, so nothing is left to record. The outcome of one that was sent is recorded, and closes the stage.
        """
        async with run.lock:
            if run.open is not opened or (opened is None and run.ended_at is not None):
                return
            unit = Unit()
            record(unit)
            if run.ended_at is not None:
                run.settle(unit)
                await self._commit(run, unit)
                return
            run.advance(unit)
            while await self._commit(run, unit):
                unit = Unit()
                run.runner.resume()
                run.advance(unit)
            if run.ended_at is not None:
                self._ended(run)

    async def _commit(self, run: Run, unit: Unit) -> bool:
        """Commit, however long the journal takes to recover. True when an awaited event was there."""
        while True:
            if run.is_stale:
                raise asyncio.CancelledError
            try:
                results = await self._journal.commit(unit)
            except Unavailable as error:
                log.warning("the journal cannot commit; trying again", instance_id=run.id, reason=str(error))
                await self._clock.sleep(1.0)
                continue
            return any(isinstance(each, writes.EventTaken) for each in results)

    def _ended(self, run: Run) -> None:
        report_end(self._meter, run)
        for future in self._waiters.get(run.id, ()):
            _let_go(future)

    # performing one activity

    async def _perform(self, run: Run, opened: OpenActivity) -> None:
        activity, limits = opened.activity, self._limits
        protocol = EffectProtocol(
            family_of(
                activity.name, is_ingestion=isinstance(activity, CreateTransaction) and bool(activity.payment_id)
            ),
            backoff=self._backoff,
            settle_s=limits.settle_s,
            now_s=self._clock.monotonic_s(),
            was_sent=opened.was_sent,
            is_aborted=run.ended_at is not None,
            ledger=activity.ledger if isinstance(activity, CreateTransaction) else "",
        )
        try:
            await self._carry_through(run, opened, protocol)
        finally:
            if activity.is_effect:
                self._meter.effect_settled(opened.key)

    async def _carry_through(self, run: Run, opened: OpenActivity, protocol: EffectProtocol) -> None:
        activity = opened.activity
        while run.open is opened:
            if run.ended_at is not None:
                protocol.abort()
            action = protocol.next()
            if self._is_stopping and isinstance(action, Send | LookUpFirst | CreateLedger | Pause):
                return
            match action:
                case Send():
                    await self._attempt(run, opened, protocol)
                case LookUpFirst():
                    found = await self._services.look_up(activity.name, opened.request)
                    protocol.looked_up(found, self._clock.monotonic_s())
                    report_call(self._meter, run, opened, found, protocol, is_look_up=True)
                case CreateLedger():
                    await self._create_ledger(run, protocol)
                case Pause(seconds, failure):
                    await self._pause(run, opened, seconds, failure)
                    protocol.paused()
                case Done(output):
                    await self._close(run, opened, "done", partial(run.done, output=output))
                case Refused(code, message):
                    await self._close(run, opened, "refused", partial(run.refused, message=f"{code}: {message}"))
                case NotBooked():
                    await self._close(run, opened, "canceled", run.cancel_open)
                case NeedsAttention(message):
                    await self._ask_for_attention(run, opened, message)
                    return

    async def _close(self, run: Run, opened: OpenActivity, outcome: str, record: Callable[[Unit], None]) -> None:
        def recorded(unit: Unit) -> None:
            report_closed(self._meter, opened.activity, outcome)
            record(unit)

        await self._move(run, opened, recorded)

    async def _attempt(self, run: Run, opened: OpenActivity, protocol: EffectProtocol) -> None:
        """One attempt, begun only if no abort is set: that is read as the last thing before (decision E6)."""
        async with self._services.gates[opened.activity.service]:
            if not await self._may_begin(run):
                return
            opened.was_sent = True
            opened.attempt += 1
            begun_s = self._clock.monotonic_s()
            protocol.begin(begun_s)
            self._meter.attempt(opened.activity.service)
            result = await self._services.send(opened.activity.name, opened.request)
        ended_s = self._clock.monotonic_s()
        protocol.sent(result, ended_s)
        report_attempt(self._meter, run, opened, result, protocol, ended_s - begun_s)

    async def _may_begin(self, run: Run) -> bool:
        """Whether no abort is set. One under way is waited for, until it is committed or has failed."""
        if run.aborts:
            async with run.lock:
                pass
        return run.ended_at is None and not self._is_stopping

    async def _create_ledger(self, run: Run, protocol: EffectProtocol) -> None:
        request = create_ledger(INTERNAL_LEDGER)
        async with self._services.gates[request.service]:
            if not await self._may_begin(run):
                return
            result = await self._services.send("CreateLedger", request)
        protocol.created(result)

    async def _pause(self, run: Run, opened: OpenActivity, seconds: float, failure: str) -> None:
        """Record the failed attempt, then wait; an abort or a stop ends the wait."""
        next_at = self._clock.now_at() + int(seconds * 1e6)
        async with run.lock:
            if run.open is not opened:
                return
            unit = Unit()
            run.failed_attempt(unit, failure, next_at if run.ended_at is None else None)
            await self._commit(run, unit)
        if opened.activity.is_effect:
            self._meter.effect_unknown(opened.key, self._clock.now_at())
        self._pausing += 1
        run.interrupt = asyncio.get_running_loop().create_future()
        sleep = asyncio.ensure_future(self._clock.sleep(seconds))
        try:
            if not run.aborts and not self._is_stopping:
                await asyncio.wait((sleep, run.interrupt), return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleep.cancel()
            run.interrupt = None
            self._pausing -= 1
        if run.aborts:
            async with run.lock:
                pass

    async def _ask_for_attention(self, run: Run, opened: OpenActivity, message: str) -> None:
        log.error("effect needs attention; its lastFailure tells why", instance_id=run.id, effect=opened.key)
        async with run.lock:
            if run.open is not opened:
                return
            unit = Unit()
            run.failed_attempt(unit, f"needs attention: {message}", None, needs_attention=True)
            unit.add(writes.ScheduleInstance(next_at=None, instance_id=run.id))
            await self._commit(run, unit)
            if run.ended_at is None:
                self._meter.needs_attention(1)
            else:
                self._meter.effect_done(opened.activity.service, "undecided")


def _let_go(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _nothing(unit: Unit) -> None:
    """There is nothing to record."""
