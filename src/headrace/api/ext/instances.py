"""The search of instances by status, workflow, age, error code or the value of a variable."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

import msgspec
from msgspec import UNSET

from headrace.api.context import Context
from headrace.api.cursors import FIELD
from headrace.api.ext import schemas
from headrace.api.operations import READ, Operation, Parameter
from headrace.api.requests import Request
from headrace.api.responses import Response
from headrace.api.v1.instances import TAG
from headrace.api.v2.pages import PARAMETERS, page_response
from headrace.clock import date_time
from headrace.errors import InvalidValue, NotFound
from headrace.journal.lists import STATUSES, UNFINISHED, InstanceSearch
from headrace.journal.records import InstanceSummary
from headrace.journal.searches import MAX_SEARCHED_CHARACTERS, MAX_SEARCHED_VARIABLES, fingerprint

MAX_CODE_CHARACTERS = 256

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_moment = msgspec.json.Decoder(Annotated[datetime, msgspec.Meta(tz=True)])


async def show_all(context: Context, request: Request) -> Response:
    rows = InstanceSearch(
        workflow_id=request.query("workflowID"),
        status=_status(request),
        error_code=_code(request),
        fingerprint=_fingerprint(request),
        since_at=_since_at(request),
    )
    _check_alone(rows)
    if request.query(FIELD) is None:
        await _check_workflow(context, rows.workflow_id)
    return await page_response(context, request, rows, context.ports.journal.summaries_after, _shown)


def _status(request: Request) -> str | None:
    text = request.query("status")
    if text is not None and text not in (*STATUSES, UNFINISHED):
        raise InvalidValue("status", f"{text[:40]!r} is not one of {', '.join((*STATUSES, UNFINISHED))}")
    return text


def _code(request: Request) -> str | None:
    text = request.query("errorCode")
    if text is not None and len(text) > MAX_CODE_CHARACTERS:
        raise InvalidValue("errorCode", f"an error code has at most {MAX_CODE_CHARACTERS} characters")
    return text


def _fingerprint(request: Request) -> int | None:
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
    text = request.query("since")
    if text is None:
        return None
    try:
        moment = _moment.decode(msgspec.json.encode(text))
        return (moment - _EPOCH) // timedelta(microseconds=1)
    except (msgspec.ValidationError, OverflowError):
        raise InvalidValue("since", f"{text[:40]!r} is not a date-time such as 2024-05-01T10:00:00Z") from None


def _check_alone(rows: InstanceSearch) -> None:
    """Raise InvalidValue for filters without a common index: their pages would cost more with every instance."""
    if rows.fingerprint is not None and (rows.workflow_id or rows.status or rows.error_code):
        raise InvalidValue("variable", "cannot be combined with workflowID, status or errorCode, only with since")
    if rows.error_code is not None and rows.status is not None:
        raise InvalidValue("errorCode", "cannot be combined with status: only failed instances have a code")


async def _check_workflow(context: Context, workflow_id: str | None) -> None:
    """Raise NotFound; a deleted workflow is accepted, because its instances can still be read."""
    if workflow_id is not None and await context.ports.journal.workflow(workflow_id) is None:
        raise NotFound("workflow", workflow_id)


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
        handler=show_all,
        tag=TAG,
        summary="Search instances",
        description=(
            "Newest first, a page at a time. A page costs the same however many instances there are: `variable` can be "
            "combined with `since` only, and `errorCode` not with `status`."
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
                "errorCode",
                "Only instances that failed with this code, such as INSUFFICIENT_FUND.",
                {"type": "string", "maxLength": MAX_CODE_CHARACTERS},
            ),
            *PARAMETERS,
        ),
        errors=(400, 404, 503),
    ),
)
