"""Forms that make a plan: of a run of a workflow, of the redrive or the undo of a run."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

from starlette.responses import RedirectResponse, Response

from headrace.auth.clients import WRITE
from headrace.console.callers import form_caller, new_key
from headrace.console.ids import canonical_id
from headrace.console.pages import Page, Place, status_for
from headrace.errors import HeadraceError, InvalidValue, NotFound, TooLarge
from headrace.usecases.plans import make_plan

SUBJECTS = {
    "redrive": "a redrive of this run",
    "undo": "an undo of this run",
}
"""Subjects of a plan of a run, in words."""


def variables_in(text: str) -> dict[str, str]:
    """The variables of a form: a line `name=value` for each. Raises InvalidValue."""
    found: dict[str, str] = {}
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), 1):
        if not line.strip():
            continue
        name, is_given, value = line.partition("=")
        name = name.strip()
        if not is_given or not name:
            raise InvalidValue("variables", f"line {number} is not name=value")
        if name in found:
            raise InvalidValue("variables", f"line {number} names {name[:40]} again")
        found[name] = value
    return found


async def show_workflow_plan(place: Place) -> Page:
    """The form of a plan of a workflow. Raises NotFound."""
    return await workflow_form(place, {"key": new_key(place)})


async def workflow_form(
    place: Place, filled: Mapping[str, str], error: str = "", status: HTTPStatus = HTTPStatus.OK
) -> Page:
    """The form of a plan of a workflow, as it was filled in. Raises NotFound."""
    workflow = await place.ports.journal.workflow(canonical_id(place.params["id"]))
    if workflow is None or workflow.deleted_at is not None:
        raise NotFound("workflow", place.params["id"][:40])
    values = {
        "action": f"/console/workflows/{workflow.id}/plan",
        "what": f"a run of workflow {workflow.name or workflow.id}",
        "back": "/console/plans",
        "of": "",
        "filled": filled,
        "error": error,
        "may_write": place.visitor.principal.may(WRITE),
    }
    return Page("plan_new.html", "Make a plan", values, status)


async def perform_workflow_plan(place: Place) -> Page | Response:
    """Make the plan, and show it; or the form as it was filled in, with the reason. Raises NotFound."""
    form, workflow_id = place.form, canonical_id(place.params["id"])
    caller = form_caller(place, "createPlan", "", WRITE)
    try:
        wanted = {"workflowID": workflow_id, "variables": variables_in(form.get("variables", "")), **life_in(form)}
        answer = await make_plan(place.ports, caller, wanted)
    except HeadraceError as error:
        status = refused_with(error)
        return await workflow_form(place, form, str(error), status)
    return RedirectResponse(f"/console/approvals/{answer.target}?done=made", HTTPStatus.SEE_OTHER)


async def show_run_plan(place: Place) -> Page:
    """The form of a plan of a run. Raises NotFound, InvalidValue."""
    return await run_form(place, {"key": new_key(place), "of": place.query.get("of", "redrive")})


async def run_form(
    place: Place, filled: Mapping[str, str], error: str = "", status: HTTPStatus = HTTPStatus.OK
) -> Page:
    """The form of a plan of a run, as it was filled in. Raises NotFound, InvalidValue."""
    instance_id = canonical_id(place.params["id"])
    if await place.ports.journal.instance(instance_id) is None:
        raise NotFound("instance", instance_id[:40])
    of = filled.get("of", "")
    if of not in SUBJECTS:
        raise InvalidValue("of", f"is not one of {', '.join(SUBJECTS)}")
    values = {
        "action": f"/console/runs/{instance_id}/plan",
        "what": SUBJECTS[of],
        "back": f"/console/runs/{instance_id}",
        "of": of,
        "filled": filled,
        "error": error,
        "may_write": place.visitor.principal.may(WRITE),
    }
    return Page("plan_new.html", f"Make a plan: run {instance_id[-12:]}", values, status)


async def perform_run_plan(place: Place) -> Page | Response:
    """Make the plan, and show it; or the form as it was filled in, with the reason. Raises NotFound, InvalidValue."""
    form, instance_id = place.form, canonical_id(place.params["id"])
    caller = form_caller(place, "createPlan", "", WRITE)
    of = form.get("of", "")
    if of not in SUBJECTS:
        raise InvalidValue("of", f"is not one of {', '.join(SUBJECTS)}")
    try:
        answer = await make_plan(place.ports, caller, {of: instance_id, **life_in(form)})
    except HeadraceError as error:
        return await run_form(place, form, str(error), refused_with(error))
    return RedirectResponse(f"/console/approvals/{answer.target}?done=made", HTTPStatus.SEE_OTHER)


def life_in(form: Mapping[str, str]) -> dict[str, str]:
    """How long the plan may be used, where the form says so."""
    text = form.get("expiresIn", "").strip()
    return {"expiresIn": text} if text else {}


def refused_with(error: HeadraceError) -> HTTPStatus:
    """The status of a form that is shown again. Raises the error where its page is another one."""
    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE if isinstance(error, TooLarge) else status_for(error)
    if status is None or isinstance(error, NotFound):
        raise error
    return status
