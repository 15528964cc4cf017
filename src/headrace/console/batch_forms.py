"""The form that makes a batch: which runs, what is done to them, how fast. Making one starts nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from starlette.responses import RedirectResponse, Response

from headrace.auth.clients import WRITE
from headrace.console.batch_words import VERBS
from headrace.console.callers import form_caller, new_key
from headrace.console.filters import SPANS
from headrace.console.ids import canonical_id
from headrace.console.pages import Page, Place, status_for
from headrace.errors import HeadraceError, InvalidValue
from headrace.journal.lists import STATUSES, UNFINISHED
from headrace.usecases.batch_requests import MAX_ITEMS, MAX_OPEN, RATE, STOP_AFTER
from headrace.usecases.batches import make_batch
from headrace.workflows.durations import moment_text
from headrace.workflows.failures import FAILURE_KINDS

KINDS = ("redrive", "undo", "abort")
"""Kinds that are about runs that exist; new ones are started in bulk with the command line and the API."""
TEXTS = ("workflow", "failure", "code", "state")
TIMES = ("startedAfter", "startedBefore", "endedAfter", "endedBefore")
NUMBERS = {"rate": RATE[0], "maxOpen": MAX_OPEN[0], "stopAfter": STOP_AFTER[0]}
_LOCAL = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]+)?)?")
"""A time as a browser writes it, which is UTC here."""


async def show_new_batch(place: Place) -> Page:
    """The form, filled in from the query: the fields of a batch, and `since` as the list of runs has it.

    Raises InvalidValue.
    """
    query = place.query
    filled = {name: query[name] for name in ("kind", "stage", "instances", *TEXTS, *TIMES) if query.get(name)}
    if span := query.get("since"):
        if span not in SPANS:
            raise InvalidValue("since", f"{span[:40]!r} is not one of {', '.join(SPANS)}")
        began_at = place.ports.clock.now_at() - SPANS[span][1]
        filled["startedAfter"] = moment_text(began_at)[:19]
    filled |= {"key": new_key(place)}
    return await form_page(place, filled)


async def perform_new_batch(place: Place) -> Page | Response:
    """Make the batch, and show it; or the form as it was filled in, with the reason."""
    form = place.form
    caller = form_caller(place, "createBatch", "", WRITE)
    try:
        answer = await make_batch(place.ports, caller, request_of(form))
    except HeadraceError as error:
        status = status_for(error)
        if status is None:
            raise
        return await form_page(place, form, str(error), status)
    return RedirectResponse(f"/console/batches/{answer.target}?done=made", HTTPStatus.SEE_OTHER)


def request_of(form: Mapping[str, str]) -> dict[str, Any]:
    """The request of the API's `createBatch`. A number that is none stays a text, which the request is refused for."""
    found: dict[str, Any] = {"kind": form.get("kind", ""), "reason": form.get("reason", "")}
    for name in NUMBERS:
        if text := form.get(name, "").strip():
            found[name] = number_of(text)
    if ids := form.get("instances", "").split():
        found["instances"] = [canonical_id(each) for each in ids]
    given = {name: text for name in ("stage", *TEXTS, *TIMES) if (text := form.get(name, "").strip())}
    if given or not ids:
        chosen: dict[str, Any] = {name: given[name] for name in TEXTS if name in given}
        if "workflow" in given:
            chosen["workflow"] = canonical_id(given["workflow"])
        if "stage" in given:
            number = number_of(given["stage"])
            chosen["stage"] = number - 1 if isinstance(number, int) else number
        for name in TIMES:
            if name in given:
                chosen[name] = f"{given[name]}{with_seconds(given[name])}"
        found["filter"] = chosen
    return found


def number_of(text: str) -> int | str:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 10 else text


def with_seconds(text: str) -> str:
    """The end that makes a time of a browser one of the API."""
    local = _LOCAL.fullmatch(text)
    return "" if local is None else "Z" if local[1] else ":00Z"


async def form_page(
    place: Place, filled: Mapping[str, str], error: str = "", status: HTTPStatus = HTTPStatus.OK
) -> Page:
    """The form, with the name of the workflow that is meant."""
    workflow = filled.get("workflow", "")
    found = await place.ports.journal.workflow(canonical_id(workflow)) if workflow else None
    values = {
        "filled": filled,
        "error": error,
        "kinds": {kind: VERBS[kind] for kind in KINDS},
        "states": STATUSES,
        "unfinished": UNFINISHED,
        "failures": FAILURE_KINDS,
        "numbers": NUMBERS,
        "limits": {"rate": RATE[1], "maxOpen": MAX_OPEN[1], "stopAfter": STOP_AFTER[1]},
        "workflow_name": "" if found is None else found.name or "a workflow without a name",
        "may_write": place.visitor.principal.may(WRITE),
        "most": MAX_ITEMS,
    }
    return Page("batch_new.html", "New batch", values, status)
