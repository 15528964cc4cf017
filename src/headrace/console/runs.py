"""Runs: the newest first, by status, workflow, start or the value of a variable; a page at a time."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from urllib.parse import urlencode

import msgspec
from starlette.responses import RedirectResponse, Response

from headrace.console.pages import Page
from headrace.console.pages import Place as Request
from headrace.console.words import DAY, HOUR, waits_for
from headrace.errors import InvalidValue
from headrace.journal.lists import NEWEST, STATUSES, InstanceSearch, Place
from headrace.journal.records import InstanceSummary
from headrace.journal.searches import MAX_SEARCHED_CHARACTERS, fingerprint
from headrace.usecases.ports import Ports

ROWS = 50
SHOWN_VARIABLES = 3
SPANS = {"1h": ("Last hour", HOUR), "24h": ("Last 24 hours", DAY), "7d": ("Last 7 days", 7 * DAY)}
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
    search, understood = _search(query, text, ports.clock.now_at())
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
            older = "?" + urlencode({**_kept(query), "before": f"{last.created_at}.{last.id}"})
    workflow = await ports.journal.workflow(query["workflow"]) if query.get("workflow") else None
    values = {
        "q": text,
        "status": query.get("status", ""),
        "since": query.get("since", ""),
        "spans": {name: label for name, (label, _) in SPANS.items()},
        "workflow": workflow,
        "tabs": {status: "?" + urlencode({**_kept(query), "status": status}) for status in STATUSES},
        "all": "?" + urlencode({name: value for name, value in _kept(query).items() if name != "status"}),
        "understood": understood,
        "rows": rows,
        "older": older,
        "is_first": "before" not in query,
    }
    return Page("runs.html", "Runs", values)


def _kept(query: Mapping[str, str]) -> dict[str, str]:
    """The filters of a list, which stay when its page or its status changes."""
    return {name: query[name] for name in ("q", "status", "workflow", "since") if query.get(name)}


def _search(query: Mapping[str, str], text: str, now_at: int) -> tuple[InstanceSearch | None, str]:
    """The search, and what was understood; no search for a text that has none of the forms. Raises InvalidValue."""
    status = query.get("status") or None
    if status is not None and status not in STATUSES:
        raise InvalidValue("status", f"{status[:40]!r} is not one of {', '.join(STATUSES)}")
    span = query.get("since") or None
    if span is not None and span not in SPANS:
        raise InvalidValue("since", f"{span[:40]!r} is not one of {', '.join(SPANS)}")
    since_at = None if span is None else now_at - SPANS[span][1]
    if not text:
        search = InstanceSearch(workflow_id=query.get("workflow") or None, status=status, since_at=since_at)
        return search, ""
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        return None, "This looks for a run by its whole id, or by a variable: order=A4102."
    name, value = name.strip(), value.strip()
    if len(value) > MAX_SEARCHED_CHARACTERS:
        return None, f"Values of more than {MAX_SEARCHED_CHARACTERS} characters are not found."
    left_out = "" if status is None and not query.get("workflow") else " In every status, of every workflow."
    search = InstanceSearch(fingerprint=fingerprint(name, value), since_at=since_at)
    return search, f"Runs whose variable {name} is exactly {value}.{left_out}"


async def _row(ports: Ports, summary: InstanceSummary) -> Row:
    instance = await ports.journal.instance(summary.id)
    if instance is None:  # it was removed meanwhile
        return Row(summary, "", 0, {})
    variables: dict[str, str] = msgspec.json.decode(instance.variables)
    stages = len(msgspec.json.decode(instance.config)["stages"])
    shown = dict(islice(variables.items(), SHOWN_VARIABLES))
    return Row(summary, summary.error or waits_for(instance), stages, shown)
