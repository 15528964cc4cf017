"""Use cases of workflows: create and delete."""

from __future__ import annotations

from functools import partial

import msgspec

from headrace.errors import InvalidValue, NotFound
from headrace.journal.port import Required, Unit
from headrace.journal.records import Workflow
from headrace.journal.writes import AddWorkflow, DeleteWorkflow
from headrace.usecases.idempotency import Answer, Caller, idempotent, record
from headrace.usecases.ports import Ports
from headrace.workflows.config import parse_config


@idempotent(Workflow)
async def create_workflow(ports: Ports, caller: Caller | None, definition: object) -> Answer[Workflow]:
    """Store a definition, which never changes afterwards.

    Raises InvalidDefinition naming all problems, and InvalidValue where nothing is defined.
    """
    if definition is None:
        raise InvalidValue("body", "must be a workflow: an object with `stages` and an optional `name`")
    config = parse_config(definition)
    now_at = ports.clock.now_at()
    text = msgspec.json.encode(config.definition).decode()
    row = Workflow(id=ports.ids.new(), name=config.name, config=text, created_at=now_at, updated_at=now_at)
    answer = Answer(row.id, row)
    unit = Unit()
    unit.add(AddWorkflow(workflow_id=row.id, name=row.name, config=text, created_at=now_at, updated_at=now_at))
    record(unit, caller, now_at, answer)
    await ports.journal.commit(unit)
    return answer


async def delete_workflow(ports: Ports, caller: Caller | None, workflow_id: str) -> None:
    """Take a workflow off the lists: it starts no more instances; those that run continue. Raises NotFound."""
    now_at = ports.clock.now_at()
    unit = Unit()
    delete = DeleteWorkflow(at=now_at, workflow_id=workflow_id)
    unit.add(Required(delete, partial(NotFound, "workflow", workflow_id)))
    record(unit, caller, now_at, Answer(workflow_id))
    await ports.journal.commit(unit)
    ports.runners.forget_workflow(workflow_id)
