"""Approvals: persons approve or reject a plan, before its run or while an instance waits for them.

A decision is a row. For a plan that is not waited for, it counts when the plan is run. For the rest of an instance that
waits, one unit stores the last approval, keeps the instance to the plan and lets it go on; each decision about such an
instance raises its version, so that two of them on any servers are counted one after the other.
"""

from __future__ import annotations

from collections.abc import Set
from functools import reduce
from typing import Literal

import msgspec

from headrace.engine.sagas import add_undo
from headrace.errors import (
    AlreadyEnded,
    Conflict,
    HashDiffers,
    InvalidValue,
    NotPermitted,
    NotRunnable,
    Unavailable,
)
from headrace.journal.approval_writes import AddDecision, ApprovePlan, RejectPlan, SpendPlan
from headrace.journal.port import Entry, Journal, Required, Unit
from headrace.journal.records import Decision, Instance, Plan
from headrace.journal.writes import AddNudge
from headrace.runner.gate import read_gate
from headrace.runner.instance import InstanceRunner
from headrace.usecases.continuations import open_gate
from headrace.usecases.idempotency import Answer, Caller, idempotent, record
from headrace.usecases.plan_runs import require_usable
from headrace.usecases.plans import APPROVE, REJECT, PlanSubject, approvals_in, read_plan
from headrace.usecases.ports import Ports
from headrace.usecases.reasons import ANONYMOUS, check_reason, members_of
from headrace.usecases.uncancelled import completed
from headrace.usecases.undoing import undone_sums
from headrace.workflows.activities import Json
from headrace.workflows.approval_rules import stricter
from headrace.workflows.failures import EXPIRED, EXPIRED_TEXT, REJECTED

Verdict = Literal["approve", "reject"]


class Needed(msgspec.Struct, frozen=True):
    """How many persons have to approve a plan. `rule`: the id of the rule that asks for them; None: no rule does."""

    approvals: int
    rule: str | None = None


class Approvals(msgspec.Struct, frozen=True):
    """The approvals of a plan: what it needs, and what persons decided about it, the oldest decision first."""

    needed: Needed
    given: list[Decision]


class Decided(msgspec.Struct, frozen=True):
    """A plan after a person's decision. `plan` is without its document."""

    plan: Plan
    approvals: Approvals


class _Document(msgspec.Struct, frozen=True, rename={"begins": "from"}):
    """The members of a plan's document by which approvals are counted."""

    definition: Json
    variables: dict[str, str]
    begins: Json | None = None
    skipped: tuple[int, ...] = ()


class _Lost(Conflict):
    """The plan was used or rejected, has expired, or this principal has decided, since it was read."""


@idempotent(Decided)
async def decide(
    ports: Ports, caller: Caller | None, plan_id: str, verdict: Verdict, wanted: object
) -> Answer[Decided]:
    """Approve or reject a plan; the decision is stored on return. `wanted` is `{"hash", "reason"}`.

    Raises InvalidValue, NotFound, NotPermitted, HashDiffers, NotRunnable with a code, Unavailable.
    """
    signed, reason, principal = decision_in(wanted, caller, "plan")
    plan = await read_plan(ports, plan_id)
    if signed != plan.hash:
        raise HashDiffers(signed, plan.hash)
    about = msgspec.json.decode(plan.subject, type=PlanSubject)
    give_up_s = ports.clock.monotonic_s() + ports.patience_s
    while True:
        decisions = await ports.journal.decisions(plan_id)
        own = next((each for each in decisions if each.principal == principal), None)
        if own is not None:
            return await _decided_before(ports, plan, decisions, own, verdict)
        await require_usable(ports, plan)
        if verdict == APPROVE:
            await require_other_person(ports.journal, plan, about, principal)
        at = await _moment(ports, plan, about, decisions)
        decision = Decision(plan_id, principal, verdict, plan.hash, reason, at)
        try:
            if about.instance is None:
                return await _decide(ports, caller, plan, decisions, decision)
            return await completed(_decide_rest(ports, caller, plan, about.instance, decision))
        except _Lost:
            plan = await read_plan(ports, plan_id)
        except Conflict as conflict:  # the instance has moved on: it may still wait for the same approvals
            if ports.clock.monotonic_s() >= give_up_s:
                raise Unavailable(str(conflict)) from None
            plan = await read_plan(ports, plan_id)


async def _moment(ports: Ports, plan: Plan, about: PlanSubject, decisions: list[Decision]) -> int:
    """The time of a decision: not before what it is about, also where the clock was set back meanwhile."""
    times = [ports.clock.now_at(), plan.created_at, *(each.at for each in decisions)]
    instance_id = about.instance or about.redrive or about.undo
    while instance_id is not None and (instance := await ports.journal.instance(instance_id)) is not None:
        times.append(instance.updated_at)
        before = await ports.journal.predecessor(instance_id)
        instance_id = None if before is None else before.predecessor
    return max(times)


