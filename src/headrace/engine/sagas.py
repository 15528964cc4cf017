"""`on_failure: undo`: the undo of a run that fails begins in the commit that ends the run.

The unit that ends a run with a failure also stores the successor, the undo's instance and its workflow, so that no
crash comes between. What is reverted follows from the history alone: nothing can be read from a service inside a
commit, so the stages of the undo read the statuses of payouts when they run.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

import msgspec
from msgspec import structs

from headrace.engine.cases import attested_in, case_in, is_attested, kept_effects, rows_of
from headrace.errors import Conflict
from headrace.journal import writes
from headrace.journal.approval_writes import DecideStage
from headrace.journal.port import Journal, Required, Unit
from headrace.journal.records import ActivityRow
from headrace.journal.successor_writes import AddSuccessor
from headrace.runner.instance import InstanceRunner
from headrace.runner.runners import Runners
from headrace.workflows.failures import NOT_UNDONE
from headrace.workflows.undo import undo_of

REASON = "on_failure: undo"
PRINCIPAL = "headrace"
"""The principal of a decision that the definition has made."""


async def add_undo(journal: Journal, runners: Runners, runner: InstanceRunner, unit: Unit) -> InstanceRunner | None:
    """Add the start of the undo to a unit that ends this run, if its definition asks for it. Returns the undo.

    None: the unit does not end it, or not with such a failure, or nothing is to be reverted. The engine must look at
    the undo once the unit is committed.
    """
    if not runner.undoes_failure or runner.error is None:
        return None
    end = next((write for write in unit.writes if isinstance(write, writes.EndInstance)), None)
    if end is None or end.failure in NOT_UNDONE:
        return None
    instance = await journal.instance(runner.id)
    if instance is None:  # it ends as it starts: it has done nothing, and what it continues had nothing to revert
        return None
    rows = await rows_of(journal, instance)
    rows, attested = _with(unit.writes, rows, await attested_in(journal, rows))
    skipped = [write.number for write in unit.writes if isinstance(write, DecideStage) and write.is_skipped]
    undo = undo_of(case_in(instance, rows, attested, skipped))
    if not undo.stages:
        return None
    start = runners.undo(runner.id, undo.stages, sends=False)
    unit.extend(start.unit)
    decided = AddSuccessor(
        predecessor=runner.id,
        kind="undo",
        successor=start.runner.id,
        reason=REASON,
        principal=PRINCIPAL,
        at=start.runner.created_at,
        kept=msgspec.json.encode(kept_effects(undo.kept)).decode(),
    )
    unit.add(Required(decided, partial(Conflict, runner.id)))
    return start.runner


def _with(
    made: Iterable[writes.Write], rows: list[ActivityRow], attested: set[str]
) -> tuple[list[ActivityRow], set[str]]:
    """The rows, and the keys of attested effects, as they are once these writes of their instance are made."""
    keys = set(attested)
    found = list(rows)
    for write in made:
        match write:
            case writes.CloseActivity():
                for number, row in enumerate(found):
                    if (row.instance_id, row.stage, row.position) == (write.instance_id, write.stage, write.position):
                        closed = {"output": write.output, "error": write.error, "terminated_at": write.terminated_at}
                        found[number] = structs.replace(row, **closed)
            case writes.AddResolution(verdict="booked") if is_attested(write.evidence):
                for row in found:
                    if (row.instance_id, row.stage, row.position) == (write.instance_id, write.stage, write.position):
                        keys.add(row.key)
            case _:
                pass
    return found, keys
