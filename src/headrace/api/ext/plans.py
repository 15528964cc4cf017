"""Plans: what a run would do, found out by reads alone, stored for a person to sign, and run as signed."""

from __future__ import annotations

from functools import partial
from typing import Any

import msgspec

from headrace import json_text
from headrace.api.context import Context
from headrace.api.ext import schemas
from headrace.api.idempotency import answer_response, caller_of
from headrace.api.operations import READ, WRITE, Operation, Parameter
from headrace.api.requests import Request, json_value, with_canonical_ids
from headrace.api.responses import Response, json_response
from headrace.api.v1 import views
from headrace.api.v1.schemas import InstanceResponse
from headrace.api.v2.pages import PARAMETERS, page_response
from headrace.clock import date_time
from headrace.errors import InvalidValue
from headrace.journal.records import Plan
from headrace.usecases.plan_runs import run_plan
from headrace.usecases.plans import STATES, make_plan, plans_after, plans_in, read_plan

TAG = "Plans"
EXAMPLE = {"workflowID": "WORKFLOW", "variables": {"userID": "42", "amount": "2500"}}


async def create(context: Context, request: Request) -> Response:
    """Ids in the body may be written as in paths."""
    body = await request.body(context.settings.max_body_bytes)
    given = json_value(request, body) if body else None
    wanted = with_canonical_ids(given, "workflowID", "triggerID", "redrive")
    answer = await make_plan(context.ports, caller_of(request, body, wanted), wanted)
    return answer_response(answer, 201, _whole)


async def run(context: Context, request: Request) -> Response:
    body = await request.body(context.settings.max_body_bytes)
    wanted = with_canonical_ids(json_value(request, body) if body else None, "workflowID")
    answer = await run_plan(context.ports, caller_of(request, body, wanted), request.params["planID"], wanted)
    return answer_response(answer, 201, views.instance_response)


async def show(context: Context, request: Request) -> Response:
    return json_response(200, _whole(await read_plan(context.ports, request.params["planID"])))


async def show_all(context: Context, request: Request) -> Response:
    """A page of plans. A cursor holds the time of its first page, so that no plan expires in between."""
    state = request.query("state")
    if state is not None and state not in STATES:
        raise InvalidValue("state", f"{state[:40]!r} is not one of {', '.join(STATES)}")
    rows = plans_in(context.ports, state)
    return await page_response(context, request, rows, partial(plans_after, context.ports), _summary)


def _summary(row: Plan) -> dict[str, Any]:
    """The members of a plan that lists have."""
    shown: dict[str, Any] = {
        "id": row.id,
        "hash": row.hash,
        "state": row.state,
        "requester": row.requester,
        "createdAt": date_time(row.created_at),
        "expiresAt": date_time(row.expires_at),
    }
    names = {"workflowId": "workflowID", "triggerId": "triggerID"}
    about: dict[str, Any] = msgspec.json.decode(row.subject)
    shown |= {names.get(name, name): value for name, value in about.items()}
    return shown if row.instance_id is None else {**shown, "instanceID": row.instance_id}


def _whole(row: Plan) -> bytes:
    return json_text.encode({"data": {**msgspec.json.decode(row.document), **_summary(row)}})


OPERATIONS = (
    Operation(
        method="POST",
        path="/ext/plans",
        operation_id="createPlan",
        scope=WRITE,
        handler=create,
        tag=TAG,
        summary="Plan a run",
        description=(
            "Shows what a run would do, and stores it. Reads from the services with the server's credentials; books "
            "nothing. Of a workflow (`workflowID`) or a `definition` with `variables`, or of a trigger (`triggerID`) "
            "with the payload of an `event`, or of a failed instance (`redrive`), as redriveInstance would continue it "
            "or refuse to. A run that would fail has a plan too: `verdict` and `fails` say so."
        ),
        status=201,
        response=schemas.PlanResponse,
        body=schemas.PlanRequest,
        example=EXAMPLE,
        takes_key=True,
        errors=(400, 404, 409, 413, 415, 503),
    ),
    Operation(
        method="GET",
        path="/ext/plans",
        operation_id="listPlans",
        scope=READ,
        handler=show_all,
        tag=TAG,
        summary="List plans",
        description="Newest first, a page at a time, without their effects.",
        response=schemas.PlanSummaryPageResponse,
        query=(
            Parameter("state", "Only plans in this state.", {"type": "string", "enum": [*STATES]}),
            *PARAMETERS,
        ),
        errors=(400, 503),
    ),
    Operation(
        method="GET",
        path="/ext/plans/{planID}",
        operation_id="getPlan",
        scope=READ,
        handler=show,
        tag=TAG,
        summary="Read a plan",
        response=schemas.PlanResponse,
        errors=(404, 503),
    ),
    Operation(
        method="POST",
        path="/ext/plans/{planID}/run",
        operation_id="runPlan",
        scope=WRITE,
        handler=run,
        tag=TAG,
        summary="Run a plan",
        description=(
            "Starts the one instance of a plan. It has no effect but those of the plan: where one differs, is not "
            "there, or is left, its stage ends with the failure `plan` and names the place and both values; nothing "
            "of that effect is stored or sent. `workflowID` belongs to a plan of a `definition`: the stored workflow "
            "with exactly this definition.\n\n"
            "Refused with 412 and `details.reason` `hash_differs`, or with 409 and `used` (the plan has started its "
            "instance), `expired`, `rejected`, `would_fail` (unless `acceptFailure` is true), `definition_differs`, "
            "`is_redrive`."
        ),
        status=201,
        response=InstanceResponse,
        body=schemas.PlanRunRequest,
        example={"hash": "sha256:HASH"},
        takes_key=True,
        errors=(400, 404, 409, 412, 413, 415, 503),
    ),
)
