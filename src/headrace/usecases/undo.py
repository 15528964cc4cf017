"""Undo a case: an ordinary instance of a computed workflow reverts what is done, the last effect first.

What is reverted, and what is kept, follows from the history of the case and from the statuses of its payouts
(`workflows/undo.py`). One unit stores the successor, of which an instance has at most one, the new instance, and its
workflow, which is stored as deleted so that no list shows it.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Literal

import msgspec

from headrace.effects.port import Done
from headrace.effects.services import prepare
from headrace.errors import InvalidValue, NotFound, NotInThisState
from headrace.journal import writes
from headrace.journal.chains import is_done, ordinal_of
from headrace.journal.port import Required
from headrace.journal.records import ActivityRow, Instance, Standing
from headrace.journal.successor_writes import AddSuccessor
from headrace.planning.questions import Asking, ask
from headrace.usecases.continuations import belongs_to_undo, has_successor
from headrace.usecases.idempotency import Answer, Caller, idempotent, record
from headrace.usecases.plans import answered
from headrace.usecases.ports import Ports
from headrace.usecases.reasons import check_reason, members_of, principal_of
from headrace.usecases.resolve import is_attested
from headrace.usecases.uncancelled import completed
from headrace.workflows.activities import Json
from headrace.workflows.reversals import ListTransferInitiations
from headrace.workflows.undo import Case, DoneEffect, External, Kept, Undo, undo_of

UNDO = "undo"
UndoState = Literal["undoing", "undone", "undone_but", "undo_failed"]


class KeptEffect(msgspec.Struct, frozen=True):
    """An effect of the case that its undo leaves as it is, and why. `key`: as it was sent."""

    key: str
    stage: int
    ordinal: int
    activity: str
    reason: str


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
    """The preview of an undo. `stages`: those of its workflow; `kept`, `blocked`: effects that it leaves."""

    stages: list[Json]
    kept: list[KeptEffect]
    blocked: list[KeptEffect]


class UndoReport(msgspec.Struct, frozen=True):
    """How far an undo has come. `instance_id`: the latest of its instances."""

    instance_id: str
    state: UndoState
    kept: list[KeptEffect]


@idempotent(Undoing)
async def undo_instance(ports: Ports, caller: Caller | None, instance_id: str, wanted: object) -> Answer[Undoing]:
    """Undo the case of an instance that has ended. `wanted` is `{"reason", "external"?}`. It is stored on return.

    Raises InvalidValue, NotFound, NotInThisState, Unavailable, and Silent where a service does not answer.
    """
    members = members_of(wanted, "reason", "external")
    reason, external = check_reason(members.get("reason")), check_external(members.get("external", "keep"))
    standing, undo = await _computed(ports, instance_id, external)
    if undo.blocked:
        effect = undo.blocked[0]
        raise _refused("needs_person", instance_id, f"{effect.effect.key}: {effect.reason}")
    if not undo.stages:
        raise _refused("nothing_to_undo", instance_id, _nothing(undo))
    return await completed(_commit(ports, caller, standing.instance, undo, reason))


async def preview_undo(ports: Ports, instance_id: str, external: External) -> UndoPreview:
    """Preview an undo. Raises NotFound, NotInThisState, and Silent where a service does not answer."""
    _, undo = await _computed(ports, instance_id, external)
    return UndoPreview(undo.stages, _kept(undo.kept), _kept(undo.blocked))


def check_external(value: object) -> External:
    if value not in ("keep", "reverse"):
        raise InvalidValue("external", "must be keep or reverse")
    return value


def _refused(code: str, instance_id: str, why: str) -> NotInThisState:
    return NotInThisState(code, f"instance {instance_id} cannot be undone: {why}")


def _nothing(undo: Undo) -> str:
    kept = "; ".join(f"{each.effect.key} is kept: {each.reason}" for each in undo.kept[:5])
    return f"nothing is left to revert{f' ({kept})' if kept else ''}"


async def _computed(ports: Ports, instance_id: str, external: External) -> tuple[Standing, Undo]:
    """The instance as it ended, and the undo of its case."""
    standing = await ports.journal.standing(instance_id)
    if standing is None:
        raise NotFound("instance", instance_id)
    if (successor := await ports.journal.successor(instance_id)) is not None:
        raise has_successor(instance_id, f": {successor.successor}")
    if not standing.instance.is_terminal:
        raise _refused("running", instance_id, "it has not ended; abort it first")
    if not standing.is_over:
        raise _refused("open", instance_id, "the outcome of one of its effects is not known yet")
    if await belongs_to_undo(ports, standing.instance):
        raise _refused("is_undo", instance_id, "it is an undo itself")
    case = await case_of(ports, standing.instance)
    references = [effect.key for effect in case.effects if effect.activity == "CreateTransferInitiation"]
    if references:
        async with ports.plans:
            statuses = await answered(_statuses(references), ports.downstream, ports.clock)
        case = Case(case.effects, case.stages, case.variables, case.wallet_ledgers, statuses)
    return standing, undo_of(case, external)


async def case_of(ports: Ports, instance: Instance) -> Case:
    """The case of an instance, up to this instance, as its history shows it."""
    rows = [row for stage in instance.stages for row in await ports.journal.activities(instance.id, stage.number)]
    attested = await _attested(ports, rows)
    effects = [
        DoneEffect(
            key=row.key,
            stage=row.stage,
            ordinal=ordinal_of(row),
            activity=row.name,
            input=msgspec.json.decode(row.input),
            output=None if row.output is None else msgspec.json.decode(row.output),
            is_attested=row.key in attested,
        )
        for row in rows
        if row.key and is_done(row)
    ]
    stages: list[Json] = msgspec.json.decode(instance.config)["stages"]
    return Case(effects, stages, msgspec.json.decode(instance.variables), _wallet_ledgers(rows))


async def _attested(ports: Ports, rows: Iterable[ActivityRow]) -> set[str]:
    """The keys of effects that a person called booked without an id."""
    found: set[str] = set()
    for instance_id in dict.fromkeys(row.instance_id for row in rows):
        for decision in await ports.journal.resolutions(instance_id):
            if decision.verdict == "booked" and is_attested(decision.evidence):
                own = await ports.journal.activities(instance_id, decision.stage)
                found |= {row.key for row in own if (row.instance_id, row.position) == (instance_id, decision.position)}
    return found


def _wallet_ledgers(rows: Iterable[ActivityRow]) -> dict[str, str]:
    """The ledger of each wallet that the case has read."""
    found: dict[str, str] = {}
    for row in rows:
        if row.name == "GetWallet" and row.output is not None:
            wallet: Json = msgspec.json.decode(row.output).get("data") or {}
            if "id" in wallet and "ledger" in wallet:
                found[wallet["id"]] = wallet["ledger"]
    return found


def _statuses(references: list[str]) -> Asking[Json]:
    """The statuses of transfer initiations by reference, of those that the service lists when asked for them."""
    found: Json = {}
    for reference in references:
        activity = ListTransferInitiations(reference)
        reading = yield from ask(activity.name, prepare(activity, "", 0))
        if isinstance(reading.outcome, Done):
            items: list[Json] = reading.outcome.output["cursor"]["data"]
            found |= {item["reference"]: item["status"] for item in items if item["reference"] == reference}
    return found


def _kept(kept: Iterable[Kept]) -> list[KeptEffect]:
    return [
        KeptEffect(each.effect.key, each.effect.stage, each.effect.ordinal, each.effect.activity, each.reason)
        for each in kept
    ]


async def _commit(ports: Ports, caller: Caller | None, before: Instance, undo: Undo, reason: str) -> Answer[Undoing]:
    sends = ports.engine.sends_at_once
    runner, unit = ports.runners.undo(before.id, ports.ids.new(), undo.stages, sends=sends)
    kept = _kept(undo.kept)
    made = Undoing(
        id=runner.id,
        predecessor=before.id,
        reverts=len(undo.stages),
        kept=kept,
        reason=reason,
        principal=principal_of(caller),
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
    unit.insert(0, Required(decided, partial(has_successor, before.id)))
    answer = Answer(runner.id, made)
    record(unit, caller, made.at, answer)
    if ports.engine.needs_nudges and runner.ended_at is None:
        unit.add(writes.AddNudge(instance_id=runner.id, why="start", at=runner.created_at))
    async with ports.engine.begin(runner):
        await ports.journal.commit(unit)
    return answer


async def report_of(ports: Ports, instance: Instance) -> UndoReport | None:
    """How far the undo has come that an instance is, continues, or was followed by; None: there is none."""
    step = await ports.journal.successor(instance.id)
    if step is not None and step.kind == UNDO:
        instance = await _read(ports, step.successor)
    elif not await belongs_to_undo(ports, instance):
        return None
    begun = await ports.journal.predecessor(instance.root_id or instance.id)
    assert begun is not None, "the first instance of an undo comes after what it undoes"
    kept = [] if begun.kept is None else msgspec.json.decode(begun.kept, type=list[KeptEffect])
    while (step := await ports.journal.successor(instance.id)) is not None:
        instance = await _read(ports, step.successor)
    if not instance.is_terminal:
        return UndoReport(instance.id, "undoing", kept)
    kept = [*kept, *await _kept_later(ports, instance, begun.predecessor)]
    if instance.error is not None:
        return UndoReport(instance.id, "undo_failed", kept)
    return UndoReport(instance.id, "undone_but" if kept else "undone", kept)


async def _kept_later(ports: Ports, undo: Instance, undone_id: str) -> list[KeptEffect]:
    """Effects that the stages of an undo have left as they are, because a payout was paid by then."""
    found: dict[str, str] = {}
    for number, stage in enumerate(msgspec.json.decode(undo.config)["stages"][: len(undo.stages)]):
        kind, given = next(iter(stage["revert"].items()))
        payout = given["reference"] if kind == "initiation" else given.get("unlessPaid")
        rows = await ports.journal.activities(undo.id, number) if payout else []
        if undo.stages[number].error is not None or any(row.key for row in rows):
            continue
        seen = [item["status"] for row in rows for item in _initiations(row) if item["reference"] == payout]
        if seen[-1:] == ["PROCESSED"]:
            why = "the payout is paid" if kind == "initiation" else f"it funded the payout {payout}, which is paid"
            found[given.get("key") or given["reference"]] = why
    if not found:
        return []
    case = await case_of(ports, await _read(ports, undone_id))
    return _kept(Kept(effect, found[effect.key]) for effect in case.effects if effect.key in found)


def _initiations(row: ActivityRow) -> list[Json]:
    """The transfer initiations that a read has found."""
    output: Json = {} if row.output is None else msgspec.json.decode(row.output)
    return output["cursor"]["data"] if "cursor" in output else [output["data"]] if "data" in output else []


async def _read(ports: Ports, instance_id: str) -> Instance:
    instance = await ports.journal.instance(instance_id)
    if instance is None:
        raise NotFound("instance", instance_id)
    return instance
