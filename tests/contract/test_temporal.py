"""What the engine on Temporal does beyond the engine suite, on a real server."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest
from temporalio.client import Client, WorkflowHistory
from temporalio.testing import ActivityEnvironment
from temporalio.worker import Replayer

from headrace.clock import RandomIds, SystemClock
from headrace.effects.settlement import Backoff
from headrace.engine.limits import EngineLimits
from headrace.engine.temporal import nudger as nudgers
from headrace.engine.temporal import sweeper as sweepers
from headrace.engine.temporal.client import CONVERTER, connect
from headrace.engine.temporal.steps import StepLimits, Steps
from headrace.engine.temporal.sweeper import resume
from headrace.engine.temporal.worker import SANDBOX
from headrace.engine.temporal.workflows import InstanceWorkflow, Next
from headrace.errors import AlreadyEnded
from headrace.events.outbox import Outbox
from headrace.journal.port import Journal, Unit
from headrace.journal.writes import AddNudge
from headrace.runner.policy import Policy
from headrace.runner.runners import Runners
from headrace.telemetry import Telemetry
from tests.contract.test_engine import SEND, WAIT, Scripted
from tests.support import in_process
from tests.support.engine_processes import TEMPORAL_SPEED
from tests.support.in_process import InProcess, running
from tests.support.temporal import TemporalServer, missing

HISTORIES = Path(__file__).parents[1] / "data/histories"
PATIENCE_S = 20.0

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())


@pytest.fixture(autouse=True)
def on_temporal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(in_process, "engine_kind", "temporal-normal")


@asynccontextmanager
async def _alive(tmp_path: Path, services: Any, **limits: Any) -> AsyncIterator[InProcess]:
    async with running(tmp_path / "j.db", services, **limits) as alive:
        yield alive
    await services.close()


async def _start(alive: InProcess, *stages: dict[str, Any]) -> str:
    return (await alive.start(await alive.workflow("w", list(stages)), {})).id


async def _until(condition: Any) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not await condition():
            await asyncio.sleep(0.02)


async def _has_no_nudge(alive: InProcess, instance_id: str) -> bool:
    standing = await alive.journal.standing(instance_id)
    assert standing is not None
    return standing.nudge_seq == 0


async def test_a_step_removes_the_nudges_that_it_has_seen(tmp_path: Path) -> None:
    async with _alive(tmp_path, Scripted()) as alive:
        instance_id = await _start(alive, WAIT, SEND)
        await _until(lambda: _has_no_nudge(alive, instance_id))
        await alive.send_event(instance_id, "other")
        await _until(lambda: _has_no_nudge(alive, instance_id))
        await alive.send_event(instance_id, "go")
        assert (await alive.ended(instance_id)).error is None
        await _until(lambda: _has_no_nudge(alive, instance_id))


async def test_a_nudge_of_an_instance_that_sleeps_is_removed_too(tmp_path: Path) -> None:
    async with _alive(tmp_path, Scripted()) as alive:
        instance_id = await _start(alive, {"delay": {"duration": "1h"}})
        await _until(lambda: _has_no_nudge(alive, instance_id))
        before = await alive.journal.standing(instance_id)
        await alive.send_event(instance_id, "go")
        await _until(lambda: _has_no_nudge(alive, instance_id))
        after = await alive.journal.standing(instance_id)
        assert before is not None and after is not None and before.version == after.version


async def test_a_start_that_never_reached_temporal_is_found_by_the_sweeper(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweepers, "STALE_S", 0.1)
    monkeypatch.setattr(sweepers, "SWEEP_EVERY_S", 0.1)
    monkeypatch.setattr(nudgers.Nudger, "send", lambda *_: None)
    services = Scripted()
    async with _alive(tmp_path, services) as alive:
        instance_id = await _start(alive, SEND)
        assert (await alive.ended(instance_id, PATIENCE_S)).error is None
        assert services.booked() == 1 and len(services.writes) == 1


async def test_an_event_that_comes_to_temporal_before_the_start_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    late: list[Any] = []
    send = nudgers.Nudger.send

    def hold_starts(nudger: Any, instance_id: str, why: str) -> None:
        if why == "start":
            late.append(lambda: send(nudger, instance_id, why))
        else:
            send(nudger, instance_id, why)

    monkeypatch.setattr(nudgers.Nudger, "send", hold_starts)
    services = Scripted()
    async with _alive(tmp_path, services) as alive:
        instance_id = await _start(alive, WAIT, SEND)
        await alive.send_event(instance_id, "go")
        assert (await alive.ended(instance_id)).error is None
        late[0]()
        await asyncio.sleep(0.5)
        assert services.booked() == 1 and len(services.writes) == 1


async def test_a_journal_whose_workflows_were_lost_is_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second process has a task queue, and so workflows, of its own, as after a loss of Temporal's data."""
    monkeypatch.setattr(sweepers, "SWEEP_EVERY_S", 0.1)
    services = Scripted()
    async with running(tmp_path / "j.db", services) as alive:
        waiting = await _start(alive, WAIT, SEND)
        await _until(lambda: _has_no_nudge(alive, waiting))
        client = await connect(alive.engine.nudger_options, lazy=False)
        await client.get_workflow_handle(waiting).terminate()
        await alive.send_event(waiting, "other")
        await alive.journal.commit(_nothing_is_known(waiting))
        assert await resume(alive.journal, alive.ports.clock) == 1
        await _until(lambda: _has_no_nudge(alive, waiting))
        await alive.send_event(waiting, "go")
        assert (await alive.ended(waiting)).error is None
    assert services.booked() == 1
    await services.close()


