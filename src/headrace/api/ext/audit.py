"""The audit trail: the principal, the operation and the target of each write."""

from __future__ import annotations

from msgspec import UNSET

from headrace import json_text
from headrace.api.context import Context
from headrace.api.ext import schemas
from headrace.api.operations import READ, Operation, Parameter
from headrace.api.requests import Request, canonical_id
from headrace.api.responses import Response, json_response
from headrace.clock import date_time
from headrace.errors import InvalidValue

TAG = "Server"
DEFAULT_ENTRIES = 100
MAX_ENTRIES = 1_000
MAX_NUMBER = 2**63 - 1


async def show(context: Context, request: Request) -> Response:
    before = _number(request, "before", MAX_NUMBER) or MAX_NUMBER
    limit = _number(request, "limit", MAX_ENTRIES) or DEFAULT_ENTRIES
    target, principal = canonical_id(request.query("target") or ""), request.query("principal") or ""
    entries = [
        schemas.AuditEntry(
            number=entry.seq,
            date=date_time(entry.at),
            principal=entry.principal,
            client_id=UNSET if entry.client_id is None else entry.client_id,
            operation=entry.operation,
            target=entry.target,
        )
        for entry in await context.ports.journal.audit(before, limit, target=target, principal=principal)
    ]
    return json_response(200, json_text.encode(schemas.AuditResponse(data=entries)))


def _number(request: Request, name: str, maximum: int) -> int | None:
    text = request.query(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 19) or not 1 <= int(text) <= maximum:
        raise InvalidValue(name, f"{text[:40]!r} is not a whole number from 1 to {maximum}")
    return int(text)


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
            "The principal of each write, newest first. An entry is stored in the commit of its write and never "
            "changes. A repeated request (Idempotency-Key) adds none, nor do the instances that triggers start."
        ),
        response=schemas.AuditResponse,
        query=(
            Parameter("target", "Only writes to this id.", {"type": "string"}),
            Parameter("principal", "Only writes of this principal.", {"type": "string"}),
            Parameter(
                "before", "Only entries before this number.", {"type": "integer", "minimum": 1, "maximum": MAX_NUMBER}
            ),
            Parameter(
                "limit",
                f"Number of entries; {DEFAULT_ENTRIES} by default.",
                {"type": "integer", "minimum": 1, "maximum": MAX_ENTRIES},
            ),
        ),
        errors=(400, 503),
    ),
)
