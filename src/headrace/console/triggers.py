"""Triggers: which events start what, what each has done, and a test over an event that starts nothing."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, cast

import msgspec

from headrace.auth.clients import WRITE
from headrace.console.ids import canonical_id
from headrace.console.inspector import pretty
from headrace.console.pages import Page, Place, status_for
from headrace.console.places import older_link, page_place
from headrace.errors import HeadraceError, InvalidValue, NotAllowed, NotFound
from headrace.journal.lists import OccurrenceList, TriggerList
from headrace.journal.lists import Place as Row
from headrace.json_depth import is_nested_deeper
from headrace.triggers.firing import Trial
from headrace.usecases.triggers import read_trigger, test_trigger

ROWS = 50
MAX_TEXT = 20_000
MAX_LEVELS = 100


async def show_triggers(place: Place) -> Page:
    """A page of triggers, newest first. Raises InvalidValue."""
    rows = await place.ports.journal.triggers_after(TriggerList(), page_place(place.query), ROWS + 1)
    last = Row(rows[ROWS - 1].created_at, rows[ROWS - 1].id) if len(rows) > ROWS else None
    values = {"rows": rows[:ROWS], "older": older_link({}, last), "is_first": "before" not in place.query}
    return Page("triggers.html", "Triggers", values)


async def show_trigger(place: Place) -> Page:
    """A trigger, also a deleted one, with a page of what it has done. Raises NotFound, InvalidValue."""
    ports = place.ports
    trigger = await read_trigger(ports, canonical_id(place.params["id"]), even_deleted=True)
    rows = await ports.journal.occurrences_after(OccurrenceList(trigger.id), page_place(place.query), ROWS + 1)
    last = Row(rows[ROWS - 1].created_at, rows[ROWS - 1].id) if len(rows) > ROWS else None
    values: dict[str, Any] = {
        "trigger": trigger,
        "vars": {} if trigger.vars is None else msgspec.json.decode(trigger.vars),
        "rows": [(row, pretty(row.event, MAX_TEXT)) for row in rows[:ROWS]],
        "older": older_link({}, last),
        "is_first": "before" not in place.query,
        "may_write": place.visitor.principal.may(WRITE) and trigger.deleted_at is None,
    }
    return Page("trigger.html", f"Trigger {trigger.name or trigger.id[-12:]}", values)


async def show_trial(place: Place) -> Page:
    """The form of a test. Raises NotFound."""
    return await trial_page(place, {}, None)


async def perform_trial(place: Place) -> Page:
    """Evaluate the trigger over the event of the form; nothing is started or stored. Raises NotFound, NotAllowed."""
    if not place.visitor.principal.may(WRITE):
        raise NotAllowed(WRITE)
    try:
        payload = event_in(place.form.get("event", ""))
        trial = await test_trigger(place.ports, canonical_id(place.params["id"]), payload)
    except HeadraceError as error:
        status = status_for(error)
        if status is None or isinstance(error, NotFound):
            raise
        return await trial_page(place, place.form, None, str(error), status)
    return await trial_page(place, place.form, trial)


def event_in(text: str) -> dict[str, Any]:
    """The payload of an event as JSON. Raises InvalidValue."""
    if is_nested_deeper(text, MAX_LEVELS):
        raise InvalidValue("event", f"is nested more than {MAX_LEVELS} levels deep")
    try:
        found = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError) as error:
        raise InvalidValue("event", f"is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise InvalidValue("event", "must be the payload of an event: an object")
    return cast("dict[str, Any]", found)


async def trial_page(
    place: Place,
    filled: Mapping[str, str],
    trial: Trial | None,
    error: str = "",
    status: HTTPStatus = HTTPStatus.OK,
) -> Page:
    """The form of a test, with what came of it. Raises NotFound."""
    trigger = await read_trigger(place.ports, canonical_id(place.params["id"]))
    values: dict[str, Any] = {
        "trigger": trigger,
        "filled": filled,
        "trial": trial,
        "error": error,
        "may_write": place.visitor.principal.may(WRITE),
    }
    return Page("trial.html", f"Test trigger {trigger.name or trigger.id[-12:]}", values, status)
