"""Persons approve what a run does: before it, at a stage, by a rule. On every engine, in races and crashes."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from headrace.certificates.envelope import payload_of
from headrace.clock import Clock
from headrace.errors import (
    AlreadyEnded,
    HashDiffers,
    HeadraceError,
    InvalidValue,
    NotFound,
    NotInThisState,
    NotPermitted,
    NotRunnable,
)
from headrace.journal.lists import NEWEST, PlanList
from headrace.journal.port import Unit
from headrace.journal.records import Instance, Plan
from headrace.journal.writes import AddAuditEntry
from headrace.runner.instance import InstanceRunner
from headrace.runner.policy import Policy
from headrace.usecases.approvals import Decided, Verdict, approvals_of, decide, open_approval
from headrace.usecases.certificates import make_certificate
from headrace.usecases.idempotency import Answer, Caller, CallerKey
from headrace.usecases.instances import abort_instance, send_event, start_instance
from headrace.usecases.plan_runs import run_plan
from headrace.usecases.plans import make_plan, read_plan
from headrace.usecases.redrive import redrive_instance
from headrace.workflows.approval_rules import ApprovalRule, ApprovalRules
from tests.contract.test_engine import SEND, WAIT, Scripted
from tests.contract.test_plan_runs import PAYOUT, all_instances, pay_to
from tests.support.batches import JANE, JOE, begun, driving, items_of, runs
from tests.support.engines import every_engine
from tests.support.in_process import CrashPoint, InProcess, running
from tests.support.redrive import Refusing

__all__ = ["every_engine"]  # a fixture

ONE: dict[str, Any] = {"approve": {"title": "Pay ${who}"}}
TWO: dict[str, Any] = {"approve": {"approvals": 2}}
SHORT: dict[str, Any] = {"approve": {"timeout": "2s"}}
LONG: dict[str, Any] = {"approve": {"timeout": "24h"}}
RULES = Policy(
    approval_rules=ApprovalRules(
        (ApprovalRule("big", "USD/2", 150, 2), ApprovalRule("other", "EUR/2", 0, 3)), "sha256:1"
    )
)
LIMIT_S = 30.0


async def start(alive: InProcess, *stages: dict[str, Any], by: str = "jane", key: str = "run") -> str:
    workflow = await alive.workflow("w", list(stages))
    caller = Caller(by, "runWorkflow", key=CallerKey(key, key.encode()))
    return (await start_instance(alive.ports, caller, workflow.id, {"who": "the merchant"})).target


async def plan_of(alive: InProcess, by: str = "jane", **wanted: Any) -> Plan:
    plan = (await make_plan(alive.ports, Caller(by, "createPlan"), wanted)).value
    assert plan is not None
    return plan


async def rest_of(alive: InProcess, instance_id: str, by: str = "paul") -> Plan:
    await waiting(alive, instance_id)
    return await plan_of(alive, by, instance=instance_id)


async def say(
    alive: InProcess, plan: Plan, by: str, verdict: Verdict = "approve", *, hash_: str = "", key: str | None = None
) -> Answer[Decided]:
    caller = Caller(by, f"{verdict}Plan", key=None if key is None else CallerKey(key, b"meaning", by))
    return await decide(alive.ports, caller, plan.id, verdict, {"hash": hash_ or plan.hash, "reason": "seen"})


async def refused(alive: InProcess, plan: Plan, by: str, verdict: Verdict = "approve") -> str:
    with pytest.raises((NotPermitted, NotRunnable)) as caught:
        await say(alive, plan, by, verdict)
    return caught.value.code


async def waiting(alive: InProcess, instance_id: str) -> Instance:
    """The instance once it waits for approvals, and nothing drives it."""
    async with asyncio.timeout(LIMIT_S):
        while True:
            instance = await alive.journal.instance(instance_id)
            if instance is not None and open_approval(instance) is not None and not alive.engine.active_instances:
                return instance
            assert instance is None or not instance.is_terminal, instance
            await asyncio.sleep(0.002)


async def expire(alive: InProcess, instance_id: str, monkeypatch: pytest.MonkeyPatch) -> Plan:
    """Decide when the time is over, before the engine has noticed."""
    plan = await rest_of(alive, instance_id)
    real = InstanceRunner.now_at
    with monkeypatch.context() as later:
        later.setattr(InstanceRunner, "now_at", lambda runner: real(runner) + 86_400_000_000)  # pyright: ignore[reportUnknownLambdaType,reportUnknownArgumentType]
        assert await refused(alive, plan, "paul") == "expired"
    return plan


# at a stage


async def test_a_stage_waits_until_another_person_has_approved_the_rest(tmp_path: Path) -> None:
    services = Scripted()
    async with running(tmp_path / "j.db", services) as alive:
        instance_id = await start(alive, ONE, SEND)
        shown = open_approval(await waiting(alive, instance_id))
        assert shown is not None and (shown.stage, shown.title, shown.needed.approvals) == (0, "Pay the merchant", 1)
        plan = await rest_of(alive, instance_id)
        assert [effect["stage"] for effect in json.loads(plan.document)["effects"]] == [1]
        assert not services.writes, "something was sent before the approval"
        assert await refused(alive, plan, "jane") == "four_eyes"
        answer = await say(alive, plan, "paul", key="k")
        instance = await alive.ended(instance_id)
        again = await say(alive, plan, "paul", key="k")
        same = await say(alive, plan, "paul")
        assert await refused(alive, plan, "paul", "reject") == "decided"
        assert await refused(alive, plan, "eve") == "used"
        stored, entries = await read_plan(alive.ports, plan.id), await alive.journal.audit(2**62, 9, target=plan.id)
        decisions = await alive.journal.decisions(plan.id)
    assert (instance.error, instance.plan_id, services.booked()) == (None, plan.id, 1)
    assert (
        answer.value is not None
        and answer.value.plan.state == "used"
        and (stored.state, stored.instance_id) == ("used", None)
    )
    assert again.is_repeated and not same.is_repeated
    assert [(each.principal, each.verdict, each.reason) for each in decisions] == [("paul", "approve", "seen")]
    assert sorted(each.operation for each in entries) == ["approvePlan", "createPlan"]
    await services.close()


async def test_what_was_not_in_the_approved_plan_is_not_done(tmp_path: Path) -> None:
    services = Scripted()
    pay_to(services, "acc_1")
    async with running(tmp_path / "j.db", services) as alive:
        instance_id = await start(alive, ONE, PAYOUT)
        plan = await rest_of(alive, instance_id)
        pay_to(services, "acc_thief")
        await say(alive, plan, "paul")
        instance = await alive.ended(instance_id)
    assert instance.failure == "plan" and "body.destinationAccountID is acc_thief, signed acc_1" in (
        instance.error or ""
    )
    assert not [each for each in services.writes if each.service == "payments"]
    await services.close()


async def test_as_many_persons_as_the_stage_says_and_each_counts_once(tmp_path: Path) -> None:
    services = Scripted()
    async with running(tmp_path / "j.db", services) as alive:
        instance_id = await start(alive, TWO, SEND)
        plan, other = await rest_of(alive, instance_id), await rest_of(alive, instance_id)
        first = await say(alive, plan, "paul")
        await say(alive, plan, "paul")
        await say(alive, other, "eve")
        assert first.value is not None and first.value.plan.state == "open"
        assert (await read_plan(alive.ports, plan.id)).state == "open"
        await waiting(alive, instance_id)
        assert not services.writes, "two approvals of two plans are not two of one"
        await say(alive, plan, "eve")
        instance = await alive.ended(instance_id)
        assert await refused(alive, other, "paul") in ("ended", "passed")
    assert (instance.error, instance.plan_id, services.booked()) == (None, plan.id, 1)
    await services.close()


async def test_of_approvals_at_once_none_is_counted_past_another(tmp_path: Path) -> None:
    services = Scripted()
    async with running(tmp_path / "j.db", services) as alive:
        instance_id = await start(alive, {"approve": {"approvals": 4}}, SEND)
        plan = await rest_of(alive, instance_id)
        found = await asyncio.gather(*(say(alive, plan, f"person {n}") for n in range(5)), return_exceptions=True)
        instance = await alive.ended(instance_id)
        decisions = await alive.journal.decisions(plan.id)
    lost = [each for each in found if isinstance(each, BaseException)]
    assert len(lost) == 1 and isinstance(lost[0], NotRunnable), found
    assert (instance.error, len(decisions), services.booked()) == (None, 4, 1)
    await services.close()


async def test_a_rejection_ends_the_instance(tmp_path: Path) -> None:
    services = Scripted()
    async with running(tmp_path / "j.db", services) as alive:
        instance_id = await start(alive, TWO, SEND)
        plan = await rest_of(alive, instance_id)
        await say(alive, plan, "paul")
        await say(alive, plan, "jane", "reject")  # also by the person that started it
        instance = await alive.ended(instance_id)
        assert await refused(alive, plan, "eve") == "rejected"
        with pytest.raises(NotInThisState) as caught:
            await redrive_instance(alive.ports, Caller("eve", "redriveInstance"), instance_id, {"reason": "r"})
        with pytest.raises(NotInThisState) as ended:
            await plan_of(alive, instance=instance_id)
    assert (instance.failure, instance.error) == ("rejected", "rejected by jane: seen")
    assert (caught.value.code, ended.value.code) == ("rejected", "ended")
    assert not services.writes
    await services.close()


async def test_time_ends_the_wait_and_never_approves(tmp_path: Path) -> None:
    services = Scripted()
    async with running(tmp_path / "j.db", services) as alive:
        instance = await alive.ended(await start(alive, SHORT, SEND))
    assert (instance.failure, instance.error, len(instance.stages)) == ("expired", "expired: not approved in time", 1)
    stage = instance.stages[0]
    assert stage.deadline_at is not None and stage.deadline_at - stage.started_at == 2_000_000
    assert stage.terminated_at is not None and stage.terminated_at >= stage.deadline_at
    assert not services.writes
    await services.close()


async def test_a_late_decision_ends_the_instance_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The decision is the first to notice that the time is over."""
    services = Scripted()
    async with running(tmp_path / "j.db", services) as alive:
        instance_id = await start(alive, LONG, SEND)
        plan = await expire(alive, instance_id, monkeypatch)
        instance = await alive.journal.instance(instance_id)
        decisions = await alive.journal.decisions(plan.id)
    assert instance is not None and (instance.failure, decisions) == ("expired", [])
    assert not services.writes
    await services.close()


