"""Operations on instances: run, list, read, send an event, abort, and the two histories."""

from __future__ import annotations

import asyncio
import contextlib
import re
from typing import Any, cast

import msgspec

from headrace.api.context import Context
from headrace.api.idempotency import HIT, caller_of, once, stored_response, target_of
from headrace.api.operations import READ, WRITE, Operation, Parameter
from headrace.api.requests import Request, canonical_id, json_value
from headrace.api.responses import Response, json_response, list_response, no_content
from headrace.api.v1 import schemas, views
from headrace.errors import InvalidValue, NotFound, Unavailable
from headrace.journal.port import Caller
from headrace.journal.records import ActivityRow, Instance, Remembered, Workflow
from headrace.workflows.variables import check_variables, shown

TAG = "Instances"

_NUMBER = re.compile(r"[+-]?[0-9]+", re.ASCII)
_MAX_NUMBER_DIGITS = 9
_stored_config = msgspec.json.Decoder(schemas.StoredConfig)


# run


async def run(context: Context, request: Request) -> Response:
    body = await request.body(context.settings.max_body_bytes)
    waits = request.flag("wait")
    value: Any = json_value(request, body) if body else {}
    caller = caller_of(request, body, value)

    async def write() -> Response:
        variables = check_variables(value)
        workflow = await _live_workflow(context, request.params["workflowID"])
        return await _start(context, workflow, variables, caller, waits)

    async def replay(stored: Remembered) -> Response:
        return await _replayed(context, stored, waits)

    return await once(context.ports.journal, caller, write, replay)


async def _replayed(context: Context, stored: Remembered, waits: bool) -> Response:
    """The stored answer; with `wait=true` the state after waiting, as the first request was answered."""
    instance = await context.ports.journal.instance(target_of(stored)) if waits else None
    if instance is None:
        return stored_response(stored)
    return json_response(201, await _after_waiting(context, instance), HIT)


async def _live_workflow(context: Context, workflow_id: str) -> Workflow:
    row = await context.ports.journal.workflow(workflow_id)
    if row is None or row.deleted_at is not None:
        raise NotFound("workflow", workflow_id)
    return row


async def _start(
    context: Context, workflow: Workflow, variables: dict[str, str], caller: Caller, waits: bool
) -> Response:
    answer = _Answer()
    instance = await context.ports.engine.run(workflow, variables, caller=caller, answer=answer)
    if not waits:
        return json_response(201, answer.body or views.instance_response(instance))
    return json_response(201, await _after_waiting(context, instance))


async def _after_waiting(context: Context, instance: Instance) -> bytes:
    # The instance is on disk. Whatever ends the wait (a server that stops cancels who waits, the journal may be
    # unreadable for a moment), saying so is the only honest answer.
    with contextlib.suppress(asyncio.CancelledError, Unavailable):
        if not instance.is_terminal:
            await context.ports.engine.wait(instance.id, context.settings.wait_s)
        instance = await context.ports.journal.instance(instance.id) or instance
    return views.instance_response(instance)


class _Answer:
    """Makes the body the engine stores under the caller's key, and keeps it: the first answer is the repeated one."""

    def __init__(self) -> None:
        self.body = b""

    def __call__(self, instance: Instance) -> bytes:
        self.body = views.instance_response(instance)
        return self.body


# read


async def show_all(context: Context, request: Request) -> Response:
    """`running=false` does not filter: the official CLI always sends it."""
    workflow_id, running = canonical_id(request.query("workflowID") or "") or None, request.flag("running")
    return await list_response(views.instance_pages(context.ports.journal.instances(workflow_id, running)))


async def show(context: Context, request: Request) -> Response:
    return json_response(200, views.instance_response(await _instance(context, request)))


async def show_history(context: Context, request: Request) -> Response:
    instance = await _instance(context, request)
    return json_response(200, views.history_response(instance.stages))


async def show_stage_history(context: Context, request: Request) -> Response:
    return json_response(200, views.activity_history_response(await stage_activities(context, request)))


async def stage_activities(context: Context, request: Request) -> list[ActivityRow]:
    """Of the stage that the path names."""
    number = _stage_number(request.params["number"])
    instance = await _instance(context, request)
    if not 0 <= number < len(_stored_config.decode(instance.config).stages):
        raise NotFound("stage", request.params["number"])
    return await context.ports.journal.activities(instance.id, number)


async def _instance(context: Context, request: Request) -> Instance:
    instance_id = request.params["instanceID"]
    row = await context.ports.journal.instance(instance_id)
    if row is None:
        raise NotFound("instance", instance_id)
    return row


