"""Four eyes in certificates: they name who asked for a run, also by a trigger or a batch, and refuse its approval."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from headrace.certificates.approvals import refuse_two_eyes
from headrace.certificates.case import Case, RecordedInstance, RecordedRequester
from headrace.errors import NotCertifiable
from headrace.journal.port import Unit
from headrace.journal.writes import AddAuditEntry
from headrace.usecases.batches import start_batch
from headrace.usecases.certificates import case_of, read_case
from headrace.usecases.idempotency import Caller
from headrace.usecases.instances import send_event
from headrace.usecases.plan_runs import run_plan
from tests.certificates.cases import certified
from tests.contract.test_approvals import LIMIT_S, RULES, plan_of, rest_of, say
from tests.contract.test_batch_approvals import decided
from tests.contract.test_engine import SEND, Scripted
from tests.contract.test_plan_runs import all_instances
from tests.contract.test_sagas import Declining, started, undone
from tests.support.batches import JANE, JOE, batch_in, begun, driving, items_of, previewed, runs
from tests.support.in_process import InProcess, running

LATE_AT = 2**60


async def case_in(alive: InProcess, instance_id: str) -> Case:
    return await read_case(alive.journal, await case_of(alive.journal, instance_id))


def refused(case: Case, services: Scripted) -> str:
    with pytest.raises(NotCertifiable) as caught:
        certified(case, services.sandbox.handle)
    return str(caught.value)


def changed(case: Case, **members: Any) -> Case:
    (instance,) = case.instances
    return Case((replace(instance, **members),))


def approved_by(case: Case, principal: str) -> Case:
    """The case with its one approval by somebody else."""
    (instance,) = case.instances
    (plan,) = instance.plans
    (decision,) = plan.decisions
    return changed(case, plans=(replace(plan, decisions=(replace(decision, principal=principal),)),))


def requesters_of(instance: RecordedInstance) -> list[str]:
    return [each.principal for each in instance.requesters]


async def approved_trigger(alive: InProcess) -> Case:
    """A run that a trigger of ann's started, bob sent an event to, and eve approved."""
    workflow = await alive.workflow("w", [{"approve": {}}, SEND])
    await alive.trigger("t1", "E", workflow.id)
    unit = Unit()
    unit.add(AddAuditEntry(at=1, principal="ann", client_id=None, operation="createTrigger", target="t1"))
    await alive.journal.commit(unit)
    await alive.deliver("E", {"type": "E", "payload": {}})
    async with asyncio.timeout(LIMIT_S):
        while not (instances := await all_instances(alive)):
            await asyncio.sleep(0.002)
    plan = await rest_of(alive, instances[0].id)
    await send_event(alive.ports, Caller("bob", "sendEvent"), instances[0].id, {"name": "anything"})
    await say(alive, plan, "eve")
    await alive.ended(instances[0].id)
    return await case_in(alive, instances[0].id)


async def approved_item(alive: InProcess) -> Case:
    """An item of a batch that one person made and another one started, and eve approved."""
    async with driving(alive):
        workflow = await alive.workflow("w", [{"approve": {}}, SEND])
        batch = await begun(alive, "run", runs=runs(workflow.id, 1))
        async with asyncio.timeout(LIMIT_S):
            while (made := (await items_of(alive, batch.id))[0].made_id) is None:
                await asyncio.sleep(0.002)
        plan = await rest_of(alive, made)
        await send_event(alive.ports, Caller("bob", "sendEvent"), made, {"name": "anything"})
        await say(alive, plan, "eve")
        await alive.ended(made)
        return await case_in(alive, made)


@pytest.mark.parametrize(
    ("make", "asked"), [(approved_trigger, {"ann"}), (approved_item, {JANE.principal, JOE.principal})]
)
async def test_who_asked_is_named_and_cannot_have_approved(tmp_path: Path, make: Any, asked: set[str]) -> None:
    services = Scripted()
    async with running(tmp_path / "j.db", services) as alive:
        case = await make(alive)
    (instance,) = certified(case, services.sandbox.handle)["instances"]
    assert set(instance["requestedBy"]) == asked and len(instance["requestedBy"]) == len(asked)
    assert instance["startedBy"] == ("trigger" if asked == {"ann"} else JOE.principal), "not who sent it an event"
    for person in asked:
        assert "asked for it" in refused(approved_by(case, person), services)
    certified(approved_by(case, "bob"), services.sandbox.handle)
    await services.close()


