"""`headrace audit`: who wrote what."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, NotRequired, TypedDict
from urllib.parse import urlencode

import typer

from headrace.cli import display
from headrace.cli.session import Session


class Entry(TypedDict):
    number: int
    date: datetime
    principal: str
    operation: str
    target: str
    clientId: NotRequired[str]


def audit(
    session: Session,
    target: Annotated[str, typer.Option("--target", metavar="ID", help="Only what was done to this id.")] = "",
    principal: Annotated[str, typer.Option("--principal", metavar="ID", help="Only what was done by this one.")] = "",
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, max=1_000, help="How many.")] = 100,
    before: Annotated[
        int | None, typer.Option("--before", metavar="N", min=1, help="Only entries before this number.")
    ] = None,
) -> None:
    """Show who made which write, newest first."""
    from headrace.cli.direct import get

    query = {"target": target, "principal": principal, "limit": limit, "before": before}
    given = urlencode({name: value for name, value in query.items() if value})
    entries = get(session, f"/ext/audit?{given}", list[Entry])
    session.tell({"audit": entries}, lambda: _table(entries))


def _table(entries: list[Entry]) -> list[str]:
    if not entries:
        return ["Nobody has written anything that fits."]
    return display.table_lines(["No.", "Date", "Who", "Operation", "Target"], [_row(entry) for entry in entries])


def _row(entry: Entry) -> list[str]:
    client_id = entry.get("clientId", entry["principal"])
    who = entry["principal"] if client_id == entry["principal"] else f"{entry['principal']} (by {client_id})"
    return [str(entry["number"]), display.moment(entry["date"]), who, entry["operation"], entry["target"]]
