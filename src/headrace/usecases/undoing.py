"""Compute the undo of a case for a request: what it would revert and keep, before a plan or a start of it is stored."""

from __future__ import annotations

from headrace.effects.port import Done
from headrace.effects.services import prepare
from headrace.engine.cases import case_of
from headrace.errors import InvalidValue, NotFound, NotInThisState
from headrace.journal.records import Standing
from headrace.planning.planner import Subject, Undone
from headrace.planning.questions import Asking, ask
from headrace.runner.runners import undo_config
from headrace.usecases.asking import answered
from headrace.usecases.continuations import belongs_to_undo, has_successor
from headrace.usecases.ports import Ports
from headrace.workflows.activities import Json
from headrace.workflows.reversals import ListTransferInitiations
from headrace.workflows.undo import Case, External, Undo, undo_of


def check_external(value: object) -> External:
    if value not in ("keep", "reverse"):
        raise InvalidValue("external", "must be keep or reverse")
    return value


async def computed_undo(ports: Ports, instance_id: str, external: External) -> tuple[Standing, Undo]:
    """The instance as it ended, and the undo of its case. Raises NotFound, NotInThisState, Silent."""
    standing = await ports.journal.standing(instance_id)
    if standing is None:
        raise NotFound("instance", instance_id)
    if (successor := await ports.journal.successor(instance_id)) is not None:
        raise has_successor(instance_id, f": {successor.successor}")
    if not standing.instance.is_terminal:
        raise _refused("running", instance_id, "it has not ended; abort it first")
    if not standing.is_over:
        raise _refused("open", instance_id, "the outcome of one of its effects is not known yet")
    if await belongs_to_undo(ports.journal, standing.instance):
        raise _refused("is_undo", instance_id, "it is an undo itself")
    case = await case_of(ports.journal, standing.instance)
    references = [effect.key for effect in case.effects if effect.activity == "CreateTransferInitiation"]
    if references:
        async with ports.plans:
            statuses = await answered(_statuses(references), ports.downstream, ports.clock)
        case = Case(case.effects, case.stages, case.variables, case.wallet_ledgers, statuses)
    return standing, undo_of(case, external)


def planned_undo(standing: Standing, undo: Undo) -> Subject:
    """The subject of a plan of an undo. Raises NotInThisState where it may not start."""
    instance_id = standing.instance.id
    if undo.blocked:
        effect = undo.blocked[0]
        raise _refused("needs_person", instance_id, f"{effect.effect.key}: {effect.reason}")
    if not undo.stages:
        raise _refused("nothing_to_undo", instance_id, _nothing(undo))
    position = sum(row.error is None for row in standing.activities)
    undone = Undone(instance_id, standing.instance.stages[-1].number, position)
    return Subject(undo_config(instance_id, undo.stages), {}, undone=undone)


def _refused(code: str, instance_id: str, why: str) -> NotInThisState:
    return NotInThisState(code, f"instance {instance_id} cannot be undone: {why}")


def _nothing(undo: Undo) -> str:
    kept = "; ".join(f"{each.effect.key} is kept: {each.reason}" for each in undo.kept[:5])
    return f"nothing is left to revert{f' ({kept})' if kept else ''}"


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
