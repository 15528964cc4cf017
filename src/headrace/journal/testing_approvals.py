"""Checks of `headrace.journal.testing`: decisions of persons about plans, and the gates of stages."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from headrace.journal.approval_writes import (
    AddDecision,
    ApprovePlan,
    OpenGate,
    PassGate,
    PinInstance,
    RejectPlan,
    SpendPlan,
)
from headrace.journal.batch_writes import AddBatch, AddBatchItems, StartItem
from headrace.journal.plan_writes import AddPlan, UsePlan
from headrace.journal.port import Journal
from headrace.journal.successor_writes import AddSuccessor
from headrace.journal.testing_units import commit, succeeds, unit_of
from headrace.journal.writes import (
    AddAuditEntry,
    AddInstance,
    AddOccurrence,
    AddTrigger,
    AddWorkflow,
    CloseStage,
    EndInstance,
    OpenStage,
    Write,
)

_MakeJournal = Callable[[], AbstractAsyncContextManager[Journal]]
_WORKFLOW = AddWorkflow(workflow_id="w1", name="n", config="{}", created_at=1, updated_at=1)


async def a_principal_decides_once_about_a_plan_that_can_be_used(make_journal: _MakeJournal) -> None:
    """No decision is stored about a plan that is used or rejected, has expired, or does not exist."""
    async with make_journal() as journal:
        await commit(journal, *map(_plan, ("p1", "rejected", "used", "late")))
        await commit(journal, RejectPlan(plan_id="rejected", at=2), SpendPlan(plan_id="used", at=2))
        assert await succeeds(journal, _decision("p1", "jane", at=3))
        assert not await succeeds(journal, _decision("p1", "jane", "reject", at=4)), "a decision stands"
        assert await succeeds(journal, _decision("p1", "bob", at=2))
        assert not await succeeds(journal, _decision("rejected", "jane"))
        assert not await succeeds(journal, _decision("used", "jane"))
        assert not await succeeds(journal, _decision("late", "jane", at=9)), "it has expired"
        assert not await succeeds(journal, _decision("nothing", "jane"))
        found = await journal.decisions("p1")
        assert [(each.principal, each.verdict, each.at) for each in found] == [
            ("bob", "approve", 2),
            ("jane", "approve", 3),
        ]
        assert (found[0].target, found[0].hash, found[0].reason) == ("p1", "h", "r")
        assert [each for plan_id in ("rejected", "used", "late") for each in await journal.decisions(plan_id)] == []
        states = [await journal.plan(plan_id) for plan_id in ("p1", "rejected", "used", "late")]
        assert [each.state for each in states if each is not None] == ["open", "rejected", "used", "open"]


async def a_plan_is_approved_by_as_many_as_it_needs(make_journal: _MakeJournal) -> None:
    """The last of several decisions at once sees the others. A rejection is no approval."""
    async with make_journal() as journal:
        await commit(journal, _plan("p1"), _plan("p2"))
        await commit(journal, _decision("p2", "eve", "reject"), _decision("p2", "jane"))
        assert not await succeeds(journal, ApprovePlan(plan_id="p2", needed=2))
        units = [unit_of(_decision("p1", f"person {n}"), ApprovePlan(plan_id="p1", needed=3)) for n in range(3)]
        await asyncio.gather(*map(journal.commit, units))
        found = await journal.plan("p1")
        assert found is not None and found.state == "approved"
        assert not await succeeds(journal, ApprovePlan(plan_id="p1", needed=1)), "it is approved already"
        assert await succeeds(journal, UsePlan(plan_id="p1", instance_id="i1", at=3)), "an approved plan is run"
        assert not await succeeds(journal, RejectPlan(plan_id="p1", at=3))


async def of_a_rejection_and_a_use_at_once_one_is_committed(make_journal: _MakeJournal) -> None:
    """A plan that has expired is neither rejected nor used."""
    async with make_journal() as journal:
        for number in range(5):
            plan_id = f"p{number}"
            await commit(journal, _plan(plan_id))
            used = UsePlan(plan_id=plan_id, instance_id=f"i{number}", at=3)
            results = await asyncio.gather(
                succeeds(journal, used), succeeds(journal, RejectPlan(plan_id=plan_id, at=3))
            )
            assert sorted(results) == [False, True]
        assert not await succeeds(journal, RejectPlan(plan_id="p0", at=9))
        await commit(journal, _plan("late"))
        assert not await succeeds(journal, RejectPlan(plan_id="late", at=9))
        assert not await succeeds(journal, SpendPlan(plan_id="late", at=9))
        assert await succeeds(journal, SpendPlan(plan_id="late", at=8))
        assert not await succeeds(journal, SpendPlan(plan_id="late", at=8))
        found = await journal.plan("late")
        assert found is not None and (found.state, found.instance_id) == ("used", None)


async def a_gate_is_passed_once_and_its_instance_keeps_to_the_plan(make_journal: _MakeJournal) -> None:
    """A standing has the plan's document, and the number of its approvals."""
    async with make_journal() as journal:
        await commit(journal, _plan("p1"), _WORKFLOW, *_instance("i1"), *_instance("free"))
        await commit(journal, OpenGate(instance_id="i1", number=0, gate='{"needed":2}', deadline_at=7))
        await commit(journal, _decision("p1", "jane"), _decision("p1", "bob"))
        found = await journal.standing("i1")
        assert found is not None and (found.plan, found.approvals) == (None, 0)
        stage = found.instance.stages[0]
        assert (stage.gate, stage.deadline_at, stage.gate_passed_at) == ('{"needed":2}', 7, None)
        assert not await succeeds(journal, PassGate(instance_id="free", number=0, at=5)), "it has no gate"
        passed = PassGate(instance_id="i1", number=0, at=5)
        await commit(journal, passed, PinInstance(instance_id="i1", plan_id="p1"))
        assert not await succeeds(journal, passed), "it is passed"
        found = await journal.standing("i1")
        assert found is not None and (found.plan, found.approvals) == ("document", 2)
        assert found.instance.plan_id == "p1" and found.instance.stages[0].gate_passed_at == 5
        assert [each.gate_passed_at for each in await journal.stages("i1")] == [5]
        listed = [each async for page in journal.instances() for each in page if each.id == "i1"]
        assert [each.stages for each in listed] == [found.instance.stages]
        free = await journal.standing("free")
        assert free is not None and (free.plan, free.approvals, free.instance.stages[0].gate) == (None, 0, None)


