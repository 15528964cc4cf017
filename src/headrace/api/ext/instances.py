"""The search of instances, and what is known of one beyond V1: its kind, its case, its plan, why it failed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

import msgspec
from msgspec import UNSET

from headrace import json_text
from headrace.api.context import Context
from headrace.api.cursors import FIELD, Cursor, Seal
from headrace.api.ext import schemas
from headrace.api.ext.successors import kept
from headrace.api.idempotency import caller_of, empty_response
from headrace.api.operations import READ, WRITE, Operation, Parameter
from headrace.api.requests import Request, json_value
from headrace.api.responses import Response, json_response
from headrace.api.v1.instances import TAG
from headrace.api.v2.pages import PARAMETERS, page_cursor, page_response
from headrace.clock import date_time
from headrace.errors import InvalidValue, NotFound
from headrace.journal.lists import STATUSES, UNFINISHED, InstanceSearch
from headrace.journal.records import InstanceSummary, Successor
from headrace.usecases.approvals import open_approval
from headrace.usecases.descriptions import Description, described
from headrace.usecases.instances import abort_with_reason
from headrace.usecases.searching import MAX_TEXT_CHARACTERS, search_instances
from headrace.workflows.search_terms import MAX_SEARCHED_CHARACTERS, MAX_SEARCHED_VARIABLES, fingerprint

MAX_CODE_CHARACTERS = 256

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_moment = msgspec.json.Decoder(Annotated[datetime, msgspec.Meta(tz=True)])


async def search(context: Context, request: Request) -> Response:
    """Filters without a common index are refused together: their pages would cost more with every instance.

    A deleted workflow is accepted, because its instances can still be read.
    """
    workflow_id = request.query("workflowID")
    status = request.query("status")
    if status is not None and status not in (*STATUSES, UNFINISHED):
        raise InvalidValue("status", f"{status[:40]!r} is not one of {', '.join((*STATUSES, UNFINISHED))}")
    code = request.query("errorCode")
    if code is not None and len(code) > MAX_CODE_CHARACTERS:
        raise InvalidValue("errorCode", f"an error code has at most {MAX_CODE_CHARACTERS} characters")
    rows = InstanceSearch(
        workflow_id=workflow_id,
        status=status,
        error_code=code,
        fingerprint=_fingerprint(request),
        since_at=_since_at(request),
        text=request.query("q"),
    )
    if rows.text is not None and rows.fingerprint is not None:
        raise InvalidValue("variable", "cannot be combined with q, which takes name=value too")
    if rows.fingerprint is not None and (workflow_id or status or code):
        raise InvalidValue("variable", "cannot be combined with workflowID, status or errorCode, only with since")
    if code is not None and status is not None and rows.text is None:
        raise InvalidValue("errorCode", "cannot be combined with status: only failed instances have a code")
    is_first = request.query(FIELD) is None
    if workflow_id is not None and is_first and await context.ports.journal.workflow(workflow_id) is None:
        raise NotFound("workflow", workflow_id)
    seal = Seal(await context.ports.journal.identity())
    cursor = page_cursor(request, seal, rows)
    if isinstance(cursor.rows, InstanceSearch) and cursor.rows.text is not None:
        return await _found(context, seal, cursor.rows, cursor)
    return await page_response(context, request, rows, context.ports.journal.summaries_after, _shown)


async def _found(context: Context, seal: Seal, rows: InstanceSearch, cursor: Cursor) -> Response:
    """A page of what a text finds. Where the scan for it ended early, it may be shorter than others, even empty."""
    found = await search_instances(context.ports.journal, rows, cursor.place, cursor.page_size)
    after = UNSET if found.next is None else seal.write(Cursor(rows, found.next, cursor.page_size))
    page = schemas.InstanceSummaryPage(
        page_size=cursor.page_size,
        has_more=found.next is not None,
        next=after,
        data=[_shown(row) for row in found.rows],
    )
    return json_response(200, json_text.encode(schemas.InstanceSummaryPageResponse(cursor=page)))


async def describe(context: Context, request: Request) -> Response:
    shown = _description(await described(context.ports, request.params["instanceID"]))
    return json_response(200, json_text.encode(schemas.InstanceDescriptionResponse(data=shown)))


async def abort(context: Context, request: Request) -> Response:
    body = await request.body(context.settings.max_body_bytes)
    wanted = json_value(request, body) if body else None
    caller = caller_of(request, body, wanted)
    return empty_response(await abort_with_reason(context.ports, caller, request.params["instanceID"], wanted))


def _description(found: Description) -> schemas.InstanceDescription:
    instance, declined = found.instance, found.declined
    shown = schemas.InstanceDescription(
        id=instance.id,
        workflow_id=instance.workflow_id,
        kind=instance.kind,  # pyright: ignore[reportArgumentType]  # one of INSTANCE_KINDS
        root_id=instance.root_id or instance.id,
        from_stage=UNSET if instance.from_stage is None else instance.from_stage,
        plan_id=instance.plan_id or UNSET,
        created_at=date_time(instance.created_at),
        error=UNSET if instance.error is None else instance.error,
        skipped=[stage.number for stage in instance.stages if stage.skipped] or UNSET,
    )
    if found.abort_reason is not None:
        shown.abort_reason = found.abort_reason
    if (before := found.predecessor) is not None:
        shown.predecessor = _step(before, before.predecessor)
    if (after := found.successor) is not None:
        shown.successor = _step(after, after.successor)
    if (undo := found.undo) is not None:
        shown.undo = schemas.UndoReport(instance_id=undo.instance_id, state=undo.state, kept=kept(undo.kept))
    if (waits := open_approval(instance)) is not None:
        shown.approval = schemas.OpenApproval(
            stage=waits.stage,
            needed=waits.needed.approvals,
            rule=waits.needed.rule or UNSET,
            title=waits.title or UNSET,
            since=date_time(waits.since_at),
            deadline=UNSET if waits.deadline_at is None else date_time(waits.deadline_at),
        )
    if instance.terminated_at is not None:
        shown.terminated_at = date_time(instance.terminated_at)
    if instance.failure is not None:
        shown.failure = schemas.InstanceFailure(
            kind=instance.failure,  # pyright: ignore[reportArgumentType]  # one of FAILURE_KINDS
            stage=instance.stages[-1].number,
            code=instance.failure_code or UNSET,
        )
        if declined is not None:
            shown.failure.position = declined.position
            shown.failure.key = declined.key or UNSET
    return shown


def _step(step: Successor, other_id: str) -> schemas.Successor:
    """The step to or from another instance of the case."""
    return schemas.Successor(
        instance_id=other_id,
        kind=step.kind,  # pyright: ignore[reportArgumentType]  # redrive or undo
        reason=step.reason,
        principal=step.principal,
        decided_at=date_time(step.at),
    )


def _fingerprint(request: Request) -> int | None:
    """The fingerprint of `variable`, which is `name=value`. Raises InvalidValue."""
    text = request.query("variable")
    if text is None:
        return None
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise InvalidValue("variable", f"{text[:40]!r} is not name=value")
    if len(value) > MAX_SEARCHED_CHARACTERS:
        raise InvalidValue("variable", f"only values of at most {MAX_SEARCHED_CHARACTERS} characters can be searched")
    return fingerprint(name, value)


def _since_at(request: Request) -> int | None:
    """The time of `since` in microseconds since the epoch. Raises InvalidValue."""
    text = request.query("since")
    if text is None:
        return None
    try:
        moment = _moment.decode(msgspec.json.encode(text))
        return (moment - _EPOCH) // timedelta(microseconds=1)
    except (msgspec.ValidationError, OverflowError):
        raise InvalidValue("since", f"{text[:40]!r} is not a date-time such as 2024-05-01T10:00:00Z") from None


def _shown(row: InstanceSummary) -> schemas.InstanceSummary:
    shown = schemas.InstanceSummary(
        id=row.id,
        workflow_id=row.workflow_id,
        status=row.status,  # pyright: ignore[reportArgumentType]  # one of STATUSES, which a test compares
        created_at=date_time(row.created_at),
        updated_at=date_time(row.updated_at),
        workflow_name=row.workflow_name or UNSET,
        error=UNSET if row.error is None else row.error,
        error_code=UNSET if row.error_code is None else row.error_code,
    )
    if row.terminated_at is not None:
        shown.terminated_at = date_time(row.terminated_at)
    if row.stage_number is not None and row.stage is not None:
        shown.stage = schemas.LastStage(number=row.stage_number, name=row.stage)
    return shown


_TEXT = {"type": "string"}

OPERATIONS = (
    Operation(
        method="GET",
        path="/ext/instances",
        operation_id="searchInstances",
        scope=READ,
        handler=search,
        tag=TAG,
        summary="Search instances",
        description=(
            "Newest first, a page at a time. A page costs the same however many instances there are: `variable` can be "
            "combined with `since` only, and `errorCode` not with `status`. `q` can be combined with every filter but "
            "`variable`: of what it finds, 5,000 instances are looked at for one page, which then may be shorter than "
            "`pageSize`, or empty, and has a `next`; it has no `previous`."
        ),
        response=schemas.InstanceSummaryPageResponse,
        query=(
            Parameter("workflowID", "Only instances of this workflow.", _TEXT),
            Parameter(
                "status",
                "Only instances with this status; `unfinished`: those that have not ended.",
                {"type": "string", "enum": [*STATUSES, UNFINISHED]},
            ),
            Parameter(
                "since",
                "Only instances created at this time or later.",
                {"type": "string", "format": "date-time"},
            ),
            Parameter(
                "variable",
                "`name=value`: only instances started with exactly this value. The first "
                f"{MAX_SEARCHED_VARIABLES} variables of an instance are searched, in values of up to "
                f"{MAX_SEARCHED_CHARACTERS} characters.",
                {"type": "string", "pattern": rf"^[^=]+=[\s\S]{{0,{MAX_SEARCHED_CHARACTERS}}}$"},
            ),
            Parameter(
                "q",
                "Text to look for, told by its form: an instance's id or its last 12 characters; `name=value`; an "
                "account (`users:42`, `main/users:42`, `users:*`); an amount (`129.00 EUR`, `> 1000 EUR`, "
                "`12900 EUR/2`); else the value of a variable, an account, a wallet, a payment or a transaction.",
                {"type": "string", "maxLength": MAX_TEXT_CHARACTERS},
            ),
            Parameter(
                "errorCode",
                "Only instances that failed with this code, such as INSUFFICIENT_FUND.",
                {"type": "string", "maxLength": MAX_CODE_CHARACTERS},
            ),
            *PARAMETERS,
        ),
        errors=(400, 404, 503),
    ),
    Operation(
        method="GET",
        path="/ext/instances/{instanceID}",
        operation_id="describeInstance",
        scope=READ,
        handler=describe,
        tag=TAG,
        summary="Describe an instance",
        description=(
            "What is known of an instance beyond V1: of which kind it is, to which case it belongs, the plan that it "
            "may not leave, the approvals that it waits for, and why it failed, as a kind."
        ),
        response=schemas.InstanceDescriptionResponse,
        errors=(404, 503),
    ),
    Operation(
        method="POST",
        path="/ext/instances/{instanceID}/abort",
        operation_id="abortInstance",
        scope=WRITE,
        handler=abort,
        tag=TAG,
        summary="Abort an instance and say why",
        description=(
            "As cancelEvent of V1: final, and no attempt to move money begins after the response. Stores the reason; "
            "the `error` stays `canceled`."
        ),
        status=204,
        body=schemas.AbortRequest,
        example={"reason": "the merchant has withdrawn the request"},
        takes_key=True,
        errors=(400, 404, 413, 415, 503),
    ),
)
