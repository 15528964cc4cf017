"""Operations on ended instances: redrive one that has failed, and undo a case."""

from __future__ import annotations

from typing import cast

from headrace import json_text
from headrace.api.context import Context
from headrace.api.ext import schemas
from headrace.api.idempotency import answer_response, caller_of
from headrace.api.operations import APPROVE, READ, WRITE, Operation, Parameter
from headrace.api.requests import Request, json_value, with_canonical_ids
from headrace.api.responses import Response, json_response
from headrace.api.v1.instances import TAG
from headrace.clock import date_time
from headrace.engine.cases import KeptEffect
from headrace.errors import NotAllowed
from headrace.usecases.redrive import Continuation, redrive_instance
from headrace.usecases.undo import Undoing, preview_undo, undo_instance
from headrace.usecases.undoing import check_external


async def redrive(context: Context, request: Request) -> Response:
    body = await request.body(context.settings.max_body_bytes)
    wanted = with_canonical_ids(json_value(request, body) if body else None, "planID")
    if _wants_skip(wanted) and not request.principal.may(APPROVE):
        raise NotAllowed(APPROVE)
    caller = caller_of(request, body, wanted)
    answer = await redrive_instance(context.ports, caller, request.params["instanceID"], wanted)
    return answer_response(answer, 201, _continuation)


def _wants_skip(wanted: object) -> bool:
    return isinstance(wanted, dict) and cast("dict[str, object]", wanted).get("skip") is True


def _continuation(made: Continuation) -> bytes:
    shown = schemas.Continuation(
        id=made.id,
        predecessor=made.predecessor,
        root_id=made.root_id,
        from_stage=made.from_stage,
        reason=made.reason,
        principal=made.principal,
        created_at=date_time(made.at),
    )
    return json_text.encode(schemas.ContinuationResponse(data=shown))


async def undo(context: Context, request: Request) -> Response:
    body = await request.body(context.settings.max_body_bytes)
    wanted = with_canonical_ids(json_value(request, body) if body else None, "planID")
    caller = caller_of(request, body, wanted)
    answer = await undo_instance(context.ports, caller, request.params["instanceID"], wanted)
    return answer_response(answer, 201, _undoing)


async def preview(context: Context, request: Request) -> Response:
    external = check_external(request.query("external") or "keep")
    found = await preview_undo(context.ports, request.params["instanceID"], external)
    effects = [schemas.CaseEffect(key=each.key, activity=each.activity, input=each.input) for each in found.effects]
    shown = schemas.UndoPreview(
        stages=found.stages, kept=kept(found.kept), blocked=kept(found.blocked), effects=effects
    )
    return json_response(200, json_text.encode(schemas.UndoPreviewResponse(data=shown)))


def kept(effects: list[KeptEffect]) -> list[schemas.KeptEffect]:
    """Effects that an undo leaves as they are."""
    return [
        schemas.KeptEffect(
            key=each.key, stage=each.stage, ordinal=each.ordinal, activity=each.activity, reason=each.reason
        )
        for each in effects
    ]


def _undoing(made: Undoing) -> bytes:
    shown = schemas.Undoing(
        id=made.id,
        predecessor=made.predecessor,
        reverts=made.reverts,
        kept=kept(made.kept),
        reason=made.reason,
        principal=made.principal,
        created_at=date_time(made.at),
    )
    return json_text.encode(schemas.UndoingResponse(data=shown))


_UNDO_REFUSALS = (
    "Refused with 409, and `details.reason`: `has_successor` (it is continued or undone already), `running` (abort it "
    "first), `open` (the outcome of an effect is not known yet), `is_undo`"
)

OPERATIONS = (
    Operation(
        method="GET",
        path="/ext/instances/{instanceID}/undo",
        operation_id="previewUndo",
        scope=READ,
        handler=preview,
        tag=TAG,
        summary="Preview the undo of an instance",
        description=f"What an undo would revert and keep, by the history and the payouts' statuses. {_UNDO_REFUSALS}.",
        response=schemas.UndoPreviewResponse,
        query=(
            Parameter(
                "external",
                "What to do with a payout that is paid: keep it, or ask its provider for a reversal.",
                {"type": "string", "enum": ["keep", "reverse"]},
            ),
        ),
        errors=(400, 404, 409, 503),
    ),
    Operation(
        method="POST",
        path="/ext/instances/{instanceID}/undo",
        operation_id="undoInstance",
        scope=WRITE,
        handler=undo,
        tag=TAG,
        summary="Undo the case of an instance",
        description=(
            "Starts a new instance that reverts what the case has done, the last effect first: transactions and "
            "wallets' credits and debits by reverts of the ledger, payouts that wait by a rejection. Kept, with the "
            "reason: payments that came in, metadata, payouts that are paid (unless `external` is `reverse`), and what "
            "funded these. Its workflow is computed; it can be read, and no list shows it.\n\n"
            "With the `planID` of a plan of this undo it has no effect but those of the plan, which says what is done "
            "with a paid payout.\n\n"
            f"{_UNDO_REFUSALS}, `nothing_to_undo`, `needs_person` (a payout was reversed in part, or not at all), "
            "`needs_approvals` (a rule asks for a plan of it that persons have approved); of "
            "its plan `used`, `expired`, `rejected`, `would_fail` (unless `acceptFailure` is true), "
            "`definition_differs` (it would revert something else now)."
        ),
        status=201,
        response=schemas.UndoingResponse,
        body=schemas.UndoRequest,
        example={"reason": "paid to the wrong merchant"},
        takes_key=True,
        errors=(400, 404, 409, 413, 415, 503),
    ),
    Operation(
        method="POST",
        path="/ext/instances/{instanceID}/redrive",
        operation_id="redriveInstance",
        scope=WRITE,
        handler=redrive,
        tag=TAG,
        summary="Redrive an instance that has failed",
        description=(
            "Starts a new instance that continues the case: same copy of the workflow, same variables, unused events "
            "carried over. The ended instance stays as it is. The failed stage begins anew with fresh reads; effects "
            "that are done are not sent again, and keys are those of the first instance of the case. `POST "
            '/ext/plans` with `{"redrive": id}` shows what it would do. With the `planID` of such a plan the new '
            "instance has no effect but those of the plan; without one it keeps the plan of the instance, if that has "
            "one.\n\n"
            "Of an undo that has failed, `skip` leaves out the effect that could not be reverted: it is kept, the undo "
            "goes on with the next one and ends as `undone_but`. A person decides that, so it needs the scope "
            "`orchestration:approve` besides.\n\n"
            "Refused with 409, and `details.reason`: `has_successor` (it is continued or undone already), `running`, "
            "`open` (the outcome of an effect is not known yet), `not_failed` (it succeeded), `aborted`, `rejected` "
            "(by an approver), `not_clean` (the books hold something else under its reference, or an earlier release "
            "ended it without saying why), `needs_plan` (it would have left what was signed or booked: only a plan may "
            "continue it), `needs_same_bytes` (an attempt that had no response may still arrive, and the request would "
            "differ), `not_undo` and `not_skippable` (of `skip`); of its plan `used`, `expired`, `rejected`, "
            "`would_fail` (unless `acceptFailure` is true)."
        ),
        status=201,
        response=schemas.ContinuationResponse,
        body=schemas.RedriveRequest,
        example={"reason": "the account is funded"},
        takes_key=True,
        errors=(400, 404, 409, 413, 415, 503),
    ),
)