async def a_stage_that_has_ended_passes_no_gate(make_journal: _MakeJournal) -> None:
    async with make_journal() as journal:
        await commit(journal, _WORKFLOW, *_instance("i1"))
        await commit(journal, OpenGate(instance_id="i1", number=0, gate="{}", deadline_at=None))
        await commit(journal, CloseStage(terminated_at=3, error="rejected", instance_id="i1", number=0))
        assert not await succeeds(journal, PassGate(instance_id="i1", number=0, at=5))


async def only_who_asked_for_a_target_is_a_requester(make_journal: _MakeJournal) -> None:
    """An instance that a trigger started has its trigger, and no requester; that of a batch has those of the batch."""
    async with make_journal() as journal:
        await commit(journal, _WORKFLOW, *_instance("i1"), *_instance("i2"))
        acts = (("bob", "sendEvent", "i1"), ("jane", "runWorkflow", "i1"), ("eve", "createTrigger", "t1"))
        acts += (("ann", "createBatch", "b1"), ("tom", "startBatch", "b1"), ("bob", "cancelBatch", "b1"))
        acts += (("bob", "sendEvent", "i2"), ("bob", "cancelEvent", "i3"))
        await commit(journal, *(_entry(*act) for act in acts))
        trigger: dict[str, str | None] = {"name": "", "event": "E", "event_name": "e", "workflow_id": "w1"}
        absent = {"version": None, "filter": None, "vars": None}
        await commit(journal, AddTrigger(trigger_id="t1", created_at=1, **trigger, **absent))  # pyright: ignore[reportArgumentType]
        fired = AddOccurrence(
            occurrence_id="o1",
            trigger_id="t1",
            event_key="k",
            event="{}",
            created_at=2,
            depth=0,
            instance_id="i2",
            error=None,
        )
        await commit(journal, fired)
        decided: dict[str, str | int | None] = {"kind": "run", "reason": "r", "principal": "ann", "selection": None}
        limits = {"rate": 1, "max_open": 1, "stop_after": 1, "items": 1}
        batch = AddBatch(batch_id="b1", created_at=1, **decided, **limits)  # pyright: ignore[reportArgumentType]
        items = AddBatchItems(batch_id="b1", items='[{"n": 1, "instance": null, "run": "{}"}]')
        await commit(journal, batch, items, StartItem(batch_id="b1", number=1, made_id="i3", at=3))
        found = [[each.principal for each in await journal.requesters(name)] for name in ("i1", "i2", "i3", "t1")]
        assert found == [["jane"], [], ["ann", "tom"], ["eve"]]
        assert [await journal.trigger_of(each) for each in ("i1", "i2")] == [None, "t1"]


