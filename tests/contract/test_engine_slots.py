"""What waits for a slot of a service: it can be aborted, stopped, and holds up no other service."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from headrace.effects.port import Request, Response
from tests.contract.test_engine import SEND, Scripted
from tests.support.engines import every_engine
from tests.support.in_process import CrashPoint, running

__all__ = ["every_engine"]  # a fixture

pytestmark = pytest.mark.needs("is_one_process")  # places within one process

REFUSED = Response(400, b'{"errorCode":"VALIDATION","errorMessage":"no"}', {"content-type": "application/json"})
TO_A_WALLET: dict[str, Any] = {
    "send": {
        "source": {"wallet": {"id": "no-such-wallet"}},
        "destination": {"wallet": {"id": "none-either"}},
        "amount": {"asset": "USD/2", "amount": 1},
    }
}
INGEST: dict[str, Any] = {
    "send": {
        "source": {"payment": {"id": "${payment}"}},
        "destination": {"account": {"id": "bob", "ledger": "main"}},
        "amount": {"asset": "USD/2", "amount": 100},
    }
}


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.002)


def _writes(services: Scripted, instance_id: str) -> int:
    return sum(instance_id.encode() in (request.body or b"") for request in services.writes)


async def test_an_instance_that_is_aborted_while_it_waits_for_a_slot_sends_nothing(tmp_path: Path) -> None:
    services = Scripted(lambda _, count: "hold" if count == 1 else None)
    async with running(tmp_path / "j.db", services, concurrency=1) as alive:
        workflow = await alive.workflow("w", [SEND])
        first = await alive.start(workflow, {})
        await services.under_way.wait()
        waiting = [await alive.start(workflow, {}) for _ in range(3)]
        await asyncio.sleep(0.01)
        await alive.abort(waiting[1].id)
        services.gate.set()
        for instance in (first, waiting[0], waiting[2]):
            assert (await alive.ended(instance.id)).error is None
        await _until(lambda: not alive.engine.active_instances)
        aborted = await alive.ended(waiting[1].id)
        assert aborted.error == "canceled" and aborted.stages[0].terminated_at is not None
    assert _writes(services, waiting[1].id) == 0 and services.booked() == 3
    await services.close()


async def test_a_stop_waits_for_attempts_under_way_and_not_for_those_that_wait_for_a_slot(tmp_path: Path) -> None:
    services = Scripted(lambda _, count: "hold" if count == 1 else None)
    async with running(tmp_path / "j.db", services, concurrency=1, stop_s=3_600.0) as alive:
        workflow = await alive.workflow("w", [SEND])
        instances = [await alive.start(workflow, {}) for _ in range(5)]
        await services.under_way.wait()
        stopping = asyncio.ensure_future(alive.engine.stop())
        await _until(lambda: alive.engine.active_instances == 1)
        services.gate.set()
        async with asyncio.timeout(10):
            await stopping
    assert len(services.writes) == 1
    async with running(tmp_path / "j.db", services) as again:
        for instance in instances:
            assert (await again.ended(instance.id)).error is None
    assert services.booked() == 5
    await services.close()


async def test_look_ups_that_wait_for_a_slot_do_not_hold_up_a_stop(tmp_path: Path) -> None:
    services = Scripted(lambda request, count: "lose" if count <= 3 else "hold")
    limits: dict[str, Any] = {"concurrency": 1, "stop_s": 3_600.0, "retry_base_s": 4000.0, "retry_cap_s": 4000.0}
    async with running(tmp_path / "j.db", services, **limits) as alive:
        workflow = await alive.workflow("w", [SEND])
        instances = [await alive.start(workflow, {}) for _ in range(3)]
        await _until(lambda: len(services.sent) == 3)
        await asyncio.gather(*(alive.abort(instance.id) for instance in instances))
        await _until(lambda: len(services.sent) > 3)
        await asyncio.sleep(0.01)
        under_way = len(services.sent)
        stopping = asyncio.ensure_future(alive.engine.stop())
        await asyncio.sleep(0.01)
        services.gate.set()
        async with asyncio.timeout(10):
            await stopping
        assert len(services.sent) == under_way, "no request began during the stop"
    await services.close()


async def test_instances_that_wait_for_a_failing_service_hold_up_no_other_service(tmp_path: Path) -> None:
    """The ledger fails until its limit is 1, then hangs: what waits for it does not use up the active instances."""

    def plan(request: Request, _: int) -> Any:
        if request.service != "ledger":
            return REFUSED
        return "hold" if limit.value == 1 else "lose"

    services = Scripted(plan)
    async with running(tmp_path / "j.db", services, max_active=4, retry_base_s=4000.0, retry_cap_s=4000.0) as alive:
        limit = alive.engine._services.gates["ledger"]._limit  # pyright: ignore[reportPrivateUsage]
        ledger_only = await alive.workflow("ledger", [SEND])
        wallets_only = await alive.workflow("wallets", [TO_A_WALLET])
        while limit.value > 1:
            await alive.start(ledger_only, {})
            await asyncio.sleep(0.005)
        for _ in range(10):
            await alive.start(ledger_only, {})
        await asyncio.sleep(0.01)
        instance = await alive.start(wallets_only, {})
        assert (await alive.ended(instance.id)).is_terminal
        services.gate.set()
    await services.close()


async def test_reads_look_ups_effects_and_the_creation_of_a_ledger_share_one_limit(tmp_path: Path) -> None:
    class Counting(Scripted):
        def __init__(self) -> None:
            super().__init__()
            self.open = 0
            self.most_open = 0
            self.created = 0

        async def send(self, request: Request) -> Response:
            if request.service != "ledger":
                return await super().send(request)
            self.open += 1
            self.created += request.method == "POST" and request.path.count("/") == 2
            self.most_open = max(self.most_open, self.open)
            try:
                for _ in range(5):
                    await asyncio.sleep(0)
                return await super().send(request)
            finally:
                self.open -= 1

    services = Counting()
    payments: list[str] = []
    for number in range(4):
        body = {
            "reference": f"r{number}",
            "connectorID": "c",
            "createdAt": "2026-01-01T00:00:00Z",
            "type": "PAY-IN",
            "scheme": "other",
            "status": "SUCCEEDED",
            "amount": 100,
            "asset": "USD/2",
        }
        response = services.sandbox.handle(Request("payments", "POST", "/payments", json.dumps(body).encode()))
        payments.append(json.loads(response.body)["data"]["id"])
    async with running(tmp_path / "j.db", services, concurrency=1) as alive:
        workflow = await alive.workflow("ingest", [INGEST])
        instances = await asyncio.gather(*(alive.start(workflow, {"payment": payment}) for payment in payments))
        for instance in instances:
            assert (await alive.ended(instance.id)).error is None
    assert services.created, "a ledger was created"
    assert services.most_open == 1
    await services.close()


async def test_an_intent_that_is_left_to_later_has_begun_no_attempt(tmp_path: Path) -> None:
    """It is stored by a server at its limit. So its first refusal is final, as that of any first attempt."""
    refusal = Response(400, b'{"errorCode":"VALIDATION","errorMessage":"no"}', {"content-type": "application/json"})
    services = Scripted(lambda _, count: {1: "hold", 2: refusal}.get(count))
    crash_point = CrashPoint()
    async with running(tmp_path / "j.db", services, crash_point, max_active=1) as alive:
        workflow = await alive.workflow("w", [SEND])
        await alive.start(workflow, {})
        await services.under_way.wait()
        later = await alive.start(workflow, {})
        (stored,) = await alive.journal.activities(later.id, 0)
        assert stored.attempt == 0
        services.gate.set()
        ended = await alive.ended(later.id)
        assert ended.error is not None and "VALIDATION" in ended.error
        (closed,) = await alive.journal.activities(later.id, 0)
        assert closed.attempt == 1
    assert len(services.sent) == 2, "it was not sent again to make sure"
    begun = [number for number, what in enumerate(crash_point.seen) if "BeginAttempt" in what]
    sends = [number for number, what in enumerate(crash_point.seen) if what.startswith("POST")]
    assert len(begun) == 1 and begun[0] < sends[1]
    await services.close()
