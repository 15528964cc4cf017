"""Run a plan: the instance that it starts has no effect but those that were signed."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Literal, cast

import msgspec

from headrace.errors import HashDiffers, InvalidValue, NotFound, NotRunnable
from headrace.journal.plan_writes import ExpirePlan, UsePlan
from headrace.journal.port import Required, Unit
from headrace.journal.records import Instance, Plan, Workflow
from headrace.planning.canonical import canonical_json
from headrace.runner.runners import Start, started_instance
from headrace.usecases.idempotency import Answer, Caller, idempotent
from headrace.usecases.instances import commit_start
from headrace.usecases.plans import PlanSubject, approvals_in, read_plan
from headrace.usecases.ports import Ports
from headrace.workflows.activities import Json
from headrace.workflows.variables import shown

_MEMBERS = ("hash", "acceptFailure", "workflowID")


class RunRequest(msgspec.Struct, frozen=True):
    """A request to run a plan: the hash that was signed, and for a plan of a definition, the workflow that has it."""

    hash: str
    accepts_failure: bool = False
    workflow_id: str | None = None


class _SignedConfig(msgspec.Struct, frozen=True):
    """The members of a plan's document that say what it starts."""

    definition: Json
    variables: dict[str, str]
    origin: str


def parse_run(value: object) -> RunRequest:
    """The body of a request to run a plan. Raises InvalidValue, which names the member."""
    if not isinstance(value, dict):
        raise InvalidValue("body", "must be an object with hash")
    members = cast("dict[str, Any]", value)
    for name in members:
        if name not in _MEMBERS:
            raise InvalidValue(shown(name), f"unknown field; known are {', '.join(_MEMBERS)}")
    signed, accepts, workflow_id = (members.get(name) for name in _MEMBERS)
    if not isinstance(signed, str):
        raise InvalidValue("hash", "must be the hash of the plan, as text" if "hash" in members else "is required")
    if not isinstance(accepts, bool | None):
        raise InvalidValue("acceptFailure", "must be true or false")
    if not isinstance(workflow_id, str | None):
        raise InvalidValue("workflowID", "must be text")
    return RunRequest(signed, bool(accepts), workflow_id)


@idempotent(Instance)
async def run_plan(ports: Ports, caller: Caller | None, plan_id: str, body: object) -> Answer[Instance]:
    """Start the one instance of a plan; it is stored on return, and the plan is used.

    Raises InvalidValue, NotFound, HashDiffers, NotRunnable with a code, Unavailable.
    """
    wanted = parse_run(body)
    plan = await read_plan(ports, plan_id)
    about = msgspec.json.decode(plan.subject, type=PlanSubject)
    if wanted.hash != plan.hash:
        raise HashDiffers(wanted.hash, plan.hash)
    await require_usable(ports, plan)
    if about.redrive is not None:  # a new run has keys of its own: a late attempt of the case would book as well
        raise NotRunnable("is_redrive", f"the plan is of a redrive: redrive instance {about.redrive}")
    if about.undo is not None:
        raise NotRunnable("is_undo", f"the plan is of an undo: undo instance {about.undo}")
    if about.instance is not None:
        raise NotRunnable(
            "is_rest", f"the plan is of the rest of instance {about.instance}, which goes on once approved"
        )
    _require_success(about, accepts_failure=wanted.accepts_failure)
    signed = msgspec.json.decode(plan.document, type=_SignedConfig)
    workflow = await _workflow(ports, wanted, about, signed)
    start = ports.runners.start(
        workflow,
        signed.variables,
        sends=ports.engine.sends_at_once,
        by_trigger=signed.origin == "trigger",
        signed=plan,
        approvals=approvals_in(await ports.journal.decisions(plan.id)),
    )
    start.unit.insert(0, use_of(plan, start))
    try:
        return await commit_start(ports, caller, start, started_instance(start.unit))
    except PlanLost as lost:
        await require_usable(ports, await read_plan(ports, plan_id), lost.at)
        raise


