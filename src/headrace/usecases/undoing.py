"""Compute the undo of a case for a request: what it would revert and keep, before a plan or a start of it is stored."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from headrace.effects.port import Done
from headrace.effects.services import prepare
from headrace.engine.cases import case_of
from headrace.errors import InvalidValue, NotFound, NotInThisState
from headrace.journal.records import Instance, Standing
from headrace.planning.planner import Subject, Undone
from headrace.planning.questions import Asking, ask
from headrace.runner.runners import undo_config
from headrace.usecases.asking import answered
from headrace.usecases.continuations import belongs_to_undo, has_successor
from headrace.usecases.ports import Ports
from headrace.workflows.activities import Json
from headrace.workflows.approval_rules import sent_by
from headrace.workflows.reversals import ListTransferInitiations
from headrace.workflows.undo import Case, External, Undo, reverted_key, reverted_stages, undo_of


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
        raise has_successor(instance_id, successor)
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


def payouts_in(undo: Undo) -> dict[str, Json]:
    """The payouts that the stages of an undo deal with, by reference: who was asked to pay how much to whom."""
    members = ("provider", "type", "amount", "asset", "destination")
    named = {reverted_key(stage) for stage in undo.stages if "initiation" in stage["revert"]}
    return {each.key: {name: each.input[name] for name in members} for each in undo.effects if each.key in named}


def undone_sums(instance: Instance, stages: Sequence[Json]) -> dict[tuple[str | None, str], int]:
    """The sums that an undo moves back, by name of the workflow and asset: of the sends of which it reverts an effect.

    `instance`: one of the case; `stages`: those of the undo.
    """
    definition: Json = msgspec.json.decode(instance.config)
    variables: dict[str, str] = msgspec.json.decode(instance.variables)
    sums = sent_by(definition["stages"], variables, reverted_stages(stages))
    return {(definition.get("name"), asset): amount for asset, amount in sums.items()}


def require_approvals(ports: Ports, instance: Instance, stages: Sequence[Json], approvals: int) -> None:
    """Require as many approvals of an undo as the operator's rules ask for. Raises NotInThisState."""
    rule = ports.runners.policy.approval_rules.asking_for(undone_sums(instance, stages))
    if rule is not None and approvals < rule.approvals:
        why = f"rule {rule.id} asks for a plan of it that {rule.approvals} persons have approved (planID)"
        raise _refused("needs_approvals", instance.id, f"{why}; {approvals} have")


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
