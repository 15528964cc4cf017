"""Runs: the newest first, by status, workflow, start or what a person looks for; a page at a time."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import islice
from typing import Any
from urllib.parse import urlencode

import msgspec
from starlette.responses import RedirectResponse, Response

from headrace.console.counts import LIMIT
from headrace.console.filters import SPANS, kept_filters, search_of
from headrace.console.pages import Page
from headrace.console.pages import Place as Request
from headrace.console.places import older_link, page_place
from headrace.console.words import waits_for
from headrace.errors import InvalidValue
from headrace.journal.lists import STATUSES, InstanceSearch, Place
from headrace.journal.records import InstanceSummary
from headrace.pictures.amounts import amount_text
from headrace.usecases.ports import Ports
from headrace.usecases.searching import Found, added_up, search_instances
from headrace.workflows.search_terms import parse_amount

ROWS = 50
SHOWN_VARIABLES = 3
_ID = re.compile(r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}")


@dataclass(frozen=True, slots=True)
class Row:
    """A run of the list. `amount`: what its first effect moves. `says`: what it waits for, or why it has ended.

    `variables`: the first of them.
    """

    summary: InstanceSummary
    amount: str
    says: str
    stages: int
    variables: dict[str, str]


async def show_runs(request: Request) -> Page | Response:
    """A page of runs. The whole id of a run in the search leads to its page. Raises InvalidValue for a bad filter."""
    query, ports = request.query, request.ports
    search = search_of(query, ports.clock.now_at())
    if search.text is not None and _ID.fullmatch(search.text):
        return RedirectResponse(f"/console/runs/{search.text.lower()}", 303)
    found = await _found(ports, search, page_place(query))
    counted = search.text is None
    filters = kept_filters(query)
    values: dict[str, Any] = {
        "q": search.text or "",
        "status": query.get("status", ""),
        "since": query.get("since", ""),
        "spans": {name: label for name, (label, _) in SPANS.items()},
        "workflow": await ports.journal.workflow(query["workflow"]) if query.get("workflow") else None,
        "tabs": {each: "?" + urlencode({**filters, "status": each}) for each in STATUSES},
        "all": "?" + urlencode({name: value for name, value in filters.items() if name != "status"}),
        "first": "?" + urlencode(filters),
        "says": found.says,
        "is_cut": found.is_cut,
        "rows": [await _row(ports, each) for each in found.rows],
        "older": older_link(filters, found.next),
        "is_first": "before" not in query,
        "count": await request.counts.of(ports.journal, search) if counted else None,
        "counts": await request.counts.by_status(ports.journal, search) if counted else {},
        "sums": added_up([each.amount for each in found.rows]),
        "most": LIMIT,
    }
    return Page("runs.html", "Runs", values)


async def _found(ports: Ports, search: InstanceSearch, place: Place) -> Found:
    """A page of a search. A text that nothing can have finds nothing, and the page says why."""
    if search.text is None:
        rows = await ports.journal.summaries_after(search, place, ROWS + 1)
        last = rows[ROWS - 1] if len(rows) > ROWS else None
        return Found(rows[:ROWS], last and Place(last.created_at, last.id), "")
    try:
        return await search_instances(ports.journal, search, place, ROWS)
    except InvalidValue as error:
        return Found([], None, f"the text {error.reason}")


async def _row(ports: Ports, summary: InstanceSummary) -> Row:
    amount = "" if summary.amount is None else amount_text(*parse_amount(summary.amount))
    instance = await ports.journal.instance(summary.id)
    if instance is None:  # it was removed meanwhile
        return Row(summary, amount, "", 0, {})
    variables: dict[str, str] = msgspec.json.decode(instance.variables)
    stages = len(msgspec.json.decode(instance.config)["stages"])
    shown = dict(islice(variables.items(), SHOWN_VARIABLES))
    return Row(summary, amount, summary.error or waits_for(instance), stages, shown)
