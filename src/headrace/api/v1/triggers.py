"""Operations on triggers: create, list, read, delete, and what came of each match."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from headrace.api.body_budget import BodyBudget
from headrace.api.context import Context
from headrace.api.idempotency import caller_of, once, unkeyed_caller
from headrace.api.operations import READ, WRITE, Operation, Parameter
from headrace.api.requests import Request, canonical_id, json_value
from headrace.api.responses import Response, json_response, list_response, no_content
from headrace.api.v1 import schemas, views
from headrace.errors import InvalidValue, NotFound
from headrace.journal.port import Caller, Unit
from headrace.journal.records import Trigger
from headrace.journal.writes import AddTrigger, DeleteTrigger
from headrace.triggers.definition import Definition, parse_definition

TAG = "Triggers"

_THREAD_FROM_BYTES = 1 << 10
"""Expressions of this size are compiled beside the event loop."""


async def create(context: Context, request: Request) -> Response:
    body = await request.body(context.settings.max_body_bytes)
    value = _with_canonical_id(json_value(request, body)) if body else None
    caller = caller_of(request, body, value)

    async def write() -> Response:
        definition = await _definition(value, len(body), context.bodies)
        return await _store(context, definition, caller)

    return await once(context.ports.journal, caller, write)


def _with_canonical_id(value: Any) -> Any:
    if isinstance(value, dict):
        members = cast("dict[str, Any]", value)
        if isinstance(members.get("workflowID"), str):
            return members | {"workflowID": canonical_id(members["workflowID"])}
    return cast("Any", value)


async def _definition(value: Any, length: int, bodies: BodyBudget) -> Definition:
    if length < _THREAD_FROM_BYTES:
        return parse_definition(value)
    async with bodies.few:
        return await asyncio.to_thread(parse_definition, value)


async def _store(context: Context, definition: Definition, caller: Caller) -> Response:
    if await context.ports.journal.trigger_count() >= context.settings.max_triggers:
        raise InvalidValue("", f"there are {context.settings.max_triggers} triggers already: delete some")
    row = Trigger(
        id=context.ports.ids.new(),
        name=definition.name,
        event=definition.event,
        workflow_id=definition.workflow_id,
        version=definition.version,
        filter=definition.filter,
        vars=definition.vars_text,
        created_at=context.ports.clock.now_at(),
    )
    answer = views.trigger_response(row)
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
    context.ports.outbox.want(row.event)  # before an instance can start that it would tell of
    await context.ports.journal.commit(unit)
    return json_response(201, answer)


async def show_all(context: Context, request: Request) -> Response:
    return await list_response(views.trigger_pages(context.ports.journal.triggers(request.query("name"))))


async def show(context: Context, request: Request) -> Response:
    row = await live_trigger(context, request)
    return json_response(200, views.trigger_response(row))


async def live_trigger(context: Context, request: Request) -> Trigger:
    trigger_id = request.params["triggerID"]
    row = await context.ports.journal.trigger(trigger_id)
    if row is None or row.deleted_at is not None:
        raise NotFound("trigger", trigger_id)
    return row


async def delete(context: Context, request: Request) -> Response:
    """A body means nothing here; one that is refused elsewhere is refused all the same."""
    await request.body(context.settings.max_body_bytes)
    trigger_id = request.params["triggerID"]
    now_at = context.ports.clock.now_at()
    unit = Unit()
    unit.add(DeleteTrigger(at=now_at, trigger_id=trigger_id), or_raise=NotFound("trigger", trigger_id))
    unit.sign(unkeyed_caller(request), now_at, trigger_id)
    await context.ports.journal.commit(unit)
    return no_content()


async def show_occurrences(context: Context, request: Request) -> Response:
    """Also those of a deleted trigger."""
    trigger_id = await known_trigger(context, request)
    return await list_response(views.occurrence_pages(context.ports.journal.occurrences(trigger_id)))


async def known_trigger(context: Context, request: Request) -> str:
    """The id in the path, which may be that of a deleted one."""
    trigger_id = request.params["triggerID"]
    if await context.ports.journal.trigger(trigger_id) is None:
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
        response=schemas.TriggerListResponse,
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
        response=schemas.TriggerResponse,
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
        response=schemas.TriggerResponse,
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
        response=schemas.OccurrenceListResponse,
        errors=(404, 503),
    ),
)
