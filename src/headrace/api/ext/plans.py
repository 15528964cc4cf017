"""Plans: what a run would do, found out by reads alone, stored for persons to approve or reject, and run as signed."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
from msgspec import UNSET

from headrace import json_text
from headrace.api.context import Context
from headrace.api.ext import plan_schemas as schemas
from headrace.api.idempotency import answer_response, caller_of
from headrace.api.operations import APPROVE, READ, WRITE, Operation, Parameter
from headrace.api.requests import Request, json_value, with_canonical_ids
from headrace.api.responses import Response, json_response
from headrace.api.v1 import views
from headrace.api.v1.schemas import InstanceResponse
from headrace.api.v2.pages import PARAMETERS, page_response
from headrace.clock import date_time
from headrace.errors import InvalidValue
from headrace.journal.records import Plan
from headrace.usecases.approvals import Approvals, Decided, Verdict, approvals_of, decide
from headrace.usecases.plan_runs import run_plan
from headrace.usecases.plans import STATES, make_plan, plans_after, plans_in, read_plan

NameOf = Callable[[str], str]
"""The name of a principal; empty where this server knows none."""

TAG = "Plans"
EXAMPLE = {"workflowID": "WORKFLOW", "variables": {"userID": "42", "amount": "2500"}}


async def create(context: Context, request: Request) -> Response:
    """Ids in the body may be written as in paths."""
    body = await request.body(context.settings.max_body_bytes)
    given = json_value(request, body) if body else None
    wanted = with_canonical_ids(given, "workflowID", "triggerID", "redrive", "undo", "instance")
    answer = await make_plan(context.ports, caller_of(request, body, wanted), wanted)
    approvals = None if answer.value is None else await approvals_of(context.ports, answer.value)
    return answer_response(answer, 201, partial(_whole, context.authenticator.name_of, approvals=approvals))


async def run(context: Context, request: Request) -> Response:
    body = await request.body(context.settings.max_body_bytes)
    wanted = with_canonical_ids(json_value(request, body) if body else None, "workflowID")
    answer = await run_plan(context.ports, caller_of(request, body, wanted), request.params["planID"], wanted)
    return answer_response(answer, 201, views.instance_response)


async def approve(context: Context, request: Request) -> Response:
    return await _decide(context, request, "approve")


async def reject(context: Context, request: Request) -> Response:
    return await _decide(context, request, "reject")


async def _decide(context: Context, request: Request, verdict: Verdict) -> Response:
    body = await request.body(context.settings.max_body_bytes)
    wanted = json_value(request, body) if body else None
    caller = caller_of(request, body, wanted)
    answer = await decide(context.ports, caller, request.params["planID"], verdict, wanted)
    return answer_response(answer, 200, partial(_decided, context.authenticator.name_of))


async def show(context: Context, request: Request) -> Response:
    plan = await read_plan(context.ports, request.params["planID"])
    approvals = await approvals_of(context.ports, plan)
    return json_response(200, _whole(context.authenticator.name_of, plan, approvals=approvals))


async def show_all(context: Context, request: Request) -> Response:
    """A page of plans. A cursor holds the time of its first page, so that no plan expires in between."""
    state = request.query("state")
    if state is not None and state not in STATES:
        raise InvalidValue("state", f"{state[:40]!r} is not one of {', '.join(STATES)}")
    rows = plans_in(context.ports, state)
    shown = partial(_summary, context.authenticator.name_of)
    return await page_response(context, request, rows, partial(plans_after, context.ports), shown)


def _summary(name_of: NameOf, row: Plan) -> dict[str, Any]:
    """The members of a plan that lists have. `variables` may lack some of the whole plan."""
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
    if name := name_of(row.requester):
        shown["requesterName"] = name
    return shown if row.instance_id is None else {**shown, "instanceID": row.instance_id}


def _whole(name_of: NameOf, row: Plan, *, approvals: Approvals | None) -> bytes:
    shown = {} if approvals is None else {"approvals": shown_approvals(name_of, approvals)}
    return json_text.encode({"data": {**_summary(name_of, row), **msgspec.json.decode(row.document), **shown}})


def _decided(name_of: NameOf, made: Decided) -> bytes:
    approvals = shown_approvals(name_of, made.approvals)
    return json_text.encode({"data": {**_summary(name_of, made.plan), "approvals": approvals}})


def shown_approvals(name_of: NameOf, approvals: Approvals) -> schemas.Approvals:
    """The approvals of a plan or a batch as responses have them."""
    return schemas.Approvals(
        needed=approvals.needed.approvals,
        rule=approvals.needed.rule or UNSET,
        given=[
            schemas.ApprovalDecision(
                principal=each.principal,
                name=name_of(each.principal) or UNSET,
                verdict="approve" if each.verdict == "approve" else "reject",
                reason=each.reason,
                decided_at=date_time(each.at),
            )
            for each in approvals.given
        ],
    )


_DECISION_REFUSALS = (
    "Refused with 403 and `details.reason` `no_identity` (the server runs without authentication); with 412 and "
    "`hash_differs`; or with 409 and `used`, `rejected`, `expired`, `decided` (you have decided otherwise), `passed` "
    "(the instance does not wait there any more) or `ended`. The same decision again is answered with 200."
)


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
            "or refuse to, or of an ended one (`undo`), as undoInstance would revert it, or of the rest of an instance "
            "that waits for approvals (`instance`). A run that would fail has a plan too: `verdict` and `fails` say so."
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
            "`is_redrive`, `is_undo` (redriveInstance and undoInstance use such a plan), `is_rest`."
        ),
        status=201,
        response=InstanceResponse,
        body=schemas.PlanRunRequest,
        example={"hash": "sha256:HASH"},
        takes_key=True,
        errors=(400, 404, 409, 412, 413, 415, 503),
    ),
    Operation(
        method="POST",
        path="/ext/plans/{planID}/approve",
        operation_id="approvePlan",
        scope=APPROVE,
        handler=approve,
        tag=TAG,
        summary="Approve a plan",
        description=(
            "Stores that a person approves exactly this plan. A plan of a run can then be run, and passes every rule "
            "that it has enough approvals for. For a plan of the rest of an instance that waits (`instance`), the last "
            "approval lets the instance go on, and keeps it to the plan.\n\n"
            "Who has asked for the run cannot approve it (403 `four_eyes`): the principal of the plan, unless it is of "
            "the rest of an instance; those who started the instance and its predecessors; the one who created its "
            f"trigger. {_DECISION_REFUSALS}"
        ),
        response=schemas.DecidedPlanResponse,
        body=schemas.DecisionRequest,
        example={"hash": "sha256:HASH", "reason": "the invoice is in the folder"},
        takes_key=True,
        errors=(400, 403, 404, 409, 412, 413, 415, 503),
    ),
    Operation(
        method="POST",
        path="/ext/plans/{planID}/reject",
        operation_id="rejectPlan",
        scope=APPROVE,
        handler=reject,
        tag=TAG,
        summary="Reject a plan",
        description=(
            "Stores that a person rejects this plan, which is final: it cannot be run or approved any more. An "
            f"instance that waits for it ends with the failure `rejected`. {_DECISION_REFUSALS}"
        ),
        response=schemas.DecidedPlanResponse,
        body=schemas.DecisionRequest,
        example={"hash": "sha256:HASH", "reason": "the amount is wrong"},
        takes_key=True,
        errors=(400, 403, 404, 409, 412, 413, 415, 503),
    ),
)