def _nothing_is_known(instance_id: str) -> Unit:
    unit = Unit()
    unit.add(AddNudge(instance_id=instance_id, why="event", at=2**60))
    return unit


async def test_nothing_is_sent_after_an_abort_and_the_effect_is_settled(tmp_path: Path) -> None:
    services = Scripted(lambda _, count: "hold" if count == 1 else None)
    async with _alive(tmp_path, services) as alive:
        instance_id = await _start(alive, SEND, SEND)
        await services.under_way.wait()
        await alive.abort(instance_id)
        assert len(services.writes) == 1
        services.gate.set()

        async def is_settled() -> bool:
            instance = await alive.journal.instance(instance_id)
            assert instance is not None
            return instance.stages[-1].terminated_at is not None

        await _until(is_settled)
        (activity,) = await alive.journal.activities(instance_id, 0)
        with pytest.raises(AlreadyEnded):
            await alive.abort(instance_id)
        assert activity.output is not None and len(services.writes) == 1 and services.booked() == 1


async def test_an_abort_is_answered_once_no_permit_of_an_attempt_is_valid(tmp_path: Path) -> None:
    permit_s = 2.0
    services = Scripted(lambda _, count: "hold" if count == 1 else None)
    async with _alive(tmp_path, services, settle_s=3 * permit_s * TEMPORAL_SPEED) as alive:
        instance_id = await _start(alive, SEND)
        await services.under_way.wait()
        (activity,) = await alive.journal.activities(instance_id, 0)
        assert activity.permitted_at is not None
        age_s = (await alive.journal.clock_at() - activity.permitted_at) / 1e6
        began_s = time.monotonic()
        await alive.abort(instance_id)
        assert time.monotonic() - began_s >= permit_s - age_s
        services.gate.set()


async def test_a_workflow_continues_as_new_and_uses_every_event(tmp_path: Path) -> None:
    """Temporal suggests it after some 4,000 events of history; here after 20."""
    settings = ("limit.historyCount.suggestContinueAsNew=20",)
    server = TemporalServer(tmp_path / "temporal", settings=settings)
    await asyncio.to_thread(server.start)
    services = Scripted()
    from tests.support import engine_processes

    before, engine_processes._started = engine_processes._started, lambda: server  # pyright: ignore[reportPrivateUsage]
    try:
        async with _alive(tmp_path, services) as alive:
            instance_id = await _start(alive, *[WAIT] * 8, SEND)
            for _ in range(8):
                await alive.send_event(instance_id, "go")
                await asyncio.sleep(0.1)
            assert (await alive.ended(instance_id)).error is None
            client = await connect(alive.engine.nudger_options, lazy=False)
            assert services.booked() == 1
            runs = [each async for each in client.list_workflows(f"WorkflowId = '{instance_id}'")]
    finally:
        engine_processes._started = before  # pyright: ignore[reportPrivateUsage]
        server.kill()
    assert len(runs) > 1, "it has continued as new"


@pytest.mark.parametrize("file", sorted(HISTORIES.glob("*.json")), ids=lambda file: file.stem)
async def test_a_stored_history_is_replayed(file: Path) -> None:
    """Whatever the workflow of today does, it does as the release did that wrote the history."""
    history = WorkflowHistory.from_json(file.stem, file.read_text("utf-8"))
    replayer = Replayer(workflows=[InstanceWorkflow], workflow_runner=SANDBOX, data_converter=CONVERTER)
    await replayer.replay_workflow(history)


def test_there_is_a_history_of_each_kind_of_wait() -> None:
    assert {file.stem.rpartition("-")[2] for file in HISTORIES.glob("*.json")} >= {
        "ended",
        "delay",
        "event",
        "backoff",
        "abort",
        "local",
    }


async def history_of(client: Client, instance_id: str) -> str:
    return (await client.get_workflow_handle(instance_id).fetch_history()).to_json()


class _NoInstances:
    """A journal that holds none."""

    async def standing(self, _: str) -> None:
        return None


async def test_a_step_goes_on_after_one_that_has_ended_in_the_same_turn_of_the_loop() -> None:
    """The ended drive is still in the table then. Waiting for it does not yield, and would stop the whole worker."""
    clock, services = SystemClock(), Scripted()
    runners = Runners(clock.now_at, RandomIds().new, Outbox().announce, Policy())
    steps = Steps(
        cast("Journal", _NoInstances()),
        services,
        clock,
        runners,
        EngineLimits(),
        StepLimits(),
        meter=Telemetry(clock),
        backoff=Backoff(1.0, 10.0, lambda: 1.0),
    )
    turns: list[Next] = []

    async def again() -> None:
        turns.append(await ActivityEnvironment().run(steps.step, "i1"))

    first = asyncio.create_task(again())
    while not steps.active_instances:
        await asyncio.sleep(0)
    (drive,) = steps._drives.values()  # pyright: ignore[reportPrivateUsage]
    await first
    steps._drives["i1"] = drive  # pyright: ignore[reportPrivateUsage]
    async with asyncio.timeout(PATIENCE_S):
        await again()
    assert [each.kind for each in turns] == ["ended", "ended"]
    assert steps.active_instances == 0
    await services.close()
