"""`on_failure: undo`: the undo of a run that fails begins in the commit that ends it, and no crash comes between."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from headrace.effects.port import Request, Response
from headrace.errors import NotInThisState
from headrace.journal.records import Instance, Workflow
from headrace.runner.policy import Policy
from headrace.usecases.idempotency import Caller, CallerKey
from headrace.usecases.instances import start_instance
from headrace.usecases.plan_runs import run_plan
from headrace.usecases.plans import make_plan
from headrace.usecases.workflows import create_workflow
from headrace.workflows.approval_rules import ApprovalRule, ApprovalRules
from tests.contract.test_approvals import LONG, SHORT, expire, rest_of, say
from tests.contract.test_engine import CROSS, SEND, WAIT
from tests.contract.test_plan_runs import pay_to
from tests.contract.test_resolve import needed, resolve
from tests.contract.test_undo_instance import balances, refused, state_of
from tests.support.attention import PAYOUT, Trouble
from tests.support.engine_processes import EngineKind
from tests.support.engines import every_engine
from tests.support.in_process import CrashPoint, InProcess, running
from tests.support.redrive import EFFECTS, JSON, STAGES, Refusing, redrive

__all__ = ["every_engine"]  # a fixture

TAKEN = Response(409, b'{"errorCode":"CONFLICT","errorMessage":"taken"}', JSON)
DEAR: dict[str, Any] = {"send": {**SEND["send"], "amount": {"asset": "USD/2", "amount": "${amount}"}}}
WAIT_FOR_2_S: dict[str, Any] = {"wait_event": {"event": "go", "timeout": "2s"}}
UNANSWERED: dict[str, tuple[str, str, dict[str, Any]]] = {
    "a wait whose time passes": ("timeout", "time", WAIT_FOR_2_S),
    "an approval whose time passes": ("expired", "time", SHORT),
    "an approval that comes too late": ("expired", "late", LONG),
    "a rejection": ("rejected", "reject", LONG),
    "a rule whose time passes": ("expired", "time", SEND),
    "an approval by a rule that comes too late": ("expired", "late", SEND),
    "a rejection where a rule asks": ("rejected", "reject", SEND),
}
"""How a run ends after its first send without an answer that lets it go on: the kind, what happens, the stage."""


class Declining(Refusing):
    """Refuses an effect of the run, and nothing of its undo, whose keys hold places, too."""

    def answer(self, request: Request) -> Any:
        return None if request.path.split("?")[0].endswith(("/revert", "/status")) else super().answer(request)


async def saga(alive: InProcess, *stages: dict[str, Any]) -> Workflow:
    caller = Caller("jane", "createWorkflow", key=CallerKey("saga", b"meaning"))
    made = await create_workflow(alive.ports, caller, {"name": "s", "stages": list(stages), "on_failure": "undo"})
    workflow = await alive.journal.workflow(made.target)
    assert workflow is not None
    return workflow


async def started(alive: InProcess, *stages: dict[str, Any], **variables: str) -> str:
    workflow = await saga(alive, *stages)
    return (await start_instance(alive.ports, Caller("jane", "runWorkflow"), workflow.id, variables)).target


async def undone(alive: InProcess, run: Instance) -> Instance:
    """The undo that the run has begun, once it has ended."""
    step = await alive.journal.successor(run.id)
    assert step is not None and (step.kind, step.principal, step.reason) == ("undo", "headrace", "on_failure: undo")
    undo = await alive.ended(step.successor)
    assert (undo.kind, undo.root_id, undo.started_by_trigger) == ("undo", None, False)
    return undo


@pytest.mark.parametrize("place", EFFECTS[1:])
async def test_a_run_that_fails_at_any_effect_is_undone(tmp_path: Path, place: tuple[int, int]) -> None:
    """The payout is paid in the sandbox, so it and what funded it are kept; its status is read by the undo's stages."""
    services = Declining(place)
    initial = balances(services)
    async with running(tmp_path / "j.db", services) as alive:
        run = await alive.ended(await started(alive, *STAGES))
        undo = await undone(alive, run)
        expected, kept = [*initial], list[str]()
        if place > (1, 1):
            expected[0], expected[2] = expected[0] - 100, expected[2] + 100
            kept = ["1:1", "1:0"]
        if place > (2, 0):
            kept = ["2:0", *kept]
        assert (run.failure, undo.error, balances(services)) == ("refused", None, expected)
        state, found = await state_of(alive, run)
        assert (state, sorted(found)) == ("undone_but" if kept else "undone", sorted(kept))
        assert await refused(alive, run.id) == "has_successor"
        with pytest.raises(NotInThisState) as caught:
            await redrive(alive, run.id, None)
        assert caught.value.code == "has_successor"
        listed = [each.id async for page in alive.journal.workflows() for each in page]
        assert undo.workflow_id not in listed
    await services.close()


