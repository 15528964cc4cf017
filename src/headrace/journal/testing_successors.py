"""Checks of `headrace.journal.testing`: what comes after an ended instance, and what a continuation takes over."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial

from msgspec import structs

from headrace.errors import Conflict
from headrace.journal.plan_writes import AddPlan
from headrace.journal.port import Journal, Required, Unit
from headrace.journal.records import Successor
from headrace.journal.successor_writes import AddContinuation, AddSuccessor, CarryEvents
from headrace.journal.writes import (
    AddClosedActivity,
    AddEvent,
    AddInstance,
    AddWorkflow,
    CloseActivity,
    CloseStage,
    DeleteWorkflow,
    EndInstance,
    OpenActivity,
    OpenStage,
    TakeEvent,
    Write,
)

MakeJournal = Callable[[], AbstractAsyncContextManager[Journal]]


async def an_ended_instance_has_one_successor(make_journal: MakeJournal) -> None:
    """Only what has ended, with nothing open, has a successor; a second one is refused, and so is a shared one."""
    async with make_journal() as journal:
        await journal.commit(_unit(AddWorkflow(workflow_id="w", name="n", config="{}", created_at=1, updated_at=1)))
        await journal.commit(_unit(*_begun("a"), *_begun("b"), AddEvent(instance_id="a", name="e", received_at=5)))
        await journal.commit(_unit(_opened("a", 0, 0)))
        assert await _is_refused(journal, _after("a", "c")), "it runs"
        await journal.commit(_unit(_end("a"), _end("b")))
        assert await _is_refused(journal, _after("a", "c")), "an activity is open"
        await journal.commit(_unit(_closed("a", 0, 0, error="no")))
        assert await _is_refused(journal, _after("none", "c")), "there is no such instance"
        assert not await _is_refused(journal, _after("a", "c"))
        assert await _is_refused(journal, _after("a", "d", kind="undo")), "it has a successor"
        assert await _is_refused(journal, _after("b", "c")), "that is another one's"
        stored = Successor("a", "redrive", "c", "why", "jane", 9, "[]")
        assert (await journal.successor("a"), await journal.predecessor("c")) == (stored, stored)
        assert (await journal.successor("b"), await journal.predecessor("a")) == (None, None)


async def a_continuation_takes_over_stages_and_effects(make_journal: MakeJournal) -> None:
    """Instance a fails in its second stage, b in the same one, c goes on: what a and b have done is read as c's."""
    async with make_journal() as journal:
        await journal.commit(_unit(AddWorkflow(workflow_id="w", name="n", config="{}", created_at=1, updated_at=1)))
        await journal.commit(_unit(*_begun("a"), _opened("a", 0, 0), _closed("a", 0, 0, output='"0"')))
        await journal.commit(_unit(_stage_end("a", 0), _stage("a", 1)))
        for name in ("used", "kept"):
            await journal.commit(_unit(AddEvent(instance_id="a", name=name, received_at=5)))
        await journal.commit(_unit(TakeEvent(stage=0, instance_id="a", name="used")))
        await journal.commit(_unit(_read("a", 1, 0), _opened("a", 1, 1), _closed("a", 1, 1, output='"1"')))
        await journal.commit(_unit(_opened("a", 1, 2), _closed("a", 1, 2, error="no")))
        await journal.commit(_unit(_stage_end("a", 1, "no"), _end("a"), DeleteWorkflow(at=8, workflow_id="w")))
        await journal.commit(_unit(_after("a", "b"), _continued("a", "b", 1), _stage("b", 1)))
        assert await _taken(journal, "a", "kept") == 0 and await _taken(journal, "b", "used") == 0
        assert await _taken(journal, "b", "kept") == 1
        await journal.commit(_unit(_read("b", 1, 0), _opened("b", 1, 2), _closed("b", 1, 2, error="no")))
        await journal.commit(_unit(_stage_end("b", 1, "no"), _end("b")))
        await journal.commit(_unit(_after("b", "c"), _continued("b", "c", 1), _stage("c", 1)))
        await journal.commit(_unit(_read("c", 1, 0), _opened("c", 1, 2)))

        found = await journal.instance("c")
        assert found is not None and (found.kind, found.root_id, found.from_stage) == ("continuation", "a", 1)
        assert (found.config, found.variables, found.workflow_id) == ("{}", '{"v":"1"}', "w")
        assert [(stage.number, stage.instance_id, stage.error) for stage in found.stages] == [
            (0, "c", None),
            (1, "c", None),
        ]
        assert [instance async for page in journal.instances() for instance in page if instance.id == "c"] == [found]
        rows = [row for stage in (0, 1) for row in await journal.activities("c", stage)]
        assert [(row.stage, row.position, row.instance_id, row.output) for row in rows] == [
            (0, 0, "a", '"0"'),
            (1, 0, "c", '"read"'),
            (1, 1, "a", '"1"'),
            (1, 2, "c", None),
        ]
        assert [row.instance_id for row in await journal.activities("b", 1)] == ["b", "a", "b"]
        assert [row.instance_id for row in await journal.activities("a", 1)] == ["a", "a", "a"]
        assert await journal.activities("c", 2) == [] and await journal.activities("none", 0) == []
        standing = await journal.standing("c")
        assert standing is not None and standing.instance == found
        assert [(row.position, row.instance_id) for row in standing.activities] == [(0, "c"), (2, "c")]
        assert [(row.instance_id, row.key) for row in standing.inherited] == [
            ("a", "headrace:a:1:0"),
            ("a", "headrace:a:1:1"),
            ("b", "headrace:a:1:1"),
        ]
        await journal.commit(_unit(_closed("c", 1, 2), _stage_end("c", 1), _stage("c", 2)))
        standing = await journal.standing("c")
        assert standing is not None and standing.inherited == () and len(standing.instance.stages) == 3


