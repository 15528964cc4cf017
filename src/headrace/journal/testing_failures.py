"""Checks of `headrace.journal.testing`: what an instance is, and why it failed, come back as they were written."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

from headrace.journal.port import Journal
from headrace.journal.records import Instance
from headrace.journal.testing_units import unit_of
from headrace.journal.writes import AddInstance, AddWorkflow, EndInstance, OpenStage, Write


async def an_instance_keeps_its_kind_and_why_it_failed(
    make_journal: Callable[[], AbstractAsyncContextManager[Journal]],
) -> None:
    """By every read. An end without a kind of failure is that of a server of an earlier release: unclassified."""
    async with make_journal() as journal:
        await journal.commit(unit_of(AddWorkflow(workflow_id="w1", name="n", config="{}", created_at=1, updated_at=1)))
        continued: dict[str, Any] = {"kind": "continuation", "root_id": "i1", "from_stage": 3, "plan_id": "p1"}
        await journal.commit(unit_of(*_started("i1", 20), *_started("i2", 21, **continued), *_started("i3", 22)))
        await journal.commit(
            unit_of(
                EndInstance(at=30, error=None, instance_id="i1", version=0),
                EndInstance(at=31, error="A: NO: x", instance_id="i2", version=0, failure="refused", failure_code="NO"),
                EndInstance(at=32, error="A: NO: x", instance_id="i3", version=0),
            )
        )
        expected = [
            ("i3", "run", None, None, None, "unclassified", None),
            ("i2", "continuation", "i1", 3, "p1", "refused", "NO"),
            ("i1", "run", None, None, None, None, None),
        ]
        listed = [instance async for page in journal.instances() for instance in page]
        of_workflow = [instance async for page in journal.instances("w1") for instance in page]
        read = [await journal.instance(each) for each in ("i3", "i2", "i1")]
        standing = [await journal.standing(each) for each in ("i3", "i2", "i1")]
        assert [_facts(each) for each in listed] == expected
        assert [_facts(each) for each in of_workflow] == expected
        assert [_facts(each) for each in read] == expected
        assert [None if each is None else _facts(each.instance) for each in standing] == expected


def _facts(instance: Instance | None) -> tuple[object, ...]:
    assert instance is not None and instance.stages and instance.updated_at == instance.terminated_at
    case = (instance.id, instance.kind, instance.root_id, instance.from_stage, instance.plan_id)
    return (*case, instance.failure, instance.failure_code)


def _started(
    instance_id: str,
    at: int,
    *,
    kind: str = "run",
    root_id: str | None = None,
    from_stage: int | None = None,
    plan_id: str | None = None,
) -> tuple[Write, ...]:
    return (
        AddInstance(
            instance_id=instance_id,
            workflow_id="w1",
            config="{}",
            variables="{}",
            created_at=at,
            by_trigger=False,
            kind=kind,
            root_id=root_id,
            from_stage=from_stage,
            plan_id=plan_id,
        ),
        OpenStage(instance_id=instance_id, number=0, keyword="delay", input="{}", started_at=at),
    )


CHECKS = (an_instance_keeps_its_kind_and_why_it_failed,)
