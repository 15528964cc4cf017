"""Interactions of a run with its journal and its services, and what is done to it at one of them.

They are counted from 0 over all processes of a run. As everything else is determined by the seed, a number means the
same interaction in every run that was the same up to there.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from headrace.journal import writes
from headrace.journal.approval_writes import AddDecision, OpenGate
from headrace.journal.plan_writes import AddPlan
from headrace.journal.port import Required, Unit
from headrace.sandbox.faults import Fault
from headrace.workflows.activities import Service

MAX_INTERACTIONS = 5_000
"""In one run. The longest workflow has some hundreds; one that reaches this does not end."""


class Kind(Enum):
    COMMIT = "commit"
    READ = "read"
    ATTEMPT = "attempt"
    LOOK_UP = "look-up"


@dataclass(frozen=True, slots=True)
class Interaction:
    """One of them, and a description of it.

    `delay_us`: the length of the delay that a commit begins, 0 for none. `opens_wait`: a commit after which the run
    waits for an event; `opens_gate`: one after which it waits for approvals, for `delay_us` or without a limit;
    `stores_event`: one that puts an event into the mailbox. `has_key`: an attempt that carries an idempotency key.
    """

    kind: Kind
    about: str
    service: Service | None = None
    has_key: bool = False
    delay_us: int = 0
    opens_wait: bool = False
    opens_gate: bool = False
    stores_event: bool = False

    def __str__(self) -> str:
        return f"{self.kind.value} {self.about}"


class Act(Enum):
    """Done at an interaction. A request that is under way may be carried out before an abort, or after it."""

    KILL_BEFORE = "kill before"
    KILL_AFTER = "kill after"
    ABORT_BEFORE = "abort before"
    ABORT_AFTER = "abort after"


@dataclass(frozen=True, slots=True)
class Step:
    """Something that is done at the interaction with this number: an act, a fault, or an event that is sent after it.

    `down_us`: for how long there is no process after a kill.
    """

    number: int
    act: Act | None = None
    fault: Fault | None = None
    event: str | None = None
    down_us: int = 0


class Killed(BaseException):
    """The process ends here. Nothing below catches it, as nothing survives `kill -9`.

    `is_carried_out`: the interaction at which it ends has happened. `down_us`: until the next process.
    """

    def __init__(self, *, is_carried_out: bool, down_us: int = 0) -> None:
        self.is_carried_out = is_carried_out
        self.down_us = down_us


class Endless(Exception):
    """The run has more interactions than any run has."""


_PHRASES: dict[type[writes.Write], str] = {
    writes.AddInstance: "start",
    writes.EndInstance: "end",
    writes.OpenActivity: "store an effect",
    writes.CloseActivity: "record an outcome",
    writes.AddClosedActivity: "record a read",
    writes.FailAttempt: "record a failed attempt",
    writes.BeginAttempt: "count an attempt",
    writes.AddEvent: "store an event",
    writes.WaitForEvent: "wait for an event",
    OpenGate: "wait for approvals",
    AddPlan: "store a plan",
    AddDecision: "store a decision",
}


def commit_of(unit: Unit, now_at: int) -> Interaction:
    """Describe a commit by its writes."""
    records = [entry.write if isinstance(entry, Required) else entry for entry in unit]
    kinds = {type(record) for record in records}
    phrases = [phrase for kind, phrase in _PHRASES.items() if kind in kinds]
    ends_at = max((each.next_at or 0 for each in records if isinstance(each, writes.MoveInstance)), default=0)
    return Interaction(
        Kind.COMMIT,
        f"({', '.join(phrases) or 'move on'})",
        delay_us=max(ends_at - now_at, 0),
        opens_wait=writes.WaitForEvent in kinds,
        opens_gate=OpenGate in kinds,
        stores_event=writes.AddEvent in kinds,
    )
