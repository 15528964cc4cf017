"""Results of a run: how it ended, its effects in one line each, and what the journal and the services hold."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from headrace.journal.records import ActivityRow, Decision, Plan, Stage
from headrace.sandbox.memory import Contents
from headrace.testing import oversight
from headrace.testing.books import problems_of
from headrace.testing.persons import REQUESTER, Approval, Persons
from headrace.testing.runs import Run
from headrace.testing.virtual import finished
from headrace.workflows.activities import ACTIVITIES
from headrace.workflows.conditions import WHEN
from headrace.workflows.interpreter import CANCELED

Outcome = Literal["succeeded", "failed", "aborted", "waiting", "needs_attention", "lost"]
"""`lost`: it can neither go on nor end, which is a defect of Headrace."""
EXPECTED: tuple[Outcome, ...] = ("succeeded", "failed", "waiting", "needs_attention")
"""Outcomes that a case can expect."""


@dataclass(frozen=True, slots=True)
class StageResult:
    """A stage that has started, with its activities in order."""

    stage: Stage
    activities: list[ActivityRow]


@dataclass(frozen=True, slots=True)
class Result:
    """`effects`: those that were carried out, in order, also by an undo that it began as it failed. `ended_us`:
    microseconds from the start to the end.

    `problems`: contradictions of books and history, money from nowhere, attempts that a service may take for new, and
    what went on without its approvals or condition. `unmet`: decisions of persons that were refused, or that nothing
    has asked for.
    """

    instance_id: str
    outcome: Outcome
    error: str | None
    effects: list[str]
    ended_us: int | None
    stages: list[StageResult]
    contents: Contents
    problems: list[str]
    unmet: list[str] = field(default_factory=list[str])

    def balance(self, ledger: str, account: str, asset: str) -> int:
        return self.contents.balances.get((ledger, account, asset), 0)

    @property
    def skipped(self) -> list[int]:
        """The numbers of the stages whose condition was false."""
        return [each.stage.number for each in self.stages if each.stage.skipped]

    @property
    def balances(self) -> dict[str, dict[str, dict[str, int]]]:
        """By ledger, account and asset."""
        tree: dict[str, dict[str, dict[str, int]]] = {}
        for (ledger, account, asset), balance in self.contents.balances.items():
            tree.setdefault(ledger, {}).setdefault(account, {})[asset] = balance
        return tree


def rows_of(run: Run) -> list[ActivityRow]:
    """All activities of a run, in order, and then those of the undo that it has begun as it failed."""
    instances = [finished(run.journal.instance(each)) for each in (run.instance_id, run.undo_id) if each]
    return [
        row
        for instance in instances
        if instance is not None
        for stage in instance.stages
        for row in finished(run.journal.activities(instance.id, stage.number))
    ]


def result_of(run: Run, *, checks: bool = True) -> Result:
    """Read what a run has come to. `checks`: compare books and history, where it is the only run in its world."""
    standing = run.standing()
    contents = run.sandbox.contents()
    if standing is None:
        return Result("", "lost", run.lost, [], None, [], contents, [run.lost or "it is not stored"])
    instance = standing.instance
    stages = [
        StageResult(stage, finished(run.journal.activities(instance.id, stage.number))) for stage in instance.stages
    ]
    rows = rows_of(run)
    problems = [*([run.lost] if run.lost else []), *run.violations, *(problems_of(contents, rows) if checks else ())]
    definition = msgspec.json.decode(instance.config)
    conditional = {number for number, stage in enumerate(definition["stages"]) if WHEN in stage}
    problems += oversight.problems_of(
        [(each.stage, each.activities) for each in stages], list(_decided(run)), REQUESTER, conditional
    )
    is_undecided = any(row.needs_attention and row.terminated_at is None for row in rows)
    outcome: Outcome = "waiting"
    if run.lost:
        outcome = "lost"
    elif is_undecided:
        outcome = "needs_attention"
    elif instance.is_terminal:
        outcome = "aborted" if instance.error == CANCELED else "failed" if instance.error else "succeeded"
    error = instance.error
    if is_undecided:
        error = next(row.last_failure for row in rows if row.needs_attention and row.terminated_at is None)
    ended_us = None if instance.terminated_at is None else instance.terminated_at - run.started_at
    effects = list(effect_lines(rows))
    unmet = list(_unmet(run.persons))
    return Result(instance.id, outcome, error, effects, ended_us, stages, contents, problems, unmet)


def _decided(run: Run) -> Iterator[tuple[Plan, list[Decision]]]:
    """Every plan of the rest of the run, with what persons decided about it."""
    for plan in finished(run.journal.plans_of(run.instance_id)):
        yield plan, finished(run.journal.decisions(plan.id))


def _unmet(persons: Persons) -> Iterator[str]:
    for approval, why in persons.refused:
        yield f"{_shown(approval)}: {why}"
    for approval in persons.left:
        yield f"{_shown(approval)}: never, the run did not wait for it"


def _shown(approval: Approval) -> str:
    return f"{approval.verdict} by {approval.by} at {duration_text(approval.at_us)}"


def duration_text(length_us: int) -> str:
    """A length of time as a definition writes it, such as `1h30m` or `1.5s`."""
    seconds, fraction = divmod(length_us, 1_000_000)
    parts: list[str] = []
    for unit, length in (("d", 86_400), ("h", 3_600), ("m", 60)):
        count, seconds = divmod(seconds, length)
        parts += [f"{count}{unit}"] if count else []
    if seconds or fraction or not parts:
        parts.append(f"{seconds}.{fraction:06d}".rstrip("0").rstrip(".") + "s")
    return "".join(parts)


def effect_lines(rows: list[ActivityRow]) -> Iterator[str]:
    """One line for each effect that was carried out, and for each posting of a transaction."""
    for row in rows:
        if ACTIVITIES[row.name].is_effect and row.terminated_at is not None and row.error is None:
            yield from ACTIVITIES[row.name].movements(msgspec.json.decode(row.input))
