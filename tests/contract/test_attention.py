"""How many effects wait for a person (decision M6b): what the figure says, over aborts and restarts."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from headrace.effects.port import Request, Response
from headrace.journal.lists import NEWEST, InstanceSearch
from tests.contract.test_engine import SEND, Scripted
from tests.support.engines import every_engine
from tests.support.in_process import InProcess, running

__all__ = ["every_engine"]  # a fixture

JSON = {"content-type": "application/json"}
MISMATCH = Response(400, b'{"errorCode":"VALIDATION","errorMessage":"invalid idempotency hash"}', JSON)
POOR = Response(400, b'{"errorCode":"INSUFFICIENT_FUND","errorMessage":"not enough"}', JSON)
LIMIT_S = 20.0


def figure(alive: InProcess, name: str, **labels: str) -> float:
    for family in text_string_to_metric_families(alive.telemetry.render().decode()):
        for sample in family.samples:
            if (sample.name, sample.labels) == (name, labels):
                return sample.value
    return 0


def needing(alive: InProcess) -> float:
    return figure(alive, "headrace_activities_needing_attention")


def undecided(alive: InProcess, service: str = "wallets") -> float:
    return figure(alive, "headrace_effects_total", service=service, outcome="undecided")


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(LIMIT_S):
        while not condition():
            await asyncio.sleep(0.002)


def crediting(services: Scripted) -> dict[str, Any]:
    body = b'{"name":"w","metadata":{}}'
    wallet = json.loads(services.sandbox.handle(Request("wallets", "POST", "/wallets", body)).body)["data"]["id"]
    source = {"account": {"id": "world", "ledger": "wallets-002"}}
    amount = {"asset": "USD/2", "amount": 100}
    return {"send": {"source": source, "destination": {"wallet": {"id": wallet}}, "amount": amount}}


async def start(alive: InProcess, *stages: dict[str, Any]) -> str:
    return (await alive.start(await alive.workflow("w", list(stages)), {})).id


async def statuses(alive: InProcess) -> list[str]:
    return [each.status for each in await alive.journal.summaries_after(InstanceSearch(), NEWEST, 9)]


async def test_an_instance_is_retrying_until_its_activity_is_done(tmp_path: Path) -> None:
    is_back = False

    def plan(_: Request, __: int) -> Any:
        return None if is_back else Response(503, b"", {})

    services = Scripted(plan)
    async with running(tmp_path / "j.db", services) as alive:
        await start(alive, SEND, {"wait_event": {"event": "go"}})
        async with asyncio.timeout(LIMIT_S):
            while await statuses(alive) != ["retrying"]:
                await asyncio.sleep(0.002)
        is_back = True
        async with asyncio.timeout(LIMIT_S):
            while await statuses(alive) != ["waiting"]:
                await asyncio.sleep(0.002)
    await services.close()


async def test_it_rises_once_stays_over_a_restart_and_falls_with_the_abort(tmp_path: Path) -> None:
    services = Scripted(lambda _, count: MISMATCH if count == 1 else None)
    async with running(tmp_path / "j.db", services) as alive:
        instance_id = await start(alive, SEND)
        await until(lambda: needing(alive) == 1 and not alive.engine.active_instances)
        assert await statuses(alive) == ["attention"]
    async with running(tmp_path / "j.db", services) as again:
        await asyncio.sleep(0.05)
        assert needing(again) == 1
        await again.abort(instance_id)
        assert await statuses(again) == ["aborted"]
        await until(lambda: not again.engine.active_instances)
        assert (needing(again), undecided(again, "ledger")) == (0, 0), "it was found not to be in the books"
    await services.close()


async def test_an_abort_that_cannot_decide_either_is_another_figure(tmp_path: Path) -> None:
    asked = 0

    def plan(request: Request, _: int) -> Any:
        nonlocal asked
        asked += request.path.endswith("/credit")
        return ("lose" if asked == 1 else POOR) if request.path.endswith("/credit") else None

    services = Scripted(plan)
    async with running(tmp_path / "j.db", services) as alive:
        instance_id = await start(alive, crediting(services))
        await until(lambda: needing(alive) == 1 and not alive.engine.active_instances)
        await alive.abort(instance_id)
        await until(lambda: undecided(alive) == 1 and not alive.engine.active_instances)
        assert needing(alive) == 0
    async with running(tmp_path / "j.db", services) as again:
        await asyncio.sleep(0.05)
        assert (needing(again), undecided(again)) == (0, 0)
    await services.close()


async def test_what_only_an_abort_makes_undecided_never_waits_for_a_person(tmp_path: Path) -> None:
    services = Scripted(lambda request, _: "lose" if request.path.endswith("/credit") else None)
    async with running(tmp_path / "j.db", services, retry_base_s=4000.0, retry_cap_s=4000.0) as alive:
        instance_id = await start(alive, crediting(services))
        await until(lambda: any(request.path.endswith("/credit") for request in services.sent))
        await alive.abort(instance_id)
        await until(lambda: undecided(alive) == 1 and not alive.engine.active_instances)
        assert needing(alive) == 0
    await services.close()
