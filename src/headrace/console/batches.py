"""Batches: many runs under one decision, previewed, started, watched, paused and canceled."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

import msgspec
from starlette.responses import RedirectResponse, Response

from headrace.auth.clients import APPROVE, WRITE
from headrace.auth.principal import Principal
from headrace.console.batch_words import BATCH_STATUSES, ITEM_STATUSES, VERBS, cause_of, counted, selection_of, sums_of
from headrace.console.callers import form_caller, new_key
from headrace.console.ids import canonical_id
from headrace.console.pages import Page, Place, status_for
from headrace.console.places import older_link, page_place
from headrace.console.words import SECOND, STATUS_WORDS, Status, status_of
from headrace.errors import HeadraceError, InvalidValue, NotFound
from headrace.journal import lists
from headrace.journal.records import Batch, BatchItem
from headrace.usecases import batches
from headrace.usecases.batch_approvals import batch_approvals, decide_batch
from headrace.usecases.batch_preview import Summary
from headrace.usecases.batch_requests import RunItem
from headrace.usecases.batches import APPROVED, ITEM_STATES, PAUSED, READY, RUNNING
from headrace.usecases.idempotency import Caller
from headrace.usecases.ports import Ports
from headrace.usecases.reasons import ANONYMOUS

ROWS = 50
MAX_STEPS = 20
"""Runs that continue one another, which the state of an item is looked for in."""
MAX_NUMBER = 2**31 - 1

Form = Mapping[str, str]
Perform = Callable[[Ports, Caller, Batch, Form], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Action:
    """`operation`, `scope`: as in the API. `states`: in which it is offered. `done`: said then."""

    title: str
    operation: str
    done: str
    perform: Perform
    states: tuple[str, ...]
    scope: str = WRITE
    asks_reason: bool = False


async def _start(ports: Ports, caller: Caller, batch: Batch, form: Form) -> object:
    included = 0 if batch.summary is None else msgspec.json.decode(batch.summary, type=Summary).included
    typed = re.sub(r"[\s,]", "", form.get("count", ""))
    if typed != str(included):
        raise InvalidValue("count", f"is not {included:,}, the number of runs that would start: type it to start them")
    return await batches.start_batch(ports, caller, batch.id, {"hash": form.get("hash", "")})


async def _approve(ports: Ports, caller: Caller, batch: Batch, form: Form) -> object:
    return await decide_batch(ports, caller, batch.id, "approve", _signed(form))


async def _reject(ports: Ports, caller: Caller, batch: Batch, form: Form) -> object:
    return await decide_batch(ports, caller, batch.id, "reject", _signed(form))


def _signed(form: Form) -> dict[str, str]:
    return {name: form.get(name, "") for name in ("hash", "reason")}


async def _pause(ports: Ports, caller: Caller, batch: Batch, form: Form) -> object:
    return await batches.pause_batch(ports, caller, batch.id)


async def _resume(ports: Ports, caller: Caller, batch: Batch, form: Form) -> object:
    return await batches.resume_batch(ports, caller, batch.id)


async def _cancel(ports: Ports, caller: Caller, batch: Batch, form: Form) -> object:
    return await batches.cancel_batch(ports, caller, batch.id)


ACTIONS: dict[str, Action] = {
    "start": Action("Start", "startBatch", "The batch runs.", _start, (READY, APPROVED)),
    "approve": Action("Approve", "approveBatch", "Your approval is stored.", _approve, (READY,), APPROVE, True),
    "pause": Action("Pause", "pauseBatch", "The batch is paused.", _pause, (RUNNING,)),
    "resume": Action("Resume", "resumeBatch", "The batch goes on.", _resume, (PAUSED,)),
    "reject": Action("Reject", "rejectBatch", "The batch is rejected.", _reject, (READY, APPROVED), APPROVE, True),
    "cancel": Action("Cancel", "cancelBatch", "The batch is canceled.", _cancel, batches.BATCH_STATES[:5]),
}
"""By their paths, in the order of their buttons."""
DONE_WORDS = {"made": "The batch is made. Nothing of it has started.", **{k: v.done for k, v in ACTIONS.items()}}


@dataclass(frozen=True, slots=True)
class Line:
    """An item as its page shows it. `run`: the run that it is about; `now`: how the last run after that stands."""

    item: BatchItem
    run: str
    workflow: str
    cause: str
    last: str
    now: Status | None


async def show_batches(place: Place) -> Page:
    """A page of batches, newest first. Raises InvalidValue for a place that is none."""
    rows = await place.ports.journal.batches_after(lists.BatchList(), page_place(place.query), ROWS + 1)
    last = lists.Place(rows[ROWS - 1].created_at, rows[ROWS - 1].id) if len(rows) > ROWS else None
    values = {
        "rows": [(row, await selection_of(place.ports, row)) for row in rows[:ROWS]],
        "statuses": BATCH_STATUSES,
        "older": older_link({}, last),
        "is_first": "before" not in place.query,
        "may_write": place.visitor.principal.may(WRITE),
    }
    return Page("batches.html", "Batches", values)


async def show_batch(place: Place) -> Page:
    """A batch with its progress and a page of its items. Raises NotFound, and InvalidValue for a bad filter."""
    return await batch_page(place, "", {"key": new_key(place)})


async def show_batch_action(place: Place) -> Page:
    """The form of an action, with what it will do. Raises NotFound."""
    return await batch_page(place, place.params["action"], {"key": new_key(place)})


async def perform_batch_action(place: Place) -> Page | Response:
    """Carry the action out, and show the batch; or its form as it was filled in, with the reason. Raises NotFound."""
    name, form = place.params["action"], place.form
    batch = await batches.read_batch(place.ports, canonical_id(place.params["id"]))
    action = ACTIONS.get(name)
    if action is None:
        raise NotFound("action", name[:40])
    caller = form_caller(place, action.operation, batch.id, action.scope)
    try:
        await action.perform(place.ports, caller, batch, form)
    except HeadraceError as error:
        status = status_for(error)
        if status is None:
            raise
        return await batch_page(place, name, form, str(error), status)
    return RedirectResponse(f"/console/batches/{batch.id}?done={name}", HTTPStatus.SEE_OTHER)


def offered_to(principal: Principal, batch: Batch, asked: int, included: int) -> list[str]:
    """The actions that a batch offers to a principal. `asked`: approvals that a rule asks for.

    A decision about it needs an identity, which a server without authentication does not know.
    """
    found: list[str] = []
    for name, action in ACTIONS.items():
        waits = batch.state == READY and asked > 0
        fits = {"start": included > 0 and not waits, "approve": waits}.get(name, True)
        is_known = action.scope != APPROVE or principal.name != ANONYMOUS
        if fits and is_known and batch.state in action.states and principal.may(action.scope):
            found.append(name)
    return found


async def batch_page(
    place: Place, name: str, filled: Form, error: str = "", status: HTTPStatus = HTTPStatus.OK
) -> Page:
    """The page of a batch, or of one of its actions by this name. Raises NotFound, InvalidValue."""
    ports = place.ports
    batch = await batches.read_batch(ports, canonical_id(place.params["id"]))
    if name and name not in ACTIONS:
        raise NotFound("action", name[:40])
    summary = None if batch.summary is None else msgspec.json.decode(batch.summary, type=Summary)
    approvals = await batch_approvals(ports, batch)
    counts: dict[str, int] = dict.fromkeys(ITEM_STATES, 0)
    causes: list[tuple[str, str, int]] = []
    for each in await batches.counts_of(ports, batch.id):
        counts[each.state] += each.count
        if each.code and each.state in ("excluded", "skipped", "failed"):
            causes.append((each.state, each.code, each.count))
    begun = sum(counts[state] for state in ("started", "succeeded", "failed"))
    asked = 0 if summary is None else summary.asked.approvals
    offered = offered_to(place.visitor.principal, batch, asked, 0 if summary is None else summary.included)
    values: dict[str, Any] = {
        "batch": batch,
        "status": BATCH_STATUSES[batch.state],
        "statuses": ITEM_STATUSES,
        "selection": await selection_of(ports, batch),
        "verb": VERBS[batch.kind],
        "summary": summary,
        "sums": [] if summary is None else sums_of(summary),
        "approvals": approvals,
        "counts": counts,
        "causes": [(state, code, cause_of(code), n) for state, code, n in sorted(causes, key=lambda each: -each[2])],
        "cause_of": cause_of,
        "over": counts["succeeded"] + counts["failed"] + counts["skipped"],
        "begun": begun,
        "pace": pace_of(batch, begun, ports.clock.now_at()),
        "counted": counted,
        "offered": offered,
        "actions": ACTIONS,
        "name": name,
        "filled": filled,
        "error": error,
        "done": DONE_WORDS.get(place.query.get("done", ""), ""),
    }
    if name:
        return Page("batch_action.html", f"{ACTIONS[name].title} batch {batch.id[-12:]}", values, status)
    values |= await items_page(place, batch)
    return Page("batch.html", f"Batch {batch.id[-12:]}", values, status)


def pace_of(batch: Batch, begun: int, now_at: int) -> str:
    """How many items began in a second, from the start on and pauses included; empty before a whole second of it."""
    if batch.started_at is None:
        return ""
    span = (batch.ended_at or now_at) - batch.started_at
    return "" if span < SECOND else f"{begun * SECOND / span:.1f}"


async def items_page(place: Place, batch: Batch) -> dict[str, Any]:
    """A page of the items of a batch, in their order. Raises InvalidValue for a state or a place that is none."""
    state, after = place.query.get("state", ""), place.query.get("after", "0")
    if state and state not in ITEM_STATES:
        raise InvalidValue("state", f"{state[:40]!r} is not one of {', '.join(ITEM_STATES)}")
    if not (after.isascii() and after.isdigit() and len(after) <= 10 and int(after) <= MAX_NUMBER):
        raise InvalidValue("after", "is not a place in this list")
    rows = await batches.items_of(place.ports, batch.id, int(after), ROWS + 1, state)
    more = None
    if len(rows) > ROWS:
        more = "?" + urlencode({**({"state": state} if state else {}), "after": rows[ROWS - 1].n})
    lines = [await line_of(place.ports, row) for row in rows[:ROWS]]
    return {"lines": lines, "state": state, "more": more, "is_first": int(after) == 0}


async def line_of(ports: Ports, item: BatchItem) -> Line:
    """An item, with the state in which its run is now, or the one that has come after it."""
    run = item.made_id or item.instance_id or ""
    workflow = "" if item.run is None else msgspec.json.decode(item.run, type=RunItem).workflow_id
    last, kind = run, ""
    for _ in range(MAX_STEPS if run else 0):
        step = await ports.journal.successor(last)
        if step is None:
            break
        last, kind = step.successor, step.kind
    now = None
    instance = await ports.journal.instance(last) if last else None
    if instance is not None:
        rows = await ports.journal.activities(last, instance.stages[-1].number) if instance.stages else []
        now = STATUS_WORDS[status_of(instance, rows)]
        if kind == "undo" and instance.is_terminal and instance.error is None:
            now = Status("↶", "Undone", "aborted")
    return Line(item, run, workflow, cause_of(item.code or ""), "" if last == run else last, now)
