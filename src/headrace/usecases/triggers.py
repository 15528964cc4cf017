"""Use cases of triggers: create, delete, read and test."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

from headrace.errors import InvalidValue, NotFound
from headrace.journal.port import Required, Unit
from headrace.journal.records import Trigger
from headrace.journal.writes import AddTrigger, DeleteTrigger
from headrace.triggers.definition import parse_definition
from headrace.triggers.firing import Firing, Trial
from headrace.usecases.idempotency import Answer, Caller, idempotent, record
from headrace.usecases.ports import Ports


@idempotent(Trigger)
async def create_trigger(ports: Ports, caller: Caller | None, definition: object) -> Answer[Trigger]:
    """Store a trigger, which fires for the events accepted from now on.

    Raises InvalidDefinition naming all problems; InvalidValue where there are too many triggers, or no such workflow.
    """
    async with ports.compilations:
        parsed = await asyncio.to_thread(parse_definition, definition)  # expressions of 32 KB take a third of a second
    if await ports.journal.trigger_count() >= ports.max_triggers:
        raise InvalidValue("", f"there are {ports.max_triggers} triggers already: delete some")
    row = Trigger(
        id=ports.ids.new(),
        name=parsed.name,
        event=parsed.event,
        workflow_id=parsed.workflow_id,
        version=parsed.version,
        filter=parsed.filter,
        vars=parsed.vars_text,
        created_at=ports.clock.now_at(),
    )
    answer = Answer(row.id, row)
    unit = Unit()
    unit.add(
        Required(
            AddTrigger(
                trigger_id=row.id,
                name=row.name,
                event=row.event,
                event_name=row.event.lower(),
                workflow_id=row.workflow_id,
                version=row.version,
                filter=row.filter,
                vars=row.vars,
                created_at=row.created_at,
            ),
            partial(InvalidValue, "workflowID", f"there is no workflow {row.workflow_id[:100]!r}"),
        )
    )
    ports.outbox.want(unit, row.event)
    record(unit, caller, row.created_at, answer)
    await ports.journal.commit(unit)
    return answer


async def delete_trigger(ports: Ports, caller: Caller | None, trigger_id: str) -> None:
    """Stop a trigger from firing; its occurrences stay, and instances that it started continue. Raises NotFound."""
    now_at = ports.clock.now_at()
    unit = Unit()
    delete = DeleteTrigger(at=now_at, trigger_id=trigger_id)
    unit.add(Required(delete, partial(NotFound, "trigger", trigger_id)))
    record(unit, caller, now_at, Answer(trigger_id))
    await ports.journal.commit(unit)


async def read_trigger(ports: Ports, trigger_id: str, *, even_deleted: bool = False) -> Trigger:
    """The trigger of this id. Raises NotFound, for a deleted trigger too unless `even_deleted`."""
    row = await ports.journal.trigger(trigger_id)
    if row is None or (row.deleted_at is not None and not even_deleted):
        raise NotFound("trigger", trigger_id)
    return row


async def test_trigger(ports: Ports, trigger_id: str, payload: dict[str, Any]) -> Trial:
    """Evaluate a trigger's filter and variables over the payload of an event, and store nothing. Raises NotFound."""
    trigger = await read_trigger(ports, trigger_id)
    return await Firing(ports.evaluator, trigger, payload).trial()
