"""Batches: many runs, redrives, undos or aborts, previewed together and started under one decision."""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import Any, cast

import msgspec
from msgspec import UNSET

from headrace import json_text
from headrace.api.context import Context
from headrace.api.ext import batch_schemas as schemas
from headrace.api.ext.plan_schemas import Approvals, DecisionRequest
from headrace.api.ext.plans import NameOf, shown_approvals
from headrace.api.idempotency import answer_response, caller_of
from headrace.api.operations import APPROVE, READ, WRITE, Operation, Parameter
from headrace.api.requests import Request, canonical_id, json_value, with_canonical_ids
from headrace.api.responses import Response, json_response
from headrace.api.v2.pages import PARAMETERS, page_response
from headrace.clock import date_time
from headrace.errors import InvalidValue
from headrace.journal.lists import BatchList
from headrace.journal.records import Batch, BatchItem
from headrace.usecases.approvals import Verdict
from headrace.usecases.batch_approvals import DecidedBatch, batch_approvals, decide_batch
from headrace.usecases.batch_preview import Summary
from headrace.usecases.batch_requests import Filter, RunItem
from headrace.usecases.batches import (
    ITEM_STATES,
    cancel_batch,
    counts_of,
    items_of,
    make_batch,
    pause_batch,
    read_batch,
    resume_batch,
    start_batch,
)

TAG = "Batches"
DEFAULT_ITEMS, MAX_ITEMS = 100, 1_000
MAX_NUMBER = 2**31 - 1
EXAMPLE = {"kind": "abort", "instances": ["INSTANCE"], "reason": "the provider has closed the accounts"}


async def create(context: Context, request: Request) -> Response:
    """Ids in the body may be written as in paths."""
    body = await request.body(context.settings.max_body_bytes)
    wanted = _canonical(json_value(request, body) if body else None)
    answer = await make_batch(context.ports, caller_of(request, body, wanted), wanted)
    return answer_response(answer, 201, _response)


def _canonical(value: object) -> object:
    """The body with ids as they are stored, wherever it has some."""
    if not isinstance(value, dict):
        return value
    members: dict[str, Any] = dict(cast("dict[str, Any]", value))
    if "filter" in members:
        members["filter"] = with_canonical_ids(members["filter"], "workflow")
    if isinstance(members.get("instances"), list):
        members["instances"] = [canonical_id(each) if isinstance(each, str) else each for each in members["instances"]]
    if isinstance(members.get("runs"), list):
        members["runs"] = [with_canonical_ids(each, "workflowID") for each in members["runs"]]
    return members


async def show_all(context: Context, request: Request) -> Response:
    return await page_response(context, request, BatchList(), context.ports.journal.batches_after, _shown)


async def show(context: Context, request: Request) -> Response:
    batch = await read_batch(context.ports, request.params["batchID"])
    counts: Counter[str] = Counter()
    for each in await counts_of(context.ports, batch.id):
        counts[each.state] += each.count
    approvals = await batch_approvals(context.ports, batch)
    shown = _shown(batch, None if approvals is None else shown_approvals(context.authenticator.name_of, approvals))
    shown.counts = dict(counts)
    return json_response(200, json_text.encode(schemas.BatchResponse(data=shown)))


async def start(context: Context, request: Request) -> Response:
    body = await request.body(context.settings.max_body_bytes)
    wanted = json_value(request, body) if body else None
    answer = await start_batch(context.ports, caller_of(request, body, wanted), request.params["batchID"], wanted)
    return answer_response(answer, 200, _response)


async def approve(context: Context, request: Request) -> Response:
    return await _decide(context, request, "approve")


async def reject(context: Context, request: Request) -> Response:
    return await _decide(context, request, "reject")


async def _decide(context: Context, request: Request, verdict: Verdict) -> Response:
    body = await request.body(context.settings.max_body_bytes)
    wanted = json_value(request, body) if body else None
    caller = caller_of(request, body, wanted)
    answer = await decide_batch(context.ports, caller, request.params["batchID"], verdict, wanted)
    return answer_response(answer, 200, partial(_decided, context.authenticator.name_of))


async def pause(context: Context, request: Request) -> Response:
    body = await request.body(context.settings.max_body_bytes)
    answer = await pause_batch(context.ports, caller_of(request, body, None), request.params["batchID"])
    return answer_response(answer, 200, _response)


async def resume(context: Context, request: Request) -> Response:
    body = await request.body(context.settings.max_body_bytes)
    answer = await resume_batch(context.ports, caller_of(request, body, None), request.params["batchID"])
    return answer_response(answer, 200, _response)


async def cancel(context: Context, request: Request) -> Response:
    body = await request.body(context.settings.max_body_bytes)
    answer = await cancel_batch(context.ports, caller_of(request, body, None), request.params["batchID"])
    return answer_response(answer, 200, _response)


