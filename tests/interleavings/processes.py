"""The processes of a life: a server with an engine of its own, or servers and workers that share a journal.

`Alone` has one server, with the embedded engine, which is started again after a kill. `Together` has two, each an API
server and a worker of the engine that several processes share; `Temporal` stands for the service of that name: it
starts the steps, repeats those that die or fail, now and then lets a second one run beside the first, and loses nudges.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Any, TypeVar, cast

from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from headrace.effects.settlement import Backoff
from headrace.engine.embedded import EmbeddedEngine
from headrace.engine.limits import EngineLimits
from headrace.engine.meter import NoMeter
from headrace.engine.temporal.engine import TemporalEngine
from headrace.engine.temporal.steps import StepLimits, Steps
from headrace.engine.temporal.sweeper import Sweeper
from headrace.engine.temporal.workflows import Next
from headrace.events.outbox import Outbox
from headrace.runner.policy import Policy
from headrace.runner.runners import Runners
from headrace.usecases.batch_driver import BatchDriver
from headrace.usecases.ports import Ports
from tests.interleavings.loop import owned_by
from tests.interleavings.world import SETTLE_S, Process, Reads, SeenJournal, World, Writes

T = TypeVar("T")

PERMIT_S = 1.0
LIMITS = EngineLimits(settle_s=SETTLE_S, retry_base_s=0.5, retry_cap_s=10.0)
HEARTBEAT_S = 5.0


class Died(Exception):
    """The server ended before it answered."""


class Servers:
    """The servers of a life. `permit_s`: for how long after a commit an attempt may still begin."""

    permit_s = 0.0
    count = 1

    def __init__(self, world: World, policy: Policy, *, drives_batches: bool) -> None:
        self.world = world
        self.policy = policy
        self._drives_batches = drives_batches
        self._up: dict[int, asyncio.Future[Process]] = {}
        self._processes = 0
        self._crashes: list[BaseException] = []
        world.on_kill = self._was_killed

    async def start(self) -> None:
        for server in range(self.count):
            self._up[server] = self.world.loop.create_future()
            await self._boot(server)

    async def _boot(self, server: int) -> None:
        self._processes += 1
        process = Process(self._processes, server)
        await owned_by(process.tasks, lambda: self._build(process))
        if not self._up[server].done():
            self._up[server].set_result(process)

    async def _build(self, process: Process) -> None:
        world = self.world
        journal: Any = SeenJournal(world, process)
        runners = Runners(world.clock.now_at, world.ids.new, Outbox().announce, self.policy)
        engine = self._engine(process, journal, runners)
        process.parts = Ports(
            journal=journal,
            engine=engine,
            runners=runners,
            clock=world.clock,
            ids=world.ids,
            inbox=cast("Any", None),
            outbox=Outbox(),
            evaluator=cast("Any", None),
            downstream=Reads(world, process),
            max_triggers=10,
            patience_s=4.0,
            certificate_keys=cast("Any", None),
            release="0.0.0",
        )
        await engine.start()
        if self._drives_batches:
            self._in_background(BatchDriver(process.parts).run())

    def _engine(self, process: Process, journal: Any, runners: Runners) -> Any:
        raise NotImplementedError

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.get_running_loop().create_task(self._watched(work))

    async def _watched(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception as error:  # whatever it is, it is a finding about the life
            self._crashes.append(error)

    def _was_killed(self, process: Process, down_s: float) -> None:
        self._up[process.server] = self.world.loop.create_future()
        if not self.world.is_over:
            self.world.loop.call_later(down_s, owned_by, None, lambda: self._boot(process.server))

    @property
    def crashes(self) -> list[BaseException]:
        return self._crashes

    def living(self) -> list[Process]:
        found = [each.result() for each in self._up.values() if each.done() and not each.cancelled()]
        return [each for each in found if not each.is_dead]

    async def process(self, server: int) -> Process:
        """The server's process, once it is up."""
        return await asyncio.shield(self._up[server % self.count])

    async def call(self, server: int, request: Any) -> Any:
        """The answer of a server to a request, `request(ports)`. Raises what that raises, and Died."""
        process = await self.process(server)
        task = owned_by(process.tasks, lambda: request(process.parts))
        await asyncio.wait((task,))
        if task.cancelled() or process.is_dead:
            raise Died
        return task.result()

    @property
    def is_busy(self) -> bool:
        """Whether a process drives an instance."""
        raise NotImplementedError


class Alone(Servers):
    """One server, whose engine is its own."""

    def _engine(self, process: Process, journal: Any, runners: Runners) -> Any:
        world = self.world
        downstream: Any = Writes(world, process)
        return EmbeddedEngine(journal, downstream, world.clock, runners, LIMITS, jitter=world.ids.jitter)

    @property
    def is_busy(self) -> bool:
        return any(each.parts.engine.active_instances for each in self.living())


