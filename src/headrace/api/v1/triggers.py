"""Operations on triggers: create, list, read, delete, and list the occurrences."""

from __future__ import annotations

from typing import Any, cast

from headrace.api.context import Context
from headrace.api.idempotency import answer_response, caller_of, unkeyed_caller
from headrace.api.operations import READ, WRITE, Operation, Parameter
from headrace.api.requests import Request, canonical_id, json_value
from headrace.api.responses import Response, json_response, list_response, no_content
from headrace.api.v1 import schemas, views
from headrace.usecases.triggers import create_trigger, delete_trigger, read_trigger

TAG = "Triggers"


async def create(context: Context, request: Request) -> Response:
    body = await request.body(context.settings.max_body_bytes)
    value = _with_canonical_id(json_value(request, body)) if body else None
    answer = await create_trigger(context.ports, caller_of(request, body, value), value)
    return answer_response(answer, 201, views.trigger_response)


def _with_canonical_id(value: Any) -> Any:
    if isinstance(value, dict):
        members = cast("dict[str, Any]", value)
        if isinstance(members.get("workflowID"), str):
            return members | {"workflowID": canonical_id(members["workflowID"])}
    return cast("Any", value)


async def show_all(context: Context, request: Request) -> Response:
    return await list_response(views.trigger_pages(context.ports.journal.triggers(request.query("name"))))


async def show(context: Context, request: Request) -> Response:
    row = await read_trigger(context.ports, request.params["triggerID"])
    return json_response(200, views.trigger_response(row))


async def delete(context: Context, request: Request) -> Response:
    """A body has no meaning, but the limits of bodies hold."""
    await request.body(context.settings.max_body_bytes)
    await delete_trigger(context.ports, unkeyed_caller(request), request.params["triggerID"])
    return no_content()


async def show_occurrences(context: Context, request: Request) -> Response:
    """Those of a deleted trigger can still be read."""
    trigger = await read_trigger(context.ports, request.params["triggerID"], even_deleted=True)
    return await list_response(views.occurrence_pages(context.ports.journal.occurrences(trigger.id)))


OPERATIONS = (
    Operation(
        method="GET",
        path="/triggers",
        operation_id="listTriggers",
        scope=READ,
        handler=show_all,
        tag=TAG,
        summary="List triggers",
        description="All triggers that are not deleted, newest first.",
        response=schemas.TriggerListResponse,
        query=(Parameter("name", "Only triggers whose name contains this text, in any case.", {"type": "string"}),),
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
            "From now on each event of this type starts the workflow, once, if the filter is true for it. Filter and "
            "variables are expressions; an invalid one is refused with its place and the reason."
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
        description="It starts no more instances; those that it started continue, and its occurrences stay.",
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
        description="One for each event that it matched, newest first: the started instance, or why there is none.",
        response=schemas.OccurrenceListResponse,
        errors=(404, 503),
    ),
)
