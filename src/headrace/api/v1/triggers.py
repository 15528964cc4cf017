"""Operations on triggers: create, list, read, delete, and what came of each match."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from headrace.api.operations import READ, WRITE, Operation, Parameter
from headrace.api.repeats import caller_of, once, unkeyed_caller
from headrace.api.replies import Reply, json_reply, list_reply, no_content
from headrace.api.requests import Request, canonical_id, json_value
from headrace.api.room import Room
from headrace.api.services import Services
from headrace.api.v1 import schemas, views
from headrace.errors import InvalidValue, NotFound
from headrace.journal.port import Caller, Unit
from headrace.journal.records import Trigger
from headrace.journal.writes import AddTrigger, DeleteTrigger
from headrace.triggers.definition import Definition, parse_definition

TAG = "Triggers"

_THREAD_FROM_BYTES = 1 << 10
"""Expressions of this size are compiled beside the event loop."""


async def create(services: Services, request: Request) -> Reply:
    body = await request.body(services.settings.max_body_bytes)
    value = _with_canonical_id(json_value(request, body)) if body else None
    caller = caller_of(request, body, value)

    async def write() -> Reply:
        definition = await _definition(value, len(body), services.room)
        return await _store(services, definition, caller)

    return await once(services.journal, caller, write)


def _with_canonical_id(value: Any) -> Any:
    if isinstance(value, dict):
        members = cast("dict[str, Any]", value)
        if isinstance(members.get("workflowID"), str):
            return members | {"workflowID": canonical_id(members["workflowID"])}
    return cast("Any", value)


async def _definition(value: Any, length: int, room: Room) -> Definition:
    if length < _THREAD_FROM_BYTES:
        return parse_definition(value)
    async with room.few:
        return await asyncio.to_thread(parse_definition, value)


async def _store(services: Services, definition: Definition, caller: Caller) -> Reply:
    if await services.journal.trigger_count() >= services.settings.max_triggers:
        raise InvalidValue("", f"there are {services.settings.max_triggers} triggers already: delete some")
    row = Trigger(
        id=services.ids.new(),
        name=definition.name,
        event=definition.event,
        workflow_id=definition.workflow_id,
        version=definition.version,
        filter=definition.filter,
        vars=definition.vars_text,
        created_at=services.clock.now_at(),
    )
    answer = views.trigger_reply(row)
    unit = Unit()
    write = AddTrigger(
        trigger_id=row.id,
        name=row.name,
        event=row.event,
        event_name=row.event.lower(),
        workflow_id=row.workflow_id,
        version=row.version,
        filter=row.filter,
        vars=row.vars,
        created_at=row.created_at,
    )
    unit.add(write, or_raise=InvalidValue("workflowID", f"there is no workflow {row.workflow_id[:100]!r}"))
    unit.sign(caller, row.created_at, row.id, 201, answer)
    services.outbox.want(row.event)  # before an instance can start that it would tell of
    await services.journal.commit(unit)
    return json_reply(201, answer)


async def show_all(services: Services, request: Request) -> Reply:
    return await list_reply(views.trigger_pages(services.journal.triggers(request.query("name"))))


async def show(services: Services, request: Request) -> Reply:
    row = await live_trigger(services, request)
    return json_reply(200, views.trigger_reply(row))


async def live_trigger(services: Services, request: Request) -> Trigger:
    trigger_id = request.params["triggerID"]
    row = await services.journal.trigger(trigger_id)
    if row is None or row.deleted_at is not None:
        raise NotFound("trigger", trigger_id)
    return row


async def delete(services: Services, request: Request) -> Reply:
    """A body means nothing here; one that is refused elsewhere is refused all the same."""
    await request.body(services.settings.max_body_bytes)
    trigger_id = request.params["triggerID"]
    now_at = services.clock.now_at()
    unit = Unit()
    unit.add(DeleteTrigger(at=now_at, trigger_id=trigger_id), or_raise=NotFound("trigger", trigger_id))
    unit.sign(unkeyed_caller(request), now_at, trigger_id)
    await services.journal.commit(unit)
    return no_content()


async def show_occurrences(services: Services, request: Request) -> Reply:
    """Also those of a deleted trigger."""
    trigger_id = await known_trigger(services, request)
    return await list_reply(views.occurrence_pages(services.journal.occurrences(trigger_id)))


async def known_trigger(services: Services, request: Request) -> str:
    """The id in the path, which may be that of a deleted one."""
    trigger_id = request.params["triggerID"]
    if await services.journal.trigger(trigger_id) is None:
        raise NotFound("trigger", trigger_id)
    return trigger_id


OPERATIONS = (
    Operation(
        method="GET",
        path="/triggers",
        operation_id="listTriggers",
        scope=READ,
        handler=show_all,
        tag=TAG,
        summary="List triggers",
        description="All that are not deleted, newest first.",
        reply=schemas.TriggerListReply,
        query=(Parameter("name", "Only those whose name holds this text, in any case.", {"type": "string"}),),
    ),
    Operation(
        method="POST",
        path="/triggers",
        operation_id="createTrigger",
        scope=WRITE,
        handler=create,
        tag=TAG,
        summary="Create a trigger",
        description=(
            "From now on an event of this type starts the workflow, once, if the filter is true for it. Filter and "
            "variables are expressions; one that cannot be right is refused with its place and the reason."
        ),
        status=201,
        reply=schemas.TriggerReply,
        body=schemas.TriggerData,
        example={
            "event": "SAVED_PAYMENT",
            "workflowID": "0190b5c2-7d1e-7c3a-9f21-6d2f0b7e4a11",
            "name": "top-up",
            "filter": 'event.type == "PAY-IN" and event.status == "SUCCEEDED"',
            "vars": {"payment": "event.id", "amount": "event.amount"},
        },
        takes_key=True,
        errors=(400, 413, 415, 503),
    ),
    Operation(
        method="GET",
        path="/triggers/{triggerID}",
        operation_id="readTrigger",
        scope=READ,
        handler=show,
        tag=TAG,
        summary="Read a trigger",
        reply=schemas.TriggerReply,
        errors=(404, 503),
    ),
    Operation(
        method="DELETE",
        path="/triggers/{triggerID}",
        operation_id="deleteTrigger",
        scope=WRITE,
        handler=delete,
        tag=TAG,
        summary="Delete a trigger",
        description="It starts nothing any more; what it has started goes on, and its occurrences stay.",
        status=204,
        errors=(404, 413, 415, 503),
    ),
    Operation(
        method="GET",
        path="/triggers/{triggerID}/occurrences",
        operation_id="listTriggersOccurrences",
        scope=READ,
        handler=show_occurrences,
        tag=TAG,
        summary="List a trigger's occurrences",
        description="One for each event that it matched, newest first: the instance it started, or why it did not.",
        reply=schemas.OccurrenceListReply,
        errors=(404, 503),
    ),
)
