"""The engine by itself: instances are started in-process, effects go over HTTP, commits are durable."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from bench.workloads import EVENT, VARIABLES, W3, WAIT, Stages
from headrace.clock import RandomIds, SystemClock
from headrace.effects.transport import HttpDownstream, ServiceAddresses
from headrace.engine.embedded import EmbeddedEngine
from headrace.events.outbox import Outbox
from headrace.journal.port import Unit
from headrace.journal.records import Workflow
from headrace.journal.sqlite import SqliteJournal
from headrace.journal.writes import AddEvent, AddWorkflow, WakeInstance
from headrace.runner.policy import Policy
from headrace.runner.runners import Runners, started_instance
from headrace.workflows.durations import moment_text

IN_FLIGHT = 64
PATIENCE_S = 300.0

OpenJournal = Callable[[Path], Awaitable[Any]]
"""Opens the journal of a folder."""


async def _sqlite(folder: Path) -> SqliteJournal:
    return await SqliteJournal.open(folder / "journal.db")


@dataclass(frozen=True)
class Rooms:
    """A journal, an engine, and a downstream behind HTTP."""

    journal: Any
    engine: EmbeddedEngine
    runners: Runners

    async def start(self, workflow: Workflow, variables: dict[str, str]) -> str:
        """As the use case does, without the API's checks. Gives the instance's id."""
        runner, unit = self.runners.start(workflow, variables, sends=self.engine.sends_at_once)
        started_instance(unit)
        async with self.engine.begin(runner):
            await self.journal.commit(unit)
        return runner.id

    async def send_event(self, instance_id: str, name: str) -> None:
        """As the use case does."""
        instance = await self.journal.instance(instance_id)
        assert instance is not None and not instance.is_terminal
        unit = Unit()
        unit.add(AddEvent(instance_id=instance_id, name=name, received_at=SystemClock().now_at()))
        unit.add(WakeInstance(instance_id=instance_id))
        await self.journal.commit(unit)
        self.engine.wake(instance_id)

    async def create(self, stages: Stages) -> Workflow:
        now_at = SystemClock().now_at()
        config = msgspec.json.encode({"name": "bench", "stages": stages}).decode()
        workflow = Workflow(RandomIds().new(), "bench", config, now_at, now_at)
        unit = Unit()
        unit.add(
            AddWorkflow(
                workflow_id=workflow.id, name=workflow.name, config=config, created_at=now_at, updated_at=now_at
            )
        )
        await self.journal.commit(unit)
        return workflow

    async def run_to_end(self, workflow: Workflow, event: str | None = None) -> str:
        instance_id = await self.start(workflow, VARIABLES)
        if event is not None:
            await self.send_event(instance_id, event)
        await self.engine.ended(instance_id, PATIENCE_S)
        return instance_id


@asynccontextmanager
async def opened(folder: Path, url: str, open_journal: OpenJournal = _sqlite) -> AsyncIterator[Rooms]:
    clock = SystemClock()
    journal = await open_journal(folder)
    downstream = HttpDownstream(ServiceAddresses.of(ledger_url=url), credentials=None, clock=clock)
    runners = Runners(clock.now_at, RandomIds().new, Outbox().announce, Policy())
    engine = EmbeddedEngine(journal, downstream, clock, runners, jitter=lambda: 1.0)
    try:
        await engine.start()
        yield Rooms(journal, engine, runners)
    finally:
        await engine.stop()
        await downstream.close()
        await journal.close()


async def throughput(
    folder: Path, url: str, stages: Stages, count: int, open_journal: OpenJournal = _sqlite
) -> dict[str, float]:
    """Instances per second, started by 64 callers who each wait for theirs to end."""
    event = EVENT if WAIT in stages else None
    async with opened(folder, url, open_journal) as setup:
        workflow = await setup.create(stages)
        await _all(setup, workflow, event, IN_FLIGHT)
        commits, cpu_s, started = setup.journal.commits, time.process_time(), time.perf_counter()
        ids = await _all(setup, workflow, event, count)
        took_s = time.perf_counter() - started
        cpu_s = time.process_time() - cpu_s
        commits = setup.journal.commits - commits
        await _check_ends(setup, ids)
    return {"per_s": count / took_s, "commits_each": commits / count, "cpu_ms_each": cpu_s / count * 1e3}


async def one_by_one(
    folder: Path, url: str, stages: Stages, count: int, open_journal: OpenJournal = _sqlite
) -> dict[str, float]:
    """SEQ: the median from `run` to the end, one instance after another."""
    times: list[float] = []
    async with opened(folder, url, open_journal) as setup:
        workflow = await setup.create(stages)
        await _all(setup, workflow, None, IN_FLIGHT)
        for _ in range(count):
            started = time.perf_counter()
            await setup.run_to_end(workflow)
            times.append(time.perf_counter() - started)
    return {"median_ms": statistics.median(times) * 1e3}


async def wake_up(folder: Path, url: str, count: int, lead_s: float, spread_s: float = 1.0) -> dict[str, float]:
    """W3: `count` delays due within the same second, evenly; how late each ended, by the journal's own times."""
    async with opened(folder, url) as setup:
        first_at = (SystemClock().now_at() // 1_000_000 + int(lead_s)) * 1_000_000
        workflow = await setup.create(W3)
        limit = asyncio.Semaphore(1_000)

        async def one(due_at: int) -> tuple[str, int]:
            async with limit:
                return await setup.start(workflow, {"until": moment_text(due_at)}), due_at

        due = [first_at + int(number * spread_s * 1e6 / count) for number in range(count)]
        started = await asyncio.gather(*(one(due_at) for due_at in due))
        assert SystemClock().now_at() < first_at, "starting took longer than the delay: raise lead_s"
        for instance_id, _ in started:
            await setup.engine.ended(instance_id, PATIENCE_S)
        late_s = sorted([(await _ended_at(setup, instance_id) - due_at) / 1e6 for instance_id, due_at in started])
    assert late_s[0] >= 0, f"a delay ended {-late_s[0]} s early"
    return {"last_late_s": late_s[-1], "median_late_s": statistics.median(late_s)}


async def _all(setup: Rooms, workflow: Workflow, event: str | None, count: int) -> list[str]:
    remaining = iter(range(count))
    ids: list[str] = []

    async def caller() -> None:
        for _ in remaining:
            ids.append(await setup.run_to_end(workflow, event))  # noqa: PERF401 (one list for all callers)

    await asyncio.gather(*(caller() for _ in range(IN_FLIGHT)))
    return ids


async def _check_ends(setup: Rooms, ids: list[str]) -> None:
    """A figure of runs that failed would be worth nothing."""
    for instance_id in ids:
        instance: Any = await setup.journal.instance(instance_id)
        assert instance.is_terminal and instance.error is None, f"{instance_id}: {instance.error}"


async def _ended_at(setup: Rooms, instance_id: str) -> int:
    instance = await setup.journal.instance(instance_id)
    assert instance is not None and instance.terminated_at is not None
    return instance.terminated_at
