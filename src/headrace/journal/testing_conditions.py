"""Checks of `headrace.journal.testing`: decisions about stages, and what decides about later ones."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

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
_NAMES_READS = '{"stages":[{"send":{}},{"send":{},"when":"stages[0].reads.Read.x == 1"}]}'


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
    """The reads are those of stages before the last one, also inherited ones, where the definition names any."""
    async with make_journal() as journal:
        for name, config in (("plain", "{}"), ("named", _NAMES_READS)):
            stages = (
                _opened(name, 0),
                _read(name, 0),
                CloseStage(terminated_at=4, error=None, instance_id=name, number=0),
            )
            await commit(journal, *_started(name, config), *stages, _opened(name, 1), _read(name, 1))
            standing = await journal.standing(name)
            assert standing is not None
            found = [(each.stage, each.name, each.output) for each in standing.reads]
            assert found == ([(0, "Read", '"0"')] if name == "named" else [])
        failed = CloseStage(terminated_at=5, error="no", instance_id="named", number=1)
        await commit(journal, failed, EndInstance(at=5, error="no", instance_id="named", version=0))
        continued = AddContinuation(
            instance_id="next", predecessor="named", created_at=6, root_id="named", from_stage=1, plan_id=None
        )
        step = AddSuccessor(predecessor="named", kind="redrive", successor="next", reason="r", principal="p", at=6)
        await commit(journal, step, continued, _opened("next", 1))
        standing = await journal.standing("next")
        assert standing is not None
        found = [(each.stage, each.output) for each in standing.reads]
        assert found == [(0, '"0"')], found


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