async def test_what_is_done_in_the_commit_of_the_end_is_undone_too(tmp_path: Path) -> None:
    """The last effect is recorded in the same unit in which the next stage finds a value that it cannot use."""
    services = Declining()
    initial = balances(services)
    async with running(tmp_path / "j.db", services) as alive:
        run = await alive.ended(await started(alive, SEND, DEAR, amount="much"))
        undo = await undone(alive, run)
        assert (run.failure, undo.error, len(undo.stages)) == ("invalid", None, 1)
        assert (balances(services), await state_of(alive, run)) == (initial, ("undone", []))
    await services.close()


async def test_a_run_that_has_done_nothing_is_not_undone_and_can_be_redriven(tmp_path: Path) -> None:
    services = Declining((0, 0))
    initial = balances(services)
    async with running(tmp_path / "j.db", services) as alive:
        run = await alive.ended(await started(alive, CROSS, SEND))
        assert run.failure == "refused" and await alive.journal.successor(run.id) is None
        services.place = (1, 0)
        last = await alive.ended((await redrive(alive, run.id)).target)
        undo = await undone(alive, last)
        assert (last.failure, undo.error, len(undo.stages)) == ("refused", None, 2)
    assert balances(services) == initial
    await services.close()


async def test_an_abort_a_conflict_and_a_success_are_not_undone(tmp_path: Path) -> None:
    services = Declining()
    async with running(tmp_path / "j.db", services) as alive:
        workflow = await saga(alive, SEND, WAIT, SEND)
        aborted = (await alive.start(workflow, {})).id
        async with asyncio.timeout(20):
            while services.booked() < 1 or alive.engine.active_instances:
                await asyncio.sleep(0.002)
        await alive.abort(aborted)
        succeeded = (await alive.start(workflow, {})).id
        await alive.send_event(succeeded, "go")
        assert (await alive.ended(succeeded)).error is None
        foreign = (await alive.start(workflow, {})).id
        key = f"headrace:{foreign}:2:0"
        posting = {"source": "world", "destination": "shop", "amount": 1, "asset": "USD/2"}
        body = {"metadata": {}, "postings": [posting], "reference": key}
        services.call("ledger", "POST", "/v2/main/transactions", body)
        await alive.send_event(foreign, "go")
        conflict = await alive.ended(foreign)
        assert conflict.failure == "conflict", conflict.error
        for instance_id in (aborted, succeeded, foreign):
            assert await alive.journal.successor(instance_id) is None
    await services.close()


async def test_a_run_that_leaves_its_plan_is_undone_without_it(tmp_path: Path) -> None:
    services = Declining()
    initial = balances(services)
    async with running(tmp_path / "j.db", services) as alive:
        workflow = await saga(alive, SEND, PAYOUT)
        plan = (await make_plan(alive.ports, None, {"workflowID": workflow.id})).value
        assert plan is not None
        pay_to(services, "bank-8")
        run = await alive.ended((await run_plan(alive.ports, None, plan.id, {"hash": plan.hash})).target)
        undo = await undone(alive, run)
    assert (run.failure, undo.error, undo.plan_id, balances(services)) == ("plan", None, None, initial)
    await services.close()


