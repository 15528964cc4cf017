"""Dead letters: events that a publisher refused again and again, and the form that publishes them once more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

import msgspec
from starlette.responses import RedirectResponse, Response

from headrace.auth.clients import WRITE
from headrace.console.callers import MAX_KEY, form_caller, new_key
from headrace.console.pages import Page, Place, status_for
from headrace.errors import HeadraceError, InvalidValue, NotFound, Unavailable
from headrace.journal.records import SetAside
from headrace.usecases.dead_letters import MAX_AT_ONCE, Replay, replay_dead_letters
from headrace.usecases.idempotency import RESULT
from headrace.usecases.ports import Ports

ROWS = 50
REACH = 1_000
"""The newest dead letters that the list shows: the journal gives them from the newest on, without a place."""
SHOWN_CHARACTERS = 20_000
OPERATION = "replayDeadLetters"

Spot = tuple[int, str, str]
"""The place of a dead letter in the list: its time, its event and its publisher."""


class Letter(msgspec.Struct, frozen=True):
    """A dead letter as the list shows it. `cut`: characters of its body that are left out."""

    row: SetAside
    body: str
    cut: int


async def show_dead_letters(place: Place) -> Page:
    """A page of dead letters, newest first. Raises InvalidValue for a place that is none."""
    publisher = place.query.get("publisher", "")
    before = place.query.get("before")
    after = None if before is None else parse_spot(before)
    limit = ROWS + 1
    while True:
        read = await place.ports.journal.set_aside(limit)
        found = [
            row
            for row in sorted(read, key=spot_of, reverse=True)
            if publisher in ("", row.publisher) and (after is None or spot_of(row) < after)
        ]
        if len(found) > ROWS or len(read) < limit or limit == REACH:
            break
        limit = min(REACH, limit * 4)
    older = None
    if len(found) > ROWS:
        at, event_id, name = spot_of(found[ROWS - 1])
        older = "?" + urlencode({"publisher": publisher, "before": f"{at}/{event_id}/{name}"})
    names = {each.name for each in place.ports.publishers} | {row.publisher for row in read}
    values = {
        "letters": [shown(row) for row in found[:ROWS]],
        "publisher": publisher,
        "publishers": sorted(names | ({publisher} if publisher else set())),
        "may_publish": {each.name for each in place.ports.publishers},
        "may_write": place.visitor.principal.may(WRITE),
        "older": older,
        "is_first": before is None,
        "reach": REACH if len(read) == REACH and older is None else 0,
        "most": MAX_AT_ONCE,
    }
    return Page("dead_letters.html", "Dead letters", values)


def spot_of(row: SetAside) -> Spot:
    """The place of a dead letter, by which the list is ordered."""
    return row.at, row.event_id, row.publisher


def parse_spot(text: str) -> Spot:
    """The place that a link names. Raises InvalidValue."""
    at, first, rest = text.partition("/")
    event_id, second, publisher = rest.partition("/")
    if not (at.isascii() and at.isdigit() and len(at) <= 19 and first and second):
        raise InvalidValue("before", "is not a place in this list")
    return int(at), event_id, publisher


def shown(row: SetAside) -> Letter:
    """A dead letter with its body as indented JSON, cut where it is very long."""
    try:
        text = msgspec.json.format(row.body, indent=2)
    except msgspec.DecodeError:
        text = row.body
    return Letter(row, text[:SHOWN_CHARACTERS], max(0, len(text) - SHOWN_CHARACTERS))


async def show_replay(place: Place) -> Page:
    """The form that publishes one dead letter of a publisher again (`id`), or the `first` ones in their order.

    Raises InvalidValue, and NotFound where this dead letter does not exist.
    """
    query, journal = place.query, place.ports.journal
    publisher = query.get("publisher", "")
    if not publisher:
        raise InvalidValue("publisher", "is required: the list of dead letters has the names")
    if (event_id := query.get("id")) is not None:
        letters = await journal.dead_letters_of(publisher, 1, event_id)
        if not letters:
            raise NotFound("dead letter", event_id[:100])
    else:
        first = query.get("first", "")
        if not (first.isascii() and first.isdigit() and len(first) <= 3 and 1 <= int(first) <= MAX_AT_ONCE):
            raise InvalidValue("first", f"must be a whole number from 1 to {MAX_AT_ONCE}")
        letters = await journal.dead_letters_of(publisher, int(first))
    chosen = {"key": new_key(place), "publisher": publisher, "ids": " ".join(row.event_id for row in letters)}
    return replay_page(place, chosen, letters)


async def perform_replay(place: Place) -> Page | Response:
    """Publish what the form named, and show the answer; or the form again, with the reason."""
    form = place.form
    publisher, ids = form.get("publisher", ""), form.get("ids", "").split()
    caller = form_caller(place, OPERATION, publisher, WRITE)
    try:
        await replay_dead_letters(place.ports, caller, {"publisher": publisher, "ids": ids})
    except HeadraceError as error:
        status = status_for(error)
        if status is None:
            raise
        if isinstance(error, Unavailable):
            text = f"Some may have been delivered before the journal was away: see what the list still has. {error}"
            return Page("message.html", "Not known", {"text": text}, status)
        letters = await letters_of(place.ports, publisher, ids)
        return replay_page(place, form, letters, f"Nothing was done. {error}", status)
    return RedirectResponse(f"/console/dead-letters/answer?{urlencode({'key': form['key']})}", HTTPStatus.SEE_OTHER)


async def letters_of(ports: Ports, publisher: str, ids: Sequence[str]) -> list[SetAside]:
    """The dead letters of a publisher with these ids, without the ones that are gone."""
    found: list[SetAside] = []
    for event_id in ids[:MAX_AT_ONCE]:
        found += await ports.journal.dead_letters_of(publisher, 1, event_id)
    return found


def replay_page(
    place: Place,
    filled: Mapping[str, str],
    letters: Sequence[SetAside],
    error: str = "",
    status: HTTPStatus = HTTPStatus.OK,
) -> Page:
    """The form, with what it sends where."""
    publisher = filled.get("publisher", "")
    values: dict[str, Any] = {
        "filled": filled,
        "letters": letters,
        "publisher": publisher,
        "is_known": any(each.name == publisher for each in place.ports.publishers),
        "may_write": place.visitor.principal.may(WRITE),
        "error": error,
    }
    return Page("dead_letters_replay.html", "Publish dead letters again", values, status)


async def show_answer(place: Place) -> Page:
    """How a form fared that was sent, read back by its key. Raises NotFound, also for a key of something else."""
    key = place.query.get("key", "")
    stored = None
    if 0 < len(key) <= MAX_KEY:
        stored = await place.ports.journal.remembered(place.visitor.principal.key_owner, key)
    if stored is None or stored.operation != OPERATION or stored.status != RESULT:
        raise NotFound("answer", key[:MAX_KEY])
    answer = msgspec.json.decode(stored.body, type=Replay)
    values = {"answer": answer, "at": stored.created_at}
    return Page("dead_letters_answer.html", "Published again", values)
