"""Which ended instances may be continued, and what a continuation of one would begin with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

from headrace.errors import NotFound, NotInThisState
from headrace.journal.port import Entry, Journal
from headrace.journal.records import Instance, Standing, Successor
from headrace.planning.planner import Beginning, Subject
from headrace.runner.gate import Gate, read_gate
from headrace.runner.inheritance import earlier_effects, left_by
from headrace.runner.recovery import before_of
from headrace.runner.runners import definition_in
from headrace.usecases.ports import Ports
from headrace.workflows.activity import check_complete
from headrace.workflows.failures import FAILURE_KINDS

REDRIVABLE = frozenset({"refused", "invalid", "timeout", "expired", "unbooked"})


Ahead = Callable[[str, int], Sequence[Entry]]
"""Makes the writes that come before those of a new instance, from its id and the moment of its start."""


class Why(NamedTuple):
    """A word for programs, and a sentence."""

    code: str
    text: str


BARRED = {
    "plan": Why("needs_plan", "it would have left what was signed or booked: a plan of its redrive decides (planID)"),
    "rejected": Why("rejected", "an approver has rejected it"),
    "conflict": Why("not_clean", "something else stands in the books under the reference of one of its effects"),
    "unclassified": Why("not_clean", "an earlier release ended it, and its rows do not say why"),
    "canceled": Why("aborted", "it was aborted, which is final"),
}
"""By kind of failure, why an instance may not be redriven."""
check_complete(BARRED | dict.fromkeys(REDRIVABLE), FAILURE_KINDS, "rule about a redrive", "to REDRIVABLE or to BARRED")


async def redrivable(ports: Ports, instance_id: str, *, is_planned: bool) -> Standing:
    """The instance as it ended, if it may be redriven. Raises NotFound, NotInThisState.

    `is_planned`: as a plan of the redrive says, which the continuation of one that had left its plan needs.
    """
    standing = await ports.journal.standing(instance_id)
    if standing is None:
        raise NotFound("instance", instance_id)
    if (successor := await ports.journal.successor(instance_id)) is not None:
        raise has_successor(instance_id, successor)
    why = why_not(standing, is_planned=is_planned, is_undo=await belongs_to_undo(ports.journal, standing.instance))
    if why is not None:
        raise NotInThisState(why.code, f"instance {instance_id} cannot be redriven: {why.text}")
    return standing


def why_not(standing: Standing, *, is_planned: bool, is_undo: bool) -> Why | None:
    """Why an instance may not be redriven in its state; None where it may. An undo that was aborted may."""
    instance = standing.instance
    if not instance.is_terminal:
        return Why("running", "it has not ended")
    if not standing.is_over:
        return Why("open", "the outcome of one of its effects is not known yet")
    if instance.failure is None:
        return Why("not_failed", "it succeeded")
    if instance.failure in REDRIVABLE or (is_undo and instance.failure == "canceled"):
        return None
    if is_planned and instance.failure == "plan":
        return None
    return BARRED[instance.failure]


def require_skippable(standing: Standing, *, is_undo: bool) -> None:
    """Require an undo that has failed so that its effect may be left out. Raises NotInThisState."""
    instance = standing.instance
    if not is_undo:
        why = Why("not_undo", "it is no undo, and only what an undo would revert can be left out")
    elif instance.failure not in REDRIVABLE:
        why = Why("not_skippable", "no service has declined the effect: redrive it without skip")
    else:
        return
    raise NotInThisState(why.code, f"nothing of instance {instance.id} can be left out: {why.text}")


def nothing_ahead(_: str, _at: int) -> Sequence[Entry]:
    """The writes before those of a new instance: none, where the unit decides nothing else."""
    return ()


def has_successor(instance_id: str, successor: Successor | None = None) -> NotInThisState:
    """The refusal of a second successor. `successor`: the first, where it was read."""
    if successor is None:
        text = "is continued or was undone already"
    elif successor.kind == "undo":
        text = f"was undone already by {successor.successor}"
    else:
        text = f"is continued already by {successor.successor}"
    return NotInThisState("has_successor", f"instance {instance_id} {text}")


def continuing(standing: Standing) -> Subject:
    """The subject of a plan of what a redrive would do."""
    instance = standing.instance
    rows = left_by(standing)
    beginning = Beginning(
        instance_id=instance.id,
        root_id=instance.root_id or instance.id,
        stage=instance.stages[-1].number,
        position=sum(row.error is None for row in standing.activities),
        earlier=earlier_effects(rows),
        before=before_of(standing, definition_in(instance.config)),
        decided=instance.stages[-1].skipped,
    )
    origin = "trigger" if instance.started_by_trigger else "caller"
    return Subject(msgspec.json.decode(instance.config), msgspec.json.decode(instance.variables), origin, beginning)


async def rest_of(journal: Journal, instance_id: str) -> Subject:
    """The subject of a plan of what an instance that waits for approvals would do from there on.

    Raises NotFound, NotInThisState.
    """
    standing = await journal.standing(instance_id)
    if standing is None:
        raise NotFound("instance", instance_id)
    instance = standing.instance
    if instance.is_terminal:
        raise NotInThisState("ended", f"instance {instance_id} has ended")
    if open_gate(instance) is None:
        raise NotInThisState("not_waiting", f"instance {instance_id} does not wait for approvals")
    beginning = Beginning(
        instance_id=instance.id,
        root_id=instance.root_id or instance.id,
        stage=instance.stages[-1].number,
        position=0,
        earlier=earlier_effects(standing.inherited),
        is_at_gate=True,
        before=before_of(standing, definition_in(instance.config)),
        decided=instance.stages[-1].skipped,
    )
    origin = "trigger" if instance.started_by_trigger else "caller"
    return Subject(msgspec.json.decode(instance.config), msgspec.json.decode(instance.variables), origin, beginning)


def open_gate(instance: Instance) -> Gate | None:
    """The approvals that an instance waits for; None: it waits for none."""
    stage = instance.stages[-1]
    if (
        instance.is_terminal
        or stage.gate is None
        or stage.gate_passed_at is not None
        or stage.terminated_at is not None
    ):
        return None
    return read_gate(stage.gate)


async def belongs_to_undo(journal: Journal, instance: Instance) -> bool:
    """Whether the instance undoes a case, or continues one that does."""
    root = instance if instance.root_id is None else await journal.instance(instance.root_id)
    return root is not None and root.kind == "undo"
