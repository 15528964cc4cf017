"""Runs: the newest first, by status, workflow, start or the value of a variable; a page at a time."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import islice
from urllib.parse import urlencode

import msgspec
from starlette.responses import RedirectResponse, Response

from headrace.console.filters import SPANS, kept_filters, parse_search
from headrace.console.pages import Page
from headrace.console.pages import Place as Request
from headrace.console.words import waits_for
from headrace.errors import InvalidValue
from headrace.journal.lists import NEWEST, STATUSES, Place
from headrace.journal.records import InstanceSummary
from headrace.usecases.ports import Ports

ROWS = 50
SHOWN_VARIABLES = 3
_ID = re.compile(r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}")
_PLACE = re.compile(r"(-?[0-9]{1,19})\.([0-9A-Za-z-]{1,64})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Row:
    """A run of the list. `says`: what it waits for, or why it has ended. `variables`: the first of them."""

    summary: InstanceSummary
    says: str
    stages: int
    variables: dict[str, str]


async def show_runs(request: Request) -> Page | Response:
    """A page of runs. The whole id of a run in the search leads to its page. Raises InvalidValue for a bad filter."""
    query, ports = request.query, request.ports
    text = query.get("q", "").strip()
    if _ID.fullmatch(text):
        return RedirectResponse(f"/console/runs/{text.lower()}", 303)
    search, understood = parse_search(query, text, ports.clock.now_at())
    rows: list[Row] = []
    older = None
    if search is not None:
        place = NEWEST
        if (text_of_place := query.get("before")) is not None:
            given = _PLACE.fullmatch(text_of_place)
            if given is None or abs(int(given[1])) >= 2**63:
                raise InvalidValue("before", "is not a place in this list")
            place = Place(int(given[1]), given[2])
        found = await ports.journal.summaries_after(search, place, ROWS + 1)
        rows = [await _row(ports, each) for each in found[:ROWS]]
        if len(found) > ROWS:
            last = found[ROWS - 1]
            older = "?" + urlencode({**kept_filters(query), "before": f"{last.created_at}.{last.id}"})
    workflow = await ports.journal.workflow(query["workflow"]) if query.get("workflow") else None
    values = {
        "q": text,
        "status": query.get("status", ""),
        "since": query.get("since", ""),
        "spans": {name: label for name, (label, _) in SPANS.items()},
        "workflow": workflow,
        "tabs": {status: "?" + urlencode({**kept_filters(query), "status": status}) for status in STATUSES},
        "all": "?" + urlencode({name: value for name, value in kept_filters(query).items() if name != "status"}),
        "understood": understood,
        "rows": rows,
        "older": older,
        "is_first": "before" not in query,
    }
    return Page("runs.html", "Runs", values)


async def _row(ports: Ports, summary: InstanceSummary) -> Row:
    instance = await ports.journal.instance(summary.id)
    if instance is None:  # it was removed meanwhile
        return Row(summary, "", 0, {})
    variables: dict[str, str] = msgspec.json.decode(instance.variables)
    stages = len(msgspec.json.decode(instance.config)["stages"])
    shown = dict(islice(variables.items(), SHOWN_VARIABLES))
    return Row(summary, summary.error or waits_for(instance), stages, shown)