async def show_items(context: Context, request: Request) -> Response:
    state = request.query("state") or ""
    if state and state not in ITEM_STATES:
        raise InvalidValue("state", f"{state[:40]!r} is not one of {', '.join(ITEM_STATES)}")
    after, limit = _number(request, "after", 0, MAX_NUMBER, 0), _number(request, "limit", 1, MAX_ITEMS, DEFAULT_ITEMS)
    rows = await items_of(context.ports, request.params["batchID"], after, limit, state)
    return json_response(200, json_text.encode(schemas.BatchItemsResponse(data=[_item(row) for row in rows])))


def _number(request: Request, name: str, least: int, most: int, default: int) -> int:
    text = request.query(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 10) or not least <= int(text) <= most:
        raise InvalidValue(name, f"{text[:40]!r} is not a whole number from {least} to {most}")
    return int(text)


def _response(row: Batch) -> bytes:
    return json_text.encode(schemas.BatchResponse(data=_shown(row)))


def _decided(name_of: NameOf, made: DecidedBatch) -> bytes:
    shown = _shown(made.batch, shown_approvals(name_of, made.approvals))
    return json_text.encode(schemas.BatchResponse(data=shown))


def _shown(row: Batch, approvals: Approvals | None = None) -> schemas.Batch:
    shown = schemas.Batch(
        id=row.id,
        kind=row.kind,  # pyright: ignore[reportArgumentType]  # one of KINDS
        state=row.state,  # pyright: ignore[reportArgumentType]  # one of BATCH_STATES
        reason=row.reason,
        principal=row.principal,
        created_at=date_time(row.created_at),
        items=row.items,
        planned=row.planned,
        rate=row.rate,
        max_open=row.max_open,
        stop_after=row.stop_after,
        open_items=row.open,
        filter=UNSET if row.selection is None else _filter(msgspec.json.decode(row.selection, type=Filter)),
        hash=row.hash or UNSET,
        approvals=approvals or UNSET,
        why=row.why or UNSET,
        started_by=row.starter or UNSET,
        started_at=_time(row.started_at),
        ended_at=_time(row.ended_at),
    )
    if row.summary is not None:
        summary = msgspec.json.decode(row.summary, type=Summary)
        shown.included, shown.excluded = summary.included, summary.excluded
        shown.totals = msgspec.convert(summary.totals, dict[str, schemas.BatchTotal])
        if (failing := summary.first_failing) is not None:
            shown.first_failing = schemas.FailingItem(
                n=failing["n"],
                code=failing["code"],
                message=failing["message"],
                instance=failing["instance"] or UNSET,
            )
    return shown


def _filter(chosen: Filter) -> schemas.BatchFilter:
    return schemas.BatchFilter(
        workflow=chosen.workflow or UNSET,
        stage=UNSET if chosen.stage is None else chosen.stage,
        failure=chosen.failure or UNSET,  # pyright: ignore[reportArgumentType]  # one of FAILURE_KINDS
        code=chosen.code or UNSET,
        state=chosen.state or UNSET,  # pyright: ignore[reportArgumentType]  # one of STATUSES, or unfinished
        started_after=_time(chosen.started_after),
        started_before=_time(chosen.started_before),
        ended_after=_time(chosen.ended_after),
        ended_before=_time(chosen.ended_before),
    )


def _item(row: BatchItem) -> schemas.BatchItem:
    shown = schemas.BatchItem(
        n=row.n,
        state=row.state,  # pyright: ignore[reportArgumentType]  # one of ITEM_STATES
        instance=row.instance_id or UNSET,
        code=row.code or UNSET,
        message=row.message or UNSET,
        result=row.made_id or UNSET,
        hash=row.hash or UNSET,
        started_at=_time(row.started_at),
        ended_at=_time(row.ended_at),
    )
    if row.run is not None:
        run = msgspec.json.decode(row.run, type=RunItem)
        shown.run = schemas.BatchRun(workflow_id=run.workflow_id, variables=run.variables)
    return shown


def _time(at: int | None) -> Any:
    return UNSET if at is None else date_time(at)


_DECISION_REFUSALS = (
    "Refused with 403 and `details.reason` `no_identity` (the server runs without authentication); with 412 and "
    "`hash_differs`; or with 409 and `decided` (you have decided otherwise), `rules_changed` (this server has other "
    "rules than at the preview), `changed`, or the state of a batch that is neither `ready` nor `approved`. The same "
    "decision again is answered with 200."
)
_STATES = "Refused with 409 where the batch is in another state, which `details.reason` names."