class Together(Servers):
    """Two servers that share a journal, and the work."""

    permit_s = PERMIT_S
    count = 2

    def __init__(self, world: World, policy: Policy, *, drives_batches: bool) -> None:
        super().__init__(world, policy, drives_batches=drives_batches)
        self.temporal = Temporal(self)
        self.steps: dict[int, Steps] = {}

    def _engine(self, process: Process, journal: Any, runners: Runners) -> Any:
        world = self.world
        nudger: Any = _Nudger(self.temporal, process)
        backoff = Backoff(LIMITS.retry_base_s, LIMITS.retry_cap_s, world.ids.jitter)
        self.steps[process.number] = Steps(
            journal,
            Writes(world, process),
            world.clock,
            runners,
            LIMITS,
            StepLimits(hold_s=2.0, begin_within_s=PERMIT_S),
            meter=NoMeter(),
            backoff=backoff,
        )
        self._in_background(Sweeper(journal, nudger, world.clock).run())
        return TemporalEngine(journal, nudger, world.clock, runners, begin_within_s=PERMIT_S, meter=NoMeter())

    @property
    def is_busy(self) -> bool:
        return self.temporal.is_stepping or any(self.steps[each.number].active_instances for each in self.living())


class _Nudger:
    """Stands for the calls of one process to Temporal. One in ten is lost."""

    def __init__(self, temporal: Temporal, process: Process) -> None:
        self._temporal = temporal
        self._process = process

    async def open(self) -> None: ...

    def send(self, instance_id: str, why: str) -> None:
        world = self._temporal.servers.world
        if not self._process.is_dead and world.draw.random() < 0.9:
            world.loop.call_later(world.draw.uniform(0, 0.01), self._temporal.nudge, instance_id, why)

    async def call(self, instance_id: str, why: str) -> None:
        await self._temporal.servers.world.pause(self._process)
        self._temporal.nudge(instance_id, why)


class Temporal:
    """Schedules the steps of instances as `engine.temporal.workflows` does."""

    def __init__(self, servers: Together) -> None:
        self.servers = servers
        self._nudges: dict[str, int] = {}
        self._aborts: dict[str, int] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._news: dict[str, asyncio.Event] = {}
        self.stepping = 0

    @property
    def is_stepping(self) -> bool:
        return self.stepping > 0

    def nudge(self, instance_id: str, why: str) -> None:
        if self.servers.world.is_over:
            return
        self._nudges[instance_id] = self._nudges.get(instance_id, 0) + 1
        self._aborts[instance_id] = self._aborts.get(instance_id, 0) + (why == "abort")
        self._news.setdefault(instance_id, asyncio.Event()).set()
        running = self._running.get(instance_id)
        if running is None or running.done():
            self._running[instance_id] = owned_by(None, lambda: self._run(instance_id))

    async def _run(self, instance_id: str) -> None:
        while True:
            seen = self._nudges[instance_id]
            after = await self._step(instance_id)
            if after.kind == "ended":
                return
            if after.kind == "wait" or after.at:
                await self._wait(instance_id, seen, after.at)

    async def _wait(self, instance_id: str, seen: int, until_at: int) -> None:
        left_s = max((until_at - self.servers.world.clock.now_at()) / 1e6, 0.2) if until_at else None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(left_s):
                while self._nudges[instance_id] == seen:
                    self._news[instance_id].clear()
                    await self._news[instance_id].wait()

    async def _step(self, instance_id: str) -> Next:
        """A step until it has come to an end, on whichever server; an abort cancels it."""
        world = self.servers.world
        while True:
            living = self.servers.living()
            if not living:
                await asyncio.sleep(0.5)
                continue
            process = world.draw.choice(living)
            self.stepping += 1
            try:
                task = owned_by(process.tasks, lambda process=process: self._on(process, instance_id))
                task.add_done_callback(_forget)
                if len(living) > 1 and world.draw.random() < 0.05:  # one that counts as dead goes on beside the next
                    await asyncio.wait((task,), timeout=world.draw.uniform(0, 0.05))
                    if not task.done():
                        continue
                aborts, is_canceled = self._aborts[instance_id], False
                while not task.done():
                    await asyncio.wait((task,), timeout=0.5)
                    if not is_canceled and self._aborts[instance_id] > aborts:
                        is_canceled = bool(task.cancel()) or True
                if process.is_dead:
                    await asyncio.sleep(HEARTBEAT_S)
                    continue
                if task.cancelled():
                    return Next("again")
                try:
                    return task.result()
                except ApplicationError as error:
                    delay = error.next_retry_delay
                    await asyncio.sleep(0.1 if delay is None else delay.total_seconds())
            finally:
                self.stepping -= 1

    async def _on(self, process: Process, instance_id: str) -> Next:
        return await ActivityEnvironment().run(self.servers.steps[process.number].step, instance_id)


def _forget(task: asyncio.Task[Any]) -> None:
    if not task.cancelled():
        task.exception()
