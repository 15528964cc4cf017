"""Plans: what a run would do, asked of the services as they stand, and stored for a person to sign."""

from __future__ import annotations

from collections import Counter
from typing import cast

import msgspec

from headrace.errors import InvalidValue, NotFound
from headrace.journal.lists import Place, PlanList
from headrace.journal.plan_writes import AddPlan
from headrace.journal.port import Unit
from headrace.journal.records import Decision, Plan
from headrace.planning.canonical import canonical_json
from headrace.planning.planner import Subject, Terms, plan
from headrace.runner.policy import Policy
from headrace.triggers.expressions import EvaluationFailed
from headrace.triggers.firing import Firing, VariablesFailed
from headrace.usecases.asking import answered
from headrace.usecases.continuations import continuing, redrivable, rest_of
from headrace.usecases.idempotency import Answer, Caller, idempotent, record
from headrace.usecases.ports import Ports
from headrace.usecases.triggers import read_trigger
from headrace.usecases.undoing import check_external, computed_undo, payouts_in, planned_undo
from headrace.workflows.activities import Json
from headrace.workflows.config import check_delays, open_delays, parse_config
from headrace.workflows.durations import duration_us
from headrace.workflows.variables import MAX_VARIABLES, amount_assets, check_variables, missing, shown

APPROVE, REJECT = "approve", "reject"
"""Verdicts of a person about a plan."""
OPEN, STATES = "open", ("open", "approved", "rejected", "expired", "used")
MAX_LISTED, MAX_LISTED_CHARACTERS = 32, 256
"""How many variables of a plan a list shows at most, and how long each of them may be."""
MIN_LIFE_US, MAX_LIFE_US, LIFE_US = 60_000_000, 7 * 86_400_000_000, 86_400_000_000
_SUBJECTS = ("workflowID", "definition", "triggerID", "redrive", "undo", "instance")
_MEMBERS = (*_SUBJECTS, "variables", "event", "external", "expiresIn")


