"""A workflow that was deleted starts nothing, although its definition is kept in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from headrace.errors import InvalidValue, NotFound
from headrace.journal.port import Unit
from headrace.journal.records import Workflow
from headrace.journal.writes import DeleteWorkflow
from headrace.usecases.instances import start_instance
from headrace.usecases.workflows import delete_workflow
from tests.contract.test_engine import Scripted
from tests.support.engines import every_engine
from tests.support.in_process import InProcess, running

__all__ = ["every_engine"]  # a fixture

STAGES = [{"wait_event": {"event": "${event}"}}]
GOOD = {"event": "go"}


@pytest.fixture
async def alive(tmp_path: Path) -> AsyncIterator[InProcess]:
    services = Scripted()
    async with running(tmp_path / "j.db", services) as alive:
        yield alive
    await services.close()


async def started(alive: InProcess) -> Workflow:
    workflow = await alive.workflow("w", STAGES)
    await start_instance(alive.ports, None, workflow.id, GOOD)
    assert alive.ports.runners.workflow(workflow.id) == workflow
    return workflow


async def test_a_workflow_deleted_here_is_not_found_before_the_variables_are_checked(alive: InProcess) -> None:
    workflow = await started(alive)
    with pytest.raises(InvalidValue):
        await start_instance(alive.ports, None, workflow.id, {})
    await delete_workflow(alive.ports, None, workflow.id)
    with pytest.raises(NotFound):
        await start_instance(alive.ports, None, workflow.id, {})
    with pytest.raises(NotFound):
        await start_instance(alive.ports, None, workflow.id, GOOD)


async def test_a_workflow_deleted_by_another_process_is_refused_by_the_commit(alive: InProcess) -> None:
    workflow = await started(alive)
    unit = Unit()
    unit.add(DeleteWorkflow(at=workflow.created_at, workflow_id=workflow.id))
    await alive.journal.commit(unit)
    with pytest.raises(NotFound):
        await start_instance(alive.ports, None, workflow.id, GOOD)
    assert alive.ports.runners.workflow(workflow.id) is None
    with pytest.raises(NotFound):
        await start_instance(alive.ports, None, workflow.id, {})
