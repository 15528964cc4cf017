"""The writes of what comes after an ended instance."""

from __future__ import annotations

from headrace.journal.write import Write


class AddContinuation(Write, frozen=True, kw_only=True):
    """A new instance that continues an ended one, with its workflow, variables and origin, also of a deleted workflow.

    Changes nothing where `predecessor` does not exist. `plan_id`: the plan that it may not leave; None: that of the
    predecessor, if any.
    """

    instance_id: str
    predecessor: str
    created_at: int
    root_id: str
    from_stage: int
    plan_id: str | None = None


class AddSuccessor(Write, frozen=True, kw_only=True):
    """Store what comes after an instance. Changes nothing where it has not ended, an activity of it is open, or it has
    a successor.

    `kind`: redrive or undo. `kept`: JSON list of the effects that an undo leaves as they are.
    """

    predecessor: str
    kind: str
    successor: str
    reason: str
    principal: str
    at: int
    kept: str | None = None


class CarryEvents(Write, frozen=True, kw_only=True):
    """Move the events that an instance has not used to the mailbox of another one."""

    predecessor: str
    instance_id: str


SUCCESSOR_WRITES: tuple[type[Write], ...] = (AddContinuation, AddSuccessor, CarryEvents)
