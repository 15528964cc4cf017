"""Plans: their list by state, and the form that runs exactly what a plan says. Their page is that of approvals."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import msgspec
from starlette.responses import RedirectResponse, Response

from headrace.auth.clients import WRITE
from headrace.console.approvals import PLAN_STATUSES, subject_of
from headrace.console.callers import form_caller, new_key
from headrace.console.ids import canonical_id
from headrace.console.pages import Page, Place, status_for
from headrace.console.places import older_link, page_place
from headrace.errors import HashDiffers, HeadraceError, InvalidValue
from headrace.journal.lists import Place as Row
from headrace.journal.records import Plan
from headrace.pictures.effects import flow_of, known_in, planned_effects
from headrace.pictures.words import sentences
from headrace.usecases.approvals import approvals_of
from headrace.usecases.plan_runs import run_plan
from headrace.usecases.plans import STATES, PlanSubject, approvals_in, plans_after, plans_in, read_plan
from headrace.usecases.redrive import redrive_instance
from headrace.usecases.undo import undo_instance
from headrace.workflows.activities import Json

ROWS = 50
USABLE = ("open", "approved")


async def show_plans(place: Place) -> Page:
    """A page of plans, newest first. Raises InvalidValue for a bad filter."""
    state = place.query.get("state") or None
    if state is not None and state not in STATES:
        raise InvalidValue("state", f"{state[:40]!r} is not one of {', '.join(STATES)}")
    rows = await plans_after(place.ports, plans_in(place.ports, state), page_place(place.query), ROWS + 1)
    last = Row(rows[ROWS - 1].created_at, rows[ROWS - 1].id) if len(rows) > ROWS else None
    values = {
        "rows": [(row, about_of(row), subject_of(about_of(row))) for row in rows[:ROWS]],
        "state": state or "",
        "statuses": PLAN_STATUSES,
        "older": older_link({} if state is None else {"state": state}, last),
        "is_first": "before" not in place.query,
    }
    return Page("plans.html", "Plans", values)


def about_of(plan: Plan) -> PlanSubject:
    return msgspec.json.decode(plan.subject, type=PlanSubject)


def operation_of(plan: Plan) -> tuple[str, str]:
    """The API's name of what runs a plan, and the id of what it is done to."""
    about = about_of(plan)
    if about.redrive is not None:
        return "redriveInstance", about.redrive
    return ("runPlan", plan.id) if about.undo is None else ("undoInstance", about.undo)


async def show_plan_run(place: Place) -> Page:
    """The form that runs a plan, with what it will do. Raises NotFound."""
    return await run_page(place, {"key": new_key(place)})


async def perform_plan_run(place: Place) -> Page | Response:
    """Run the plan, and show its run; or the form as it was filled in, with the reason. Raises NotFound."""
    ports, form = place.ports, place.form
    plan = await read_plan(ports, canonical_id(place.params["id"]))
    operation, target = operation_of(plan)
    caller = form_caller(place, operation, target, WRITE)
    given = form.get("hash", "")
    accepted: Json = {"acceptFailure": True} if form.get("accept") == "yes" else {}
    signed: Json = {"reason": form.get("reason", ""), "planID": plan.id, **accepted}
    try:
        if given != plan.hash:
            raise HashDiffers(given, plan.hash)
        if operation == "redriveInstance":
            made = (await redrive_instance(ports, caller, target, signed)).target
        elif operation == "undoInstance":
            made = (await undo_instance(ports, caller, target, signed)).target
        else:
            workflow = form.get("workflow", "").strip()
            named: Json = {"workflowID": canonical_id(workflow)} if workflow else {}
            made = (await run_plan(ports, caller, plan.id, {"hash": given, **accepted, **named})).target
    except HeadraceError as error:
        status = status_for(error)
        if status is None:
            raise
        return await run_page(place, form, str(error), status)
    return RedirectResponse(f"/console/runs/{made}", HTTPStatus.SEE_OTHER)


async def run_page(
    place: Place, filled: Mapping[str, str], error: str = "", status: HTTPStatus = HTTPStatus.OK
) -> Page:
    """The form that runs a plan. Raises NotFound."""
    plan = await read_plan(place.ports, canonical_id(place.params["id"]))
    about, document = about_of(plan), msgspec.json.decode(plan.document)
    approvals = await approvals_of(place.ports, plan)
    flow, failure = flow_of(planned_effects(document), known_in(document)), document.get("fails")
    values: dict[str, Any] = {
        "plan": plan,
        "about": about,
        "what": subject_of(about),
        "status": PLAN_STATUSES[plan.state],
        "failure": "" if failure is None else f"stage {failure['stage'] + 1}: {failure['error']}",
        "flow": flow,
        "sentences": sentences(flow),
        "needed": approvals.needed,
        "approved": approvals_in(approvals.given),
        "is_offered": plan.state in USABLE and about.instance is None and place.visitor.principal.may(WRITE),
        "asks_reason": operation_of(plan)[0] != "runPlan",
        "asks_workflow": about.workflow_id is None and operation_of(plan)[0] == "runPlan",
        "filled": filled,
        "error": error,
    }
    return Page("plan_run.html", f"Run plan {plan.id[-12:]}", values, status)