async def test_what_a_person_calls_not_booked_is_undone(tmp_path: Path) -> None:
    services = Trouble("wallet not_found")
    services.number = 1
    async with running(tmp_path / "j.db", services) as alive:
        run_id = await started(alive, SEND, services.stage)
        await resolve(alive, await needed(alive), "not_booked")
        run = await alive.ended(run_id)
        undo = await undone(alive, run)
    assert (run.failure, undo.error, len(undo.stages)) == ("unbooked", None, 1)
    assert sum(each["reverted"] for each in services.transactions("main")) == 1
    await services.close()


@pytest.mark.parametrize("end", UNANSWERED)
async def test_a_run_that_is_not_answered_in_time_or_is_rejected_is_undone_in_the_unit_that_ends_it(
    tmp_path: Path, end: str, every_engine: EngineKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine notices the end, or the person who decides, or one who comes too late."""
    kind, how, stage = UNANSWERED[end]
    expires_us = 2_000_000 if how == "time" else 86_400_000_000
    rule = ApprovalRule("big", "USD/2", 150, 2, expires_us=expires_us)
    policy = Policy(approval_rules=ApprovalRules((rule,), "sha256:1")) if stage is SEND else None
    services, plain = Declining(), CrashPoint()
    initial = balances(services)
    async with running(tmp_path / "j.db", services, plain, policy=policy) as alive:
        run_id = await started(alive, SEND, stage, SEND)
        if how == "reject":
            await say(alive, await rest_of(alive, run_id), "paul", "reject")
        elif how == "late":
            await expire(alive, run_id, monkeypatch)
        run = await alive.ended(run_id)
        undo = await undone(alive, run)
        assert (run.failure, undo.error, await state_of(alive, run)) == (kind, None, ("undone", []))
        assert (len(undo.stages), balances(services)) == (1, initial)
        assert len(services.sent_keys) == 2, "one send, one revert"
    if every_engine.is_one_process or how != "time":
        (unit,) = (each for each in plain.seen if "EndInstance" in each and "AddSuccessor" in each)
        assert "AddInstance" in unit and ("AddDecision" in unit) == (how == "reject")
    await services.close()


@pytest.mark.needs("is_one_process")
async def test_a_kill_at_any_point_leaves_one_undo_and_each_revert_once(tmp_path: Path) -> None:
    number = 0
    while True:
        for after in (False, True):
            services = Declining((1, 0))
            initial = balances(services)
            file = tmp_path / f"{number}-{after}.db"
            async with running(file, services) as alive:
                workflow = await saga(alive, CROSS, SEND)
            point = CrashPoint(number, after=after)
            async with running(file, services, point) as alive:
                await point.over(_undone(alive, workflow))
            async with running(file, services) as alive:
                run = await alive.ended(await alive.run_once(workflow, {}))
                undo = await undone(alive, run)
                count = len([each async for page in alive.journal.instances() for each in page])
            assert (run.failure, undo.error, count, balances(services)) == ("refused", None, 2, initial), point.seen
            rows = services.call("ledger", "GET", "/v2/main/transactions?pageSize=100")["cursor"]["data"]
            assert sum(row["reverted"] for row in rows) == 1, (number, after)
            await services.close()
        if point.struck_at is None:
            break
        number += 1
    ends = [each for each in point.seen if "EndInstance" in each and "AddSuccessor" in each and "AddInstance" in each]
    assert number >= 8 and len(ends) == 1, "one unit"


async def _undone(alive: InProcess, workflow: Workflow) -> None:
    await undone(alive, await alive.ended(await alive.run_once(workflow, {})))