OPERATIONS = (
    Operation(
        method="POST",
        path="/ext/batches",
        operation_id="createBatch",
        scope=WRITE,
        handler=create,
        tag=TAG,
        summary="Make a batch",
        description=(
            "Freezes the items, up to 10,000, and plans them in the background, in order and over one view of the "
            "books: so each sees what the ones before it would do. Nothing is started. An item that cannot start is "
            "excluded, with a code: that by which the single operation would be refused, or `fails:CODE` where its "
            "plan fails. The batch is `ready` then, with a `hash`."
        ),
        status=201,
        response=schemas.BatchResponse,
        body=schemas.BatchRequest,
        example=EXAMPLE,
        takes_key=True,
        errors=(400, 404, 413, 415, 503),
    ),
    Operation(
        method="GET",
        path="/ext/batches",
        operation_id="listBatches",
        scope=READ,
        handler=show_all,
        tag=TAG,
        summary="List batches",
        description="Newest first, a page at a time.",
        response=schemas.BatchPageResponse,
        query=PARAMETERS,
        errors=(400, 503),
    ),
    Operation(
        method="GET",
        path="/ext/batches/{batchID}",
        operation_id="getBatch",
        scope=READ,
        handler=show,
        tag=TAG,
        summary="Read a batch",
        description="With its progress, `counts`.",
        response=schemas.BatchResponse,
        errors=(404, 503),
    ),
    Operation(
        method="GET",
        path="/ext/batches/{batchID}/items",
        operation_id="listBatchItems",
        scope=READ,
        handler=show_items,
        tag=TAG,
        summary="List the items of a batch",
        description="In their order. The next page comes `after` the `n` of the last item.",
        response=schemas.BatchItemsResponse,
        query=(
            Parameter("state", "Only items in this state.", {"type": "string", "enum": [*ITEM_STATES]}),
            Parameter(
                "after", "Only items after this number.", {"type": "integer", "minimum": 0, "maximum": MAX_NUMBER}
            ),
            Parameter(
                "limit",
                f"Number of items; {DEFAULT_ITEMS} by default.",
                {"type": "integer", "minimum": 1, "maximum": MAX_ITEMS},
            ),
        ),
        errors=(400, 404, 503),
    ),
    Operation(
        method="POST",
        path="/ext/batches/{batchID}/start",
        operation_id="startBatch",
        scope=WRITE,
        handler=start,
        tag=TAG,
        summary="Start a batch",
        description=(
            "Starts the items that the preview has not excluded, `rate` of them in a second. Each starts once, "
            "whatever crashes and on any number of servers. A new instance has no effect but those of its plan in the "
            "preview; an item that has changed since is skipped.\n\n"
            "Refused with 412 and `hash_differs` where `hash` is not that of the batch; with 409 and `needs_approvals` "
            "where a rule asks for approvals that it does not have, or `rules_changed` where this server has other "
            f"rules than at the preview. {_STATES}"
        ),
        response=schemas.BatchResponse,
        body=schemas.BatchStartRequest,
        example={"hash": "sha256:HASH"},
        takes_key=True,
        errors=(400, 404, 409, 412, 413, 415, 503),
    ),
    Operation(
        method="POST",
        path="/ext/batches/{batchID}/approve",
        operation_id="approveBatch",
        scope=APPROVE,
        handler=approve,
        tag=TAG,
        summary="Approve a batch",
        description=(
            "Stores that a person approves exactly this preview, as a whole. With as many approvals as the rule asks "
            "for the batch is `approved`, and can be started; its items do not ask again.\n\n"
            "Who has asked for it cannot approve it (403 `four_eyes`): the principal that made the batch, and those "
            f"that started the instances that it continues or undoes. {_DECISION_REFUSALS}"
        ),
        response=schemas.BatchResponse,
        body=DecisionRequest,
        example={"hash": "sha256:HASH", "reason": "the list was compared with the invoices"},
        takes_key=True,
        errors=(400, 403, 404, 409, 412, 413, 415, 503),
    ),
    Operation(
        method="POST",
        path="/ext/batches/{batchID}/reject",
        operation_id="rejectBatch",
        scope=APPROVE,
        handler=reject,
        tag=TAG,
        summary="Reject a batch",
        description=(
            "Stores that a person rejects a batch that has not started, which is final: it is `canceled`, and its "
            f"items are skipped with the code `rejected`. {_DECISION_REFUSALS}"
        ),
        response=schemas.BatchResponse,
        body=DecisionRequest,
        example={"hash": "sha256:HASH", "reason": "item 12 was paid by hand"},
        takes_key=True,
        errors=(400, 403, 404, 409, 412, 413, 415, 503),
    ),
    *(
        Operation(
            method="POST",
            path=f"/ext/batches/{{batchID}}/{verb}",
            operation_id=f"{verb}Batch",
            scope=WRITE,
            handler=handler,
            tag=TAG,
            summary=f"{verb.capitalize()} a batch",
            description=f"{description} {_STATES}",
            response=schemas.BatchResponse,
            takes_key=True,
            errors=(400, 404, 409, 503),
        )
        for verb, handler, description in (
            ("pause", pause, "No item starts after the response; those that have started go on."),
            ("resume", resume, "Goes on with a paused batch, also with one that has paused itself."),
            (
                "cancel",
                cancel,
                "No item starts after the response; those that have started go on, the rest is skipped.",
            ),
        )
    ),
)
