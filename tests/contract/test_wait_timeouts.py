"""A wait for an event that has a time: the journal decides between the event and the time, on every engine."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from headrace.errors import AlreadyEnded
from headrace.journal.records import Instance
from headrace.usecases.idempotency import Caller
from headrace.usecases.redrive import redrive_instance
from tests.contract.test_engine import SEND, Scripted
from tests.support.engines import every_engine
from tests.support.in_process import CrashPoint, InProcess, running

__all__ = ["every_engine"]  # a fixture

LIMIT_S = 30.0


def wait(timeout: str, **more: Any) -> dict[str, Any]:
    return {"wait_event": {"event": "go", "timeout": timeout, **more}}


async def started(alive: InProcess, *stages: dict[str, Any]) -> str:
    return (await alive.start(await alive.workflow("w", list(stages)), {})).id


async def at_rest(alive: InProcess) -> None:
    async with asyncio.timeout(LIMIT_S):
        while alive.engine.active_instances:
            await asyncio.sleep(0.002)


def outcomes(instance: Instance) -> list[str | None]:
    return [stage.outcome for stage in instance.stages]


async def test_a_wait_without_its_event_fails_when_its_time_is_over(tmp_path: Path) -> None:
    services = Scripted()
    async with running(tmp_path / "j.db", services) as alive:
        instance = await alive.ended(await started(alive, wait("1s"), SEND))
    stage = instance.stages[0]
    assert (instance.failure, instance.error) == ("timeout", "timeout: the event 'go' has not come in time")
    assert stage.terminated_at is not None and stage.terminated_at - stage.started_at >= 1_000_000
    assert (outcomes(instance), services.booked()) == (["timeout"], 0)
    await services.close()


async def test_or_it_goes_on(tmp_path: Path) -> None:
    services = Scripted()
    async with running(tmp_path / "j.db", services) as alive:
        instance = await alive.ended(await started(alive, wait("1s", on_timeout="continue"), SEND))
    assert (instance.error, outcomes(instance), services.booked()) == (None, ["timeout", None], 1)
    await services.close()


@pytest.mark.parametrize("early", [True, False])
async def test_an_event_in_time_is_used(tmp_path: Path, early: bool) -> None:
    services = Scripted()
    first = {"wait_event": {"event": "first"}}
    async with running(tmp_path / "j.db", services) as alive:
        instance_id = await started(alive, first, wait("24h"), SEND)
        await alive.send_event(instance_id, "go" if early else "first")
        await at_rest(alive)
        await alive.send_event(instance_id, "first" if early else "go")
        instance = await alive.ended(instance_id)
    assert (instance.error, outcomes(instance), services.booked()) == (None, [None, None, None], 1)
    await services.close()


@pytest.mark.needs("skips_time")
async def test_an_event_that_came_while_no_server_ran_is_used_however_late(tmp_path: Path) -> None:
    """The time is over when the server is back; the journal holds the event, so the wait has it."""
    services, crash = Scripted(), CrashPoint()
    async with running(tmp_path / "j.db", services, crash) as alive:
        instance_id = await started(alive, wait("100s"), SEND)
        await at_rest(alive)
        unit_written = asyncio.ensure_future(alive.send_event(instance_id, "go"))
        await unit_written
        crash.has_struck.set()
    await asyncio.sleep(0.6)  # 120 s of the fast clock
    async with running(tmp_path / "j.db", services) as again:
        instance = await again.ended(instance_id)
    assert (instance.error, services.booked()) == (None, 1)
    await services.close()


@pytest.mark.parametrize("number", range(3))
async def test_an_event_and_the_end_of_the_time_at_once(tmp_path: Path, number: int) -> None:
    """The event is accepted and used, or it is refused and the wait has failed."""
    services = Scripted()
    async with running(tmp_path / f"{number}.db", services) as alive:
        ids = [await started(alive, wait("2s"), SEND) for _ in range(5)]

        async def send(instance_id: str, after_s: float) -> bool:
            """Whether the event was accepted."""
            await alive.ports.clock.sleep(after_s)
            try:
                await alive.send_event(instance_id, "go")
            except AlreadyEnded:
                return False
            return True

        sent = [send(each, 1.99 + 0.005 * place) for place, each in enumerate(ids)]
        accepted = await asyncio.gather(*sent)
        ended = [await alive.ended(each) for each in ids]
    for instance, is_accepted in zip(ended, accepted, strict=True):
        used, late = (None, [None, None]), ("timeout", ["timeout"])
        assert (instance.failure, outcomes(instance)) == (used if is_accepted else late)
    assert services.booked() == sum(each.failure is None for each in ended)
    await services.close()


async def test_what_timed_out_is_redriven_and_waits_anew(tmp_path: Path) -> None:
    services = Scripted()
    async with running(tmp_path / "j.db", services) as alive:
        first = await alive.ended(await started(alive, SEND, wait("1s"), SEND))
        answer = await redrive_instance(alive.ports, Caller("jane", "redriveInstance"), first.id, {"reason": "r"})
        last = await alive.ended(answer.target)
    assert (first.failure, last.failure, services.booked()) == ("timeout", "timeout", 1)
    await services.close()


@pytest.mark.needs("is_one_process")
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_a_kill_at_each_commit_ends_the_wait_once(tmp_path: Path, after: bool) -> None:
    plain, services = CrashPoint(), Scripted()
    stages = (wait("1s", on_timeout="continue"), SEND, wait("1s"))
    async with running(tmp_path / "plain.db", services, plain) as alive:
        workflow = await alive.workflow("w", list(stages))
        first = len(plain.seen)
        await alive.ended(await alive.run_once(workflow, {}))
    await services.close()
    for at in range(first, len(plain.seen)):
        services = Scripted()
        path, crash = tmp_path / f"{at}.db", CrashPoint(at, after=after)
        async with running(path, services, crash) as alive:
            workflow = await alive.workflow("w", list(stages))

            async def live(alive: InProcess = alive, workflow: Any = workflow) -> None:
                await alive.ended(await alive.run_once(workflow, {}))

            await crash.over(live())
        async with running(path, services) as again:
            workflow = await again.workflow("w", list(stages))
            instance = await again.ended(await again.run_once(workflow, {}))
        assert (instance.failure, outcomes(instance)) == ("timeout", ["timeout", None, "timeout"]), plain.seen[at]
        assert services.booked() == 1, plain.seen[at]
        await services.close()
