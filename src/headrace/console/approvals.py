"""Approvals: plans that wait for a person, and the form by which one approves or rejects exactly what a plan says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import msgspec
from starlette.responses import RedirectResponse, Response

from headrace.auth.clients import APPROVE, WRITE
from headrace.console.callers import form_caller, new_key
from headrace.console.ids import canonical_id
from headrace.console.pages import Page, Place, status_for
from headrace.console.places import older_link, page_place
from headrace.console.words import Status
from headrace.errors import HeadraceError, InvalidValue, NotPermitted
from headrace.journal.lists import Place as Row
from headrace.journal.records import Plan
from headrace.pictures.amounts import amount_text
from headrace.pictures.effects import flow_of, foreseen_end, known_in, planned_effects
from headrace.pictures.words import spoken
from headrace.usecases.approvals import approvals_of, decide, require_other_person
from headrace.usecases.plans import APPROVE as APPROVED
from headrace.usecases.plans import REJECT as REJECTED
from headrace.usecases.plans import PlanSubject, plans_after, plans_in, read_plan
from headrace.usecases.ports import Ports
from headrace.usecases.reasons import ANONYMOUS
from headrace.workflows.activities import Json

ROWS = 50
TABS = {"mine": "For me", "open": "All open", "done": "All plans"}
PLAN_STATUSES: dict[str, Status] = {
    "open": Status("◔", "Waits for approval", "waiting"),
    "approved": Status("✓", "Approved", "completed"),
    "rejected": Status("✕", "Rejected", "failed"),
    "expired": Status("⊘", "Expired", "aborted"),
    "used": Status("→", "Used", "completed"),
}
DONE = {
    "made": "The plan is made. Nothing of it has started.",
    "approve": "Your approval is stored.",
    "reject": "The plan is rejected.",
    "plan-rest": "The plan of the rest is made. Nothing of it is done before it has its approvals.",
}


@dataclass(frozen=True, slots=True)
class Line:
    """A plan of the list. `objection`: why this person cannot approve it; empty: nothing is in the way."""

    plan: Plan
    about: PlanSubject
    what: str
    sums: str
    objection: str


async def show_approvals(place: Place) -> Page:
    """A page of plans, newest first: those that this person may approve, the open ones, or all. Raises InvalidValue."""
    ports, tab = place.ports, place.query.get("tab", "mine")
    if tab not in TABS:
        raise InvalidValue("tab", f"{tab[:40]!r} is not one of {', '.join(TABS)}")
    rows = await plans_after(
        ports, plans_in(ports, None if tab == "done" else "open"), page_place(place.query), ROWS + 1
    )
    last = Row(rows[ROWS - 1].created_at, rows[ROWS - 1].id) if len(rows) > ROWS else None
    lines = [await line_of(place, row) for row in rows[:ROWS]]
    values = {
        "lines": [line for line in lines if tab != "mine" or not line.objection],
        "hidden": sum(tab == "mine" and line.objection != "" for line in lines),
        "tabs": TABS,
        "tab": tab,
        "statuses": PLAN_STATUSES,
        "older": older_link({"tab": tab}, last),
        "is_first": "before" not in place.query,
    }
    return Page("approvals.html", "Approvals", values)


async def line_of(place: Place, plan: Plan) -> Line:
    """A plan as the list shows it."""
    about = msgspec.json.decode(plan.subject, type=PlanSubject)
    totals = about.taken_back or {asset: each["sent"] for asset, each in about.totals.items()}
    sums = ", ".join(amount_text(amount, asset) for asset, amount in totals.items())
    return Line(plan, about, subject_of(about), sums, await objection_to(place, plan, about))


def subject_of(about: PlanSubject) -> str:
    """Name the subject of a plan, in words."""
    name = about.name or about.workflow_id or "a definition"
    if about.instance is not None:
        return f"the rest of run {about.instance[-12:]} of {name}"
    if about.redrive is not None:
        return f"a redrive of run {about.redrive[-12:]} of {name}"
    if about.undo is not None:
        return f"the undo of run {about.undo[-12:]}"
    return f"a run of {name}" if about.trigger_id is None else f"a run of {name}, by a trigger"


async def objection_to(place: Place, plan: Plan, about: PlanSubject) -> str:
    """Why this person cannot approve a plan; empty: nothing is in the way."""
    principal = place.visitor.principal
    if plan.state not in ("open", "approved"):
        return f"The plan is {plan.state}."
    if not principal.may(APPROVE):
        return f"A decision needs the scope {APPROVE}."
    if principal.name == ANONYMOUS:
        return "A decision needs an identity, and this server runs without authentication."
    given = await place.ports.journal.decisions(plan.id)
    if any(each.principal == principal.name for each in given):
        return "You have decided about it."
    try:
        await require_other_person(place.ports.journal, plan, about, principal.name)
    except NotPermitted as refused:
        return str(refused)
    return ""


async def show_plan(place: Place) -> Page:
    """A plan with everything that it would do, and the forms that decide about it. Raises NotFound."""
    return await plan_page(place, {"key": new_key(place)})


async def decide_plan(place: Place) -> Page | Response:
    """Store a decision, and show the plan; or its form as it was filled in, with the reason. Raises NotFound."""
    form, plan_id = place.form, canonical_id(place.params["id"])
    verdict = form.get("verdict", "")
    operation = "approvePlan" if verdict == APPROVED else "rejectPlan"
    caller = form_caller(place, operation, plan_id, APPROVE)
    try:
        if verdict != APPROVED and verdict != REJECTED:
            raise InvalidValue("verdict", "must be to approve or to reject")
        decision = {"hash": form.get("hash", ""), "reason": form.get("reason", "")}
        await decide(place.ports, caller, plan_id, verdict, decision)
    except HeadraceError as error:
        status = status_for(error)
        if status is None:
            raise
        return await plan_page(place, form, str(error), status)
    return RedirectResponse(f"/console/approvals/{plan_id}?done={verdict}", HTTPStatus.SEE_OTHER)


async def plan_page(
    place: Place, filled: Mapping[str, str], error: str = "", status: HTTPStatus = HTTPStatus.OK
) -> Page:
    """The page of a plan. Raises NotFound."""
    ports: Ports = place.ports
    plan = await read_plan(ports, canonical_id(place.params["id"]))
    about = msgspec.json.decode(plan.subject, type=PlanSubject)
    document: Json = msgspec.json.decode(plan.document)
    flow = flow_of(planned_effects(document), known_in(document))
    approvals = await approvals_of(ports, plan)
    values: dict[str, Any] = {
        "plan": plan,
        "about": about,
        "what": subject_of(about),
        "status": PLAN_STATUSES[plan.state],
        "fails": foreseen_end(document),
        "flow": flow,
        "sentences": [spoken(flow, edge) for edge in flow.edges],
        "variables": document["variables"],
        "needed": approvals.needed,
        "given": approvals.given,
        "objection": await objection_to(place, plan, about),
        "can_run": plan.state in ("open", "approved") and about.instance is None and place.visitor.principal.may(WRITE),
        "filled": filled,
        "error": error,
        "done": DONE.get(place.query.get("done", ""), ""),
    }
    return Page("approval.html", f"Plan {plan.id[-12:]}", values, status)
