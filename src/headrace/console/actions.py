"""Actions on one run: send the event that it waits for, abort it, redrive it, decide about an effect.

Each is a form that shows first what it will do. A form carries the Idempotency-Key that it was made with, so that a
double click, Back and Resend do one thing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from starlette.responses import RedirectResponse, Response

from headrace.auth.clients import APPROVE, WRITE
from headrace.auth.principal import Principal
from headrace.console.callers import form_caller, new_key
from headrace.console.pages import Page, Place, status_for
from headrace.console.questions import Question, question_of
from headrace.console.undo import previewed, undo
from headrace.console.words import APPROVAL, STATUS_WORDS, status_of, waits_for
from headrace.errors import (
    HeadraceError,
    InvalidValue,
    NotFound,
)
from headrace.journal.lists import NEWEST, AttentionList
from headrace.journal.records import ActivityRow, Instance
from headrace.pictures.amounts import amount_text
from headrace.pictures.moves import OPEN, WORDS, halted
from headrace.pictures.postings import posted_moves
from headrace.usecases.descriptions import described
from headrace.usecases.flows import case_flow
from headrace.usecases.idempotency import Caller
from headrace.usecases.instances import abort_with_reason, send_event
from headrace.usecases.plans import make_plan
from headrace.usecases.ports import Ports
from headrace.usecases.redrive import redrive_instance
from headrace.usecases.resolve import resolve_effect

Form = Mapping[str, str]
Perform = Callable[[Ports, Caller, str, Form], Awaitable[str]]
"""Carries an action out; returns the path below `/console` that shows what came of it."""


@dataclass(frozen=True, slots=True)
class Action:
    """`operation`: the API's name, for the audit trail. `done`: said then. `scope`: what it needs, as in the API."""

    title: str
    button: str
    operation: str
    done: str
    perform: Perform
    scope: str = WRITE


async def _send_event(ports: Ports, caller: Caller, instance_id: str, form: Form) -> str:
    await send_event(ports, caller, instance_id, {"name": form.get("event", "")})
    return f"runs/{instance_id}"


async def _abort(ports: Ports, caller: Caller, instance_id: str, form: Form) -> str:
    await abort_with_reason(ports, caller, instance_id, {"reason": form.get("reason", "")})
    return f"runs/{instance_id}"


async def _redrive(ports: Ports, caller: Caller, instance_id: str, form: Form) -> str:
    answer = await redrive_instance(ports, caller, instance_id, {"reason": form.get("reason", "")})
    return f"runs/{answer.target}"


async def _plan_rest(ports: Ports, caller: Caller, instance_id: str, form: Form) -> str:
    return f"approvals/{(await make_plan(ports, caller, {'instance': instance_id})).target}"


async def _decide(ports: Ports, caller: Caller, instance_id: str, form: Form) -> str:
    place = [form.get(name, "") for name in ("stage", "position")]
    if not all(text.isascii() and text.isdigit() and len(text) < 10 for text in place):
        raise InvalidValue("stage", "is not that of an effect: open this page again")
    decision = {
        "outcome": form.get("outcome", ""),
        "evidence": {"text": form.get("evidence", "")},
        "reason": form.get("reason", ""),
    }
    await resolve_effect(ports, caller, instance_id, int(place[0]), int(place[1]), decision)
    return f"runs/{instance_id}"


ACTIONS: dict[str, Action] = {
    "send-event": Action("Send event", "Send the event", "sendEvent", "The event was sent.", _send_event),
    "decide": Action("Decide", "Store the decision", "resolveEffect", "The decision is stored.", _decide, APPROVE),
    "plan-rest": Action("Plan the rest", "Make the plan", "createPlan", "The plan is made.", _plan_rest),
    "redrive": Action("Redrive", "Redrive it", "redriveInstance", "This run continues it.", _redrive),
    "undo": Action("Undo", "Take it back", "undoInstance", "This run takes it back.", undo),
    "abort": Action("Abort", "Abort and leave the money where it is", "abortInstance", "It is aborted.", _abort),
}
"""By their paths, in the order of their buttons."""


def actions_for(
    instance: Instance, rows: Sequence[ActivityRow], principal: Principal, *, can_undo: bool
) -> dict[str, Action]:
    """The actions that a run offers to a principal. `rows`: the activities of its last stage.

    `can_undo`: it is over, nothing came after it, and some of it is booked.

    An aborted run may still have an effect about which a person has to decide.
    """
    offered = {
        "send-event": waits_for(instance).startswith("event "),
        "decide": any(row.needs_attention and row.terminated_at is None for row in rows),
        "plan-rest": waits_for(instance) == APPROVAL,
        "redrive": status_of(instance, rows) == "failed",
        "undo": can_undo,
        "abort": not instance.is_terminal,
    }
    return {name: action for name, action in ACTIONS.items() if offered[name] and principal.may(action.scope)}


async def show_action(place: Place) -> Page:
    """The form of an action, with what it will do. Raises NotFound."""
    return await _form(place, {"key": new_key(place)}, "")


async def perform_action(place: Place) -> Page | Response:
    """Carry the action out, and show the run; or the form as it was filled in, with the reason. Raises NotFound."""
    name, instance_id, form = place.params["action"], place.params["id"].lower(), place.form
    action = ACTIONS.get(name)
    if action is None:
        raise NotFound("action", name[:40])
    caller = form_caller(place, action.operation, instance_id, action.scope)
    try:
        path = await action.perform(place.ports, caller, instance_id, form)
    except HeadraceError as error:
        status = status_for(error)
        if status is None or isinstance(error, NotFound):
            raise
        page = await _form(place, form, str(error))
        return Page(page.template, page.title, page.values, status)
    return RedirectResponse(f"/console/{path}?done={name}", HTTPStatus.SEE_OTHER)


async def _form(place: Place, filled: Form, error: str) -> Page:
    name, instance_id, ports = place.params["action"], place.params["id"].lower(), place.ports
    action = ACTIONS.get(name)
    if action is None:
        raise NotFound("action", name[:40])
    found = await described(ports, instance_id)
    external = filled.get("external") or place.query.get("external") or "keep"
    instance = found.instance
    undoing = await previewed(ports, instance_id, external) if name == "undo" else None
    rows = await ports.journal.activities(instance_id, instance.stages[-1].number) if instance.stages else []
    flow = (await case_flow(ports, instance_id)).flow
    awaited, then = waits_for(instance), halted(flow)
    values: dict[str, Any] = {
        "instance": instance,
        "action": action,
        "name": name,
        "status": STATUS_WORDS[status_of(instance, rows)],
        "is_offered": name
        in actions_for(instance, rows, place.visitor.principal, can_undo=undoing is not None and not undoing.refusal),
        "filled": filled,
        "error": error,
        "awaited": awaited.removeprefix("event ") if awaited.startswith("event ") else "",
        "stays": [
            f"{amount_text(amount, asset)} at {then.title(node)} ({then.caption(node)})"
            for node in then.nodes
            for asset, amount in then.balance(node).items()
            if then.standing(node, asset) == "stuck"
        ],
        "unknown": [each for each in posted_moves(flow) if each.move.state in OPEN],
        "follow": [each for each in posted_moves(flow) if each.move.state in ("planned", "unmade", "refused")],
        "words": WORDS,
        "effect": await _effect(ports, instance_id) if name == "decide" else None,
        "undoing": undoing,
    }
    return Page("action.html", f"{action.title}: run {instance_id[-12:]}", values)


async def _effect(ports: Ports, instance_id: str) -> Question | None:
    for row in await ports.journal.attention_after(AttentionList(instance_id), NEWEST, 1):
        return question_of(row)
    return None