async def the_requesters_of_a_case_are_those_of_all_its_instances(make_journal: _MakeJournal) -> None:
    """Also those of the plan that it is kept to; of an instance without any there is an unknown one."""
    async with make_journal() as journal:
        await commit(journal, _WORKFLOW, *_instance("i1"), *_instance("i2"), *_instance("i3"), *_instance("i4"))
        await commit(journal, *(_entry("jane", "runWorkflow", "i1"), _entry("ann", "runPlan", "i4")))
        for before, after, principal in (("i1", "i2", "joe"), ("i2", "i3", "headrace")):
            await commit(journal, EndInstance(at=3, error="e", instance_id=before, version=0, failure="refused"))
            step = AddSuccessor(
                predecessor=before, kind="redrive", successor=after, reason="r", principal=principal, at=3
            )
            await commit(journal, step)
        await commit(journal, _plan("p1", requester="tom"), UsePlan(plan_id="p1", instance_id="i4", at=2))
        await commit(journal, PinInstance(instance_id="i4", plan_id="p1"))
        found = [
            set(await journal.case_requesters(ids))
            for ids in (["i3"], ["i1"], ["i4"], ["i5"], ["i2", "i4", "i5"], list[str]())
        ]
    assert found == [
        {"jane", "joe", "headrace"},
        {"jane"},
        {"ann", "tom"},
        {None},
        {"jane", "joe", "ann", "tom", None},
        set(),
    ]


def _plan(plan_id: str, rest_of: str | None = None, at: int = 1, requester: str = "requester") -> Write:
    names = {name: name for name in ("hash", "document", "subject")}
    return AddPlan(plan_id=plan_id, **names, requester=requester, created_at=at, expires_at=9, rest_of=rest_of)


def _decision(plan_id: str, principal: str, verdict: str = "approve", at: int = 2) -> Write:
    return AddDecision(target=plan_id, principal=principal, verdict=verdict, hash="h", reason="r", at=at)


def _instance(instance_id: str) -> tuple[Write, ...]:
    return (
        AddInstance(
            instance_id=instance_id, workflow_id="w1", config="{}", variables="{}", created_at=2, by_trigger=False
        ),
        OpenStage(instance_id=instance_id, number=0, keyword="approve", input="{}", started_at=2),
    )


def _entry(principal: str, operation: str, target: str) -> Write:
    return AddAuditEntry(at=1, principal=principal, client_id=None, operation=operation, target=target)


async def the_plans_of_an_instance_are_found(make_journal: _MakeJournal) -> None:
    """The plan of the instance, and those of the rest of its run, also where they are not used."""
    async with make_journal() as journal:
        rows = (_plan("p1"), _plan("p3", "i1", 3), _plan("p2", "i1", 2), _plan("p4", "i2"))
        started = (_plan("p5"), UsePlan(plan_id="p5", instance_id="i1", at=4))
        await commit(journal, *rows, SpendPlan(plan_id="p3", at=4), *started)
        found = await journal.plans_of("i1")
        assert [(each.id, each.state, each.document) for each in found] == [
            ("p5", "used", "document"),
            ("p2", "open", "document"),
            ("p3", "used", "document"),
        ]
        assert await journal.plans_of("p1") == []


CHECKS = (
    the_plans_of_an_instance_are_found,
    a_principal_decides_once_about_a_plan_that_can_be_used,
    a_plan_is_approved_by_as_many_as_it_needs,
    of_a_rejection_and_a_use_at_once_one_is_committed,
    a_gate_is_passed_once_and_its_instance_keeps_to_the_plan,
    a_stage_that_has_ended_passes_no_gate,
    only_who_asked_for_a_target_is_a_requester,
    the_requesters_of_a_case_are_those_of_all_its_instances,
)
