"""A failed instance is continued by a plan of the rest: no effect but those of the plan, in races and crashes."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from headrace.errors import InvalidValue, NotFound, NotInThisState, NotRunnable
from headrace.journal.plan_writes import ExpirePlan
from headrace.journal.port import Unit
from headrace.journal.records import Plan
from headrace.usecases.idempotency import Answer, Caller, CallerKey
from headrace.usecases.plan_runs import run_plan
from headrace.usecases.plans import make_plan
from headrace.usecases.redrive import Continuation, redrive_instance
from tests.contract.test_engine import SEND, WAIT
from tests.contract.test_plan_runs import pay_to
from tests.contract.test_redrive import expected_keys, failed, refused
from tests.support.attention import PAYOUT
from tests.support.engines import every_engine
from tests.support.in_process import CrashPoint, InProcess, running
from tests.support.redrive import EFFECTS, STAGES, Refusing, redrive

__all__ = ["every_engine"]  # a fixture


async def planned(alive: InProcess, instance_id: str) -> Plan:
    plan = (await make_plan(alive.ports, None, {"redrive": instance_id})).value
    assert plan is not None
    return plan


async def by_plan(
    alive: InProcess, instance_id: str, plan: Plan, key: str | None = "by plan", **members: Any
) -> Answer[Continuation]:
    caller = Caller("jane", "redriveInstance", key=None if key is None else CallerKey(key, b"meaning"))
    wanted = {"reason": "as signed", "planID": plan.id, **members}
    return await redrive_instance(alive.ports, caller, instance_id, wanted)


async def not_run(alive: InProcess, instance_id: str, plan: Plan, **members: Any) -> str:
    """The code with which a redrive by a plan is refused; neither a successor nor a use of the plan is stored then."""
    with pytest.raises((NotRunnable, NotInThisState)) as caught:
        await by_plan(alive, instance_id, plan, key=None, **members)
    return caught.value.code


@pytest.mark.parametrize("place", EFFECTS)
async def test_a_continuation_by_a_plan_has_the_effects_of_the_plan(tmp_path: Path, place: tuple[int, int]) -> None:
    """A plan of the rest lacks what is done: that is compared with what was booked, and the rest with the plan."""
    services = Refusing(place)
    async with running(tmp_path / "j.db", services) as alive:
        first = await failed(alive, *STAGES)
        services.refuses = False
        plan = await planned(alive, first.id)
        signed = [(each["stage"], each["ordinal"]) for each in json.loads(plan.document)["effects"]]
        assert signed == [each for each in EFFECTS if each >= place]
        answer = await by_plan(alive, first.id, plan)
        assert (await by_plan(alive, first.id, plan)).target == answer.target, "the same request, the same answer"
        last = await alive.ended(answer.target)
        used = await alive.journal.plan(plan.id)
        assert await refused(alive, first.id) == "has_successor"
    assert (last.error, last.plan_id, services.keys_in_books()) == (None, plan.id, expected_keys(first.id))
    assert used is not None and (used.state, used.instance_id) == ("used", last.id)
    await services.close()


async def test_a_continuation_that_differs_from_its_plan_sends_nothing_and_needs_a_new_plan(tmp_path: Path) -> None:
    """The payee changes after the plan was signed; a plan of the new one pays it, under the key that it had."""
    services = Refusing((0, 1))
    async with running(tmp_path / "j.db", services) as alive:
        first = await failed(alive, PAYOUT, SEND)
        plan = await planned(alive, first.id)
        pay_to(services, "bank-8")
        services.refuses, sent = False, len(services.writes)
        second = await alive.ended((await by_plan(alive, first.id, plan)).target)
        assert (second.failure, len(services.writes), second.plan_id) == ("plan", sent, plan.id)
        assert "body.destinationAccountID is bank-8, signed bank-7" in (second.error or "")
        assert await refused(alive, second.id) == "needs_plan"
        anew = await planned(alive, second.id)
        last = await alive.ended((await by_plan(alive, second.id, anew, "anew")).target)
    assert (last.error, last.plan_id) == (None, anew.id)
    (paid,) = services.call("payments", "GET", "/transfer-initiations")["cursor"]["data"]
    assert (paid["destinationAccountID"], paid["reference"]) == ("bank-8", f"headrace:{first.id}:0:1")
    assert services.keys_in_books() == sorted(f"headrace:{first.id}:{at}" for at in ("0:0", "0:1", "1:0"))
    await services.close()


async def test_a_continuation_without_a_new_plan_keeps_the_last_one(tmp_path: Path) -> None:
    """Of a run by a plan, of its continuation by another one, and over a restart."""
    services = Refusing((0, 1))
    path = tmp_path / "j.db"
    async with running(path, services) as alive:
        workflow = await alive.workflow("w", [PAYOUT, SEND, WAIT, PAYOUT])
        whole = (await make_plan(alive.ports, None, {"workflowID": workflow.id})).value
        assert whole is not None
        first = await alive.ended((await run_plan(alive.ports, None, whole.id, {"hash": whole.hash})).target)
        second = await alive.ended((await redrive(alive, first.id, "1")).target)
        assert [each.plan_id for each in (first, second)] == [whole.id] * 2
        services.place = (1, 0)
        plan = await planned(alive, second.id)
        third = await alive.ended((await by_plan(alive, second.id, plan)).target)
        services.place = None
        fourth = (await redrive(alive, third.id, "2")).target
        async with asyncio.timeout(20):
            while services.booked() < 2 or alive.engine.active_instances:
                await asyncio.sleep(0.002)
    pay_to(services, "bank-8")
    async with running(path, services) as alive:
        await alive.send_event(fourth, "go")
        last = await alive.ended(fourth)
    assert [each.failure for each in (first, second, third, last)] == ["refused", "refused", "refused", "plan"]
    assert third.plan_id == last.plan_id == plan.id and "stage 3, effect 1" in (last.error or "")
    (paid,) = services.call("payments", "GET", "/transfer-initiations")["cursor"]["data"]
    assert paid["destinationAccountID"] == "bank-7"
    await services.close()


async def test_a_plan_continues_its_own_instance_once(tmp_path: Path) -> None:
    services = Refusing((0, 0))
    async with running(tmp_path / "j.db", services) as alive:
        first, other = await failed(alive, SEND), await failed(alive, SEND)
        services.refuses = False
        plan = await planned(alive, first.id)
        fresh = (await make_plan(alive.ports, None, {"workflowID": first.workflow_id})).value
        assert fresh is not None
        for instance_id, foreign in ((other.id, plan), (first.id, fresh)):
            with pytest.raises(InvalidValue, match="planID"):
                await by_plan(alive, instance_id, foreign, key=None)
        with pytest.raises(NotFound):
            await by_plan(alive, first.id, structs.replace(plan, id="none"), key=None)
        with pytest.raises(NotRunnable) as caught:
            await run_plan(alive.ports, None, plan.id, {"hash": plan.hash})
        assert caught.value.code == "is_redrive"
        results = await asyncio.gather(
            *(by_plan(alive, first.id, plan, None) for _ in range(3)),
            *(redrive(alive, first.id, None) for _ in range(2)),
            return_exceptions=True,
        )
        made = [each for each in results if not isinstance(each, BaseException)]
        codes = {each.code for each in results if isinstance(each, NotRunnable | NotInThisState)}
        assert len(made) == 1 and codes <= {"has_successor", "used"}, results
        await alive.ended(made[0].target)
        assert len([each async for page in alive.journal.instances() for each in page]) == 3
    assert services.booked() == 1
    await services.close()


async def test_a_plan_that_would_fail_or_has_expired_continues_nothing(tmp_path: Path) -> None:
    services = Refusing()
    poor = {"send": {**SEND["send"], "amount": {"asset": "USD/2", "amount": 5_000}}}
    async with running(tmp_path / "j.db", services) as alive:
        first = await failed(alive, poor)
        plan = await planned(alive, first.id)
        assert await not_run(alive, first.id, plan) == "would_fail"
        assert await not_run(alive, first.id, plan, acceptFailure=False) == "would_fail"
        unit = Unit()
        at = alive.ports.clock.now_at() + 30 * 86_400_000_000
        unit.add(ExpirePlan(plan_id=plan.id, at=at))
        late = await planned(alive, first.id)
        await alive.journal.commit(unit)
        assert await not_run(alive, first.id, plan, acceptFailure=True) == "expired"
        assert await alive.journal.successor(first.id) is None
        last = await alive.ended((await by_plan(alive, first.id, late, acceptFailure=True)).target)
        assert (last.failure, last.plan_id) == ("refused", late.id)
        for members in ({"planID": 7}, {"planID": late.id, "acceptFailure": 1}, {"acceptFailure": True}):
            with pytest.raises(InvalidValue, match=r"planID|acceptFailure"):
                await redrive_instance(alive.ports, None, last.id, {"reason": "r", **members})
    await services.close()


@pytest.mark.needs("is_one_process")
async def test_a_kill_at_any_point_leaves_one_continuation_and_a_plan_that_is_used(tmp_path: Path) -> None:
    number = 0
    while True:
        for after in (False, True):
            services = Refusing((1, 1))
            file = tmp_path / f"{number}-{after}.db"
            async with running(file, services) as alive:
                first = await failed(alive, *STAGES)
                plan = await planned(alive, first.id)
            services.refuses = False
            point = CrashPoint(number, after=after)
            async with running(file, services, point) as alive:
                await point.over(_ended_by_plan(alive, first.id, plan))
            async with running(file, services) as alive:
                last = await alive.ended((await by_plan(alive, first.id, plan)).target)
                used = await alive.journal.plan(plan.id)
                count = len([each async for page in alive.journal.instances() for each in page])
            assert (last.error, last.plan_id, count) == (None, plan.id, 2), (number, after, point.seen)
            assert used is not None and (used.state, used.instance_id) == ("used", last.id)
            assert services.keys_in_books() == expected_keys(first.id), (number, after)
            await services.close()
        if point.struck_at is None:
            break
        number += 1
    assert any("UsePlan" in each and "AddSuccessor" in each and "AddContinuation" in each for each in point.seen)


async def _ended_by_plan(alive: InProcess, instance_id: str, plan: Plan) -> None:
    await alive.ended((await by_plan(alive, instance_id, plan)).target)