def _stage_number(text: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise InvalidValue("number", f"{text[:40]!r} is not a whole number")
    if len(text) > _MAX_NUMBER_DIGITS:
        raise NotFound("stage", text[:40])
    return int(text)


# act


async def send_event(context: Context, request: Request) -> Response:
    body = await request.body(context.settings.max_body_bytes)
    value = json_value(request, body) if body else None
    caller = caller_of(request, body, value)

    async def write() -> Response:
        event = _event(value)
        await context.ports.engine.send_event(request.params["instanceID"], event.name, caller=caller)
        return no_content()

    return await once(context.ports.journal, caller, write)


def _event(value: Any) -> schemas.SendEventRequest:
    if not isinstance(value, dict):
        raise InvalidValue("body", 'an object is wanted: {"name": "the event\'s name"}')
    for name in cast("dict[str, Any]", value).keys() - {"name"}:
        raise InvalidValue(shown(name), "is not known here; an event has a `name`, and nothing else")
    try:
        return msgspec.convert(value, schemas.SendEventRequest)
    except msgspec.ValidationError as error:
        raise InvalidValue("name", f"must be text of 1 to 1024 characters ({error})") from None


async def abort(context: Context, request: Request) -> Response:
    """A body means nothing here, so it is no part of what a key stands for."""
    body = await request.body(context.settings.max_body_bytes)
    caller = caller_of(request, body, None)

    async def write() -> Response:
        await context.ports.engine.abort(request.params["instanceID"], caller=caller)
        return no_content()

    return await once(context.ports.journal, caller, write)


OPERATIONS = (
    Operation(
        method="POST",
        path="/workflows/{workflowID}/instances",
        operation_id="runWorkflow",
        scope=WRITE,
        handler=run,
        tag=TAG,
        summary="Run a workflow",
        description="The instance is on disk when this is answered. How it ends is told by `error`, not by the status.",
        status=201,
        response=schemas.InstanceResponse,
        body=schemas.Variables,
        example={"userID": "42", "amount": "2500"},
        is_body_required=False,
        query=(
            Parameter(
                "wait",
                "Answer when the instance has ended, or after 50 s (a setting) with the instance still running.",
                {"type": "boolean"},
            ),
        ),
        takes_key=True,
        errors=(400, 404, 413, 415, 503),
    ),
    Operation(
        method="GET",
        path="/instances/{instanceID}",
        operation_id="getInstance",
        scope=READ,
        handler=show,
        tag=TAG,
        summary="Read an instance",
        response=schemas.InstanceResponse,
        errors=(404, 503),
    ),
    Operation(
        method="GET",
        path="/instances",
        operation_id="listInstances",
        scope=READ,
        handler=show_all,
        tag=TAG,
        summary="List instances",
        description="Newest first.",
        response=schemas.InstanceListResponse,
        query=(
            Parameter("workflowID", "Only those of this workflow.", {"type": "string"}),
            Parameter("running", "true: only those that have not ended.", {"type": "boolean"}),
        ),
        errors=(400, 503),
    ),
    Operation(
        method="POST",
        path="/instances/{instanceID}/events",
        operation_id="sendEvent",
        scope=WRITE,
        handler=send_event,
        tag=TAG,
        summary="Send an event to an instance",
        description="It releases one wait_event stage of this name, now or when that stage is reached.",
        status=204,
        body=schemas.SendEventRequest,
        example={"name": "approved"},
        takes_key=True,
        errors=(400, 404, 413, 415, 503),
    ),
    Operation(
        method="PUT",
        path="/instances/{instanceID}/abort",
        operation_id="cancelEvent",
        scope=WRITE,
        handler=abort,
        tag=TAG,
        summary="Abort an instance",
        description="Final: no attempt to move money begins after the answer.",
        status=204,
        takes_key=True,
        errors=(400, 404, 413, 415, 503),
    ),
    Operation(
        method="GET",
        path="/instances/{instanceID}/history",
        operation_id="getInstanceHistory",
        scope=READ,
        handler=show_history,
        tag=TAG,
        summary="Read an instance's history",
        description="Its started stages, with their bodies as they were run.",
        response=schemas.HistoryResponse,
        errors=(404, 503),
    ),
    Operation(
        method="GET",
        path="/instances/{instanceID}/stages/{number}/history",
        operation_id="getInstanceStageHistory",
        scope=READ,
        handler=show_stage_history,
        tag=TAG,
        summary="Read a stage's history",
        description="Its activities, with their attempts. Empty for a stage that has not started.",
        response=schemas.ActivityHistoryResponse,
        errors=(400, 404, 503),
    ),
)
