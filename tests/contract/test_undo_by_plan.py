"""An undo by a plan has no effect but those of the plan; a failed undo goes on without an effect that is kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from headrace.cli.plan_text import plan_lines
from headrace.errors import InvalidValue, NotInThisState, NotRunnable
from headrace.journal.records import Plan
from headrace.usecases.descriptions import described
from headrace.usecases.idempotency import Caller, CallerKey
from headrace.usecases.plan_runs import run_plan
from headrace.usecases.plans import make_plan
from headrace.usecases.redrive import redrive_instance
from tests.contract.test_engine import CROSS, SEND, WAIT
from tests.contract.test_redrive_by_plan import by_plan
from tests.contract.test_resolve import started
from tests.contract.test_undo_instance import balances, state_of, undo
from tests.support.attention import PAYOUT
from tests.support.engines import every_engine
from tests.support.in_process import CrashPoint, InProcess, running
from tests.support.redrive import EFFECTS, STAGES, Refusing, redrive

__all__ = ["every_engine"]  # a fixture

WAITING: dict[str, Any] = {
    "send": {**PAYOUT["send"], "destination": {"payment": {"psp": "dummy-pay", "waitingValidation": True}}}
}


async def planned(alive: InProcess, verb: str, instance_id: str, **members: Any) -> Plan:
    plan = (await make_plan(alive.ports, None, {verb: instance_id, **members})).value
    assert plan is not None
    return plan


async def undo_by(alive: InProcess, instance_id: str, plan: Plan, key: str | None = "undo", **members: Any) -> str:
    return (await undo(alive, instance_id, key, planID=plan.id, **members)).target


def spend(services: Refusing, account: str, amount: int) -> None:
    posting = {"source": account, "destination": "shop", "amount": amount, "asset": "USD/2"}
    services.call("ledger", "POST", "/v2/main/transactions", {"metadata": {}, "postings": [posting]})


@pytest.mark.parametrize("place", [*EFFECTS[1:], None])
async def test_an_undo_by_a_plan_has_the_effects_of_the_plan(tmp_path: Path, place: tuple[int, int] | None) -> None:
    services = Refusing(place)
    async with running(tmp_path / "j.db", services) as alive:
        case = await alive.ended(await started(alive, *STAGES))
        services.place = None
        sent = len(services.writes)
        plan = await planned(alive, "undo", case.id)
        document = json.loads(plan.document)
        assert len(services.writes) == sent and document["verdict"] == "succeeds"
        assert document["from"]["instance"] == case.id
        assert document["from"]["stage"] == case.stages[-1].number
        undo_id = await undo_by(alive, case.id, plan)
        assert await undo_by(alive, case.id, plan) == undo_id, "the same request, the same answer"
        ended = await alive.ended(undo_id)
        used = await alive.journal.plan(plan.id)
        rows = [row for stage in ended.stages for row in await alive.journal.activities(ended.id, stage.number)]
    assert (ended.error, ended.plan_id, ended.kind) == (None, plan.id, "undo")
    assert [row.name for row in rows if row.key] == [each["activity"] for each in document["effects"]]
    assert used is not None and (used.state, used.instance_id) == ("used", ended.id)
    await services.close()


async def test_a_payout_is_rejected_or_reversed_as_planned(tmp_path: Path) -> None:
    services = Refusing()
    initial = balances(services)
    async with running(tmp_path / "j.db", services) as alive:
        case = await alive.ended(await started(alive, WAITING))
        plan = await planned(alive, "undo", case.id)
        effects = [each["activity"] for each in json.loads(plan.document)["effects"]]
        assert effects == ["RejectTransferInitiation", "RevertTransaction"]
        ended = await alive.ended(await undo_by(alive, case.id, plan))
        paid = await alive.ended((await alive.start(await alive.workflow("p", [PAYOUT]), {})).id)
        with pytest.raises(NotInThisState) as caught:
            await planned(alive, "undo", paid.id)
        back = await planned(alive, "undo", paid.id, external="reverse")
        document = json.loads(back.document)
    assert (ended.error, balances(services)[0]) == (None, initial[0] - 100)
    assert caught.value.code == "nothing_to_undo"
    effects = [each["activity"] for each in document["effects"]]
    assert effects == ["ReverseTransferInitiation", "RevertTransaction"]
    assert document["totals"] == {"USD/2": {"sent": 0, "externalIn": 100, "externalOut": 0}}
    lines = plan_lines({**json.loads(back.subject), **document})
    assert "  1. DUMMY-PAY is asked to reverse its payout of 1.00 USD to bank-7" in lines
    assert "  The payout of 1.00 USD to bank-7 is PROCESSED" in lines
    assert "  DUMMY-PAY carries out the reversal of its payout of 1.00 USD to bank-7" in lines
    earlier = plan_lines(document)  # of a release whose plans do not name their payouts
    assert max(len(line) for line in (*lines, *earlier)) <= 80
    assert any(line.startswith("  1. The provider is asked to reverse its payout …") for line in earlier)
    await services.close()


async def test_an_undo_that_would_do_something_else_now_is_refused(tmp_path: Path) -> None:
    """The payout is paid meanwhile: what funded it must stay."""
    services = Refusing()
    async with running(tmp_path / "j.db", services) as alive:
        case = await alive.ended(await started(alive, SEND, WAITING))
        plan = await planned(alive, "undo", case.id)
        (payout,) = services.call("payments", "GET", "/transfer-initiations")["cursor"]["data"]
        services.call("payments", "POST", f"/transfer-initiations/{payout['id']}/status", {"status": "VALIDATED"})
        services.call("payments", "POST", f"/transfer-initiations/{payout['id']}/status", {"status": "PROCESSED"})
        sent = len(services.writes)
        with pytest.raises(NotRunnable) as caught:
            await undo_by(alive, case.id, plan, None)
        assert (caught.value.code, len(services.writes)) == ("definition_differs", sent)
        assert await alive.journal.successor(case.id) is None
        with pytest.raises(NotRunnable) as caught:
            await run_plan(alive.ports, None, plan.id, {"hash": plan.hash})
        assert caught.value.code == "is_undo"
        with pytest.raises(InvalidValue, match="external"):
            await undo_by(alive, case.id, plan, None, external="keep")
        other = await alive.ended((await alive.start(await alive.workflow("s", [SEND]), {})).id)
        with pytest.raises(InvalidValue, match="planID"):
            await undo_by(alive, other.id, plan, None)
    await services.close()


async def test_what_was_reverted_by_hand_ends_a_planned_undo_and_a_new_plan_goes_on(tmp_path: Path) -> None:
    """The number of effects of a stage is signed. The plan of the redrive lacks the one that is left."""
    services = Refusing()
    initial = balances(services)
    async with running(tmp_path / "j.db", services) as alive:
        case = await alive.ended(await started(alive, SEND, SEND))
        plan = await planned(alive, "undo", case.id)
        rows = services.call("ledger", "GET", "/v2/main/transactions")["cursor"]["data"]
        first = min(row["id"] for row in rows if row.get("reference"))
        services.call("ledger", "POST", f"/v2/main/transactions/{first}/revert", {})
        failed = await alive.ended(await undo_by(alive, case.id, plan))
        assert (failed.failure, len(failed.stages)) == ("plan", 2)
        with pytest.raises(NotInThisState) as caught:
            await redrive(alive, failed.id, None)
        assert caught.value.code == "needs_plan"
        rest = await planned(alive, "redrive", failed.id)
        assert json.loads(rest.document)["effects"] == []
        last = await alive.ended((await by_plan(alive, failed.id, rest)).target)
        assert (last.error, await state_of(alive, case)) == (None, ("undone", []))
    assert balances(services) == initial
    await services.close()


async def test_a_plan_shows_that_the_receiver_has_spent_it(tmp_path: Path) -> None:
    services = Refusing()
    async with running(tmp_path / "j.db", services) as alive:
        case = await alive.ended(await started(alive, SEND))
        spend(services, "bob", 40)
        plan = await planned(alive, "undo", case.id)
        fails = json.loads(plan.document)["fails"]
        assert (fails["code"], fails["account"], fails["missing"]) == ("INSUFFICIENT_FUND", "bob", 40)
        with pytest.raises(NotRunnable) as caught:
            await undo_by(alive, case.id, plan, None)
        assert caught.value.code == "would_fail"
        ended = await alive.ended(await undo_by(alive, case.id, plan, acceptFailure=True))
        assert (ended.failure, ended.failure_code) == ("refused", "INSUFFICIENT_FUND")
    await services.close()


@pytest.mark.needs("is_one_process")
async def test_a_kill_at_any_point_leaves_one_undo_and_a_plan_that_is_used(tmp_path: Path) -> None:
    number = 0
    while True:
        for after in (False, True):
            services = Refusing()
            initial = balances(services)
            file = tmp_path / f"{number}-{after}.db"
            async with running(file, services) as alive:
                case = await alive.ended(await started(alive, CROSS))
                plan = await planned(alive, "undo", case.id)
            point = CrashPoint(number, after=after)
            async with running(file, services, point) as alive:
                await point.over(_undone(alive, case.id, plan))
            async with running(file, services) as alive:
                ended = await alive.ended(await undo_by(alive, case.id, plan))
                count = len([each async for page in alive.journal.instances() for each in page])
            assert (ended.error, ended.plan_id, count) == (None, plan.id, 2), (number, after, point.seen)
            assert balances(services) == initial
            await services.close()
        if point.struck_at is None:
            break
        number += 1
    assert any("UsePlan" in each and "AddSuccessor" in each and "AddInstance" in each for each in point.seen)


async def _undone(alive: InProcess, instance_id: str, plan: Plan) -> None:
    await alive.ended(await undo_by(alive, instance_id, plan))


async def test_only_what_has_ended_is_planned(tmp_path: Path) -> None:
    services = Refusing()
    async with running(tmp_path / "j.db", services) as alive:
        waiting = await started(alive, WAIT)
        with pytest.raises(NotInThisState) as caught:
            await planned(alive, "undo", waiting)
        assert caught.value.code == "running"
        for members in ({"external": "keep"}, {"variables": {}}):
            with pytest.raises(InvalidValue):
                await make_plan(alive.ports, None, {"redrive": waiting, **members})
        with pytest.raises(InvalidValue, match="external"):
            await planned(alive, "undo", waiting, external="force")
    await services.close()


# left out


async def skip(alive: InProcess, instance_id: str, key: str | None = "skip", **members: Any) -> str:
    caller = Caller("jane", "redriveInstance", key=None if key is None else CallerKey(key, b"meaning"))
    wanted = {"reason": "the shop keeps it", "skip": True, **members}
    return (await redrive_instance(alive.ports, caller, instance_id, wanted)).target


@pytest.mark.parametrize("is_last", [False, True])
@pytest.mark.parametrize("is_planned", [False, True])
async def test_an_effect_that_a_person_leaves_out_is_kept(tmp_path: Path, is_last: bool, is_planned: bool) -> None:
    """The first or the last effect of the undo; what was reverted before and after it stays reverted."""
    services = Refusing()
    initial = balances(services)
    to_carol = {"send": {**SEND["send"], "destination": {"account": {"id": "carol", "ledger": "main"}}}}
    stages = [SEND, to_carol] if is_last else [to_carol, SEND]
    async with running(tmp_path / "j.db", services) as alive:
        case = await alive.ended(await started(alive, *stages))
        plan = await planned(alive, "undo", case.id) if is_planned else None
        spend(services, "bob", 40)
        failed = await alive.ended(
            (await undo(alive, case.id)).target if plan is None else await undo_by(alive, case.id, plan)
        )
        assert (failed.failure, await state_of(alive, case)) == ("refused", ("undo_failed", []))
        last = await alive.ended(await skip(alive, failed.id))
        assert await skip(alive, failed.id) == last.id
        place = "0:0" if is_last else "1:0"
        assert await state_of(alive, case) == await state_of(alive, last) == ("undone_but", [place])
        found = (await described(alive.ports, case.id)).undo
        rows = [await alive.journal.activities(last.id, stage.number) for stage in last.stages]
    assert (last.error, len(last.stages), last.plan_id) == (None, 2, failed.plan_id)
    assert [sum(bool(row.key) and row.error is None for row in each) for each in rows] == (
        [1, 0] if is_last else [0, 1]
    )
    assert found is not None and "the shop keeps it" in found.kept[0].reason and "spent" in found.kept[0].reason
    assert balances(services)[:2] == [initial[0] - 100, initial[1] + 60] and services.balance("carol") == 0
    await services.close()


async def test_two_effects_are_left_out_one_after_the_other(tmp_path: Path) -> None:
    services = Refusing()
    async with running(tmp_path / "j.db", services) as alive:
        case = await alive.ended(await started(alive, SEND, SEND))
        spend(services, "bob", 200)
        failed = await alive.ended((await undo(alive, case.id)).target)
        second = await alive.ended(await skip(alive, failed.id))
        assert (second.failure, await state_of(alive, case)) == ("refused", ("undo_failed", ["1:0"]))
        last = await alive.ended(await skip(alive, second.id, "again"))
        assert (last.error, await state_of(alive, case)) == (None, ("undone_but", ["1:0", "0:0"]))
    await services.close()


async def test_only_what_an_undo_could_not_revert_is_left_out(tmp_path: Path) -> None:
    services = Refusing((0, 0))
    async with running(tmp_path / "j.db", services) as alive:
        case = await alive.ended(await started(alive, SEND))
        with pytest.raises(NotInThisState) as caught:
            await skip(alive, case.id, None)
        assert caught.value.code == "not_undo"
        services.place = None
        done = await alive.ended((await redrive(alive, case.id)).target)
        plan = await planned(alive, "undo", done.id)
        rows = services.call("ledger", "GET", "/v2/main/transactions")["cursor"]["data"]
        (ours,) = [row["id"] for row in rows if row.get("reference")]
        services.call("ledger", "POST", f"/v2/main/transactions/{ours}/revert", {})
        left = await alive.ended(await undo_by(alive, done.id, plan))
        with pytest.raises(NotInThisState) as caught:
            await skip(alive, left.id, None)
        assert (left.failure, caught.value.code) == ("plan", "needs_plan")
        for members in ({"skip": 1}, {"skip": True, "planID": plan.id}):
            with pytest.raises(InvalidValue, match="skip"):
                await skip(alive, left.id, None, **members)
    await services.close()


@pytest.mark.needs("is_one_process")
async def test_a_kill_at_any_point_leaves_one_effect_out(tmp_path: Path) -> None:
    number = 0
    while True:
        for after in (False, True):
            services = Refusing()
            file = tmp_path / f"{number}-{after}.db"
            async with running(file, services) as alive:
                case = await alive.ended(await started(alive, CROSS, SEND))
                spend(services, "bob", 40)
                failed = await alive.ended((await undo(alive, case.id)).target)
            point = CrashPoint(number, after=after)
            async with running(file, services, point) as alive:
                await point.over(_left_out(alive, failed.id))
            async with running(file, services) as alive:
                last = await alive.ended(await skip(alive, failed.id))
                assert (last.error, await state_of(alive, case)) == (None, ("undone_but", ["1:0"])), point.seen
            assert services.balance("alice") == 900 and services.balance("bob", "other") == 0
            await services.close()
        if point.struck_at is None:
            break
        number += 1
    assert number >= 4, "commits and sends"


async def _left_out(alive: InProcess, instance_id: str) -> None:
    await alive.ended(await skip(alive, instance_id))