async def signed_plan(
    ports: Ports, verb: Literal["redrive", "undo"], instance_id: str, plan_id: str, *, accepts_failure: bool
) -> Plan:
    """The plan of the redrive or undo of this instance, which may be used.

    Raises InvalidValue, NotFound, NotRunnable.
    """
    plan = await read_plan(ports, plan_id)
    about = msgspec.json.decode(plan.subject, type=PlanSubject)
    if (about.redrive if verb == "redrive" else about.undo) != instance_id:
        raise InvalidValue("planID", f"is not the id of a plan of the {verb} of instance {instance_id}")
    await require_usable(ports, plan)
    _require_success(about, accepts_failure=accepts_failure)
    return plan


def plan_named_in(members: Mapping[str, object]) -> tuple[str | None, bool]:
    """The `planID` and `acceptFailure` of a redrive or an undo. Raises InvalidValue, which names the member."""
    plan_id, accepts_failure = members.get("planID"), members.get("acceptFailure")
    if not isinstance(plan_id, str | None):
        raise InvalidValue("planID", "must be the id of a plan, as text")
    if not isinstance(accepts_failure, bool | None):
        raise InvalidValue("acceptFailure", "must be true or false")
    if plan_id is None and accepts_failure is not None:
        raise InvalidValue("acceptFailure", "is given with planID only")
    return plan_id, bool(accepts_failure)


def is_signed(definition: Json, plan: Plan) -> bool:
    """Whether a plan is of this definition."""
    signed = msgspec.json.decode(plan.document, type=_SignedConfig).definition
    return _canonical(definition) == _canonical(signed)


def use_of(plan: Plan, start: Start) -> Required:
    """The entry by which a plan starts its one instance. The unit raises PlanLost where it may not any more."""
    at = start.runner.created_at
    return Required(UsePlan(plan_id=plan.id, instance_id=start.runner.id, at=at), partial(PlanLost, at))


def _require_success(about: PlanSubject, *, accepts_failure: bool) -> None:
    if about.verdict != "succeeds" and not accepts_failure:
        raise NotRunnable("would_fail", "the run would fail as planned; acceptFailure runs it all the same")


class PlanLost(NotRunnable):
    """The plan was used, rejected, or has expired since it was read: it could not be used at `at`."""

    def __init__(self, at: int) -> None:
        super().__init__("used", "the plan was used meanwhile")
        self.at = at


async def require_usable(ports: Ports, plan: Plan, at: int = 0) -> None:
    """Require a plan that is neither used nor rejected nor expired. Raises NotRunnable.

    `at`: an earlier time at which it was to be used. What had expired then has expired, though the clock was set back.
    """
    match "expired" if plan.state in ("open", "approved") and plan.expires_at <= at else plan.state:
        case "used":
            started = "" if plan.instance_id is None else f" for instance {plan.instance_id}"
            raise NotRunnable("used", f"the plan is used already{started}; a plan is used once")
        case "rejected":
            raise NotRunnable("rejected", "the plan was rejected")
        case "expired":
            unit = Unit()
            unit.add(ExpirePlan(plan_id=plan.id, at=max(at, ports.clock.now_at())))
            await ports.journal.commit(unit)  # a clock that is set back revives nothing
            raise NotRunnable("expired", "the plan has expired: make a new one")
        case _:
            pass


async def _workflow(ports: Ports, wanted: RunRequest, about: PlanSubject, signed: _SignedConfig) -> Workflow:
    """The workflow that is started. Raises InvalidValue, NotFound, NotRunnable."""
    if about.workflow_id is not None and wanted.workflow_id is not None:
        raise InvalidValue("workflowID", "is given for a plan of a definition only: this one is of a workflow")
    workflow_id = about.workflow_id or wanted.workflow_id
    if workflow_id is None:
        raise InvalidValue(
            "workflowID", "is required: the plan is of a definition, and a stored workflow has to equal it"
        )
    workflow = await ports.journal.workflow(workflow_id)
    if workflow is None or workflow.deleted_at is not None:
        raise NotFound("workflow", workflow_id)
    if _canonical(msgspec.json.decode(workflow.config)) != _canonical(signed.definition):
        raise NotRunnable("definition_differs", f"workflow {workflow_id} has another definition than the plan")
    return workflow


def _canonical(definition: Json) -> bytes | None:
    """A definition as it is compared; None: it holds what no plan can hold."""
    try:
        return canonical_json({name: each for name, each in definition.items() if each is not None})
    except InvalidValue:
        return None
