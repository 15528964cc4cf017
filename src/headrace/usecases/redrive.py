"""Redrive an instance that has failed: a new one continues its case, under the same keys, and sends nothing again.

The ended instance stays ended, as callers know. One unit stores the successor, of which an instance has at
most one, the new instance and its first stage; of two requests on any servers, one is committed.
"""

from __future__ import annotations

from functools import partial

import msgspec

from headrace.engine.cases import KeptEffect
from headrace.errors import InvalidValue, NotInThisState
from headrace.journal import writes
from headrace.journal.port import Required
from headrace.journal.records import Plan, Standing
from headrace.journal.successor_writes import AddSuccessor
from headrace.planning.planner import NEEDS_SAME_BYTES, plan
from headrace.runner.inheritance import earlier_effects, left_by
from headrace.usecases.asking import answered
from headrace.usecases.continuations import (
    Ahead,
    belongs_to_undo,
    continuing,
    has_successor,
    nothing_ahead,
    redrivable,
    require_skippable,
)
from headrace.usecases.idempotency import Answer, Caller, idempotent, record
from headrace.usecases.plan_runs import PlanLost, plan_named_in, require_usable, signed_plan, use_of
from headrace.usecases.plans import approvals_in, read_plan, terms_for
from headrace.usecases.ports import Ports
from headrace.usecases.reasons import check_reason, members_of, principal_of
from headrace.usecases.uncancelled import completed
from headrace.usecases.undo import left_out
from headrace.workflows.activities import Json

REDRIVE = "redrive"


class Continuation(msgspec.Struct, frozen=True):
    """A new instance that continues the case of another one, from this stage on."""

    id: str
    predecessor: str
    root_id: str
    from_stage: int
    reason: str
    principal: str
    at: int


@idempotent(Continuation)
async def redrive_instance(
    ports: Ports, caller: Caller | None, instance_id: str, wanted: object
) -> Answer[Continuation]:
    """Continue an instance that has failed. `wanted` is `{"reason", "planID"?, "acceptFailure"?}`, or of a
    failed undo `{"reason", "skip": true}`: then the effect that it could not revert is kept, and it goes on.

    With a plan of this redrive the new instance has no effect but those of the plan, which is used; without one it
    keeps the plan of the instance, if that has one. It is stored on return.

    Raises InvalidValue, NotFound, NotInThisState, NotRunnable, Unavailable, and Silent where a service does not answer.
    """
    members = members_of(wanted, "reason", "planID", "acceptFailure", "skip")
    reason, (plan_id, accepts_failure) = check_reason(members.get("reason")), plan_named_in(members)
    skips = members.get("skip", False)
    if not isinstance(skips, bool):
        raise InvalidValue("skip", "must be true or false")
    if skips and plan_id is not None:
        raise InvalidValue("skip", "is not given with planID: what is left out is in no plan")
    standing = await redrivable(ports, instance_id, is_planned=plan_id is not None)
    signed, approvals, kept = None, 0, None
    if skips:
        require_skippable(standing, is_undo=await belongs_to_undo(ports.journal, standing.instance))
        kept = await left_out(ports, standing.instance, reason)
    if plan_id is not None:
        signed = await signed_plan(ports, "redrive", instance_id, plan_id, accepts_failure=accepts_failure)
        approvals = approvals_in(await ports.journal.decisions(plan_id))
    if kept is None:
        await _require_same_bytes(ports, standing)
    try:
        start = commit_redrive(ports, caller, standing, reason, signed=signed, approvals=approvals, kept=kept)
        return await completed(start)
    except PlanLost as lost:
        assert signed is not None
        await require_usable(ports, await read_plan(ports, signed.id), lost.at)
        raise


async def _require_same_bytes(ports: Ports, standing: Standing) -> None:
    """Require that an effect with an attempt that may still arrive would be sent with the same content.

    The runner compares again before it stores an intent; this tells the caller before anything is stored.
    """
    if not any(effect.may_arrive for effect in earlier_effects(left_by(standing)).values()):
        return
    if await belongs_to_undo(ports.journal, standing.instance):
        return  # its stages name what they revert: they cannot ask for anything else
    subject = continuing(standing)
    async with ports.plans:
        document = await answered(plan(subject, terms_for(ports, subject)), ports.downstream, ports.clock)
    fails: Json = document.get("fails") or {}
    if fails.get("code") == NEEDS_SAME_BYTES:
        raise NotInThisState(
            NEEDS_SAME_BYTES, f"instance {standing.instance.id} cannot be redriven now: {fails['error']}"
        )


async def commit_redrive(
    ports: Ports,
    caller: Caller | None,
    standing: Standing,
    reason: str,
    *,
    principal: str = "",
    signed: Plan | None = None,
    approvals: int = 0,
    kept: KeptEffect | None = None,
    ahead: Ahead = nothing_ahead,
) -> Answer[Continuation]:
    """Commit the continuation of an instance that may be redriven.

    `principal`: of the decision, where it is not the caller's. `signed`: a plan of this redrive, which the continuation
    may not leave and which has so many `approvals`. `kept`: the effect of an undo that is left out. `ahead`: the writes
    that come before all others of the unit, given the id of the continuation and the moment of its start.
    """
    before = standing.instance
    start = ports.runners.redrive(
        standing,
        sends=ports.engine.sends_at_once,
        signed=signed,
        approvals=approvals,
        skips=kept is not None,
    )
    runner, unit = start
    made = Continuation(
        id=runner.id,
        predecessor=before.id,
        root_id=runner.root_id,
        from_stage=before.stages[-1].number,
        reason=reason,
        principal=principal or principal_of(caller),
        at=runner.created_at,
    )
    decided = AddSuccessor(
        predecessor=before.id,
        kind=REDRIVE,
        successor=runner.id,
        reason=reason,
        principal=made.principal,
        at=made.at,
        kept=None if kept is None else msgspec.json.encode([kept]).decode(),
    )
    used = [] if signed is None else [use_of(signed, start)]
    unit[:0] = [*ahead(runner.id, made.at), Required(decided, partial(has_successor, before.id)), *used]
    answer = Answer(runner.id, made)
    record(unit, caller, made.at, answer)
    if ports.engine.needs_nudges and runner.ended_at is None:
        unit.add(writes.AddNudge(instance_id=runner.id, why="start", at=runner.created_at))
    async with ports.engine.begin(runner):
        await ports.journal.commit(unit)
    return answer