def decision_in(wanted: object, caller: Caller | None, noun: str) -> tuple[str, str, str]:
    """The hash, the reason and the principal of a decision about a plan or a batch.

    Raises InvalidValue, NotPermitted.
    """
    members = members_of(wanted, "hash", "reason")
    signed = members.get("hash")
    if not isinstance(signed, str):
        raise InvalidValue("hash", f"must be the hash of the {noun}, as text")
    return signed, check_reason(members.get("reason")), _identity(caller)


def _identity(caller: Caller | None) -> str:
    """The principal of a decision. Raises NotPermitted where the server does not know it."""
    if caller is None or caller.principal in ("", ANONYMOUS):
        raise NotPermitted("no_identity", "an approval needs an identity, and this server runs without authentication")
    return caller.principal


async def _decided_before(
    ports: Ports, plan: Plan, decisions: list[Decision], own: Decision, verdict: Verdict
) -> Answer[Decided]:
    """The same decision again changes nothing. Raises NotRunnable for another one."""
    require_same(own, verdict, "plan")
    return Answer(plan.id, _decided(plan, await needed_for(ports, plan), decisions))


def require_same(own: Decision, verdict: Verdict, noun: str) -> None:
    """Require the verdict that this person has stored before. Raises NotRunnable."""
    if own.verdict != verdict:
        done = "approved" if own.verdict == APPROVE else "rejected"
        raise NotRunnable("decided", f"{own.principal} has {done} this {noun} already; a decision stands")


async def require_other_person(journal: Journal, plan: Plan, about: PlanSubject, principal: str) -> None:
    """Require a principal that has not asked for the run. Raises NotPermitted."""
    require_four_eyes(await _requesters(journal, plan, about), principal, "this run")


def require_four_eyes(requesters: Set[str | None], principal: str, what: str) -> None:
    """Require that a principal is none of those that asked for what it approves, and that all are known.

    Raises NotPermitted.
    """
    if principal in requesters:
        raise NotPermitted("four_eyes", f"{principal} has asked for {what}, so another person has to approve it")
    if not requesters.isdisjoint((None, "", ANONYMOUS)):
        raise NotPermitted(
            "four_eyes",
            f"the audit trail does not show all persons who asked for {what}, so no person can approve it",
        )


async def _requesters(journal: Journal, plan: Plan, about: PlanSubject) -> set[str | None]:
    """The principals that have asked for the run of a plan; None: an unknown one.

    Those are the principal of the plan, unless it is of the rest of an instance; of each instance of the case so far,
    the principal that started it, or those that made and started its batch; and the one that created the trigger,
    where a trigger starts a run, with those that made the version which it starts by a name, or moved the name since.
    """
    found: set[str | None] = set()
    if about.instance is None:
        found.add(plan.requester)
    if about.trigger_id is not None:
        found |= {each.principal for each in await journal.requesters(about.trigger_id)} or {None}
        moved = await journal.movers(about.trigger_id, about.workflow_id or "", plan.created_at)
        found |= {each.principal for each in moved}
    instance_id = about.instance or about.redrive or about.undo
    return found if instance_id is None else found.union(await journal.case_requesters([instance_id]))


# a plan that no instance waits for


async def _decide(
    ports: Ports, caller: Caller | None, plan: Plan, decisions: list[Decision], decision: Decision
) -> Answer[Decided]:
    needed = await needed_for(ports, plan)
    unit = Unit()
    unit.add(_stored(decision))
    state = plan.state
    if decision.verdict == APPROVE:
        unit.add(ApprovePlan(plan_id=plan.id, needed=needed.approvals))
        if approvals_in([*decisions, decision]) >= needed.approvals:
            state = "approved"
    else:
        unit.add(_required(RejectPlan(plan_id=plan.id, at=decision.at), plan.id))
        state = "rejected"
    answer = Answer(plan.id, _decided(msgspec.structs.replace(plan, state=state), needed, [*decisions, decision]))
    record(unit, caller, decision.at, answer)
    await ports.journal.commit(unit)
    return answer


# the rest of an instance that waits


async def _decide_rest(
    ports: Ports, caller: Caller | None, plan: Plan, instance_id: str, decision: Decision
) -> Answer[Decided]:
    answer: Answer[Decided] = Answer(plan.id)
    has_expired = False
    try:
        async with ports.engine.resolve(instance_id) as runner:
            unit, decided = decide_rest(runner, plan, await ports.journal.decisions(plan.id), decision)
            now_at = runner.last_at
            has_expired = decided is None
            if decided is not None:
                answer = Answer(plan.id, decided)
                record(unit, caller, now_at, answer)
            undo = await add_undo(ports.journal, ports.runners, runner, unit)
            if ports.engine.needs_nudges:
                for driven_id in (instance_id, *(() if undo is None else (undo.id,))):
                    unit.add(AddNudge(instance_id=driven_id, why="resume", at=now_at))
            await ports.journal.commit(unit)
    except AlreadyEnded:
        raise NotRunnable("ended", f"instance {instance_id} has ended") from None
    if undo is not None:
        ports.engine.wake(undo.id)
    if has_expired:
        raise NotRunnable("expired", f"instance {instance_id} has ended: it was not approved in time")
    return answer


