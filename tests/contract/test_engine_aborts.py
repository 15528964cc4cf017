"""Aborts that commit while the engine waits for an answer, or for its turn to record one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from headrace.effects.port import NoResponse, Request, Response
from headrace.errors import AlreadyEnded
from tests.contract.test_engine import PATIENCE_S, SEND, WAIT, Scripted
from tests.contract.test_engine_edges import HeldAfter
from tests.support.engines import every_engine
from tests.support.in_process import InProcess, running

__all__ = ["every_engine"]  # a fixture

REFUSED = Response(400, b'{"errorCode":"VALIDATION","errorMessage":"no"}', {"content-type": "application/json"})


@pytest.fixture
def errors() -> Iterator[list[Any]]:
    """What the engine logs as an unexpected error: each costs its instance a pause of a minute."""
    found: list[Any] = []
    with structlog.testing.capture_logs() as lines:
        yield found
        found += [line for line in lines if line["log_level"] == "error"]
    assert not found, found


async def _to_a_wallet(services: Scripted, alive: InProcess) -> str:
    """An instance whose first activity is a read of wallets."""
    wallet = services.sandbox.handle(Request("wallets", "POST", "/wallets", b'{"name":"w","metadata":{}}'))
    send = {
        "source": {"account": {"id": "alice", "ledger": "main"}},
        "destination": {"wallet": {"id": json.loads(wallet.body)["data"]["id"]}},
        "amount": {"asset": "USD/2", "amount": 1},
    }
    return (await alive.start(await alive.workflow("to a wallet", [{"send": send}, WAIT]), {})).id


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.002)


async def _abort_just_before_the_answer(alive: InProcess, instance_id: str, services: Scripted) -> None:
    """The abort waits for the instance's lock, and the outcome of the activity waits behind the abort."""
    active = alive.engine._active[instance_id]  # pyright: ignore[reportPrivateUsage]
    async with active.lock:
        aborting = asyncio.ensure_future(alive.abort(instance_id))
        await _until(lambda: bool(active.aborts))
        await asyncio.sleep(0.01)
        services.gate.set()
        await asyncio.sleep(0.01)
    await aborting


@pytest.mark.needs("is_one_process")
@pytest.mark.usefixtures("errors")
@pytest.mark.parametrize("answer", [None, REFUSED, Response(500), "lose"], ids=["found", "refused", "unknown", "lost"])
async def test_an_abort_that_commits_while_a_read_is_answered(answer: Any, tmp_path: Path) -> None:
    class Held(Scripted):
        async def send(self, request: Request) -> Response:
            self.sent.append(request)
            self.under_way.set()
            await self.gate.wait()
            if answer == "lose":
                raise NoResponse("lost before it arrived")
            return answer or self.sandbox.handle(request)

    services = Held()
    async with running(tmp_path / "j.db", services) as alive:
        instance_id = await _to_a_wallet(services, alive)
        await services.under_way.wait()
        await _abort_just_before_the_answer(alive, instance_id, services)
        await _until(lambda: not alive.engine.active_instances)
        instance = await alive.journal.instance(instance_id)
        assert instance is not None
        assert [(stage.error, stage.terminated_at) for stage in instance.stages] == [
            ("canceled", instance.terminated_at)
        ]
        assert await alive.journal.activities(instance_id, 0) == []
        assert len(services.sent) == 1
    await services.close()


