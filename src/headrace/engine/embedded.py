"""The embedded engine: every instance that has something to do is an asyncio task in this process.

It only schedules. A task drives its instance until it has to wait for a delay or an event; then nothing of the
instance stays in memory, and one indexed query finds it again. Recovery is the same path: at the start, all that
the journal holds as not ended and not waiting is due at once.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from headrace.clock import Clock, Ids
from headrace.effects.port import Downstream
from headrace.effects.protocol import Backoff
from headrace.engine.driver import Driver
from headrace.engine.limits import EngineLimits
from headrace.engine.meter import Meter, NoMeter
from headrace.engine.plans import Plans
from headrace.engine.reports import report_end
from headrace.engine.run import Run, json_text
from headrace.engine.services import Services
from headrace.errors import AlreadyEnded, Conflict, NotFound, Unavailable
from headrace.events.outbox import Outbox
from headrace.journal import writes
from headrace.journal.port import Caller, Journal, Unit
from headrace.journal.records import Instance, Standing, Workflow
from headrace.journal.searches import fingerprints

log = structlog.get_logger("headrace.engine")

STRAY_S = 10.0
TIMER_CHECK_S = 1.0  # how soon a step of the wall clock is noticed


class _Loading:
    """The place of an instance that is being read from the journal: nobody else reads or starts it meanwhile.

    `aborts`: callers that are aborting it, whom the Run must wait for as soon as it is there.
    """

    __slots__ = ("aborts", "run")

    def __init__(self) -> None:
        self.aborts = 0
        self.run: asyncio.Future[Run | None] = asyncio.get_running_loop().create_future()


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
        self._services = Services(
            downstream,
            clock,
            self._meter,
            ceiling=self._limits.concurrency,
            start=self._limits.concurrency_start,
        )
        backoff = Backoff(self._limits.retry_base_s, self._limits.retry_cap_s, jitter)
        self._driver = Driver(journal, self._services, clock, self._limits, self._meter, backoff)
        self._runs: dict[str, Run] = {}
        self._loading: dict[str, _Loading] = {}
        self._waiters: dict[str, list[asyncio.Future[None]]] = {}
        self._plans = Plans()
        self._has_backlog = True  # what an earlier process left
        self._next_deadline_at: int | None = None
        self._kick = asyncio.Event()
        self._background: set[asyncio.Task[None]] = set()
        self._timer: asyncio.Task[None] | None = None

    # life

    async def start(self) -> None:
        self._timer = asyncio.create_task(self._schedule(), name="headrace-scheduler")

    async def stop(self) -> None:
        self._driver.is_stopping = True
        if self._timer is not None:
            self._timer.cancel()
        self._services.close()
        for run in list(self._runs.values()):
            run.interrupt_pause()
        tasks = [run.task for run in self._runs.values() if run.task is not None]
        for loading in list(self._loading.values()):
            self._abandon(loading, None)
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
            hashes = json_text(fingerprints(variables))
            unit.add(writes.AddVariables(created_at=run.created_at, instance_id=run.id, fingerprints=hashes))
        sends = not self._is_full()
        run.begin(unit, sends=sends)
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
        elif not sends and not run.aborts:
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
            await self._resume_surely(instance_id)

    async def abort(self, instance_id: str, *, caller: Caller | None = None) -> None:
        await self._to_the_end(self._abort(instance_id, caller))

    async def _abort(self, instance_id: str, caller: Caller | None) -> None:
        await self._must_run(instance_id)
        give_up_s = self._clock.monotonic_s() + self._limits.abort_s
        while True:
            run = self._runs.get(instance_id)
            if run is not None:
                run.aborts += 1  # read as the last thing before an attempt begins; and it stays in memory
            else:
                loading = self._loading.get(instance_id) or self._load(instance_id)
                loading.aborts += 1
                run = await asyncio.shield(loading.run)
            if run is None:
                await self._must_run(instance_id)
                raise Unavailable("the instance cannot be restored; the log says why")
            try:
                await self._abort_run(run, caller)
                return
            except Conflict as conflict:
                if self._clock.monotonic_s() >= give_up_s:
                    raise Unavailable(str(conflict)) from None
            finally:
                run.aborts -= 1
                run.interrupt_pause()
                if not run.aborts:
                    await self._go_on(run)

    async def _abort_run(self, run: Run, caller: Caller | None) -> None:
        """Raises Conflict where the instance has moved on since it was read."""
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
            run.cancel(unit)
            run.seal(unit)
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
            await self._resume_surely(run.id)
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
        active = len(self._runs) + len(self._loading) - self._driver.pausing
        return active >= self._limits.max_active and active - self._services.held_back >= self._limits.max_active

    async def _resume_surely(self, instance_id: str) -> None:
        """If it cannot be read now, it is found with all else that has something to do."""
        if self._driver.is_stopping or instance_id in self._runs:
            return
        loading = self._loading.get(instance_id) or self._load(instance_id)
        with contextlib.suppress(Exception):  # it is logged, and the backlog has it
            await asyncio.shield(loading.run)

    def _load(self, instance_id: str) -> _Loading:
        """Read an instance and drive it, in a task of its own. Its place is taken before anything is awaited."""
        assert instance_id not in self._runs and instance_id not in self._loading
        loading = self._loading[instance_id] = _Loading()
        self._in_background(self._restore(instance_id, loading))
        return loading

    async def _restore(self, instance_id: str, loading: _Loading) -> None:
        """While this has the instance's place no unit of it is under way, so one snapshot is where it stands."""
        try:
            standing = await self._journal.standing(instance_id)
        except Exception as error:  # noqa: BLE001  # whatever it is, the instance must not be forgotten
            log.warning("cannot read an instance; trying again", instance_id=instance_id, reason=str(error))
            self._has_backlog = True
            self._abandon(loading, error)
            return
        finally:
            del self._loading[instance_id]
        if loading.run.done():  # the server is stopping
            return
        loading.run.set_result(self._restored(standing, loading.aborts))

    def _restored(self, standing: Standing | None, aborts: int) -> Run | None:
        """Registered and driven; None where there is nothing to drive."""
        if standing is None:
            return None
        instance = standing.instance
        if instance.is_terminal and instance.stages[-1].terminated_at is not None:
            return None
        try:
            run = Run.restore(standing, self._clock.now_at, self._limits.rules, self._outbox)
        except Exception as error:  # noqa: BLE001  # whatever it is, it is this instance's and holds up no other
            log.error("instance cannot go on", instance_id=instance.id, reason=repr(error))
            return None
        run.aborts = aborts
        self._runs[run.id] = run
        self._launch(run)
        return run

    def _abandon(self, loading: _Loading, error: Exception | None) -> None:
        if loading.run.done():
            return
        if error is None:
            loading.run.set_result(None)
        else:
            loading.run.set_exception(error)
            loading.run.exception()  # nobody need be waiting for it

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
                if due.instance_id in self._runs or due.instance_id in self._loading:
                    continue
                if self._is_full():
                    self._has_backlog = True
                    return
                if due.next_at:
                    self._meter.timer_lag((self._clock.now_at() - due.next_at) / 1e6)
                self._load(due.instance_id)
            position = (page[-1].next_at, page[-1].row)
            await asyncio.sleep(0)

    def _sleep_until(self, deadline_at: int) -> None:
        if self._next_deadline_at is None or deadline_at < self._next_deadline_at:
            self._kick.set()

    # driving one instance

    async def _drive(self, run: Run) -> None:
        try:
            deadline_at = await self._driver.drive(run)
            if deadline_at is not None:
                self._sleep_until(deadline_at)
        except asyncio.CancelledError:
            raise
        except Conflict as conflict:
            log.warning("the instance is read again", instance_id=run.id, reason=str(conflict))
            if not self._driver.is_stopping:
                asyncio.get_running_loop().call_soon(self._take_up_later, run.id)
        except Exception:
            log.exception("instance stopped by an error of ours; it is taken up again later", instance_id=run.id)
            if not self._driver.is_stopping:
                asyncio.get_running_loop().call_later(60.0, self._take_up_later, run.id)
        finally:
            if run.ended_at is not None and not run.is_stale:
                self._release_waiters(run.id)
            self._let_go_of(run)
            if self._has_backlog and not self._is_full():
                self._kick.set()

    def _take_up_later(self, instance_id: str) -> None:
        self._in_background(self._resume_surely(instance_id))

    def _ended(self, run: Run) -> None:
        report_end(self._meter, run)
        self._release_waiters(run.id)

    def _release_waiters(self, instance_id: str) -> None:
        for future in self._waiters.get(instance_id, ()):
            _let_go(future)


def _let_go(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
