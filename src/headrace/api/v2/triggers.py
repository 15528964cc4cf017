"""The test of a trigger: its filter and variables over the payload of an event. It starts and stores nothing."""

from __future__ import annotations

from typing import Any, cast

from msgspec import UNSET

from headrace import json_text
from headrace.api.body_budget import SMALL_BYTES
from headrace.api.context import Context
from headrace.api.operations import WRITE, Operation
from headrace.api.requests import Request, event_value
from headrace.api.responses import Response, json_response
from headrace.api.v1.triggers import TAG
from headrace.api.v2 import schemas
from headrace.errors import InvalidValue
from headrace.triggers.firing import Trial
from headrace.usecases.triggers import test_trigger


async def test(context: Context, request: Request) -> Response:
    body = await request.body(context.settings.max_body_bytes)
    if len(body) <= SMALL_BYTES:
        return await _tested(context, request, body)
    async with context.bodies.trials:  # as objects it may take thirty times as much memory
        return await _tested(context, request, body)


async def _tested(context: Context, request: Request, body: bytes) -> Response:
    payload = event_value(request, body) if body else None
    if not isinstance(payload, dict):
        raise InvalidValue("body", "must be the payload of an event: an object")
    trial = await test_trigger(context.ports, request.params["triggerID"], cast("dict[str, Any]", payload))
    return json_response(200, json_text.encode(schemas.TriggerTestResponse(data=_shown(trial))))


def _shown(trial: Trial) -> schemas.TriggerTest:
    variables = {name: schemas.VariableTrial(value=value) for name, value in trial.values.items()}
    variables |= {name: schemas.VariableTrial(error=_writable(error)) for name, error in trial.errors.items()}
    match = UNSET if trial.matches is None else trial.matches
    error = UNSET if trial.filter_error is None else _writable(trial.filter_error)
    return schemas.TriggerTest(filter=schemas.FilterTrial(match=match, error=error), variables=variables)


def _writable(text: str) -> str:
    return text.encode(errors="replace").decode()


OPERATIONS = (
    Operation(
        method="POST",
        path="/v2/triggers/{triggerID}/test",
        operation_id="testTrigger",
        scope=WRITE,
        handler=test,
        tag=TAG,
        summary="Test a trigger",
        description="Evaluates its filter and variables over the payload of an event. Nothing is started or stored.",
        response=schemas.TriggerTestResponse,
        body=schemas.EventPayload,
        example={"id": "p1", "type": "PAY-IN", "amount": 4199},
        errors=(400, 404, 413, 415, 503),
    ),
)
