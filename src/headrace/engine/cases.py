"""The case of an instance as the journal shows it: what an undo is computed from."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from headrace.journal.chains import is_done, ordinal_of
from headrace.journal.port import Journal
from headrace.journal.records import ActivityRow, Instance
from headrace.workflows.activities import Json
from headrace.workflows.undo import Case, DoneEffect, Kept


async def rows_of(journal: Journal, instance: Instance) -> list[ActivityRow]:
    """The activities of the case, up to this instance, in order."""
    return [row for stage in instance.stages for row in await journal.activities(instance.id, stage.number)]


async def case_of(journal: Journal, instance: Instance) -> Case:
    """The case of an instance, up to this instance, as its history shows it."""
    rows = await rows_of(journal, instance)
    return case_in(instance, rows, await attested_in(journal, rows))


def case_in(
    instance: Instance, rows: Iterable[ActivityRow], attested: Iterable[str], skipped: Iterable[int] = ()
) -> Case:
    """The case of these activities. `attested`: keys of effects that a person called booked without an id.

    `skipped`: stages that were left out since the instance was read.
    """
    known, rows = set(attested), list(rows)
    effects = [
        DoneEffect(
            key=row.key,
            stage=row.stage,
            ordinal=ordinal_of(row),
            activity=row.name,
            input=msgspec.json.decode(row.input),
            output=None if row.output is None else msgspec.json.decode(row.output),
            is_attested=row.key in known,
        )
        for row in rows
        if row.key and is_done(row)
    ]
    defined: list[Json] = msgspec.json.decode(instance.config)["stages"]
    left_out = {*skipped, *(stage.number for stage in instance.stages if stage.skipped)}
    stages = [stage for number, stage in enumerate(defined) if number not in left_out]
    return Case(effects, stages, msgspec.json.decode(instance.variables), _wallet_ledgers(rows))


async def attested_in(journal: Journal, rows: Iterable[ActivityRow]) -> set[str]:
    """The keys of effects among these that a person called booked without an id."""
    found: set[str] = set()
    for instance_id in dict.fromkeys(row.instance_id for row in rows):
        for decision in await journal.resolutions(instance_id):
            if decision.verdict == "booked" and is_attested(decision.evidence):
                own = await journal.activities(instance_id, decision.stage)
                found |= {row.key for row in own if (row.instance_id, row.position) == (instance_id, decision.position)}
    return found


def is_attested(evidence: str) -> bool:
    """True for evidence in words: what it says is known by the person's word alone."""
    return "text" in msgspec.json.decode(evidence)


def _wallet_ledgers(rows: Iterable[ActivityRow]) -> dict[str, str]:
    """The ledger of each wallet that the case has read."""
    found: dict[str, str] = {}
    for row in rows:
        if row.name == "GetWallet" and row.output is not None:
            wallet: Json = msgspec.json.decode(row.output).get("data") or {}
            if "id" in wallet and "ledger" in wallet:
                found[wallet["id"]] = wallet["ledger"]
    return found


class KeptEffect(msgspec.Struct, frozen=True):
    """An effect of the case that its undo leaves as it is, and why. `key`: as it was sent."""

    key: str
    stage: int
    ordinal: int
    activity: str
    reason: str


def kept_effects(kept: Iterable[Kept]) -> list[KeptEffect]:
    """Effects that an undo leaves as they are, as its start stores them."""
    return [
        KeptEffect(each.effect.key, each.effect.stage, each.effect.ordinal, each.effect.activity, each.reason)
        for each in kept
    ]