def _begun(instance_id: str) -> tuple[AddInstance, Write]:
    added = AddInstance(
        instance_id=instance_id, workflow_id="w", config="{}", variables='{"v":"1"}', created_at=2, by_trigger=False
    )
    return added, _stage(instance_id, 0)


async def a_continuation_has_the_plan_of_its_redrive_or_that_before(make_journal: MakeJournal) -> None:
    """Plan p of instance a is that of its continuation b; plan q takes its place in c, and stays in d."""
    async with make_journal() as journal:
        await journal.commit(_unit(AddWorkflow(workflow_id="w", name="n", config="{}", created_at=1, updated_at=1)))
        for plan_id in ("p", "q"):
            added = AddPlan(
                plan_id=plan_id, hash="h", document=plan_id, subject="{}", requester="r", created_at=1, expires_at=99
            )
            await journal.commit(_unit(added))
        begun, stage = _begun("a")
        await journal.commit(_unit(structs.replace(begun, plan_id="p"), stage))
        for before, after, plan_id in (("a", "b", None), ("b", "c", "q"), ("c", "d", None)):
            await journal.commit(_unit(_stage_end(before, 0, "no"), _end(before)))
            continued = structs.replace(_continued(before, after, 0), plan_id=plan_id)
            await journal.commit(_unit(_after(before, after), continued, _stage(after, 0)))
        standings = [await journal.standing(instance_id) for instance_id in "abcd"]
        found = [(each.instance.plan_id, each.plan) for each in standings if each is not None]
        assert found == [("p", "p"), ("p", "p"), ("q", "q"), ("q", "q")]


def _continued(predecessor: str, instance_id: str, stage: int) -> AddContinuation:
    return AddContinuation(
        instance_id=instance_id, predecessor=predecessor, created_at=9, root_id="a", from_stage=stage
    )


def _after(predecessor: str, successor: str, kind: str = "redrive") -> Write:
    return AddSuccessor(
        predecessor=predecessor, kind=kind, successor=successor, reason="why", principal="jane", at=9, kept="[]"
    )


def _stage(instance_id: str, number: int) -> Write:
    return OpenStage(instance_id=instance_id, number=number, keyword="send", input="{}", started_at=3 + number)


def _stage_end(instance_id: str, number: int, error: str | None = None) -> Write:
    return CloseStage(terminated_at=7, error=error, instance_id=instance_id, number=number)


def _end(instance_id: str) -> Write:
    return EndInstance(at=8, error="no", instance_id=instance_id, version=0, failure="refused")


def _opened(instance_id: str, stage: int, position: int) -> Write:
    """An effect; the first stage has no read before it."""
    return OpenActivity(
        instance_id=instance_id,
        stage=stage,
        position=position,
        name="CreateTransaction",
        input="{}",
        started_at=4,
        attempt=1,
        key=f"headrace:a:{stage}:{position - stage}",
        request_method="POST",
        request_path="/v2/l/transactions",
        request_body=b"{}",
    )


def _closed(
    instance_id: str, stage: int, position: int, *, output: str | None = None, error: str | None = None
) -> Write:
    return CloseActivity(
        attempt=1,
        output=output,
        error=error,
        terminated_at=6,
        instance_id=instance_id,
        stage=stage,
        position=position,
    )


def _read(instance_id: str, stage: int, position: int) -> Write:
    return AddClosedActivity(
        instance_id=instance_id,
        stage=stage,
        position=position,
        name="GetAccount",
        input="{}",
        started_at=4,
        attempt=1,
        key="",
        request_method="GET",
        request_path="/v2/l/accounts/a",
        request_body=None,
        output='"read"',
        error=None,
        last_failure=None,
        terminated_at=4,
    )


async def _taken(journal: Journal, instance_id: str, name: str) -> int:
    return len(await journal.commit(_unit(TakeEvent(stage=1, instance_id=instance_id, name=name))))


def _unit(*writes: Write) -> Unit:
    unit = Unit()
    for write in writes:
        unit.add(write)
        if isinstance(write, AddContinuation):
            unit.add(CarryEvents(predecessor=write.predecessor, instance_id=write.instance_id))
    return unit


async def _is_refused(journal: Journal, decided: Write) -> bool:
    unit = _unit()
    unit.add(Required(decided, partial(Conflict, "refused")))
    try:
        await journal.commit(unit)
    except Conflict:
        return True
    return False


CHECKS = (
    an_ended_instance_has_one_successor,
    a_continuation_takes_over_stages_and_effects,
    a_continuation_has_the_plan_of_its_redrive_or_that_before,
)