def _require_waiting(runner: InstanceRunner, plan: Plan) -> None:
    """Require an instance that waits where the plan begins. Raises NotRunnable."""
    if runner.ended_at is not None:
        raise NotRunnable("ended", f"instance {runner.id} has ended")
    begins = msgspec.json.decode(plan.document, type=_Document).begins
    assert begins is not None, "a plan of the rest says where it begins"
    if runner.gate is None or runner.stage.number != begins["stage"]:
        raise NotRunnable(
            "passed", f"stage {begins['stage']} of instance {runner.id} does not wait for approvals any more"
        )


def decide_rest(
    runner: InstanceRunner, plan: Plan, decisions: list[Decision], decision: Decision
) -> tuple[Unit, Decided | None]:
    """The unit of a decision about the rest of an instance, and what it leaves.

    None: the time is over, and the unit ends the instance. Raises NotRunnable where it does not wait there any more.
    """
    _require_waiting(runner, plan)
    assert runner.gate is not None
    # Its time is after those of the others, also where the clock was set back meanwhile.
    runner.last_at = max([runner.last_at, decision.at, *(each.at for each in decisions)])
    decision = msgspec.structs.replace(decision, at=runner.now_at())
    if runner.deadline_at is not None and runner.deadline_at <= decision.at:
        return runner.deny(EXPIRED_TEXT, EXPIRED), None
    needed = Needed(runner.gate.needed, runner.gate.rule)
    given = [*decisions, decision]
    state, entries = plan.state, [_stored(decision)]
    if decision.verdict == REJECT:
        unit = runner.deny(f"rejected by {decision.principal}: {decision.reason}", REJECTED)
        entries.append(_required(RejectPlan(plan_id=plan.id, at=decision.at), plan.id))
        state = "rejected"
    elif approvals_in(given) >= needed.approvals:
        unit = runner.pass_gate(plan, approvals_in(given))
        entries.append(_required(SpendPlan(plan_id=plan.id, at=decision.at), plan.id))
        state = "used"
    else:
        unit = runner.stay_at_gate()
    unit[1:1] = entries
    return unit, _decided(msgspec.structs.replace(plan, state=state), needed, given)


def _stored(decision: Decision) -> Entry:
    return _required(
        AddDecision(
            target=decision.target,
            principal=decision.principal,
            verdict=decision.verdict,
            hash=decision.hash,
            reason=decision.reason,
            at=decision.at,
        ),
        decision.target,
    )


def _required(write: AddDecision | RejectPlan | SpendPlan, plan_id: str) -> Required:
    return Required(write, lambda: _Lost(plan_id))


def _decided(plan: Plan, needed: Needed, given: list[Decision]) -> Decided:
    return Decided(msgspec.structs.replace(plan, document=""), Approvals(needed, given))


# what is shown


async def approvals_of(ports: Ports, plan: Plan) -> Approvals:
    """The approvals that a plan needs and has. `plan`: with its document."""
    return Approvals(await needed_for(ports, plan), await ports.journal.decisions(plan.id))


async def needed_for(ports: Ports, plan: Plan) -> Needed:
    """How many persons have to approve a plan: as the gate says, for the rest of an instance; else by the rules.

    One person, where no rule names a send of the run, or one that an undo reverts; it may then be run without any.
    """
    about = msgspec.json.decode(plan.subject, type=PlanSubject)
    document = msgspec.json.decode(plan.document, type=_Document)
    begins = 0 if document.begins is None else document.begins["stage"]
    if about.instance is not None:
        instance = await ports.journal.instance(about.instance)
        gate = (
            None
            if instance is None
            else next((stage.gate for stage in instance.stages if stage.number == begins), None)
        )
        if gate is not None:
            stored = read_gate(gate)
            return Needed(stored.needed, stored.rule)
    rules, planned = ports.runners.policy.approval_rules, document.definition["stages"]
    if about.undo is not None:
        instance = await ports.journal.instance(about.undo)
        rule = None if instance is None else rules.asking_for(undone_sums(instance, planned))
        return Needed(1) if rule is None else Needed(rule.approvals, rule.id)
    asking = (
        rules.asking(document.definition.get("name"), planned, document.variables, number, document.skipped)
        for number in (range(begins, len(planned)) if rules.rules else ())
    )
    strictest = reduce(stricter, asking, None)
    return Needed(1) if strictest is None else Needed(strictest.approvals, strictest.id)


class OpenApproval(msgspec.Struct, frozen=True):
    """The approvals that an instance waits for. `title`: of the stage; `deadline_at`: when it gives up, if ever."""

    stage: int
    needed: Needed
    since_at: int
    deadline_at: int | None = None
    title: str | None = None


def open_approval(instance: Instance) -> OpenApproval | None:
    """The approvals that an instance waits for; None: it waits for none."""
    gate = open_gate(instance)
    if gate is None:
        return None
    stage = instance.stages[-1]
    title = msgspec.json.decode(stage.input).get("title") if stage.keyword == "approve" else None
    return OpenApproval(stage.number, Needed(gate.needed, gate.rule), stage.started_at, stage.deadline_at, title)
