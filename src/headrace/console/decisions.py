"""Decisions: effects whose outcome is unknown and which wait for a person, and what persons have decided."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from headrace.auth.clients import APPROVE
from headrace.console.audit import LATEST, REACH, Wanted, matching
from headrace.console.pages import Page, Place
from headrace.console.places import older_link, page_place
from headrace.console.questions import question_of
from headrace.errors import InvalidValue
from headrace.journal.lists import AttentionList
from headrace.journal.lists import Place as Row
from headrace.journal.records import AuditEntry, ResolutionRow
from headrace.usecases.ports import Ports

ROWS = 50
VERDICTS = {"booked": "Booked", "not_booked": "Not booked"}


@dataclass(frozen=True, slots=True)
class Decided:
    """A decision that is stored. `row`: what was decided; None: it was removed with its run. `evidence`: as text."""

    entry: AuditEntry
    row: ResolutionRow | None
    evidence: str


async def show_decisions(place: Place) -> Page:
    """A page of open questions, or of stored decisions. Raises InvalidValue for a tab or a place that is none."""
    tab = place.query.get("tab", "open")
    if tab == "done":
        return await done_page(place)
    if tab != "open":
        raise InvalidValue("tab", "is open or done")
    rows = await place.ports.journal.attention_after(AttentionList(), page_place(place.query), ROWS + 1)
    last = Row(rows[ROWS - 1].created_at, rows[ROWS - 1].id) if len(rows) > ROWS else None
    values = {
        "rows": [(row, question_of(row)) for row in rows[:ROWS]],
        "older": older_link({}, last),
        "is_first": "before" not in place.query,
        "may_decide": place.visitor.principal.may(APPROVE),
    }
    return Page("decisions.html", "Decisions", values)


async def done_page(place: Place) -> Page:
    """A page of stored decisions, newest first. Raises InvalidValue for a place that is none."""
    number = place.query.get("number")
    if number is not None and not (number.isascii() and number.isdigit() and 0 < len(number) <= 18):
        raise InvalidValue("number", "is not a place in this list")
    before = LATEST if number is None else int(number)
    found = await matching(place.ports, Wanted(operation="resolveEffect"), before, ROWS, REACH)
    values = {
        "lines": [await decided_by(place.ports, entry) for entry in found.entries],
        "verdicts": VERDICTS,
        "older": None if found.older is None else f"?tab=done&number={found.older}",
        "is_first": number is None,
        "is_cut": found.is_cut,
    }
    return Page("decided.html", "Decided", values)


async def decided_by(ports: Ports, entry: AuditEntry) -> Decided:
    """The decision that an entry of the audit trail is about."""
    rows = await ports.journal.resolutions(entry.target)
    row = next((each for each in rows if (each.principal, each.at) == (entry.principal, entry.at)), None)
    if row is None:
        return Decided(entry, None, "")
    given: dict[str, object] = msgspec.json.decode(row.evidence)
    return Decided(entry, row, ", ".join(f"{name}: {value}" for name, value in given.items()))