async def test_a_continuation_asks_again_where_the_stage_expired(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    services = Scripted()
    async with running(tmp_path / "j.db", services) as alive:
        instance_id = await start(alive, SEND, LONG, SEND, by="jane")
        await expire(alive, instance_id, monkeypatch)
        first = await alive.ended(instance_id)
        answer = await redrive_instance(alive.ports, Caller("eve", "redriveInstance"), first.id, {"reason": "r"})
        plan = await plan_of(alive, "x", instance=answer.target)
        assert [await refused(alive, plan, by) for by in ("jane", "eve")] == ["four_eyes", "four_eyes"]
        await say(alive, plan, "paul")
        last = await alive.ended(answer.target)
    assert (first.failure, last.error, services.booked()) == ("expired", None, 2)
    await services.close()


async def test_an_abort_ends_the_wait(tmp_path: Path) -> None:
    services = Scripted()
    async with running(tmp_path / "j.db", services) as alive:
        instance_id = await start(alive, ONE, SEND)
        plan = await rest_of(alive, instance_id)
        await alive.abort(instance_id)
        instance = await alive.ended(instance_id)
        assert await refused(alive, plan, "paul") == "ended"
        assert await alive.journal.decisions(plan.id) == []
    assert (instance.failure, instance.stages[0].terminated_at is not None) == ("canceled", True)
    assert not services.writes
    await services.close()


@pytest.mark.parametrize("number", range(4))
async def test_of_approve_reject_and_abort_at_once_one_decides(tmp_path: Path, number: int) -> None:
    services = Scripted()
    async with running(tmp_path / f"{number}.db", services) as alive:
        instance_id = await start(alive, ONE, SEND)
        plan = await rest_of(alive, instance_id)
        acts = [
            say(alive, plan, "paul"),
            say(alive, plan, "eve", "reject"),
            abort_instance(alive.ports, Caller("ann", "cancelEvent"), instance_id),
        ]
        found = await asyncio.gather(*acts[number % 3 :], *acts[: number % 3], return_exceptions=True)
        instance = await alive.ended(instance_id)
        decisions = await alive.journal.decisions(plan.id)
    lost = [each for each in found if isinstance(each, BaseException)]
    assert all(isinstance(each, HeadraceError) for each in lost), lost
    assert all(isinstance(each, NotRunnable | AlreadyEnded) for each in lost), lost
    verdicts = {each.principal: each.verdict for each in decisions}
    if services.booked():
        assert verdicts == {"paul": "approve"}, "money moved without an approval"
    else:
        assert instance.failure in ("rejected", "canceled")
        assert instance.failure != "rejected" or verdicts == {"eve": "reject"}
    await services.close()


@pytest.mark.needs("is_one_process")
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_a_kill_at_each_commit_and_each_request_leaves_what_was_approved(tmp_path: Path, after: bool) -> None:
    """The persons, who got no answer, decide again, and the caller repeats its request."""

    async def live(alive: InProcess) -> str:
        instance_id = await start(alive, TWO, SEND)
        instance = await alive.journal.instance(instance_id)
        if instance is not None and not instance.is_terminal and instance.plan_id is None:
            await waiting(alive, instance_id)
            plans = await alive.journal.plans_after(PlanList(), NEWEST, 9)
            plan = await read_plan(alive.ports, plans[-1].id) if plans else await plan_of(alive, instance=instance_id)
            await say(alive, plan, "paul")
            await say(alive, plan, "eve")
        await alive.ended(instance_id)
        return instance_id

    plain, services = CrashPoint(), Scripted()
    async with running(tmp_path / "plain.db", services, plain) as alive:
        await live(alive)
    await services.close()
    assert any(all(each in unit for each in ("AddDecision", "PassGate", "SpendPlan")) for unit in plain.seen), (
        "one unit"
    )
    for at in range(len(plain.seen)):
        services = Scripted()
        path, crash = tmp_path / f"{at}.db", CrashPoint(at, after=after)
        async with running(path, services, crash) as alive:
            await crash.over(live(alive))
        async with running(path, services) as again:
            instance = await again.ended(await live(again))
            assert instance.error is None and len(await all_instances(again)) == 1, (at, plain.seen[at])
            decisions = await again.journal.decisions(instance.plan_id or "")
            assert sorted(each.principal for each in decisions) == ["eve", "paul"]
        assert services.booked() == 1, (at, plain.seen[at])
        await services.close()


async def test_a_restart_keeps_the_wait_and_the_approvals_that_were_given(tmp_path: Path) -> None:
    services = Scripted()
    async with running(tmp_path / "j.db", services) as alive:
        instance_id = await start(alive, SEND, TWO, SEND)
        plan = await rest_of(alive, instance_id)
        await say(alive, plan, "paul")
    async with running(tmp_path / "j.db", services) as again:
        await waiting(again, instance_id)
        assert services.booked() == 1
        await say(again, plan, "eve")
        instance = await again.ended(instance_id)
    assert (instance.error, services.booked()) == (None, 2)
    await services.close()


async def test_the_stage_asks_in_a_planned_run_too(tmp_path: Path) -> None:
    services = Scripted()
    async with running(tmp_path / "j.db", services) as alive:
        workflow = await alive.workflow("w", [SEND, ONE, SEND])
        plan = await plan_of(alive, workflowID=workflow.id, variables={"who": "x"})
        assumed = json.loads(plan.document)["assumptions"]
        assert assumed == [{"stage": 1, "type": "approval", "approvals": 1, "title": "Pay x"}]
        await say(alive, plan, "paul")
        ran = await run_plan(alive.ports, Caller("bob", "runPlan"), plan.id, {"hash": plan.hash})
        rest = await rest_of(alive, ran.target)
        assert services.booked() == 1
        assert [await refused(alive, rest, by) for by in ("jane", "bob")] == ["four_eyes", "four_eyes"]
        await say(alive, rest, "paul")
        instance = await alive.ended(ran.target)
    assert (instance.error, instance.plan_id, services.booked()) == (None, rest.id, 2)
    await services.close()


# before a run


async def test_a_plan_is_approved_before_its_run(tmp_path: Path) -> None:
    services = Scripted()
    async with running(tmp_path / "j.db", services) as alive:
        workflow = await alive.workflow("w", [SEND])
        plan = await plan_of(alive, workflowID=workflow.id)
        assert await refused(alive, plan, "jane") == "four_eyes"
        with pytest.raises(HashDiffers):
            await say(alive, plan, "paul", hash_="sha256:other")
        with pytest.raises(NotPermitted) as nameless:
            await decide(alive.ports, None, plan.id, "approve", {"hash": plan.hash, "reason": "r"})
        answer = await say(alive, plan, "paul")
        shown = await approvals_of(alive.ports, await read_plan(alive.ports, plan.id))
        ran = await run_plan(alive.ports, Caller("jane", "runPlan"), plan.id, {"hash": plan.hash})
        instance = await alive.ended(ran.target)
        assert await refused(alive, plan, "eve") == "used"
    assert answer.value is not None and answer.value.plan.state == "approved"
    assert (shown.needed.approvals, [each.principal for each in shown.given]) == (1, ["paul"])
    assert (instance.error, nameless.value.code, services.booked()) == (None, "no_identity", 1)
    await services.close()


class Behind:
    """A clock that was set back by an hour."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def __getattr__(self, name: str) -> Any:
        return getattr(self._clock, name)

    def now_at(self) -> int:
        return self._clock.now_at() - 3_600_000_000


async def test_a_decision_is_not_dated_before_what_it_is_about(tmp_path: Path) -> None:
    """Else it would look as if nobody had asked for the run yet, and the run would have no certificate."""
    services = Scripted()
    async with running(tmp_path / "j.db", services, policy=RULES) as alive:
        workflow = await alive.workflow("w", [SEND, SEND])
        plan = await plan_of(alive, workflowID=workflow.id)
        behind = dataclasses.replace(alive.ports, clock=Behind(alive.ports.clock))
        for by in ("paul", "eve"):
            wanted = {"hash": plan.hash, "reason": "seen"}
            await decide(behind, Caller(by, "approvePlan"), plan.id, "approve", wanted)
        ran = await run_plan(alive.ports, Caller("jane", "runPlan"), plan.id, {"hash": plan.hash})
        await alive.ended(ran.target)
        found = (await make_certificate(alive.ports, None, {"instance": ran.target})).value
    assert found is not None
    (instance,) = json.loads(payload_of(found.content))["instances"]
    (approved,) = instance["approvals"]
    assert sorted(each["principal"] for each in approved["decisions"]) == ["eve", "paul"]
    await services.close()


async def test_a_rejected_plan_runs_never(tmp_path: Path) -> None:
    services = Scripted()
    async with running(tmp_path / "j.db", services) as alive:
        workflow = await alive.workflow("w", [SEND])
        plan = await plan_of(alive, workflowID=workflow.id)
        await say(alive, plan, "paul")
        await say(alive, plan, "eve", "reject")
        with pytest.raises(NotRunnable) as caught:
            await run_plan(alive.ports, Caller("jane", "runPlan"), plan.id, {"hash": plan.hash})
        assert await refused(alive, plan, "ann") == "rejected"
    assert caught.value.code == "rejected" and not services.writes
    await services.close()


async def test_of_a_run_and_a_rejection_at_once_one_is_first(tmp_path: Path) -> None:
    services = Scripted()
    async with running(tmp_path / "j.db", services) as alive:
        workflow = await alive.workflow("w", [SEND])
        for number in range(6):
            plan = await plan_of(alive, workflowID=workflow.id)
            ran, said = await asyncio.gather(
                run_plan(alive.ports, Caller("jane", "runPlan"), plan.id, {"hash": plan.hash}),
                say(alive, plan, "eve", "reject"),
                return_exceptions=True,
            )
            state = (await read_plan(alive.ports, plan.id)).state
            assert isinstance(ran, NotRunnable) != isinstance(said, NotRunnable), (number, ran, said)
            assert state == ("rejected" if isinstance(ran, NotRunnable) else "used")
    await services.close()


# by a rule


@pytest.mark.parametrize(("amount", "waits"), [(150, False), (151, True)])
async def test_a_send_over_a_rule_waits_and_one_at_it_does_not(tmp_path: Path, amount: int, waits: bool) -> None:
    send = {"send": {**SEND["send"], "amount": {"asset": "USD/2", "amount": amount}}}
    services = Scripted()
    async with running(tmp_path / "j.db", services, policy=RULES) as alive:
        instance_id = await start(alive, send)
        if waits:
            shown = open_approval(await waiting(alive, instance_id))
            assert shown is not None and (shown.needed.rule, shown.needed.approvals) == ("big", 2)
            assert not services.writes
            plan = await rest_of(alive, instance_id)
            await say(alive, plan, "paul")
            await say(alive, plan, "eve")
        instance = await alive.ended(instance_id)
    gate = instance.stages[0].gate
    assert (instance.error, services.booked(), gate is not None) == (None, 1, waits)
    assert gate is None or json.loads(gate) == {"needed": 2, "rule": "big", "rules": "sha256:1"}
    await services.close()


async def test_the_sends_of_a_case_are_added_up(tmp_path: Path) -> None:
    """Two sends of 100 are over 150: the second waits, also in a continuation."""
    services = Refusing((1, 0))
    async with running(tmp_path / "j.db", services, policy=RULES) as alive:
        instance_id = await start(alive, SEND, SEND, SEND)
        plan = await rest_of(alive, instance_id)
        assert services.booked() == 1 and [e["stage"] for e in json.loads(plan.document)["effects"]] == [1, 2]
        for by in ("paul", "eve"):
            await say(alive, plan, by)
        first = await alive.ended(instance_id)
        assert first.failure == "refused"
        services.refuses = False
        redriven = await redrive_instance(alive.ports, Caller("jane", "redriveInstance"), first.id, {"reason": "r"})
        last = await alive.ended(redriven.target)  # it keeps the plan, which has the approvals
    assert (last.error, last.plan_id, services.booked()) == (None, plan.id, 3)
    await services.close()


async def test_a_plan_with_the_approvals_of_the_rule_does_not_wait(tmp_path: Path) -> None:
    services = Scripted()
    async with running(tmp_path / "j.db", services, policy=RULES) as alive:
        workflow = await alive.workflow("w", [SEND, SEND])
        plan = await plan_of(alive, workflowID=workflow.id)
        needed = (await approvals_of(alive.ports, await read_plan(alive.ports, plan.id))).needed
        assert (needed.approvals, needed.rule) == (2, "big")
        answers = [await say(alive, plan, by) for by in ("paul", "eve")]
        assert [each.value.plan.state for each in answers if each.value] == ["open", "approved"]
        ran = await run_plan(alive.ports, Caller("jane", "runPlan"), plan.id, {"hash": plan.hash})
        instance = await alive.ended(ran.target)
        half = await plan_of(alive, workflowID=workflow.id)
        await say(alive, half, "paul")
        ran = await run_plan(alive.ports, Caller("jane", "runPlan"), half.id, {"hash": half.hash})
        await waiting(alive, ran.target)
    assert (instance.error, services.booked()) == (None, 3), "the one with one approval waits at its second send"
    await services.close()


async def test_an_approval_at_a_stage_is_not_enough_for_a_rule_that_wants_more(tmp_path: Path) -> None:
    services = Scripted()
    async with running(tmp_path / "j.db", services, policy=RULES) as alive:
        instance_id = await start(alive, ONE, SEND, SEND)
        await say(alive, await rest_of(alive, instance_id), "paul")
        async with asyncio.timeout(LIMIT_S):
            while services.booked() < 1:
                await asyncio.sleep(0.002)
        plan = await rest_of(alive, instance_id)
        assert json.loads(plan.document)["from"]["stage"] == 2
        for by in ("paul", "eve"):
            await say(alive, plan, by)
        instance = await alive.ended(instance_id)
    assert (instance.error, instance.plan_id, services.booked()) == (None, plan.id, 2)
    await services.close()


# requesters


async def test_a_trigger_is_requested_by_the_person_that_created_it(tmp_path: Path) -> None:
    services = Scripted()
    async with running(tmp_path / "j.db", services) as alive:
        workflow = await alive.workflow("w", [{"approve": {}}, SEND])
        await alive.trigger("t1", "E", workflow.id)
        await alive.trigger("t2", "F", workflow.id)
        unit = Unit()
        unit.add(AddAuditEntry(at=1, principal="ann", client_id=None, operation="createTrigger", target="t1"))
        await alive.journal.commit(unit)
        found: dict[str, str] = {}
        for event in ("E", "F"):
            await alive.deliver(event, {"type": event, "payload": {}})
            async with asyncio.timeout(LIMIT_S):
                while len(new := [each for each in await all_instances(alive) if each.id not in found.values()]) < 1:
                    await asyncio.sleep(0.002)
            found[event] = new[0].id
        plans = {event: await rest_of(alive, instance_id) for event, instance_id in found.items()}
        await waiting(alive, found["E"])
        with pytest.raises(InvalidValue, match="must not begin with headrace:"):
            await send_event(alive.ports, Caller("eve", "sendEvent"), found["E"], {"name": "headrace:approved"})
        await send_event(alive.ports, Caller("eve", "sendEvent"), found["E"], {"name": "anything"})
        assert await refused(alive, plans["E"], "ann") == "four_eyes"
        assert await refused(alive, plans["F"], "paul") == "four_eyes", "an unknown requester may be anyone"
        await say(alive, plans["E"], "eve")
        instance = await alive.ended(found["E"])
        planned = await plan_of(alive, "ann", triggerID="t1", event={})
        assert await refused(alive, planned, "ann") == "four_eyes"
    assert (instance.error, services.booked()) == (None, 1)
    await services.close()


async def test_an_item_of_a_batch_is_requested_by_the_persons_that_made_and_started_the_batch(tmp_path: Path) -> None:
    """A person that only sends it an event is not one of them, and hides none of them."""
    services = Scripted()
    async with running(tmp_path / "j.db", services) as alive, driving(alive):
        workflow = await alive.workflow("w", [{"approve": {}}, SEND])
        batch = await begun(alive, "run", runs=runs(workflow.id, 1))
        async with asyncio.timeout(LIMIT_S):
            while (made := (await items_of(alive, batch.id))[0].made_id) is None:
                await asyncio.sleep(0.002)
        plan = await rest_of(alive, made)
        await send_event(alive.ports, Caller("eve", "sendEvent"), made, {"name": "anything"})
        assert [await refused(alive, plan, each.principal) for each in (JANE, JOE)] == ["four_eyes"] * 2
        await say(alive, plan, "eve")
        instance = await alive.ended(made)
    assert (instance.error, services.booked()) == (None, 1)
    await services.close()


async def test_what_does_not_wait_has_no_rest(tmp_path: Path) -> None:
    services = Scripted()
    async with running(tmp_path / "j.db", services) as alive:
        instance_id = await start(alive, WAIT, SEND)
        with pytest.raises(NotInThisState) as caught:
            await plan_of(alive, instance=instance_id)
        with pytest.raises(NotFound):
            await plan_of(alive, instance="nothing")
        waits = await start(alive, WAIT, SEND, key="other")
        assert open_approval(await alive.ended(waits, 0.01)) is None
    assert caught.value.code == "not_waiting"
    await services.close()
