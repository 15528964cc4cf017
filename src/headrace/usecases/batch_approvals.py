"""Approvals of batches: persons approve exactly the preview, as a whole, where a rule of the operator asks for them.

The approvals of a batch count for each of its items: an item stores them with its plan when it starts.
"""

from __future__ import annotations

from functools import partial

import msgspec

from headrace.errors import HashDiffers, NotInThisState
from headrace.journal import batch_writes as writes
from headrace.journal.port import Required, Unit
from headrace.journal.records import Batch, Decision
from headrace.usecases.approvals import (
    Approvals,
    Needed,
    Verdict,
    decision_in,
    require_four_eyes,
    require_same,
)
from headrace.usecases.batches import APPROVED, CANCELED, PAGE, READY, asked_by_rules, asked_in, not_from, read_batch
from headrace.usecases.idempotency import Answer, Caller, idempotent, record
from headrace.usecases.plans import APPROVE, approvals_in
from headrace.usecases.ports import Ports


class DecidedBatch(msgspec.Struct, frozen=True):
    """A batch after a person's decision."""

    batch: Batch
    approvals: Approvals


@idempotent(DecidedBatch)
async def decide_batch(
    ports: Ports, caller: Caller | None, batch_id: str, verdict: Verdict, wanted: object
) -> Answer[DecidedBatch]:
    """Approve or reject a batch that is ready; the decision is stored on return. `wanted` is `{"hash", "reason"}`.

    Raises InvalidValue, NotFound, NotPermitted, HashDiffers, NotInThisState, NotRunnable, Unavailable.
    """
    signed, reason, principal = decision_in(wanted, caller, "batch")
    row = await read_batch(ports, batch_id)
    if row.hash is not None and signed != row.hash:
        raise HashDiffers(signed, row.hash, "batch")
    decisions = await ports.journal.decisions(batch_id)
    own = next((each for each in decisions if each.principal == principal), None)
    if own is not None:
        require_same(own, verdict, "batch")
        return Answer(batch_id, DecidedBatch(row, _approvals(row, decisions)))
    if row.state not in (READY, APPROVED):
        raise not_from(row, verdict, READY, APPROVED)
    asked = asked_by_rules(ports, row)
    if verdict == APPROVE:
        require_four_eyes(await _requesters(ports, row), principal, "this batch")
    # Not before what it is about, also where the clock was set back meanwhile.
    at = max([ports.clock.now_at(), row.created_at, *(each.at for each in decisions)])
    decision = Decision(batch_id, principal, verdict, signed, reason, at)
    decisions = [*decisions, decision]
    unit = Unit()
    stored = writes.AddBatchDecision(
        batch_id=batch_id, principal=principal, verdict=verdict, hash=signed, reason=reason, at=decision.at
    )
    unit.add(Required(stored, partial(_changed, batch_id)))
    if verdict == APPROVE:
        needed = asked.approvals or 1
        unit.add(writes.ApproveBatch(batch_id=batch_id, needed=needed))
        state = APPROVED if approvals_in(decisions) >= needed else row.state
        row = msgspec.structs.replace(row, state=state)
    else:
        why = f"rejected by {principal}: {reason}"
        reject = writes.RejectBatch(batch_id=batch_id, why=why, at=decision.at)
        unit.add(Required(reject, partial(_changed, batch_id)))
        unit.add(writes.DropItems(batch_id=batch_id, code="rejected", message=why, at=decision.at))
        row = msgspec.structs.replace(row, state=CANCELED, why=why, ended_at=decision.at)
    answer = Answer(batch_id, DecidedBatch(row, _approvals(row, decisions)))
    record(unit, caller, decision.at, answer)
    await ports.journal.commit(unit)
    return answer


async def _requesters(ports: Ports, row: Batch) -> set[str | None]:
    """The principals that have asked for what a batch does: its maker, and those of the cases of its items."""
    found: set[str | None] = {row.principal}
    last = 0
    while page := await ports.journal.batch_items(row.id, last, PAGE, "pending"):
        if ids := [item.instance_id for item in page if item.instance_id is not None]:
            found.update(await ports.journal.case_requesters(ids))
        last = page[-1].n
    return found


async def batch_approvals(ports: Ports, row: Batch) -> Approvals | None:
    """The approvals that a batch needs and has; None: it needs none and has none."""
    decisions = await ports.journal.decisions(row.id)
    return _approvals(row, decisions) if decisions or asked_in(row).approvals else None


def _approvals(row: Batch, decisions: list[Decision]) -> Approvals:
    asked = asked_in(row)
    return Approvals(Needed(asked.approvals or 1, asked.rule), decisions)


def _changed(batch_id: str) -> NotInThisState:
    return NotInThisState("changed", f"batch {batch_id} has changed meanwhile: look again")
