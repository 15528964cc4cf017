"""Operators' rules ask for approvals of batches and undos; those of a batch count for its items. On every engine."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from headrace.errors import HashDiffers, HeadraceError, InvalidValue, NotInThisState, NotPermitted, NotRunnable
from headrace.journal.records import Batch
from headrace.runner.policy import Policy
from headrace.usecases.approvals import Verdict, approvals_of
from headrace.usecases.batch_approvals import DecidedBatch, batch_approvals, decide_batch
from headrace.usecases.batches import start_batch
from headrace.usecases.certificates import make_certificate
from headrace.usecases.idempotency import Answer, Caller, CallerKey
from headrace.usecases.instances import send_event, start_instance
from headrace.usecases.plans import read_plan
from headrace.usecases.undo import undo_instance
from headrace.usecases.workflows import create_workflow
from headrace.workflows.approval_rules import ApprovalRule, ApprovalRules
from tests.contract.test_approvals import RULES, Behind, plan_of, say, start
from tests.contract.test_engine import SEND, WAIT, Scripted
from tests.support.batches import JANE, JOE, batch_in, driving, items_of, previewed, runs, states_of, summary_of
from tests.support.engines import every_engine
from tests.support.in_process import InProcess, running
from tests.support.redrive import Refusing

__all__ = ["every_engine"]  # a fixture

LIMIT_S = 30.0
PAUL_AND_EVE = ("paul", "eve")


async def decided(
    alive: InProcess, batch: Batch, by: str, verdict: Verdict = "approve", *, hash_: str = "", key: str | None = None
) -> Answer[DecidedBatch]:
    caller = Caller(by, f"{verdict}Batch", key=None if key is None else CallerKey(key, b"meaning", by))
    wanted = {"hash": hash_ or batch.hash, "reason": "seen"}
    return await decide_batch(alive.ports, caller, batch.id, verdict, wanted)


async def refused(asked: Awaitable[Any]) -> str:
    with pytest.raises((NotPermitted, NotInThisState, NotRunnable)) as caught:
        await asked
    return caught.value.code


async def go(alive: InProcess, batch: Batch, by: Caller = JOE) -> Batch:
    await start_batch(alive.ports, by, batch.id, {"hash": batch.hash})
    return await batch_in(alive, batch.id, "done")


async def test_a_batch_over_a_rule_starts_with_the_approvals_of_two_others(tmp_path: Path) -> None:
    """No item is over the rule by itself: together they are."""
    services = Scripted()
    async with running(tmp_path / "j.db", services, policy=RULES) as alive, driving(alive):
        workflow = await alive.workflow("w", [SEND])
        batch = await previewed(alive, "run", runs=runs(workflow.id, 2))
        assert summary_of(batch)["asked"] == {"approvals": 2, "rule": "big", "rules": "sha256:1"}
        assert await refused(start_batch(alive.ports, JOE, batch.id, {"hash": batch.hash})) == "needs_approvals"
        assert await refused(decided(alive, batch, "jane")) == "four_eyes"
        assert await refused(decided(alive, batch, "anonymous")) == "no_identity"
        with pytest.raises(HashDiffers):
            await decided(alive, batch, "paul", hash_="sha256:other")
        first = await decided(alive, batch, "paul", key="k")
        assert (await decided(alive, batch, "paul", key="k")).is_repeated
        assert await refused(decided(alive, batch, "paul", "reject")) == "decided"
        again = await decided(alive, batch, "paul")
        assert again.value is not None and len(again.value.approvals.given) == 1, "a person counts once"
        assert await refused(start_batch(alive.ports, JOE, batch.id, {"hash": batch.hash})) == "needs_approvals"
        second = await decided(alive, batch, "eve")
        assert [each.value.batch.state for each in (first, second) if each.value] == ["ready", "approved"]
        finished = await go(alive, batch)
        items = await items_of(alive, batch.id)
        instances = [await alive.journal.instance(item.made_id or "") for item in items]
        given = [await alive.journal.decisions((each and each.plan_id) or "") for each in instances]
        assert await refused(decided(alive, batch, "ann")) == "done"
    assert finished.starter == "joe" and [item.state for item in items] == ["succeeded"] * 2
    assert services.booked() == 2
    assert [sorted(each.principal for each in row) for row in given] == [["eve", "paul"]] * 2, (
        "they count for the items"
    )
    await services.close()


async def test_a_decision_is_not_dated_before_the_batch_or_another_decision(tmp_path: Path) -> None:
    services = Scripted()
    async with running(tmp_path / "j.db", services, policy=RULES) as alive, driving(alive):
        workflow = await alive.workflow("w", [SEND])
        batch = await previewed(alive, "run", runs=runs(workflow.id, 2))
        first = await decided(alive, batch, "paul")
        behind = replace(alive.ports, clock=Behind(alive.ports.clock))
        second = await decide_batch(
            behind, Caller("eve", "approveBatch"), batch.id, "approve", {"hash": batch.hash, "reason": "seen"}
        )
        await go(alive, batch)
        items = await items_of(alive, batch.id)
        for item in items:
            assert (await make_certificate(alive.ports, None, {"instance": item.made_id})).value is not None
    assert first.value is not None and second.value is not None
    given = second.value.approvals.given
    assert batch.created_at <= given[0].at <= given[1].at and len(given) == 2
    await services.close()


async def test_a_batch_at_a_rule_starts_at_once(tmp_path: Path) -> None:
    services = Scripted()
    rule = replace(RULES.approval_rules.rules[0], over=200)
    policy = Policy(approval_rules=ApprovalRules((rule,), "sha256:1"))
    async with running(tmp_path / "j.db", services, policy=policy) as alive, driving(alive):
        workflow = await alive.workflow("w", [SEND])
        batch = await previewed(alive, "run", runs=runs(workflow.id, 2))
        assert summary_of(batch)["asked"] == {"rules": "sha256:1"} and await batch_approvals(alive.ports, batch) is None
        await go(alive, batch)
        aborts = await previewed(alive, "abort", instances=[(await items_of(alive, batch.id))[0].made_id])
        assert "approvals" not in summary_of(aborts)["asked"], "an abort moves nothing"
    assert services.booked() == 2
    await services.close()


async def test_a_rule_counts_the_workflows_that_it_is_about(tmp_path: Path) -> None:
    services = Scripted()
    rules = (ApprovalRule("pay", "USD/2", 250, 1, "pay-*"), ApprovalRule("all", "USD/2", 350, 3))
    policy = Policy(approval_rules=ApprovalRules(rules, "sha256:1"))
    async with running(tmp_path / "j.db", services, policy=policy) as alive, driving(alive):
        ids = [
            (await create_workflow(alive.ports, None, {"name": name, "stages": [SEND]})).target
            for name in ("pay-a", "pay-b", "other")
        ]
        asked = [
            summary_of(await previewed(alive, "run", runs=wanted))["asked"].get("rule")
            for wanted in (
                runs(ids[0], 2) + runs(ids[2], 1),
                runs(ids[0], 2) + runs(ids[1], 1),
                runs(ids[0], 2) + runs(ids[2], 2),
            )
        ]
    assert asked == [None, "pay", "all"]
    await services.close()


async def test_an_item_that_asks_by_itself_does_not_wait_after_a_restart_either(tmp_path: Path) -> None:
    """Its second send is over the rule. The approvals of the batch are rows of its plan."""
    services = Scripted()
    async with running(tmp_path / "j.db", services, policy=RULES) as alive, driving(alive):
        workflow = await alive.workflow("w", [SEND, WAIT, SEND])
        batch = await previewed(alive, "run", runs=runs(workflow.id, 1))
        for by in PAUL_AND_EVE:
            await decided(alive, batch, by)
        await start_batch(alive.ports, JOE, batch.id, {"hash": batch.hash})
        async with asyncio.timeout(LIMIT_S):
            while (made := (await items_of(alive, batch.id))[0].made_id) is None or services.booked() < 1:
                await asyncio.sleep(0.002)
    async with running(tmp_path / "j.db", services, policy=RULES) as alive, driving(alive):
        await send_event(alive.ports, None, made, {"name": "go"})
        instance = await alive.ended(made)
    assert (instance.error, services.booked()) == (None, 2)
    assert [stage.gate for stage in instance.stages] == [None] * 3
    await services.close()


async def test_who_started_a_failed_run_does_not_approve_the_batch_of_its_redrive(tmp_path: Path) -> None:
    """And an instance that may not leave an earlier plan takes that of the batch, which persons have approved."""
    services = Refusing((0, 0))
    policy = Policy(approval_rules=ApprovalRules((ApprovalRule("all", "USD/2", 0, 2),), "sha256:1"))
    async with running(tmp_path / "j.db", services) as alive:
        ids = [await start(alive, SEND, by=by, key=by) for by in ("ann", "tom")]
        for each in ids:
            assert (await alive.ended(each)).failure == "refused"
    services.refuses = False
    async with running(tmp_path / "j.db", services, policy=policy) as alive, driving(alive):
        batch = await previewed(alive, "redrive", instances=ids)
        for by in ("ann", "tom", "jane"):
            assert await refused(decided(alive, batch, by)) == "four_eyes"
        for by in PAUL_AND_EVE:
            await decided(alive, batch, by)
        await go(alive, batch)
        assert await states_of(alive, batch.id) == {"succeeded": 2}
    assert services.balance("bob") == 200
    await services.close()


async def test_an_undo_over_a_rule_needs_an_approved_plan(tmp_path: Path) -> None:
    services = Refusing()
    async with running(tmp_path / "j.db", services) as alive:
        small = await start(alive, SEND, by="ann", key="small")
        twice = await alive.workflow("twice", [SEND, SEND])
        instance_id = (await start_instance(alive.ports, Caller("ann", "runWorkflow"), twice.id, {})).target
        for each in (instance_id, small):
            await alive.ended(each)
    async with running(tmp_path / "j.db", services, policy=RULES) as alive:
        undo, jane = {"reason": "twice"}, Caller("jane", "undoInstance")
        assert await refused(undo_instance(alive.ports, jane, instance_id, undo)) == "needs_approvals"
        plan = await plan_of(alive, undo=instance_id)
        needed = (await approvals_of(alive.ports, await read_plan(alive.ports, plan.id))).needed
        assert (needed.approvals, needed.rule) == (2, "big")
        assert await refused(say(alive, plan, "ann")) == "four_eyes", "it is her run"
        wanted = {**undo, "planID": plan.id}
        await say(alive, plan, "paul")
        assert await refused(undo_instance(alive.ports, jane, instance_id, wanted)) == "needs_approvals"
        assert services.balance("bob") == 300
        await say(alive, plan, "eve")
        made = await undo_instance(alive.ports, jane, instance_id, wanted)
        await alive.ended(made.target)
        await alive.ended((await undo_instance(alive.ports, jane, small, undo)).target)  # 100 is not over 150
    assert services.balance("bob") == 0
    await services.close()


async def test_a_batch_of_undos_is_counted_as_a_whole(tmp_path: Path) -> None:
    services = Refusing()
    async with running(tmp_path / "j.db", services) as alive:
        ids = [await start(alive, SEND, by="ann", key=str(number)) for number in range(2)]
        for each in ids:
            await alive.ended(each)
    async with running(tmp_path / "j.db", services, policy=RULES) as alive, driving(alive):
        batch = await previewed(alive, "undo", instances=ids)
        assert await refused(start_batch(alive.ports, JOE, batch.id, {"hash": batch.hash})) == "needs_approvals"
        assert await refused(decided(alive, batch, "ann")) == "four_eyes"
        for by in PAUL_AND_EVE:
            await decided(alive, batch, by)
        await go(alive, batch)
        assert await states_of(alive, batch.id) == {"succeeded": 2}
    assert services.balance("bob") == 0
    await services.close()


async def test_a_rejection_is_the_end_of_a_batch(tmp_path: Path) -> None:
    """A person that has asked for it may reject it; an approved one can be rejected as long as it has not started."""
    services = Scripted()
    async with running(tmp_path / "j.db", services, policy=RULES) as alive, driving(alive):
        workflow = await alive.workflow("w", [SEND])
        batch = await previewed(alive, "run", runs=runs(workflow.id, 2))
        for by in PAUL_AND_EVE:
            await decided(alive, batch, by)
        answer = await decided(alive, batch, "jane", "reject")
        assert await refused(start_batch(alive.ports, JOE, batch.id, {"hash": batch.hash})) == "canceled"
        assert await refused(decided(alive, batch, "ann")) == "canceled"
        items, stored = await items_of(alive, batch.id), await alive.journal.batch(batch.id)
    assert answer.value is not None and answer.value.batch == stored
    assert stored is not None and (stored.state, stored.why) == ("canceled", "rejected by jane: seen")
    assert [(item.state, item.code) for item in items] == [("skipped", "rejected")] * 2
    assert services.booked() == 0
    await services.close()


async def test_other_rules_than_those_of_the_preview_ask_for_a_new_batch(tmp_path: Path) -> None:
    services = Scripted()
    async with running(tmp_path / "j.db", services) as alive, driving(alive):
        workflow = await alive.workflow("w", [SEND])
        batch = await previewed(alive, "run", runs=runs(workflow.id, 2))
    async with running(tmp_path / "j.db", services, policy=RULES) as alive:
        assert await refused(start_batch(alive.ports, JOE, batch.id, {"hash": batch.hash})) == "rules_changed"
        assert await refused(decided(alive, batch, "paul")) == "rules_changed"
    assert services.booked() == 0
    await services.close()


@pytest.mark.parametrize("number", range(4))
async def test_of_approvals_a_rejection_and_a_start_at_once_nothing_starts_without_both(
    tmp_path: Path, number: int
) -> None:
    services = Scripted()
    async with running(tmp_path / "j.db", services, policy=RULES) as alive, driving(alive):
        workflow = await alive.workflow("w", [SEND])
        batch = await previewed(alive, "run", runs=runs(workflow.id, 2))
        await decided(alive, batch, "paul")
        acts = [
            decided(alive, batch, "eve"),
            decided(alive, batch, "ann", "reject" if number % 2 else "approve"),
            start_batch(alive.ports, JOE, batch.id, {"hash": batch.hash}),
            start_batch(alive.ports, JANE, batch.id, {"hash": batch.hash}),
        ]
        results = await asyncio.gather(*acts[number:], *acts[:number], return_exceptions=True)
        assert all(isinstance(each, Answer | HeadraceError) for each in results), results
        found = await alive.journal.batch(batch.id)
        assert found is not None
        given = await alive.journal.decisions(batch.id)
        if found.state == "approved":
            assert sum(each.verdict == "approve" for each in given) >= 2
            await go(alive, batch)
        elif found.state != "canceled":
            assert found.state in ("running", "done") and sum(each.verdict == "approve" for each in given) >= 2
            await batch_in(alive, batch.id, "done")
        states = await states_of(alive, batch.id)
    booked = 0 if found.state == "canceled" else 2
    assert services.booked() == booked and set(states) == {"skipped" if found.state == "canceled" else "succeeded"}
    await services.close()


@pytest.mark.parametrize("wanted", [None, {}, {"hash": 1, "reason": "r"}, {"hash": "h"}, {"hash": "h", "reason": " "}])
async def test_a_decision_that_cannot_be_read_is_refused(tmp_path: Path, wanted: Any) -> None:
    services = Scripted()
    async with running(tmp_path / "j.db", services, policy=RULES) as alive:
        with pytest.raises(InvalidValue):
            await decide_batch(alive.ports, Caller("paul", "approveBatch"), "b", "approve", wanted)
    await services.close()
