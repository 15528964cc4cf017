"""`headrace audit`: the audit trail."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from headrace.cli import display
from headrace.cli.session import Session

if TYPE_CHECKING:
    from headrace_client import AuditEntry


def audit(
    session: Session,
    target: Annotated[str, typer.Option("--target", metavar="ID", help="Only writes to this id.")] = "",
    principal: Annotated[str, typer.Option("--principal", metavar="ID", help="Only writes of this principal.")] = "",
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, max=1_000, help="Show at most N entries.")] = 100,
    before: Annotated[
        int | None, typer.Option("--before", metavar="N", min=1, help="Only entries before this number.")
    ] = None,
) -> None:
    """Show the audit trail, newest entry first."""
    from headrace.cli.documents import documents

    entries = session.ext.list_audit(
        target=target or None, principal=principal or None, before=before, limit=limit
    ).data
    session.show({"audit": documents(entries)}, lambda: _table(entries))


def _table(entries: list[AuditEntry]) -> list[str]:
    if not entries:
        return ["No matching audit entries."]
    return display.table_lines(["No.", "Date", "Caller", "Operation", "Target"], [_row(entry) for entry in entries])


def _row(entry: AuditEntry) -> list[str]:
    client_id = entry.client_id or entry.principal
    by_whom = entry.principal if client_id == entry.principal else f"{entry.principal} (by {client_id})"
    return [str(entry.number), display.moment(entry.date), by_whom, entry.operation, entry.target]