class PlanSubject(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """The subject of a plan, as its row stores it. `name`: of the workflow. `verdict`, `totals`: as in its document.

    `variables`: those that a list shows; `assets`: of those among them that are amounts. `taken_back`: by asset, the
    sum that the bookings of an undo move; `payouts`: those that an undo deals with, by reference.
    """

    verdict: str
    name: str | None = None
    workflow_id: str | None = None
    trigger_id: str | None = None
    redrive: str | None = None
    undo: str | None = None
    external: str | None = None
    instance: str | None = None
    totals: dict[str, dict[str, int]] = {}
    variables: dict[str, str] = {}
    assets: dict[str, str] = {}
    taken_back: dict[str, int] = {}
    payouts: dict[str, Json] = {}


@idempotent(Plan)
async def make_plan(ports: Ports, caller: Caller | None, wanted: object) -> Answer[Plan]:
    """Plan a run of a workflow, a definition or a trigger, a redrive, an undo, or the rest of a run; store it as open.

    `wanted` is `{"workflowID" | "definition", "variables"?}`, `{"triggerID", "event"}`, or the id of an instance as
    `{"redrive": id}`, `{"undo": id, "external"?}` or, of one that waits for approvals, `{"instance": id}`; each with
    `expiresIn` where it is not to be a day.

    Raises InvalidValue, which names the member; NotFound; NotInThisState; TooLarge; Silent where a service does not
    answer.
    """
    members = _members_of(wanted)
    life_us = _life_us(members.get("expiresIn"))
    subject, about = await _subject(ports, members)
    check_variables_of(subject.definition["stages"], subject.variables)
    created_at = ports.clock.now_at()
    async with ports.plans:
        document = await answered(plan(subject, terms_for(ports, subject, created_at)), ports.downstream, ports.clock)
    about = summarized(about, document)
    row = Plan(
        id=ports.ids.new(),
        hash=document["hash"],
        subject=msgspec.json.encode(about).decode(),
        requester="" if caller is None else caller.principal,
        created_at=created_at,
        expires_at=created_at + life_us,
        state=OPEN,
        document=canonical_json(document).decode(),
    )
    answer = Answer(row.id, row)
    unit = Unit()
    unit.add(stored_plan(row))
    record(unit, caller, created_at, answer)
    await ports.journal.commit(unit)
    return answer


def summarized(about: PlanSubject, document: Json) -> PlanSubject:
    """The subject with what a list shows of the document of its plan."""
    listed = [each for each in document["variables"].items() if len(each[1]) <= MAX_LISTED_CHARACTERS][:MAX_LISTED]
    assets = amount_assets(document["definition"]["stages"], document["variables"])
    taken_back = Counter[str]()
    is_undo = any("revert" in stage for stage in document["definition"]["stages"])
    for effect in document["effects"] if is_undo else ():
        for each in effect["postings"]:
            taken_back[each["asset"]] += each["amount"]
    return msgspec.structs.replace(
        about,
        verdict=document["verdict"],
        totals=document["totals"],
        variables=dict(listed),
        assets={name: assets[name] for name, _ in listed if name in assets},
        taken_back=dict(taken_back),
    )


def stored_plan(row: Plan) -> AddPlan:
    """The write that stores a new plan."""
    return AddPlan(
        plan_id=row.id,
        hash=row.hash,
        document=row.document,
        subject=row.subject,
        requester=row.requester,
        created_at=row.created_at,
        expires_at=row.expires_at,
        rest_of=msgspec.json.decode(row.subject, type=PlanSubject).instance,
    )


async def read_plan(ports: Ports, plan_id: str) -> Plan:
    """The plan of this id, with its document and its state now. Raises NotFound."""
    row = await ports.journal.plan(plan_id)
    if row is None:
        raise NotFound("plan", plan_id)
    return _now(row, ports.clock.now_at())


def plans_in(ports: Ports, state: str | None) -> PlanList:
    """The list of all plans, or of those that are in a state now."""
    return PlanList() if state is None else PlanList(state, ports.clock.now_at())


async def plans_after(ports: Ports, rows: PlanList, place: Place, limit: int) -> list[Plan]:
    """A page of plans, each with its state at the time of the list, or now."""
    at = rows.at or ports.clock.now_at()
    return [_now(row, at) for row in await ports.journal.plans_after(rows, place, limit)]


def approvals_in(decisions: list[Decision]) -> int:
    """How many persons have approved, of those who have decided about a plan."""
    return sum(each.verdict == APPROVE for each in decisions)


def _now(row: Plan, at: int) -> Plan:
    """The plan with its state at a time: one that is neither used nor rejected expires."""
    has_expired = row.state in ("open", "approved") and row.expires_at <= at
    return msgspec.structs.replace(row, state="expired") if has_expired else row


def _members_of(wanted: object) -> Json:
    if not isinstance(wanted, dict):
        raise InvalidValue("body", "must be an object")
    members = cast("Json", wanted)
    for name in members:
        if name not in _MEMBERS:
            raise InvalidValue(shown(name), f"unknown field; known are {', '.join(_MEMBERS)}")
    subjects = [name for name in _SUBJECTS if name in members]
    if len(subjects) != 1:
        raise InvalidValue("body", f"must hold exactly one of {', '.join(_SUBJECTS)}")
    of_trigger = subjects == ["triggerID"]
    if subjects[0] in ("redrive", "undo", "instance") and "variables" in members:
        raise InvalidValue("variables", f"is not given with {subjects[0]}")
    if subjects != ["undo"] and "external" in members:
        raise InvalidValue("external", "is given with undo only")
    surplus, needed = ("variables", "event") if of_trigger else ("event", "")
    if surplus in members:
        raise InvalidValue(surplus, f"is not given with {subjects[0]}")
    if needed and needed not in members:
        raise InvalidValue(needed, f"is required with {subjects[0]}")
    for name in ("workflowID", "triggerID", "redrive", "undo", "instance"):
        if name in members and not isinstance(members[name], str):
            raise InvalidValue(name, "must be text")
    return members


def _life_us(text: object) -> int:
    if text is None:
        return LIFE_US
    life_us = duration_us(text, "expiresIn") if isinstance(text, str) else 0
    if not MIN_LIFE_US <= life_us <= MAX_LIFE_US:
        raise InvalidValue("expiresIn", "must be a duration from 1m to 7d")
    return life_us


async def _subject(ports: Ports, members: Json) -> tuple[Subject, PlanSubject]:
    """The run that is to be planned, and what the plan's row says of it."""
    if "definition" in members:
        config = parse_config(members["definition"])
        about = PlanSubject("", config.name)
        return Subject(config.definition, check_variables(members.get("variables") or {})), about
    if "instance" in members:
        subject = await rest_of(ports.journal, members["instance"])
        instance = await ports.journal.instance(members["instance"])
        assert instance is not None, "its rest was read"
        return subject, PlanSubject("", subject.definition.get("name"), instance.workflow_id, instance=instance.id)
    if "redrive" in members:
        standing = await redrivable(ports, members["redrive"], is_planned=True)
        instance = standing.instance
        workflow = await ports.journal.workflow(instance.workflow_id)
        name = None if workflow is None else workflow.name
        return continuing(standing), PlanSubject("", name, instance.workflow_id, redrive=instance.id)
    if "undo" in members:
        external = check_external(members.get("external", "keep"))
        standing, undo = await computed_undo(ports, members["undo"], external)
        subject = planned_undo(standing, undo)
        about = PlanSubject("", subject.definition["name"], undo=standing.instance.id, external=external)
        return subject, msgspec.structs.replace(about, payouts=payouts_in(undo))
    trigger_id = members.get("triggerID")
    if trigger_id is None:
        workflow_id, variables = members["workflowID"], check_variables(members.get("variables") or {})
    else:
        trigger = await read_trigger(ports, trigger_id)
        workflow_id = trigger.workflow_id
        if not isinstance(members["event"], dict):
            raise InvalidValue("event", "must be the payload of an event: an object")
        firing = Firing(ports.evaluator, trigger, cast("Json", members["event"]))
        try:
            if not await firing.matches():
                raise InvalidValue("event", "does not match the filter of the trigger: no run would start")
            variables = await firing.variables()
        except (EvaluationFailed, VariablesFailed) as error:
            raise InvalidValue("event", f"the trigger would fail: {error}") from None
    workflow = await ports.journal.workflow(workflow_id)
    if workflow is None or workflow.deleted_at is not None:
        raise NotFound("workflow", workflow_id)
    definition = msgspec.json.decode(workflow.config)
    about = PlanSubject("", workflow.name, workflow.id, trigger_id)
    return Subject(definition, variables, "trigger" if trigger_id else "caller"), about


def terms_for(ports: Ports, subject: Subject, planned_at: int | None = None) -> Terms:
    """The terms under which this server would run the subject of a plan."""
    return terms_of(ports.runners.policy, subject, ports.clock.now_at() if planned_at is None else planned_at)


def terms_of(policy: Policy, subject: Subject, planned_at: int) -> Terms:
    """The terms under which the subject of a plan would run by a policy."""
    may_name_world = policy.allow_world_from_trigger if subject.origin == "trigger" else policy.allow_world_from_caller
    return Terms(planned_at, may_name_world=may_name_world, schemas=policy.ledger_schemas)


def check_variables_of(stages: list[Json], variables: dict[str, str]) -> None:
    """Check that a run could start with these variables. Raises InvalidValue, which names each one that is missing."""
    lacking = missing(stages, variables)
    if lacking:
        raise InvalidValue("variables", f"no value for {', '.join(shown(name) for name in lacking[:MAX_VARIABLES])}")
    check_delays(stages, open_delays(stages), variables)
