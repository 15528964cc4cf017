"""A case as the journal records it, the input of a certificate. Nothing in it has been checked yet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from headrace.effects.port import Request
from headrace.errors import NotCertifiable
from headrace.workflows.activities import Json
from headrace.workflows.durations import moment_text

Kind = Literal["run", "continuation", "undo"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """A person's decision about an effect. `evidence` is its JSON, as `effects.evidence.parse_evidence` takes it."""

    is_booked: bool
    evidence: Json
    principal: str
    reason: str
    at: int


@dataclass(frozen=True, slots=True)
class PersonDecision:
    """A person's decision about a plan. `hash`: the plan's, as the person gave it."""

    principal: str
    is_approval: bool
    hash: str
    reason: str
    at: int


@dataclass(frozen=True, slots=True)
class RecordedRequester:
    """A principal that asked for an instance: by its start, trigger, batch or plan. `at`: when it first did."""

    principal: str
    at: int


@dataclass(frozen=True, slots=True)
class DecidedPlan:
    """A plan about which persons decided, the oldest decision first. `stage`: where the rest begins of which it is.

    `stage` None: it is of the whole run, and was approved before it. `asked_by`: the principal that asked for a plan by
    which the instance was started, after every decision about it. None: the instance was started otherwise.
    """

    id: str
    hash: str
    stage: int | None
    is_used: bool
    decisions: tuple[PersonDecision, ...]
    asked_by: str | None = None


@dataclass(frozen=True, slots=True)
class RecordedGate:
    """The approvals that a stage waited for: how many, by which rule if by any, until when, and when it had them."""

    needed: int
    rule: str | None
    deadline_at: int | None
    passed_at: int | None


@dataclass(frozen=True, slots=True)
class RecordedActivity:
    """An activity of a stage. `position` counts from 0; `key` is "" for a read; `error` None: it is done.

    `instance_id`: the instance that ran it, which may be one before that of the stage; "": that of the stage.
    """

    position: int
    name: str
    input: Any
    key: str
    request: Request
    output: Any = None
    error: str | None = None
    is_open: bool = False
    verdict: Verdict | None = None
    instance_id: str = ""
    ended_at: int | None = None


@dataclass(frozen=True, slots=True)
class RecordedStage:
    """A stage that was started, at `started_at` in microseconds since the epoch. `error` None: it succeeded."""

    number: int
    keyword: str
    input: Any
    started_at: int
    error: str | None
    is_open: bool
    activities: tuple[RecordedActivity, ...]
    gate: RecordedGate | None = None
    is_skipped: bool = False
    """A person has left it out: it has no activities."""
    decided: bool | None = None
    """Whether its condition has left it out; None: it has none, or that one could not be evaluated."""
    has_timed_out: bool = False
    """True where the stage went on without the event that it waited for."""


@dataclass(frozen=True, slots=True)
class RecordedInstance:
    """An instance. `error` None: it succeeded, or it has not ended (`is_open`). `plan_id`: of its plan.

    `is_off_plan`: it ended where it would have left what was signed or booked. `plans`: those about which persons
    decided, of the whole run and of the rest of it.
    """

    id: str
    kind: Kind
    workflow_id: str
    definition: Json
    variables: dict[str, str]
    error: str | None
    is_open: bool
    by_trigger: bool
    started_by: str
    started_at: int
    ended_at: int | None
    stages: tuple[RecordedStage, ...]
    plan_id: str | None = None
    is_off_plan: bool = False
    plans: tuple[DecidedPlan, ...] = ()
    requesters: tuple[RecordedRequester, ...] = ()
    """The principals that the audit trail shows. Empty: any person may have asked."""
    reason: str = ""
    """Why it continues or undoes the case, as the person said. Empty for a run."""

    @property
    def decisions(self) -> list[Json]:
        """The decisions of persons about effects of this instance, by place."""
        return [
            {
                "stage": stage.number,
                "position": row.position,
                "verdict": "booked" if row.verdict.is_booked else "not_booked",
                "evidence": row.verdict.evidence,
                "principal": row.verdict.principal,
                "reason": row.verdict.reason,
            }
            for stage in self.stages
            for row in stage.activities
            if row.verdict is not None
        ]

    @property
    def approvals(self) -> list[Json]:
        """The decisions of persons about plans of this instance, plan by plan."""
        return [
            {
                "plan": plan.id,
                "hash": plan.hash,
                **({} if plan.stage is None else {"stage": plan.stage}),
                "isUsed": plan.is_used,
                "decisions": [
                    {
                        "principal": each.principal,
                        "verdict": "approve" if each.is_approval else "reject",
                        "reason": each.reason,
                        "at": moment_text(each.at),
                    }
                    for each in plan.decisions
                ],
            }
            for plan in self.plans
        ]


@dataclass(frozen=True, slots=True)
class KeptEffect:
    """An effect that the undo of a case leaves as it is, and why."""

    key: str
    reason: str


@dataclass(frozen=True, slots=True)
class Case:
    """A root, its continuations, and its undo with those of that, in the order in which they ran.

    Effects carry keys of the root, those of the undo keys of the first instance of the undo. The last one of either has
    its whole history: what it took over, and what it did. `kept`: by the undo.
    """

    instances: tuple[RecordedInstance, ...]
    kept: tuple[KeptEffect, ...] = ()

    @property
    def root(self) -> RecordedInstance:
        return self.instances[0]

    @property
    def last(self) -> RecordedInstance:
        """The last instance before the undo."""
        return self.instances[len(self.instances) - len(self.undo) - 1]

    @property
    def undo(self) -> tuple[RecordedInstance, ...]:
        """The instances of the undo; empty where the case was not undone."""
        numbers = [number for number, each in enumerate(self.instances) if each.kind == "undo"]
        return self.instances[numbers[0] :] if numbers else ()


def refuse_open(case: Case) -> None:
    """Check that nothing of the case is under way. Raises NotCertifiable."""
    for instance in case.instances:
        if instance.is_open:
            raise NotCertifiable("open", f"instance {instance.id} has not ended")
        for stage in instance.stages:
            if stage.is_open or any(row.is_open for row in stage.activities):
                raise NotCertifiable("open", f"instance {instance.id}: stage {stage.number} has an effect in progress")


def requests_before(instances: Sequence[RecordedInstance], instance_id: str, key: str) -> list[Request]:
    """The requests that the instances of a case before this one stored for an effect; a read has no key, and none."""
    found: list[Request] = []
    for instance in instances:
        if instance.id == instance_id:
            return found
        activities = [each for stage in instance.stages for each in stage.activities]
        found += [each.request for each in activities if key and each.key == key]
    return []
