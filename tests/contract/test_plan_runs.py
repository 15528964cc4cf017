"""A plan starts one instance, which does what was signed: by every engine, in races, crashes and restarts."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from headrace.effects.port import Request
from headrace.errors import NotRunnable
from headrace.journal.records import Instance, Plan
from headrace.usecases.idempotency import Caller, CallerKey
from headrace.usecases.plan_runs import run_plan
from headrace.usecases.plans import make_plan
from tests.contract.test_engine import SEND, WAIT, Scripted
from tests.support.engines import every_engine
from tests.support.in_process import CrashPoint, InProcess, running

__all__ = ["every_engine"]  # a fixture

PAYOUT: dict[str, Any] = {
    "send": {
        "source": {"account": {"id": "alice", "ledger": "main"}},
        "destination": {"payment": {"psp": "stripe", "type": "PAYOUT"}},
        "amount": {"asset": "USD/2", "amount": 100},
    }
}


def pay_to(services: Scripted, account: str) -> None:
    """Write the payee of payouts, as somebody does between plan and run."""
    body = json.dumps({"formanceAccountID": account}).encode()
    assert services.sandbox.handle(Request("ledger", "POST", "/v2/main/accounts/alice/metadata", body)).status < 300


async def planned(alive: InProcess, *stages: dict[str, Any]) -> Plan:
    workflow = await alive.workflow("w", list(stages))
    plan = (await make_plan(alive.ports, None, {"workflowID": workflow.id})).value
    assert plan is not None
    return plan


async def run(alive: InProcess, plan: Plan, key: str = "run") -> str:
    """Gives the id of the instance."""
    caller = Caller("jane", "runPlan", key=CallerKey(key, key.encode()))
    return (await run_plan(alive.ports, caller, plan.id, {"hash": plan.hash})).target


async def all_instances(alive: InProcess) -> list[Instance]:
    return [each async for page in alive.journal.instances() for each in page]


async def test_a_plan_is_run_once_and_the_instance_knows_it(tmp_path: Path) -> None:
    services = Scripted()
    async with running(tmp_path / "j.db", services) as alive:
        plan = await planned(alive, SEND, SEND)
        instance = await alive.ended(await run(alive, plan))
        assert await run(alive, plan) == instance.id, "the same request again has the same answer"
        with pytest.raises(NotRunnable) as caught:
            await run(alive, plan, "another")
        stored = await alive.journal.plan(plan.id)
    assert caught.value.code == "used"
    assert (instance.error, instance.plan_id, services.booked()) == (None, plan.id, 2)
    assert stored is not None and (stored.state, stored.instance_id) == ("used", instance.id)
    await services.close()


async def test_of_many_requests_at_once_one_starts_it(tmp_path: Path) -> None:
    services = Scripted()
    async with running(tmp_path / "j.db", services) as alive:
        plan = await planned(alive, SEND)
        found = await asyncio.gather(*(run(alive, plan, f"k{n}") for n in range(6)), return_exceptions=True)
        (instance_id,) = [each for each in found if isinstance(each, str)]
        assert {each.code for each in found if isinstance(each, NotRunnable)} == {"used"} and len(found) == 6
        await alive.ended(instance_id)
        assert [each.id for each in await all_instances(alive)] == [instance_id]
    assert services.booked() == 1
    await services.close()


async def test_a_plan_that_expired_before_its_commit_stays_expired_though_the_clock_is_set_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    services = Scripted()
    async with running(tmp_path / "j.db", services) as alive:
        plan = await planned(alive, SEND)
        runners = alive.ports.runners
        context = runners._context  # pyright: ignore[reportPrivateUsage]
        later = replace(context, now=lambda: context.now() + 2 * 86_400_000_000)
        monkeypatch.setattr(runners, "_context", later)
        with pytest.raises(NotRunnable) as caught:
            await run(alive, plan)
        monkeypatch.undo()
        with pytest.raises(NotRunnable) as again:
            await run(alive, plan, "another")
        stored = await alive.journal.plan(plan.id)
    assert (caught.value.code, again.value.code) == ("expired", "expired")
    assert stored is not None and stored.state == "expired" and services.booked() == 0
    await services.close()


async def test_a_changed_payee_is_not_paid_and_the_debit_is_named(tmp_path: Path) -> None:
    services = Scripted()
    pay_to(services, "acc_1")
    async with running(tmp_path / "j.db", services) as alive:
        plan = await planned(alive, PAYOUT)
        pay_to(services, "acc_thief")
        instance = await alive.ended(await run(alive, plan))
        activities = await alive.journal.activities(instance.id, 0)
    assert (instance.failure, instance.failure_code) == ("plan", None)
    text = "plan: stage 0, effect 1: body.destinationAccountID is acc_thief, signed acc_1; already booked: "
    assert (instance.error or "").startswith(text)
    assert "CreateTransferInitiation" not in [row.name for row in activities], "its intent was stored"
    assert not [each for each in services.writes if each.service == "payments"], "it was sent"
    await services.close()


async def test_a_restart_in_the_middle_keeps_the_pin(tmp_path: Path) -> None:
    services = Scripted()
    pay_to(services, "acc_1")
    async with running(tmp_path / "j.db", services) as alive:
        plan = await planned(alive, SEND, WAIT, PAYOUT)
        instance_id = await run(alive, plan)
        async with asyncio.timeout(60):
            while services.booked() < 1 or alive.engine.active_instances:
                await asyncio.sleep(0.002)
    pay_to(services, "acc_thief")
    async with running(tmp_path / "j.db", services) as again:
        await again.send_event(instance_id, "go")
        instance = await again.ended(instance_id)
    assert instance.failure == "plan" and "stage 2, effect 1" in (instance.error or "")
    assert not [each for each in services.writes if each.service == "payments"]
    await services.close()


@pytest.mark.needs("is_one_process")
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_a_kill_at_each_commit_and_each_request_leaves_one_instance_that_ends(
    tmp_path: Path, after: bool
) -> None:
    """Killed before or after each interaction, the request is repeated under its key until it is answered."""
    plain = CrashPoint()
    services = Scripted()
    pay_to(services, "acc_1")
    async with running(tmp_path / "plain.db", services, plain) as alive:
        plan = await planned(alive, SEND, PAYOUT)
        first = len(plain.seen)
        await alive.ended(await run(alive, plan))
    await services.close()
    assert any("UsePlan" in each and "AddInstance" in each for each in plain.seen), "one unit"
    for at in range(first, len(plain.seen)):
        services = Scripted()
        pay_to(services, "acc_1")
        path, crash = tmp_path / f"{at}.db", CrashPoint(at, after=after)
        async with running(path, services, crash) as alive:
            plan = await planned(alive, SEND, PAYOUT)

            async def live(alive: InProcess = alive, plan: Plan = plan) -> None:
                await alive.ended(await run(alive, plan))

            await crash.over(live())
        async with running(path, services) as again:
            instance = await again.ended(await run(again, plan))
            assert (instance.error, instance.plan_id) == (None, plan.id), (at, plain.seen[at])
            assert len(await all_instances(again)) == 1
            stored = await again.journal.plan(plan.id)
            assert stored is not None and (stored.state, stored.instance_id) == ("used", instance.id)
        initiations = services.sandbox.handle(Request("payments", "GET", "/transfer-initiations"))
        assert services.booked() == 2 and initiations.body.count(b'"acc_1"') == 1, (at, plain.seen[at])
        await services.close()