@pytest.mark.needs("is_one_process")
@pytest.mark.usefixtures("errors")
async def test_an_abort_that_commits_while_the_creation_of_a_ledger_is_refused(tmp_path: Path) -> None:
    """The effect itself was never sent, so the abort closes it, whatever the creation answered."""
    payment = {
        "data": {
            "id": "p1",
            "reference": "r",
            "type": "PAY-IN",
            "status": "SUCCEEDED",
            "initialAmount": 100,
            "amount": 100,
            "asset": "USD/2",
            "createdAt": "2026-01-01T00:00:00Z",
        }
    }
    asked: list[str] = []

    class Payments(Scripted):
        async def send(self, request: Request) -> Response:
            asked.append(f"{request.method} {request.path.partition('?')[0]}")
            if request.service == "payments":
                return Response(200, json.dumps(payment).encode(), {"content-type": "application/json"})
            if request.method == "GET":
                body = b'{"errorCode":"LEDGER_NOT_FOUND","errorMessage":"no ledger"}'
                return Response(404, body, {"content-type": "application/json"})
            self.under_way.set()
            await self.gate.wait()
            return REFUSED

    services = Payments()
    send = {
        "source": {"payment": {"id": "p1"}},
        "destination": {"account": {"id": "bob", "ledger": "main"}},
        "amount": {"asset": "USD/2", "amount": 100},
    }
    async with running(tmp_path / "j.db", services) as alive:
        instance_id = (await alive.start(await alive.workflow("ingest", [{"send": send}]), {})).id
        async with asyncio.timeout(PATIENCE_S):
            await services.under_way.wait()
        assert asked[-1].startswith("POST /v2/"), asked
        await _abort_just_before_the_answer(alive, instance_id, services)
        await _until(lambda: not alive.engine.active_instances)
        activity = (await alive.journal.activities(instance_id, 0))[-1]
        assert (activity.name, activity.error) == ("CreateTransaction", "canceled")
        assert b'headrace_effects_total{outcome="refused",service="ledger"} 0.0' in alive.telemetry.render()
    await services.close()


@pytest.mark.usefixtures("errors")
async def test_an_event_that_wakes_an_instance_during_its_abort_ends_no_stage_twice(tmp_path: Path) -> None:
    services, gate = Scripted(), HeldAfter("WaitForEvent")
    async with running(tmp_path / "j.db", services, gate, publishes=True) as alive:
        instance_id = (await alive.start(await alive.workflow("w", [SEND, WAIT]), {})).id
        await gate.is_reached.wait()
        await alive.send_event(instance_id, "go")
        aborting = asyncio.ensure_future(alive.abort(instance_id))
        await asyncio.sleep(0.01)
        gate.opens.set()
        await aborting
        await _until(lambda: not alive.engine.active_instances)
    ended = [what for what in gate.seen if what.startswith("commit") and "CloseStage" in what]
    assert len(ended) == 2, ended
    await services.close()


@pytest.mark.usefixtures("errors")
async def test_aborts_at_every_moment_of_a_read_leave_no_error_and_nothing_in_memory(tmp_path: Path) -> None:
    turns = iter(range(10**6))

    class Suspending(Scripted):
        async def send(self, request: Request) -> Response:
            for _ in range(next(turns) % 5):
                await asyncio.sleep(0)
            return await super().send(request)

    services = Suspending()
    async with running(tmp_path / "j.db", services) as alive:
        for number in range(150):
            instance_id = await _to_a_wallet(services, alive)
            for _ in range(number % 13):
                await asyncio.sleep(0)
            try:
                await alive.abort(instance_id)
            except AlreadyEnded:
                continue
        await _until(lambda: not alive.engine.active_instances)
    await services.close()


@pytest.mark.needs("is_one_process")
async def test_an_abort_that_is_set_is_ahead_of_every_attempt_that_has_not_begun(tmp_path: Path) -> None:
    """What sees that an abort is set waits for the lock, and must get it after the abort."""
    services = Scripted(lambda _, count: "lose" if count == 1 else None)
    async with running(tmp_path / "j.db", services, retry_base_s=4000.0, retry_cap_s=4000.0) as alive:
        instance_id = (await alive.start(await alive.workflow("w", [SEND]), {})).id
        await services.under_way.wait()
        active = alive.engine._active[instance_id]  # pyright: ignore[reportPrivateUsage]
        async with active.lock:
            aborting = asyncio.ensure_future(alive.abort(instance_id))
            while not active.aborts:
                await asyncio.sleep(0)
        async with active.lock:
            assert active.runner.ended_at is not None, "an attempt would have begun here"
        await aborting
        assert len(services.writes) == 1
    await services.close()
