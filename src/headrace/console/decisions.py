"""Decisions: effects whose outcome is unknown and which wait for a person, the newest run first."""

from __future__ import annotations

from headrace.auth.clients import APPROVE
from headrace.console.pages import Page, Place
from headrace.console.places import older_link, page_place
from headrace.console.questions import question_of
from headrace.journal.lists import AttentionList
from headrace.journal.lists import Place as Row

ROWS = 50


async def show_decisions(place: Place) -> Page:
    """A page of open questions. Raises InvalidValue for a place that is none."""
    rows = await place.ports.journal.attention_after(AttentionList(), page_place(place.query), ROWS + 1)
    last = Row(rows[ROWS - 1].created_at, rows[ROWS - 1].id) if len(rows) > ROWS else None
    values = {
        "rows": [(row, question_of(row)) for row in rows[:ROWS]],
        "older": older_link({}, last),
        "is_first": "before" not in place.query,
        "may_decide": place.visitor.principal.may(APPROVE),
    }
    return Page("decisions.html", "Decisions", values)
