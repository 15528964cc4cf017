"""The engine of several processes without its server: steps are begun by nudges, within this process.

`open_steps` takes the place of `engine_processes.open_engine`. What Temporal would keep over a crash is which instances
have not ended; the journal says that here, so a process that begins takes a step of each of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from headrace.clock import Clock
from headrace.effects.port import Downstream
from headrace.effects.settlement import Backoff
from headrace.engine.limits import EngineLimits
from headrace.engine.temporal.engine import TemporalEngine
from headrace.engine.temporal.steps import StepLimits, Steps
from headrace.runner.runners import Runners
from headrace.telemetry import Telemetry
from tests.support.engine_processes import Running
from tests.support.in_process import SPEED

BEGIN_WITHIN_S = 4_000.0
"""So long under a fast clock that no permit expires on a busy machine."""


class _Loop:
    def __init__(self) -> None:
        self.is_nudged = asyncio.Event()
        self.task: asyncio.Task[None]


class LocalNudger:
    """Stands in for `engine.temporal.nudger.Nudger`: a nudge begins a step, and so does the time that a step names."""

    def __init__(self, steps: Steps, journal: Any, clock: Clock) -> None:
        self._steps = steps
        self._journal = journal
        self._clock = clock
        self._loops: dict[str, _Loop] = {}
        self._is_stopped = False

    async def open(self) -> None:
        for instance_id in await self._journal.open_instances("", 1_000):
            self.send(instance_id, "resume")

    def send(self, instance_id: str, why: str) -> None:
        loop = self._loops.get(instance_id)
        if loop is None or loop.task.done():
            loop = self._loops[instance_id] = _Loop()
            loop.task = asyncio.ensure_future(self._take_steps(instance_id, loop))
        loop.is_nudged.set()

    async def stop(self) -> None:
        self._is_stopped = True
        tasks = [loop.task for loop in self._loops.values()]
        for task in tasks:
            task.cancel()
        self._steps.give_up()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _take_steps(self, instance_id: str, loop: _Loop) -> None:
        while not self._is_stopped:  # a step that is given up swallows the cancellation of its caller
            loop.is_nudged.clear()
            try:
                following = await ActivityEnvironment().run(self._steps.step, instance_id)
            except ApplicationError as error:
                delay = error.next_retry_delay
                await self._clock.sleep(0.1 if delay is None else delay.total_seconds())
                continue
            if following.kind == "ended":
                return
            if following.kind == "wait":
                await self._wait(loop, following.at)

    async def _wait(self, loop: _Loop, until_at: int) -> None:
        waits: set[asyncio.Future[Any]] = {asyncio.ensure_future(loop.is_nudged.wait())}
        if until_at:
            pause = self._clock.sleep(max(0.0, (until_at - self._clock.now_at()) / 1e6))
            waits.add(asyncio.ensure_future(pause))
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waits:
                each.cancel()


class _PatientEngine(TemporalEngine):
    """Waits for the real seconds of a test, whatever clock the rest has."""

    async def ended(self, instance_id: str, timeout_s: float) -> None:
        await super().ended(instance_id, timeout_s * SPEED)


@asynccontextmanager
async def open_steps(
    kind: str,
    journal: Any,
    downstream: Downstream,
    clock: Clock,
    runners: Runners,
    limits: EngineLimits,
    meter: Telemetry,
    *,
    store: str,
) -> AsyncIterator[tuple[Any, Any]]:
    """As `engine_processes.open_engine`."""
    steps = Steps(
        journal,
        downstream,
        clock,
        runners,
        limits,
        StepLimits(hold_s=0.2, begin_within_s=BEGIN_WITHIN_S),
        meter=meter,
        backoff=Backoff(limits.retry_base_s, limits.retry_cap_s, lambda: 1.0),
    )
    nudger: Any = LocalNudger(steps, journal, clock)
    engine = _PatientEngine(journal, nudger, clock, runners, begin_within_s=BEGIN_WITHIN_S, meter=meter)
    await engine.start()
    try:
        yield journal, Running(engine)
    finally:
        await engine.stop()
