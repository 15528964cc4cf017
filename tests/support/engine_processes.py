"""The engines that the engine suites run for, each as the processes of its kind put together in this one.

`open_engine` gives the engine's port, as API servers use it, and what drives behind it. For Temporal that is a worker
on a real server; several processes are stood in for by objects that share nothing but the journal.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from headrace.clock import Clock
from headrace.effects.port import Downstream
from headrace.effects.settlement import Backoff
from headrace.engine.embedded import EmbeddedEngine
from headrace.engine.limits import EngineLimits
from headrace.engine.port import Engine
from headrace.engine.temporal.client import TemporalOptions, connect
from headrace.engine.temporal.engine import TemporalEngine
from headrace.engine.temporal.nudger import Nudger
from headrace.engine.temporal.steps import StepLimits, Steps
from headrace.engine.temporal.worker import taking_steps
from headrace.journal.port import Results, Unit
from headrace.journal.writes import AddNudge, DropNudges
from headrace.runner.runners import Runners
from headrace.telemetry import Telemetry
from tests.support.temporal import NAMESPACES, shared_server

TEMPORAL_SPEED = 20
"""A test's seconds, which the fast clock makes 5 ms, are 50 ms for Temporal: its own times cannot be made faster."""

STEP_S = 120.0


@dataclass(frozen=True, slots=True)
class EngineKind:
    """`skips_time`: an hour of a delay passes within the test. `is_one_process`: the test may look into its memory."""

    journal: str
    kind: str
    skips_time: bool = True
    is_one_process: bool = True


ENGINES = {
    "embedded-sqlite": EngineKind("sqlite", "embedded"),
    "embedded-slow-sqlite": EngineKind("slow-sqlite", "embedded"),
    "embedded-postgres": EngineKind("postgres", "embedded"),
    "temporal-normal": EngineKind("sqlite", "temporal-normal", skips_time=False, is_one_process=False),
    "temporal-local": EngineKind("sqlite", "temporal-local", skips_time=False, is_one_process=False),
    "temporal-postgres": EngineKind("postgres", "temporal-local", skips_time=False, is_one_process=False),
}
"""By name. One that has no adapter fails every test it is named for."""


class _NudgeCounter:
    """A journal that knows which instances have a nudge that no step has seen."""

    def __init__(self, journal: Any) -> None:
        self._journal = journal
        self.nudged: set[str] = set()
        self._stored, self._under_way = Counter[str](), Counter[str]()

    async def commit(self, unit: Unit) -> Results:
        """A nudge counts from before its commit, which a step may overtake. One that was not stored counts no more."""
        added = {write.instance_id for write in unit.writes if isinstance(write, AddNudge)}
        new, stored = added - self.nudged, {each: self._stored[each] for each in added}
        self.nudged |= added
        self._under_way.update(added)
        try:
            results = await self._journal.commit(unit)
            self._stored.update(added)
        finally:
            self._under_way.subtract(added)
            self.nudged -= {each for each in new if self._stored[each] == stored[each] and not self._under_way[each]}
        self.nudged -= {write.instance_id for write in unit.writes if isinstance(write, DropNudges)}
        return results

    def __getattr__(self, name: str) -> Any:
        return getattr(self._journal, name)


@dataclass(slots=True)
class Running:
    """An engine and, for Temporal, its worker. `active_instances`: those that something is done for at the moment."""

    engine: Engine
    steps: Steps | None = None
    nudges: set[str] = field(default_factory=set[str])
    nudger_options: TemporalOptions | None = None

    @property
    def active_instances(self) -> int:
        return self.engine.active_instances if self.steps is None else len(self.nudges) + self.steps.active_instances

    async def stop(self) -> None:
        """Stop gracefully: attempts under way end, and no other begins."""
        await self.engine.stop()
        if self.steps is not None:
            self.steps.stop()
            while self.steps.active_instances:
                await asyncio.sleep(0.01)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.engine, name)


@asynccontextmanager
async def open_engine(
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
    """The journal for use cases, and the engine, which is started. `store` names the journal: it has its own queue."""
    if kind == "embedded":
        engine = EmbeddedEngine(journal, downstream, clock, runners, limits, meter=meter, jitter=lambda: 1.0)
        await engine.start()
        yield journal, Running(engine)
        return
    counted: Any = _NudgeCounter(journal)
    server = await asyncio.to_thread(_started)
    digest = hashlib.sha256(store.encode()).digest()
    options: TemporalOptions = server.options(
        namespace=NAMESPACES[digest[0] % len(NAMESPACES)], task_queue=store, local=kind == "temporal-local"
    )
    nudger = Nudger(options, meter, step_s=STEP_S)
    within_s = limits.settle_s / 3
    engine = TemporalEngine(counted, nudger, clock, runners, begin_within_s=within_s, meter=meter)
    steps = Steps(
        counted,
        downstream,
        clock,
        runners,
        limits,
        StepLimits(hold_s=0.2, begin_within_s=within_s),
        meter=meter,
        backoff=Backoff(limits.retry_base_s, limits.retry_cap_s, lambda: 1.0),
    )
    client = await connect(options, lazy=False)
    taking = taking_steps(client, steps, options, at_once=100, cached_workflows=100, stop_s=0.5)
    await engine.start()
    async with taking:
        sweeping = asyncio.ensure_future(engine.duties["repeat nudges"]())
        try:
            yield counted, Running(engine, steps, counted.nudged, options)
        finally:
            sweeping.cancel()
            await asyncio.gather(sweeping, return_exceptions=True)
    await engine.stop()


def _started() -> Any:
    server = shared_server()
    server.start_once()
    return server
