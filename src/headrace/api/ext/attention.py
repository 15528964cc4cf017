"""Effects that need attention: list them, resolve one, and read what was decided."""

from __future__ import annotations

import re
from typing import cast

import msgspec
from msgspec import UNSET

from headrace import json_text
from headrace.api.context import Context
from headrace.api.ext import schemas
from headrace.api.idempotency import answer_response, caller_of
from headrace.api.operations import APPROVE, READ, Operation, Parameter
from headrace.api.requests import Request, canonical_id, json_value
from headrace.api.responses import Response, json_response
from headrace.api.v1.instances import TAG
from headrace.api.v2.pages import PARAMETERS, page_response
from headrace.clock import date_time
from headrace.effects import port
from headrace.effects.evidence import moved_by, speaks_for
from headrace.effects.settlement import Doubt
from headrace.errors import InvalidValue, NotFound
from headrace.journal.lists import AttentionList
from headrace.journal.records import AttentionRow
from headrace.usecases.resolve import Resolution, decisions_of, resolve_effect
from headrace.workflows.activities import ACTIVITIES, Service

_NUMBER = re.compile(r"[0-9]+", re.ASCII)
_MAX_NUMBER_DIGITS = 9


async def show_attention(context: Context, request: Request) -> Response:
    instance_id = canonical_id(request.query("instanceID") or "") or None
    rows = AttentionList(instance_id)
    return await page_response(context, request, rows, context.ports.journal.attention_after, _shown)


async def resolve(context: Context, request: Request) -> Response:
    body = await request.body(context.settings.max_body_bytes)
    decision = json_value(request, body) if body else None
    caller = caller_of(request, body, decision)
    stage, position = (_number(request, name) for name in ("number", "position"))
    answer = await resolve_effect(context.ports, caller, request.params["instanceID"], stage, position, decision)
    return answer_response(answer, 200, _resolution_response)


async def show_resolutions(context: Context, request: Request) -> Response:
    decided = [_decided(each) for each in await decisions_of(context.ports, request.params["instanceID"])]
    return json_response(200, json_text.encode(schemas.ResolutionListResponse(data=decided)))


def _number(request: Request, name: str) -> int:
    text = request.params[name]
    if not _NUMBER.fullmatch(text):
        raise InvalidValue(name, f"{text[:40]!r} is not a whole number")
    if len(text) > _MAX_NUMBER_DIGITS:
        raise NotFound("stage" if name == "number" else "activity", text[:40])
    return int(text)


def _shown(row: AttentionRow) -> schemas.Attention:
    service: Service = ACTIVITIES[row.name].service
    moved = moved_by(port.Request(service, row.request_method, row.request_path, row.request_body))
    is_aborted = row.terminated_at is not None
    doubt = cast("Doubt", row.attention or "not_found")
    return schemas.Attention(
        instance_id=row.id,
        workflow_id=row.workflow_id,
        workflow_name=row.workflow_name or UNSET,
        aborted=is_aborted,
        stage=row.stage,
        position=row.position,
        activity=row.name,
        key=row.key,
        request=schemas.EffectRequest(
            service=service,
            method=row.request_method,
            path=row.request_path,
            body=UNSET if row.request_body is None else msgspec.Raw(row.request_body),
        ),
        amount=UNSET if moved is None else moved[0],
        asset=UNSET if moved is None else moved[1],
        since=date_time(row.since_at),
        attempts=row.attempt,
        last_failure=row.last_failure or UNSET,
        doubt=doubt,
        for_booked=speaks_for(doubt, "booked", is_aborted=is_aborted),
        for_not_booked=speaks_for(doubt, "not_booked", is_aborted=is_aborted),
    )


def _resolution_response(resolution: Resolution) -> bytes:
    return json_text.encode(schemas.ResolutionResponse(data=_decided(resolution)))


def _decided(resolution: Resolution) -> schemas.Resolution:
    return schemas.Resolution(
        instance_id=resolution.instance_id,
        stage=resolution.stage,
        position=resolution.position,
        outcome=resolution.verdict,
        evidence=msgspec.json.decode(resolution.evidence, type=schemas.Evidence),
        attested=resolution.is_attested,
        reason=resolution.reason,
        principal=resolution.principal,
        resolved_at=date_time(resolution.at),
        failure=resolution.failure or UNSET,
    )


OPERATIONS = (
    Operation(
        method="GET",
        path="/ext/attention",
        operation_id="listAttention",
        scope=READ,
        handler=show_attention,
        tag=TAG,
        summary="List effects that need attention",
        description=(
            "Open effects of which neither a resend nor a look-up shows whether they were booked, those of aborted "
            "instances too. The newest instance first, a page at a time; an instance has at most one."
        ),
        response=schemas.AttentionPageResponse,
        query=(Parameter("instanceID", "Only the effect of this instance.", {"type": "string"}), *PARAMETERS),
        errors=(400, 503),
    ),
    Operation(
        method="POST",
        path="/ext/instances/{instanceID}/stages/{number}/activities/{position}/resolve",
        operation_id="resolveEffect",
        scope=APPROVE,
        handler=resolve,
        tag=TAG,
        summary="Resolve an effect that needs attention",
        description=(
            "A person decides whether the effect was booked. A transaction or an initiation that is named as evidence "
            "is read from its service and compared with the request before anything is stored. `booked`: the effect is "
            "done, and the instance goes on. `not_booked`: the effect is closed and never sent again; the instance "
            "ends with a failure of kind `unbooked`. An aborted instance does not go on: its effect is closed.\n\n"
            "Refused with 409, and `details.reason`: `differs` (what is named has other values, was reverted, or is "
            "the booking of another effect), `not_in_books` (it does not exist), `used` (it has resolved another "
            "effect), `other_content` (not booked, but something else stands under the effect's key), `booked` (not "
            "booked, but the books show it), `resolved` (another person was faster), `not_needed` (Headrace knows the "
            "outcome, or still finds it out)."
        ),
        response=schemas.ResolutionResponse,
        body=schemas.Decision,
        example={
            "outcome": "booked",
            "evidence": {"text": "line 7 of the bank's statement of 1 May"},
            "reason": "the bank has paid it out; the provider lost its record",
        },
        takes_key=True,
        errors=(400, 404, 409, 413, 415, 503),
    ),
    Operation(
        method="GET",
        path="/ext/instances/{instanceID}/resolutions",
        operation_id="listResolutions",
        scope=READ,
        handler=show_resolutions,
        tag=TAG,
        summary="Read what persons decided about an instance",
        description="The decisions about effects of the instance that needed attention, by stage and position.",
        response=schemas.ResolutionListResponse,
        errors=(404, 503),
    ),
)
