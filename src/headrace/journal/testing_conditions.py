"""Checks of `headrace.journal.testing`: decisions about stages, and what decides about later ones."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

from headrace.journal.approval_writes import DecideStage
from headrace.journal.port import Journal
from headrace.journal.successor_writes import AddContinuation, AddSuccessor
from headrace.journal.testing_units import commit
from headrace.journal.writes import (
    AddClosedActivity,
    AddClosedStage,
    AddInstance,
    AddWorkflow,
    CloseStage,
    EndInstance,
    OpenStage,
    Write,
)

_MakeJournal = Callable[[], AbstractAsyncContextManager[Journal]]
_READS = ("stages[0].reads.Read.x == 1", 'stages[-2]["\\x72eads"]["Read"].x == 1', 'stages[1].outcome == "done"')
"""Conditions of a stage 2: two name a read of stage 0, in one of them no word says so, and one names no read."""


async def a_decision_about_a_stage_is_stored_once(make_journal: _MakeJournal) -> None:
    async with make_journal() as journal:
        await commit(journal, *_started("i", "{}"), _opened("i", 0), _decided("i", 0, is_skipped=False))
        await commit(journal, CloseStage(terminated_at=3, error=None, instance_id="i", number=0))
        await commit(journal, _closed("i", 1), _decided("i", 1, is_skipped=True), _closed("i", 2))
        await commit(journal, _decided("i", 0, is_skipped=True), _decided("i", 1, is_skipped=False))
        instance = await journal.instance("i")
        standing = await journal.standing("i")
        assert instance is not None and standing is not None
        for stages in (instance.stages, standing.instance.stages, await journal.stages("i")):
            assert [stage.skipped for stage in stages] == [False, True, None]


async def a_standing_has_the_reads_that_conditions_may_name(make_journal: _MakeJournal) -> None:
    """The reads are those of stages before the last one, also inherited ones, which conditions that are left name."""
    second = (1, "Read", '"1"')
    async with make_journal() as journal:
        for name, condition in zip(("plain", "escaped", "other"), _READS, strict=True):
            stages: list[Write] = []
            for number in (0, 1):
                end = CloseStage(terminated_at=4, error=None, instance_id=name, number=number)
                stages += (_opened(name, number), _read(name, number), end)
            await commit(journal, *_started(name, _config(condition)), *stages)
            for last in (2, 3):  # its own condition is to be evaluated where there is no decision, and one behind it
                await commit(journal, _opened(name, last))
                first = [(0, "Read", '"0"')] if last == 2 and name != "other" else []
                assert await _found(journal, name) == [*first, second], (name, last)
                await commit(journal, _decided(name, last, is_skipped=False))
                assert await _found(journal, name) == ([second] if last == 2 else []), (name, last)
        failed = CloseStage(terminated_at=5, error="no", instance_id="plain", number=3)
        await commit(journal, failed, EndInstance(at=5, error="no", instance_id="plain", version=0))
        continued = AddContinuation(
            instance_id="next", predecessor="plain", created_at=6, root_id="plain", from_stage=2, plan_id=None
        )
        step = AddSuccessor(predecessor="plain", kind="redrive", successor="next", reason="r", principal="p", at=6)
        await commit(journal, step, continued, _opened("next", 2), _read("next", 2))
        assert await _found(journal, "next") == [(0, "Read", '"0"'), (1, "Read", '"1"')], "those that it takes over"


async def _found(journal: Journal, instance_id: str) -> list[tuple[int, str, str | None]]:
    standing = await journal.standing(instance_id)
    assert standing is not None
    return [(each.stage, each.name, each.output) for each in standing.reads]


def _config(condition: str) -> str:
    """A definition of four stages, of which the last two have conditions."""
    whens = (None, None, condition, "stages[1].reads.Read.x == 1")
    stages: list[dict[str, Any]] = [{"send": {}} if when is None else {"send": {}, "when": when} for when in whens]
    return json.dumps({"stages": stages})


def _started(instance_id: str, config: str) -> tuple[Write, ...]:
    workflow = AddWorkflow(workflow_id=f"w-{instance_id}", name="n", config=config, created_at=1, updated_at=1)
    started = AddInstance(
        instance_id=instance_id,
        workflow_id=workflow.workflow_id,
        config=config,
        variables="{}",
        created_at=2,
        by_trigger=False,
    )
    return workflow, started


def _opened(instance_id: str, number: int) -> Write:
    return OpenStage(instance_id=instance_id, number=number, keyword="send", input="{}", started_at=2)


def _closed(instance_id: str, number: int) -> Write:
    return AddClosedStage(
        instance_id=instance_id, number=number, keyword="send", input="{}", started_at=3, terminated_at=3, error=None
    )


def _decided(instance_id: str, number: int, *, is_skipped: bool) -> Write:
    return DecideStage(instance_id=instance_id, number=number, is_skipped=is_skipped)


def _read(instance_id: str, stage: int) -> Write:
    return AddClosedActivity(
        instance_id=instance_id,
        stage=stage,
        position=0,
        name="Read",
        input="{}",
        started_at=3,
        attempt=1,
        key="",
        request_method="GET",
        request_path="/wallets/w",
        request_body=None,
        output=f'"{stage}"',
        error=None,
        last_failure=None,
        terminated_at=4,
    )


CHECKS = (a_decision_about_a_stage_is_stored_once, a_standing_has_the_reads_that_conditions_may_name)
