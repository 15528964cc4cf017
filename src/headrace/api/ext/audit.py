"""Who wrote what: the audit trail, for those who may read."""

from __future__ import annotations

from msgspec import UNSET

from headrace.api import codec
from headrace.api.context import Context
from headrace.api.ext import schemas
from headrace.api.operations import READ, Operation, Parameter
from headrace.api.requests import Request, canonical_id
from headrace.api.responses import Response, json_response
from headrace.clock import date_time
from headrace.errors import InvalidValue
from headrace.journal.records import AuditEntry

TAG = "Server"
DEFAULT_ENTRIES = 100
MAX_ENTRIES = 1_000
MAX_NUMBER = 2**63 - 1


async def show(context: Context, request: Request) -> Response:
    before = _number(request, "before", MAX_NUMBER) or MAX_NUMBER
    limit = _number(request, "limit", MAX_ENTRIES) or DEFAULT_ENTRIES
    target, principal = canonical_id(request.query("target") or ""), request.query("principal") or ""
    entries = await context.ports.journal.audit(before, limit, target=target, principal=principal)
    return json_response(200, codec.encode(schemas.AuditResponse(data=[_shown(entry) for entry in entries])))


def _number(request: Request, name: str, maximum: int) -> int | None:
    text = request.query(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 19) or not 1 <= int(text) <= maximum:
        raise InvalidValue(name, f"{text[:40]!r} is not a whole number from 1 to {maximum}")
    return int(text)


def _shown(entry: AuditEntry) -> schemas.AuditEntry:
    return schemas.AuditEntry(
        number=entry.seq,
        date=date_time(entry.at),
        principal=entry.principal,
        client_id=UNSET if entry.client_id is None else entry.client_id,
        operation=entry.operation,
        target=entry.target,
    )


OPERATIONS = (
    Operation(
        method="GET",
        path="/ext/audit",
        operation_id="listAudit",
        scope=READ,
        handler=show,
        tag=TAG,
        summary="Read the audit trail",
        description=(
            "Who made each write, newest first. An entry is kept in the commit of its write and never changes. A "
            "request answered from a stored answer (Idempotency-Key) has none, nor has what a trigger started."
        ),
        response=schemas.AuditResponse,
        query=(
            Parameter("target", "Only what was done to this id.", {"type": "string"}),
            Parameter("principal", "Only what was done by this one.", {"type": "string"}),
            Parameter(
                "before", "Only entries before this number.", {"type": "integer", "minimum": 1, "maximum": MAX_NUMBER}
            ),
            Parameter(
                "limit",
                f"How many; {DEFAULT_ENTRIES} where nothing is said.",
                {"type": "integer", "minimum": 1, "maximum": MAX_ENTRIES},
            ),
        ),
        errors=(400, 503),
    ),
)