async def test_an_unknown_requester_may_be_any_person(tmp_path: Path) -> None:
    services = Scripted()
    async with running(tmp_path / "j.db", services) as alive:
        case = await approved_trigger(alive)
    for requesters in ((), (RecordedRequester("anonymous", 1),), (RecordedRequester("", 1),)):
        assert "may have asked" in refused(changed(case, requesters=requesters), services)
    await services.close()


async def test_a_person_that_asks_after_its_approval_had_not_asked(tmp_path: Path) -> None:
    """As one that approves an item, and later resumes the batch for those that follow."""
    services = Scripted()
    async with running(tmp_path / "j.db", services) as alive:
        case = await approved_item(alive)
    before = case.root.requesters
    later = changed(case, requesters=(*before, RecordedRequester("eve", LATE_AT)))
    (instance,) = certified(later, services.sandbox.handle)["instances"]
    assert "eve" in instance["requestedBy"]
    assert refused(changed(case, requesters=(*before, RecordedRequester("eve", 1))), services)
    assert "eve" not in requesters_of(case.root)
    await services.close()


async def test_who_continues_a_case_later_may_have_approved_before(tmp_path: Path) -> None:
    services = Scripted()
    async with running(tmp_path / "j.db", services) as alive:
        case = await approved_trigger(alive)
    asked = (RecordedRequester("eve", LATE_AT),)
    later = replace(case.root, id="later", kind="continuation", started_by="eve", requesters=asked, plans=())
    refuse_two_eyes((case.root, later))
    with pytest.raises(NotCertifiable):
        refuse_two_eyes((replace(later, requesters=(RecordedRequester("eve", 1),)), case.root))
    await services.close()


async def test_a_person_may_start_what_it_has_approved(tmp_path: Path) -> None:
    """A plan, and a batch over a rule: each was asked for by another person."""
    services = Scripted()
    async with running(tmp_path / "j.db", services, policy=RULES) as alive, driving(alive):
        workflow = await alive.workflow("w", [SEND])
        plan = await plan_of(alive, workflowID=workflow.id)
        await say(alive, plan, "eve")
        ran = await run_plan(alive.ports, Caller("eve", "runPlan"), plan.id, {"hash": plan.hash})
        await alive.ended(ran.target)
        cases = [await case_in(alive, ran.target)]
        batch = await previewed(alive, "run", runs=runs(workflow.id, 2))
        for by in ("eve", "paul"):
            await decided(alive, batch, by)
        await start_batch(alive.ports, Caller("eve", "startBatch"), batch.id, {"hash": batch.hash})
        await batch_in(alive, batch.id, "done")
        cases += [await case_in(alive, item.made_id or "") for item in await items_of(alive, batch.id)]
    for case in cases:
        (instance,) = certified(case, services.sandbox.handle)["instances"]
        assert instance["startedBy"] == "eve" and case.root.plans, "its approvals are in the case"
        (signed,) = case.root.plans
        early = {each.principal: replace(each, at=1) for each in case.root.requesters}
        was_set_back = changed(case, started_at=1, requesters=tuple(early.values()))
        certified(was_set_back, services.sandbox.handle)
        for person in ("eve", "anonymous", ""):
            asked = changed(case, plans=(replace(signed, asked_by=person),))
            assert "asked for it" in refused(asked, services)
        other = changed(case, requesters=(*early.values(), RecordedRequester("paul", 1)), started_by="ann")
        assert "asked for it" in refused(other, services), "only the start is certain to be later"
        assert "asked for it" in refused(changed(case, plans=(replace(signed, asked_by=None),), started_at=1), services)
    await services.close()


async def test_the_undo_of_a_failed_run_is_asked_for_by_the_server(tmp_path: Path) -> None:
    """So a continuation of that undo is not asked for by an unknown person."""
    services = Declining((1, 0))
    async with running(tmp_path / "j.db", services) as alive:
        run = await alive.ended(await started(alive, SEND, SEND))
        undo = await undone(alive, run)
        case = await case_in(alive, undo.id)
    assert [requesters_of(each) for each in case.instances][1] == ["headrace"]
    await services.close()
