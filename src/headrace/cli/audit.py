"""`headrace audit`: who wrote what."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import urlencode

import typer

from headrace.cli import display
from headrace.cli.session import OutputOption, ServerOption, session_of


def audit(
    context: typer.Context,
    target: Annotated[str, typer.Option("--target", help="Only what was done to this id.")] = "",
    principal: Annotated[str, typer.Option("--principal", help="Only what was done by this one.")] = "",
    limit: Annotated[int, typer.Option("--limit", min=1, max=1_000, help="How many.")] = 100,
    before: Annotated[int | None, typer.Option("--before", min=1, help="Only entries before this number.")] = None,
    server: ServerOption = None,
    output: OutputOption = None,
) -> None:
    """Show who made which write, newest first."""
    from headrace.cli.direct import get

    session = session_of(context, server, output)
    query = {"target": target, "principal": principal, "limit": str(limit), "before": str(before or "")}
    entries: list[dict[str, Any]] = get(session, f"/ext/audit?{urlencode(query)}")
    if session.is_json:
        display.store({"audit": entries})
    elif not entries:
        display.line("Nobody has written anything that fits.")
    else:
        display.table(["No.", "Date", "Who", "Operation", "Target"], [_row(entry) for entry in entries])


def _row(entry: dict[str, Any]) -> list[str]:
    client_id = entry.get("clientId", entry["principal"])
    who = entry["principal"] if client_id == entry["principal"] else f"{entry['principal']} (by {client_id})"
    return [str(entry["number"]), display.moment(entry["date"]), who, entry["operation"], entry["target"]]
