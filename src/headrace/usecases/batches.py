"""Batches: many runs, redrives, undos or aborts under one decision.

A request freezes the ids of the items and stores them. In the background the preview plans them in order, and makes the
batch `ready`; a start names the hash of that preview, and then the items start one by one. Here is what a caller does;
`batch_preview` and `batch_items` are what a driver does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial

import msgspec

from headrace.errors import HashDiffers, InvalidValue, NotFound, NotInThisState, TooLarge
from headrace.journal import batch_writes as writes
from headrace.journal.lists import NEWEST, Place
from headrace.journal.port import Required, Unit
from headrace.journal.records import Batch, BatchItem, ItemCount
from headrace.journal.write import Write
from headrace.usecases.batch_preview import RulesAsk, Summary
from headrace.usecases.batch_requests import MAX_ITEMS, BatchRequest, Filter, items_text, parse_batch
from headrace.usecases.idempotency import Answer, Caller, idempotent, record
from headrace.usecases.ports import Ports
from headrace.usecases.reasons import members_of, principal_of

PREVIEWING, READY, APPROVED, RUNNING, PAUSED = "previewing", "ready", "approved", "running", "paused"
DONE, CANCELED = "done", "canceled"
BATCH_STATES = (PREVIEWING, READY, APPROVED, RUNNING, PAUSED, DONE, CANCELED)
ITEM_STATES = ("pending", "started", "succeeded", "failed", "skipped", "excluded")
PAGE = 200
ASKED = "a person has paused it"


@idempotent(Batch)
async def make_batch(ports: Ports, caller: Caller | None, wanted: object) -> Answer[Batch]:
    """Store a batch with its items, whose preview is made in the background. `wanted`: see `parse_batch`.

    Raises InvalidValue, which names the member; NotFound where a workflow does not exist; TooLarge; Unavailable.
    """
    request = parse_batch(wanted)
    found = request.instances if request.filter is None else await _chosen(ports, request.filter)
    await _require_workflows(ports, request)
    row = Batch(
        id=ports.ids.new(),
        kind=request.kind,
        selection=None if request.filter is None else msgspec.json.encode(request.filter).decode(),
        rate=request.rate,
        max_open=request.max_open,
        stop_after=request.stop_after,
        reason=request.reason,
        principal=principal_of(caller),
        created_at=ports.clock.now_at(),
        items=len(found) or len(request.runs),
        state=PREVIEWING,
    )
    unit = Unit()
    unit.add(
        writes.AddBatch(
            batch_id=row.id,
            kind=row.kind,
            selection=row.selection,
            rate=row.rate,
            max_open=row.max_open,
            stop_after=row.stop_after,
            reason=row.reason,
            principal=row.principal,
            created_at=row.created_at,
            items=row.items,
        )
    )
    unit.add(writes.AddBatchItems(batch_id=row.id, items=items_text(request, found)))
    answer = Answer(row.id, row)
    record(unit, caller, row.created_at, answer)
    await ports.journal.commit(unit)
    return answer


async def _chosen(ports: Ports, chosen: Filter) -> tuple[str, ...]:
    """The instances that fit a filter now, the oldest first. Raises InvalidValue where there are none, and TooLarge."""
    found: list[tuple[int, str]] = []
    workflows: list[str | None] = [chosen.workflow]
    if chosen.workflow is not None and await ports.journal.handle(chosen.workflow) is not None:
        workflows = [version.workflow_id for version in await ports.journal.versions(chosen.workflow)]
    elif chosen.workflow is not None and await ports.journal.workflow(chosen.workflow) is None:
        raise InvalidValue("filter.workflow", "there is no workflow of this id or name")
    for workflow_id in workflows:
        place = NEWEST
        while page := await ports.journal.summaries_after(chosen.search(workflow_id), place, PAGE):
            found += [(row.created_at, row.id) for row in page if chosen.fits(row)]
            if len(found) > MAX_ITEMS:
                raise TooLarge("filter", f"more than {MAX_ITEMS:,} instances fit: narrow it down, by time for example")
            place = Place(page[-1].created_at, page[-1].id)
            await asyncio.sleep(0)
    if not found:
        raise InvalidValue("filter", "no instance fits")
    return tuple(instance_id for _, instance_id in sorted(found))


async def _require_workflows(ports: Ports, request: BatchRequest) -> None:
    """Require that the workflows of runs exist. Raises NotFound."""
    for workflow_id in dict.fromkeys(run.workflow_id for run in request.runs):
        workflow = await ports.journal.workflow(workflow_id)
        if workflow is None or workflow.deleted_at is not None:
            raise NotFound("workflow", workflow_id)


async def read_batch(ports: Ports, batch_id: str) -> Batch:
    """The batch of this id. Raises NotFound."""
    row = await ports.journal.batch(batch_id)
    if row is None:
        raise NotFound("batch", batch_id)
    return row


async def counts_of(ports: Ports, batch_id: str) -> list[ItemCount]:
    """The numbers of items by state and code."""
    return await ports.journal.batch_counts(batch_id)


async def items_of(ports: Ports, batch_id: str, after_n: int, limit: int, state: str) -> list[BatchItem]:
    """Items after a number, in order; `state`: only those in it, empty for all. Raises NotFound."""
    await read_batch(ports, batch_id)
    return await ports.journal.batch_items(batch_id, after_n, limit, state)


@idempotent(Batch)
async def start_batch(ports: Ports, caller: Caller | None, batch_id: str, wanted: object) -> Answer[Batch]:
    """Start a batch that is ready, or approved where a rule asks for approvals. `wanted` is `{"hash"}`, of its preview.

    Raises InvalidValue, NotFound, HashDiffers, NotInThisState, Unavailable.
    """
    given = members_of(wanted, "hash").get("hash")
    if not isinstance(given, str):
        raise InvalidValue("hash", "is required: the hash of the preview, as text")
    row = await read_batch(ports, batch_id)
    if row.state not in (READY, APPROVED):
        raise not_from(row, "start", READY, APPROVED)
    if given != row.hash:
        raise HashDiffers(given, str(row.hash), "batch")
    asked = asked_by_rules(ports, row)
    if asked.approvals and row.state == READY:
        why = f"batch {row.id} waits for {asked.approvals} approvals, by rule {asked.rule}"
        raise NotInThisState("needs_approvals", why)
    at, principal = ports.clock.now_at(), principal_of(caller)
    start = writes.StartBatch(batch_id=batch_id, state=row.state, hash=given, principal=principal, at=at)
    moved = msgspec.structs.replace(row, state=RUNNING, starter=principal, started_at=at)
    return await _move(ports, caller, moved, start)


@idempotent(Batch)
async def pause_batch(ports: Ports, caller: Caller | None, batch_id: str) -> Answer[Batch]:
    """Pause a running batch: no item starts after return. Raises NotFound, NotInThisState, Unavailable."""
    row = await read_batch(ports, batch_id)
    if row.state != RUNNING:
        raise not_from(row, "pause", RUNNING)
    moved = msgspec.structs.replace(row, state=PAUSED, why=ASKED)
    return await _move(ports, caller, moved, writes.PauseBatch(batch_id=batch_id, why=ASKED))


@idempotent(Batch)
async def resume_batch(ports: Ports, caller: Caller | None, batch_id: str) -> Answer[Batch]:
    """Go on with a paused batch. Raises NotFound, NotInThisState, Unavailable."""
    row = await read_batch(ports, batch_id)
    if row.state != PAUSED:
        raise not_from(row, "resume", PAUSED)
    moved = msgspec.structs.replace(row, state=RUNNING, why=None, streak=0)
    return await _move(ports, caller, moved, writes.ResumeBatch(batch_id=batch_id))


@idempotent(Batch)
async def cancel_batch(ports: Ports, caller: Caller | None, batch_id: str) -> Answer[Batch]:
    """Cancel a batch: no item starts after return; those that have started go on.

    Raises NotFound, NotInThisState, Unavailable.
    """
    row = await read_batch(ports, batch_id)
    if row.state in (DONE, CANCELED):
        raise not_from(row, "cancel", *BATCH_STATES[:5])
    at = ports.clock.now_at()
    drop = writes.DropItems(batch_id=batch_id, code="canceled", message="the batch was canceled", at=at)
    moved = msgspec.structs.replace(row, state=CANCELED, ended_at=at)
    return await _move(ports, caller, moved, writes.CancelBatch(batch_id=batch_id, at=at), [drop])


async def _move(
    ports: Ports, caller: Caller | None, moved: Batch, write: Write, others: Sequence[Write] = ()
) -> Answer[Batch]:
    """Commit a change of a batch, which `moved` shows made. Raises NotInThisState where another one came first."""
    unit = Unit()
    error = partial(NotInThisState, "changed", f"batch {moved.id} has changed meanwhile: look again")
    unit.add(Required(write, error))
    unit.extend(others)
    answer = Answer(moved.id, moved)
    record(unit, caller, ports.clock.now_at(), answer)
    await ports.journal.commit(unit)
    return answer


def asked_by_rules(ports: Ports, row: Batch) -> RulesAsk:
    """The approvals that the rules ask for, as the preview has found them.

    Raises NotInThisState where this server has other rules by now.
    """
    asked = asked_in(row)
    if asked.rules != ports.runners.policy.approval_rules.hash:
        why = f"batch {row.id} was previewed under other approval rules than those of this server: make it again"
        raise NotInThisState("rules_changed", why)
    return asked


def asked_in(row: Batch) -> RulesAsk:
    """The approvals that the rules ask for, as the preview has stored them; none before it is made."""
    return RulesAsk() if row.summary is None else msgspec.json.decode(row.summary, type=Summary).asked


def not_from(row: Batch, verb: str, *states: str) -> NotInThisState:
    """The refusal of what needs a batch in other states."""
    return NotInThisState(row.state, f"batch {row.id} is {row.state}: {verb} needs {' or '.join(states)}")
