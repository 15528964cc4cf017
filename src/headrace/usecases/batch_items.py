"""Items of a running batch: each starts in one unit, and ends when its instance has.

The unit of a start holds the guards of batch and item, the successor, the plan that the instance may not leave, and
the instance. So an item starts once, on any number of servers, and a crash leaves it started or pending.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import msgspec

from headrace.errors import Conflict, HeadraceError, NotFound, NotInThisState, Silent, Unavailable
from headrace.journal import batch_writes as writes
from headrace.journal.approval_writes import AddDecision
from headrace.journal.port import Entry, Required, Unit
from headrace.journal.records import Batch, BatchItem, Decision, ItemEnding, Plan
from headrace.journal.writes import AddNudge, NoteAbort
from headrace.runner.runners import started_instance
from headrace.usecases.batch_preview import abort_hash, code_of
from headrace.usecases.batch_requests import RunItem
from headrace.usecases.continuations import redrivable
from headrace.usecases.instances import commit_start
from headrace.usecases.plan_runs import is_signed, use_of
from headrace.usecases.plans import LIFE_US, PlanSubject, stored_plan, summarized
from headrace.usecases.ports import Ports
from headrace.usecases.redrive import commit_redrive
from headrace.usecases.uncancelled import completed
from headrace.usecases.undo import commit_undo
from headrace.usecases.undoing import computed_undo, planned_undo, require_approvals

CHANGED = "changed"


class NotNow(HeadraceError):
    """The batch does not run, has as many open items as it may, or another driver has the item. Nothing was started."""


async def start_item(ports: Ports, batch: Batch, n: int, approvals: Sequence[Decision] = ()) -> bool:
    """Start a pending item of a batch. False: it was skipped, since it has changed since the preview.

    `approvals`: those of the batch, which count for the plan of the item.

    Raises NotNow, Silent where a service does not answer, and Unavailable.
    """
    item = await ports.journal.batch_item(batch.id, n)
    if item is None or item.state != "pending":
        raise NotNow
    start = {"run": _run, "redrive": _redrive, "undo": _undo, "abort": _abort}[batch.kind]
    try:
        await completed(start(ports, batch, item, approvals))
    except (NotNow, Silent, Unavailable):
        raise
    except HeadraceError as error:
        code, message = code_of(error), str(error)
    else:
        return True
    unit = Unit()
    skip = writes.SkipItem(batch_id=batch.id, number=n, code=code, message=message, at=ports.clock.now_at())
    unit.add(Required(skip, NotNow))
    await ports.journal.commit(unit)
    return False


def _guards(batch: Batch, item: BatchItem, at: int, made_id: str | None) -> list[Entry]:
    return [
        Required(writes.CountStart(batch_id=batch.id), NotNow),
        Required(writes.StartItem(batch_id=batch.id, number=item.n, made_id=made_id, at=at), NotNow),
    ]


def _plan_of(ports: Ports, batch: Batch, item: BatchItem, subject: PlanSubject) -> Plan | None:
    """The plan of the preview, as it is stored with the instance that uses it; None: an item without one."""
    if item.document is None:
        return None
    subject = summarized(subject, msgspec.json.decode(item.document))
    now_at = ports.clock.now_at()
    return Plan(
        id=ports.ids.new(),
        hash=item.hash or "",
        subject=msgspec.json.encode(subject).decode(),
        requester=batch.principal,
        created_at=now_at,
        expires_at=now_at + LIFE_US,
        state="used",
        document=item.document,
    )


def _ahead(
    batch: Batch, item: BatchItem, plan: Plan | None, approvals: Sequence[Decision], made_id: str, at: int
) -> Sequence[Entry]:
    """The guards of an item, and its plan with the approvals of the batch, which the new instance uses at once."""
    guards = _guards(batch, item, at, made_id)
    if plan is None:
        return guards
    given = (
        AddDecision(
            target=plan.id,
            principal=each.principal,
            verdict=each.verdict,
            hash=plan.hash,
            reason=each.reason,
            at=each.at,
        )
        for each in approvals
    )
    return [*guards, stored_plan(plan), *given]


async def _run(ports: Ports, batch: Batch, item: BatchItem, approvals: Sequence[Decision]) -> None:
    assert item.run is not None
    run = msgspec.json.decode(item.run, type=RunItem)
    workflow = await ports.journal.workflow(run.workflow_id)
    if workflow is None or workflow.deleted_at is not None:
        raise NotFound("workflow", run.workflow_id)
    plan = _plan_of(ports, batch, item, PlanSubject("succeeds", workflow.name, workflow.id))
    start = ports.runners.start(
        workflow,
        run.variables,
        sends=ports.engine.sends_at_once,
        signed=plan,
        approvals=len(approvals),
    )
    instance = started_instance(start.unit)
    used = [] if plan is None else [use_of(plan, start)]
    start.unit[:0] = [*_ahead(batch, item, plan, approvals, instance.id, instance.created_at), *used]
    await commit_start(ports, None, start, instance)


async def _redrive(ports: Ports, batch: Batch, item: BatchItem, approvals: Sequence[Decision]) -> None:
    """Continue an instance. One that may not leave an earlier plan keeps it, unless persons have approved this one."""
    assert item.instance_id is not None
    standing = await redrivable(ports, item.instance_id, is_planned=False)
    workflow_id = standing.instance.workflow_id
    workflow = await ports.journal.workflow(workflow_id)
    subject = PlanSubject(
        "succeeds", None if workflow is None else workflow.name, workflow_id, redrive=item.instance_id
    )
    keeps = standing.plan is not None and not approvals
    plan = None if keeps else _plan_of(ports, batch, item, subject)
    await commit_redrive(
        ports,
        None,
        standing,
        batch.reason,
        principal=batch.starter or batch.principal,
        signed=plan,
        approvals=len(approvals),
        ahead=partial(_ahead, batch, item, plan, approvals),
    )


async def _undo(ports: Ports, batch: Batch, item: BatchItem, approvals: Sequence[Decision]) -> None:
    assert item.instance_id is not None
    standing, undo = await computed_undo(ports, item.instance_id, "keep")
    subject = PlanSubject("succeeds", None, standing.instance.workflow_id, undo=item.instance_id, external="keep")
    plan = _plan_of(ports, batch, item, subject)
    if plan is None or not is_signed(planned_undo(standing, undo).definition, plan):
        raise NotInThisState(CHANGED, f"instance {item.instance_id}: its undo would revert something else by now")
    require_approvals(ports, standing.instance, undo.stages, len(approvals))
    await commit_undo(
        ports,
        None,
        standing.instance,
        undo,
        batch.reason,
        principal=batch.starter or batch.principal,
        signed=plan,
        ahead=partial(_ahead, batch, item, plan, approvals),
    )


async def _abort(ports: Ports, batch: Batch, item: BatchItem, _: Sequence[Decision]) -> None:
    """Abort an instance that is still in the stage in which the preview saw it."""
    assert item.instance_id is not None
    give_up_s = ports.clock.monotonic_s() + ports.patience_s
    while True:
        try:
            async with ports.engine.abort(item.instance_id) as runner:
                if abort_hash(item.instance_id, runner.stage.number) != item.hash:
                    raise NotInThisState(CHANGED, f"instance {item.instance_id} has gone on to another stage")
                unit, now_at = runner.abort(), ports.clock.now_at()
                unit[:0] = _guards(batch, item, now_at, None)
                unit.add(NoteAbort(instance_id=item.instance_id, reason=batch.reason))
                if ports.engine.needs_nudges:
                    unit.add(AddNudge(instance_id=item.instance_id, why="abort", at=now_at))
                await ports.journal.commit(unit)
        except Conflict as conflict:  # another process has moved the instance on
            if ports.clock.monotonic_s() >= give_up_s:
                raise Unavailable(str(conflict)) from None
        else:
            return


async def end_item(ports: Ports, batch: Batch, ending: ItemEnding) -> None:
    """Store how an item has ended; the last of too many failures in a row pauses the batch.

    Raises NotNow where another driver has stored it, and Unavailable.
    """
    is_failure = ending.error is not None and batch.kind != "abort"
    code = (ending.failure_code or ending.failure) if is_failure else None
    why = f"{batch.stop_after} items in a row have failed, the last one with {code or 'an error'}"
    unit = Unit()
    unit.add(Required(writes.CountEnd(batch_id=batch.id, is_failure=is_failure, why=why), NotNow))
    ended = writes.EndItem(
        batch_id=batch.id,
        number=ending.n,
        state="failed" if is_failure else "succeeded",
        code=code,
        message=ending.error if is_failure else None,
        at=ending.at,
    )
    unit.add(Required(ended, NotNow))
    await ports.journal.commit(unit)
