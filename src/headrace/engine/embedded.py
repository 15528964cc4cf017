"""The embedded engine: every instance that has something to do is an asyncio task in this process.

It only schedules. A task drives its instance until it has to wait for a delay or an event; then nothing of the
instance stays in memory, and one indexed query finds it again. Recovery is the same path: at the start, all that
the journal holds as not ended and not waiting is due at once.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager
from types import MappingProxyType, TracebackType

import structlog

from headrace.clock import Clock
from headrace.effects.port import Downstream
from headrace.effects.settlement import Backoff
from headrace.engine.control import Halt
from headrace.engine.driver import Driver, report_end
from headrace.engine.limits import EngineLimits
from headrace.engine.meter import Meter, NoMeter
from headrace.engine.services import Services
from headrace.errors import AlreadyEnded, Conflict, HeadraceError, NotFound, Unavailable
from headrace.journal.port import Journal
from headrace.runner.instance import InstanceRunner
from headrace.runner.runners import Runners

log = structlog.get_logger("headrace.engine")

STRAY_S = 10.0
UNEXPECTED_S = 60.0
TIMER_CHECK_S = 1.0  # how soon a step of the wall clock is noticed


class ActiveInstance:
    """An instance in memory, and the `Control` of its drive. At most one for each id, registered before it is read.

    `runner` is set while the instance is loaded. `lock` is held from a decision to the end of its commit. `aborts`
    counts the aborts under way, during which the instance stays in memory and begins no attempt.
    """

    __slots__ = ("_engine", "_interrupt", "aborts", "id", "is_woken", "lock", "runner", "task")

    permit_s = None

    def __init__(self, engine: EmbeddedEngine, instance_id: str, runner: InstanceRunner | None = None) -> None:
        self._engine = engine
        self.runner: InstanceRunner
        if runner is not None:
            self.runner = runner
        self._interrupt: asyncio.Future[None] | None = None
        self.id = instance_id
        self.aborts = 0
        self.is_woken = runner is None
        self.lock = asyncio.Lock()
        self.task: asyncio.Task[None] | None = None

    @property
    def is_loaded(self) -> bool:
        return hasattr(self, "runner")

    def unload(self) -> None:
        """Forget where the instance stands: it must be read again."""
        if self.is_loaded:
            del self.runner

    @property
    def is_driven(self) -> bool:
        return self.task is not None and not self.task.done()

    # as a Control

    @property
    def is_stopping(self) -> bool:
        return self._engine.is_stopping

    @property
    def gives_way(self) -> bool:
        return self._engine.is_stopping

    def exclusive(self) -> asyncio.Lock:
        return self.lock

    async def may_begin(self) -> bool:
        """Wait for an abort under way, until it is committed or has failed: then the runner says it."""
        if self.aborts:
            async with self.lock:
                pass
        return True

    async def pause(self, seconds: float, *, is_settling: bool) -> bool:
        """Wait here for every pause: nothing else resumes the instance."""
        engine = self._engine
        engine.pausing += 1
        self._interrupt = asyncio.get_running_loop().create_future()
        sleep = asyncio.ensure_future(engine.clock.sleep(seconds))
        try:
            if not self.aborts and not engine.is_stopping:
                await asyncio.wait((sleep, self._interrupt), return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleep.cancel()
            self._interrupt = None
            engine.pausing -= 1
        if self.aborts:
            async with self.lock:
                pass
        return True

    def interrupt_pause(self) -> None:
        if self._interrupt is not None and not self._interrupt.done():
            self._interrupt.set_result(None)


class _Begin:
    """The place of a new instance while its start is committed: an abort that finds it in the journal already waits."""

    __slots__ = ("_active", "_engine", "_sends")

    def __init__(self, engine: EmbeddedEngine, runner: InstanceRunner) -> None:
        self._engine = engine
        self._sends = engine.sends_at_once
        self._active = ActiveInstance(engine, runner.id, runner)

    async def __aenter__(self) -> None:
        self._engine.register(self._active)
        await self._active.lock.acquire()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._active.lock.release()
        if error is None:
            self._engine.begun(self._active, sends=self._sends)
            return
        self._active.unload()
        self._engine.let_go_of(self._active)
        if isinstance(error, asyncio.CancelledError):  # the caller went away; the commit may still happen
            asyncio.get_running_loop().call_later(STRAY_S, self._engine.wake, self._active.id)


class EmbeddedEngine:
    """See `engine.port.Engine`. `pausing`: how many instances wait for their next attempt."""

    needs_nudges = False
    duties: Mapping[str, Callable[[], Coroutine[None, None, None]]] = MappingProxyType({})

    def __init__(
        self,
        journal: Journal,
        downstream: Downstream,
        clock: Clock,
        runners: Runners,
        limits: EngineLimits | None = None,
        *,
        meter: Meter | None = None,
        jitter: Callable[[], float],
    ) -> None:
        self.clock = clock
        self.is_stopping = False
        self.pausing = 0
        self._journal = journal
        self._runners = runners
        self._limits = limits or EngineLimits()
        self._meter = meter or NoMeter()
        self._services = Services(
            downstream,
            clock,
            self._meter,
            ceiling=self._limits.concurrency,
            start=self._limits.concurrency_start,
        )
        backoff = Backoff(self._limits.retry_base_s, self._limits.retry_cap_s, jitter)
        self._driver = Driver(journal, self._services, clock, runners, self._limits, self._meter, backoff, self.wake)
        self._active: dict[str, ActiveInstance] = {}
        self._waiters: dict[str, list[asyncio.Future[None]]] = {}
        self._has_backlog = True  # what an earlier process left
        self._next_deadline_at: int | None = None
        self._kick = asyncio.Event()
        self._timer: asyncio.Task[None] | None = None

    # start and stop

    async def start(self) -> None:
        self._timer = asyncio.create_task(self._schedule(), name="headrace-scheduler")

    async def stop(self) -> None:
        """Begin nothing new; wait for attempts under way, for a bounded time, and for their commits."""
        self.is_stopping = True
        if self._timer is not None:
            self._timer.cancel()
        self._services.close()
        for active in list(self._active.values()):
            active.interrupt_pause()
        tasks = [active.task for active in self._active.values() if active.task is not None]
        if tasks:
            _, pending = await asyncio.wait(tasks, timeout=self._limits.stop_s)
            for task in pending:
                task.cancel()
            await asyncio.gather(*pending, return_exceptions=True)

    @property
    def active_instances(self) -> int:
        """Instances in memory: those with something to do."""
        return len(self._active)

    @property
    def _is_full(self) -> bool:
        """Instances that wait for a failing service do not count: those of the other services go on."""
        active = len(self._active) - self.pausing
        return active >= self._limits.max_active and active - self._services.held_back >= self._limits.max_active

    # what use cases ask

    @property
    def sends_at_once(self) -> bool:
        return not self._is_full

    def begin(self, runner: InstanceRunner) -> _Begin:
        return _Begin(self, runner)

    def register(self, active: ActiveInstance) -> None:
        assert active.id not in self._active
        self._active[active.id] = active

    def begun(self, active: ActiveInstance, *, sends: bool) -> None:
        """A start is committed. `sends` False: too many instances were active, and the backlog has it."""
        runner = active.runner
        if runner.ended_at is not None:
            self._meter.instance_started(runner.workflow_id)
            report_end(self._meter, runner)
            self._release_waiters(active.id)
            self.let_go_of(active)
            return
        if sends or active.aborts or runner.has_begun_attempt:
            self._launch(active)
        else:
            self.let_go_of(active)
            self._has_backlog = True
        self._meter.instance_started(runner.workflow_id)

    def wake(self, instance_id: str) -> None:
        active = self._active.get(instance_id)
        if active is not None:
            active.is_woken = True
        elif self._is_full:
            self._has_backlog = True
        elif not self.is_stopping:
            self._resume(instance_id)

    def abort(self, instance_id: str) -> AbstractAsyncContextManager[InstanceRunner]:
        return self._held(instance_id, may_have_ended=False)

    def resolve(self, instance_id: str) -> AbstractAsyncContextManager[InstanceRunner]:
        return self._held(instance_id, may_have_ended=True)

    @contextlib.asynccontextmanager
    async def _held(self, instance_id: str, *, may_have_ended: bool) -> AsyncGenerator[InstanceRunner]:
        """See `engine.port.Engine.abort` and `resolve`. Only a committed unit replaces the runner that is driven."""
        active = self._active.get(instance_id)
        if active is None:
            active = ActiveInstance(self, instance_id)
            self.register(active)
        active.aborts += 1  # read as the last thing before an attempt begins; and it stays in memory
        try:
            try:
                async with asyncio.timeout(self._limits.abort_s):  # queues at once, ahead of what `aborts` stops
                    await active.lock.acquire()
            except TimeoutError:
                raise Unavailable("the journal cannot commit at the moment") from None
            try:
                runner = await self._standing_runner(active, may_have_ended=may_have_ended)
                had_ended, needed_attention = runner.ended_at is not None, runner.needs_attention
                try:
                    yield runner
                except BaseException as error:
                    if not isinstance(error, HeadraceError):  # the commit's outcome is not known: begin nothing
                        active.unload()
                        if active.task is not None:
                            active.task.cancel()
                        asyncio.get_running_loop().call_later(STRAY_S, self.wake, instance_id)
                    raise
                active.runner = runner
                active.is_woken = True  # the unit may have consumed an event
                if needed_attention and not had_ended:
                    self._meter.needs_attention(-1)  # the person has decided
                if runner.ended_at is not None and not had_ended:
                    report_end(self._meter, runner)
                    self._release_waiters(instance_id)
            finally:
                active.lock.release()
        finally:
            active.aborts -= 1
            active.interrupt_pause()
            if self.is_stopping:
                self.let_go_of(active)
            elif not active.aborts and not active.is_driven:
                self._launch(active)

    async def _standing_runner(self, active: ActiveInstance, *, may_have_ended: bool) -> InstanceRunner:
        """A runner where the journal stands, apart from the one that is driven: a unit that fails changes nothing."""
        standing = await self._journal.standing(active.id)
        if standing is None:
            raise NotFound("instance", active.id)
        if standing.instance.is_terminal and (not may_have_ended or standing.is_over):
            raise AlreadyEnded(active.id)
        try:
            runner = self._runners.restore(standing)
        except Exception as error:  # noqa: BLE001  # whatever it is, the log says it and the caller gets an answer
            log.error("instance cannot go on", instance_id=active.id, reason=repr(error))
            raise Unavailable("the instance cannot be restored; the log says why") from None
        if active.is_loaded and (known := active.runner.open) is not None:
            runner.keep(known, known.begun)
        return runner

    async def ended(self, instance_id: str, timeout_s: float) -> None:
        """Return when the instance has ended, or after the time-out."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiters = self._waiters.setdefault(instance_id, [])
        waiters.append(future)
        try:
            active = self._active.get(instance_id)
            if active is None or not active.is_loaded or active.runner.ended_at is not None:
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

    def _release_waiters(self, instance_id: str) -> None:
        for future in self._waiters.get(instance_id, ()):
            _let_go(future)

    # resuming instances

    async def _schedule(self) -> None:
        """Resume what is due: at the start everything with something to do, then delays as they end.

        The wall clock decides (decision E4); it is looked at every second at least, as it may step.
        """
        while True:
            self._kick.clear()
            try:
                wait_s = await self._resume_what_is_due()
            except Exception as error:  # noqa: BLE001  # delays must go on ending, whatever this was
                log.warning("cannot resume what is due; trying again", reason=str(error))
                self._has_backlog, wait_s = True, TIMER_CHECK_S
            sleep = asyncio.ensure_future(self.clock.sleep(wait_s))
            kick = asyncio.ensure_future(self._kick.wait())
            try:
                await asyncio.wait((sleep, kick), return_when=asyncio.FIRST_COMPLETED)
            finally:
                sleep.cancel()
                kick.cancel()

    async def _resume_what_is_due(self) -> float:
        """Return the seconds to wait before looking again."""
        if self._has_backlog and not self._is_full:
            self._has_backlog = False
            await self._resume_due(-1, 0)
        now_at = self.clock.now_at()
        await self._resume_due(0, now_at)
        self._next_deadline_at = await self._journal.next_deadline(now_at)
        if self._next_deadline_at is None:
            return TIMER_CHECK_S
        return min(TIMER_CHECK_S, max(0.0, (self._next_deadline_at - self.clock.now_at()) / 1e6))

    async def _resume_due(self, after_at: int, until_at: int) -> None:
        position = (after_at, 2**63 - 1)
        while page := await self._journal.due(*position, until_at, 500):
            for due in page:
                if due.instance_id in self._active:
                    continue
                if self._is_full:
                    self._has_backlog = True
                    return
                if due.next_at:
                    self._meter.timer_lag((self.clock.now_at() - due.next_at) / 1e6)
                self._resume(due.instance_id)
            position = (page[-1].next_at, page[-1].row)
            await asyncio.sleep(0)

    def _resume(self, instance_id: str) -> None:
        """Read the instance and drive it, in a task of its own. Its place is taken before anything is awaited."""
        active = ActiveInstance(self, instance_id)
        self.register(active)
        self._launch(active)

    def _launch(self, active: ActiveInstance) -> None:
        active.task = asyncio.create_task(self._drive(active))

    async def _drive(self, active: ActiveInstance) -> None:
        try:
            if not active.is_loaded and not await self._is_read(active):
                return
            halted = await self._driver.drive(active)
            if halted.why is Halt.DELAY and (
                self._next_deadline_at is None or halted.until_at < self._next_deadline_at
            ):
                self._kick.set()
        except asyncio.CancelledError:
            raise
        except Conflict as conflict:
            log.warning("the instance is read again", instance_id=active.id, reason=str(conflict))
            active.unload()
            asyncio.get_running_loop().call_soon(self.wake, active.id)
        except Exception:
            log.exception("unexpected error; the instance resumes later", instance_id=active.id, seconds=UNEXPECTED_S)
            active.unload()
            asyncio.get_running_loop().call_later(UNEXPECTED_S, self.wake, active.id)
        finally:
            if active.is_loaded and active.runner.ended_at is not None:
                self._release_waiters(active.id)
            self.let_go_of(active)
            if self._has_backlog and not self._is_full:
                self._kick.set()

    async def _is_read(self, active: ActiveInstance) -> bool:
        """Read where the instance stands, in one snapshot. False where there is nothing to drive now."""
        async with active.lock:
            if active.is_loaded:  # by an abort
                return True
            try:
                standing = await self._journal.standing(active.id)
            except Exception as error:  # noqa: BLE001  # whatever it is, the instance must not be forgotten
                log.warning("cannot read an instance; trying again", instance_id=active.id, reason=str(error))
                self._has_backlog = True
                return False
            if standing is None:
                return False
            if standing.is_over:
                return False
            try:
                active.runner = self._runners.restore(standing)
            except Exception as error:  # noqa: BLE001  # whatever it is, it is this instance's and holds up no other
                log.error("instance cannot go on", instance_id=active.id, reason=repr(error))
                return False
            return True

    def let_go_of(self, active: ActiveInstance) -> None:
        """Forget an instance that has nothing to do; one that is being aborted stays."""
        if not active.aborts and self._active.get(active.id) is active:
            del self._active[active.id]


def _let_go(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
