"""Undo a case: an ordinary instance of a computed workflow reverts what is done, the last effect first.

What is reverted, and what is kept, follows from the history of the case and from the statuses of its payouts
(`workflows/undo.py`). One unit stores the successor, of which an instance has at most one, the new instance, and its
workflow, which is stored as deleted so that no list shows it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Literal

import msgspec

from headrace.engine.cases import KeptEffect, case_of, kept_effects
from headrace.errors import InvalidValue, NotFound, NotRunnable
from headrace.journal import writes
from headrace.journal.port import Journal, Required
from headrace.journal.records import ActivityRow, Instance, Plan
from headrace.journal.successor_writes import AddSuccessor
from headrace.usecases.continuations import Ahead, belongs_to_undo, has_successor, nothing_ahead
from headrace.usecases.idempotency import Answer, Caller, idempotent, record
from headrace.usecases.plan_runs import PlanLost, is_signed, plan_named_in, require_usable, signed_plan, use_of
from headrace.usecases.plans import PlanSubject, approvals_in, read_plan
from headrace.usecases.ports import Ports
from headrace.usecases.reasons import check_reason, members_of, principal_of
from headrace.usecases.uncancelled import completed
from headrace.usecases.undoing import check_external, computed_undo, planned_undo, require_approvals
from headrace.workflows.activities import Json
from headrace.workflows.undo import DoneEffect, External, Kept, Undo, reverted_key

UNDO = "undo"
UndoState = Literal["undoing", "undone", "undone_but", "undo_failed"]


class Undoing(msgspec.Struct, frozen=True):
    """A new instance that undoes the case of another one: `reverts` effects, and keeps the others."""

    id: str
    predecessor: str
    reverts: int
    kept: list[KeptEffect]
    reason: str
    principal: str
    at: int


class UndoPreview(msgspec.Struct, frozen=True):
    """The preview of an undo. `stages`: those of its workflow; `kept`, `blocked`: effects that it leaves.

    `effects`: all that the case has done.
    """

    stages: list[Json]
    kept: list[KeptEffect]
    blocked: list[KeptEffect]
    effects: Sequence[DoneEffect]


class UndoReport(msgspec.Struct, frozen=True):
    """How far an undo has come. `instance_id`: the latest of its instances."""

    instance_id: str
    state: UndoState
    kept: list[KeptEffect]


@idempotent(Undoing)
async def undo_instance(ports: Ports, caller: Caller | None, instance_id: str, wanted: object) -> Answer[Undoing]:
    """Undo the case of an instance that has ended. `wanted` is `{"reason", "external"?}`, or `{"reason", "planID",
    "acceptFailure"?}` with a plan of this undo: then the new instance has no effect but those of the plan, which is
    used. It is stored on return.

    Raises InvalidValue, NotFound, NotInThisState, NotRunnable, Unavailable, and Silent where a service does not answer.
    """
    members = members_of(wanted, "reason", "external", "planID", "acceptFailure")
    reason, (plan_id, accepts_failure) = check_reason(members.get("reason")), plan_named_in(members)
    if plan_id is not None and "external" in members:
        raise InvalidValue("external", "is that of the plan: it is not given with planID")
    external, signed = check_external(members.get("external", "keep")), None
    if plan_id is not None:
        signed = await signed_plan(ports, "undo", instance_id, plan_id, accepts_failure=accepts_failure)
        external = check_external(msgspec.json.decode(signed.subject, type=PlanSubject).external)
    standing, undo = await computed_undo(ports, instance_id, external)
    subject = planned_undo(standing, undo)
    if signed is not None and not is_signed(subject.definition, signed):
        raise NotRunnable("definition_differs", "what the undo would revert has changed since: make a new plan")
    approvals = 0 if signed is None else approvals_in(await ports.journal.decisions(signed.id))
    require_approvals(ports, standing.instance, undo.stages, approvals)
    try:
        return await completed(commit_undo(ports, caller, standing.instance, undo, reason, signed=signed))
    except PlanLost as lost:
        assert signed is not None
        await require_usable(ports, await read_plan(ports, signed.id), lost.at)
        raise


async def preview_undo(ports: Ports, instance_id: str, external: External) -> UndoPreview:
    """Preview an undo. Raises NotFound, NotInThisState, and Silent where a service does not answer."""
    _, undo = await computed_undo(ports, instance_id, external)
    return UndoPreview(undo.stages, kept_effects(undo.kept), kept_effects(undo.blocked), undo.effects)


async def commit_undo(
    ports: Ports,
    caller: Caller | None,
    before: Instance,
    undo: Undo,
    reason: str,
    *,
    principal: str = "",
    signed: Plan | None = None,
    ahead: Ahead = nothing_ahead,
) -> Answer[Undoing]:
    """Commit the undo of a case. `principal`, `signed`, `ahead`: as those of `redrive.commit_redrive`."""
    start = ports.runners.undo(before.id, undo.stages, sends=ports.engine.sends_at_once, signed=signed)
    runner, unit = start
    kept = kept_effects(undo.kept)
    made = Undoing(
        id=runner.id,
        predecessor=before.id,
        reverts=len(undo.stages),
        kept=kept,
        reason=reason,
        principal=principal or principal_of(caller),
        at=runner.created_at,
    )
    decided = AddSuccessor(
        predecessor=before.id,
        kind=UNDO,
        successor=runner.id,
        reason=reason,
        principal=made.principal,
        at=made.at,
        kept=msgspec.json.encode(kept).decode(),
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


async def report_of(journal: Journal, instance: Instance) -> UndoReport | None:
    """How far the undo has come that an instance is, continues, or was followed by; None: there is none."""
    step = await journal.successor(instance.id)
    if step is not None and step.kind == UNDO:
        instance = await _read(journal, step.successor)
    elif not await belongs_to_undo(journal, instance):
        return None
    begun = await journal.predecessor(instance.root_id or instance.id)
    assert begun is not None, "the first instance of an undo comes after what it undoes"
    kept, step, last_id = list[KeptEffect](), begun, begun.successor
    while step is not None:
        kept += [] if step.kept is None else msgspec.json.decode(step.kept, type=list[KeptEffect])
        last_id = step.successor
        step = await journal.successor(last_id)
    instance = await _read(journal, last_id)
    if not instance.is_terminal:
        return UndoReport(instance.id, "undoing", kept)
    known = {each.key for each in kept}  # a payout that a person has left out may be paid
    kept += [each for each in await _kept_later(journal, instance, begun.predecessor) if each.key not in known]
    if instance.error is not None:
        return UndoReport(instance.id, "undo_failed", kept)
    return UndoReport(instance.id, "undone_but" if kept else "undone", kept)


async def left_out(ports: Ports, undo: Instance, reason: str) -> KeptEffect:
    """The effect that the failed stage of an undo could not revert, as kept by a person for this reason."""
    begun = await ports.journal.predecessor(undo.root_id or undo.id)
    assert begun is not None, "the first instance of an undo comes after what it undoes"
    case = await case_of(ports.journal, await _read(ports.journal, begun.predecessor))
    key = reverted_key(msgspec.json.decode(undo.config)["stages"][undo.stages[-1].number])
    effect = next(each for each in case.effects if each.key == key)
    (kept,) = kept_effects([Kept(effect, f"left out by a person ({reason}), after: {undo.error}")])
    return kept


async def _kept_later(journal: Journal, undo: Instance, undone_id: str) -> list[KeptEffect]:
    """Effects that the stages of an undo have left as they are, because a payout was paid by then."""
    found: dict[str, str] = {}
    for number, stage in enumerate(msgspec.json.decode(undo.config)["stages"][: len(undo.stages)]):
        kind, given = next(iter(stage["revert"].items()))
        payout = given["reference"] if kind == "initiation" else given.get("unlessPaid")
        rows = await journal.activities(undo.id, number) if payout else []
        if undo.stages[number].error is not None or any(row.key for row in rows):
            continue
        seen = [item["status"] for row in rows for item in _initiations(row) if item["reference"] == payout]
        if seen[-1:] == ["PROCESSED"]:
            why = "the payout is paid" if kind == "initiation" else f"it funded the payout {payout}, which is paid"
            found |= {payout: "the payout is paid", reverted_key(stage): why}
    if not found:
        return []
    case = await case_of(journal, await _read(journal, undone_id))
    return kept_effects(Kept(effect, found[effect.key]) for effect in case.effects if effect.key in found)


def _initiations(row: ActivityRow) -> list[Json]:
    """The transfer initiations that a read has found."""
    output: Json = {} if row.output is None else msgspec.json.decode(row.output)
    return output["cursor"]["data"] if "cursor" in output else [output["data"]] if "data" in output else []


async def _read(journal: Journal, instance_id: str) -> Instance:
    instance = await journal.instance(instance_id)
    if instance is None:
        raise NotFound("instance", instance_id)
    return instance
