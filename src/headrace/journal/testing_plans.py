"""Checks of `headrace.journal.testing`: plans, and the one instance that each may start."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial

from headrace.errors import Conflict
from headrace.journal.plan_writes import AddPlan, ExpirePlan, UsePlan
from headrace.journal.port import Journal, Required, Unit
from headrace.journal.testing_units import commit, succeeds
from headrace.journal.writes import AddInstance, AddWorkflow, OpenStage, Write

_MakeJournal = Callable[[], AbstractAsyncContextManager[Journal]]


async def a_plan_is_open_until_it_expires(make_journal: _MakeJournal) -> None:
    """Once it has expired, it stays so, whatever a clock says."""
    async with make_journal() as journal:
        await commit(journal, _plan("plan_id"))
        found = await journal.plan("plan_id")
        assert found is not None and (found.document, found.state, found.instance_id) == ("document", "open", None)
        assert not await succeeds(journal, ExpirePlan(plan_id="plan_id", at=8)), "it is early"
        assert not await succeeds(journal, UsePlan(plan_id="plan_id", instance_id="i1", at=9)), "it is late"
        assert await succeeds(journal, ExpirePlan(plan_id="plan_id", at=9))
        assert not await succeeds(journal, UsePlan(plan_id="plan_id", instance_id="i1", at=2))
        found = await journal.plan("plan_id")
        assert found is not None and (found.state, found.instance_id) == ("expired", None)
        assert not await succeeds(journal, UsePlan(plan_id="nothing", instance_id="i1", at=2))


async def a_plan_starts_one_instance_which_keeps_it(make_journal: _MakeJournal) -> None:
    """One of several units is committed; where the instance stands is read with the plan's document."""
    async with make_journal() as journal:
        await commit(
            journal,
            _plan("p1"),
            AddWorkflow(workflow_id="w1", name="n", config="{}", created_at=1, updated_at=1),
            *_instance("free", None),
        )
        units = [Unit() for _ in range(5)]
        for number, unit in enumerate(units):
            used = UsePlan(plan_id="p1", instance_id=f"i{number}", at=2)
            unit.add(Required(used, partial(Conflict, "p1")))
            for write in _instance(f"i{number}", "p1"):
                unit.add(write)
        results = await asyncio.gather(*(journal.commit(unit) for unit in units), return_exceptions=True)
        assert sum(isinstance(result, Conflict) for result in results) == 4, results
        (winner,) = [number for number, result in enumerate(results) if not isinstance(result, BaseException)]
        found = await journal.plan("p1")
        assert found is not None and (found.state, found.instance_id) == ("used", f"i{winner}")
        standing = [await journal.standing(f"i{number}") for number in range(5)]
        assert [each.plan for each in standing if each is not None] == ["document"]
        assert not await succeeds(journal, ExpirePlan(plan_id="p1", at=99)), "it is used"
        free = await journal.standing("free")
        assert free is not None and free.plan is None


def _plan(plan_id: str) -> Write:
    names = {name: name for name in ("hash", "document", "subject", "requester")}
    return AddPlan(plan_id=plan_id, **names, created_at=1, expires_at=9)


def _instance(instance_id: str, plan_id: str | None) -> tuple[Write, ...]:
    return (
        AddInstance(
            instance_id=instance_id,
            workflow_id="w1",
            config="{}",
            variables="{}",
            created_at=2,
            by_trigger=False,
            plan_id=plan_id,
        ),
        OpenStage(instance_id=instance_id, number=0, keyword="delay", input="{}", started_at=2),
    )


CHECKS = (a_plan_is_open_until_it_expires, a_plan_starts_one_instance_which_keeps_it)
