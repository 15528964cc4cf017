"""Decisions: what the condition of a stage says as the stage opens, from what the stages before have recorded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from headrace.workflows.conditions import WHEN, Condition, condition_of
from headrace.workflows.variables import members_of


class Passed(NamedTuple):
    """A stage before, as conditions see it. `reads`: results by the names of its reads (see `add_read`)."""

    outcome: str
    reads: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of a condition. `skips` None: it has none, or `error` says why there is no decision.

    `steps`: what the decision has cost, STEPS_OF_STAGE included; 0 where no condition was evaluated.
    """

    skips: bool | None = None
    error: str | None = None
    steps: int = field(default=0, compare=False)


RUNS = Verdict()
"""The verdict about a stage without a condition."""


STEPS_OF_STAGE = 100
"""Steps that a decision counts besides those of its evaluation."""


def decide(stage: Mapping[str, Any], variables: Mapping[str, str], before: Sequence[Passed]) -> Verdict:
    """Evaluate the condition of a stage that opens. `before`: all stages before it, in order."""
    source = stage.get(WHEN)
    if source is None:
        return RUNS
    from headrace.expr import ExpressionError
    from headrace.expr.errors import Failure
    from headrace.expr.exact import exact_meter
    from headrace.expr.values import kind_name

    condition = condition_of(source)
    if condition.program is None:
        return Verdict(None, f"{WHEN}: {condition.problems[0]}")
    meter = exact_meter(condition.program.limits)
    stages = _seen(condition, before)
    result: object = None
    error: str | None = None
    try:
        given = members_of(condition.needed | condition.others, variables, meter.decode)
        result = condition.program.measured({"vars": given, "stages": stages}, meter)
    except ExpressionError as failed:
        error = f"{WHEN}: {failed.summary}"
    except Failure as failed:  # of a member of a variable, which has no place in the source
        error = f"{WHEN}: {failed}"
    else:
        if type(result) is not bool:
            error = f"{WHEN}: gives {kind_name(result, rounds=False)}, not true or false"
    steps = STEPS_OF_STAGE + condition.program.limits.steps - max(meter.steps_left, 0)
    return Verdict(not result if error is None else None, error, steps)


def _seen(condition: Condition, before: Sequence[Passed]) -> list[dict[str, Any] | None]:
    """The stages before as a condition sees them. Only those that it names are made: there may be a thousand."""
    places = range(len(before))
    named = places if condition.problems else {each.number % len(before) for each in condition.references if before}
    seen: list[dict[str, Any] | None] = [None] * len(before)
    for place in named:
        seen[place] = {"outcome": before[place].outcome, "reads": dict(before[place].reads)}
    return seen


def add_read(reads: dict[str, Any], name: str, result: Any) -> None:
    """Add the result of a read. A second one of the same name is NAME2, a third one NAME3."""
    reads[numbered(reads, name)] = result


def numbered(taken: Iterable[str], name: str) -> str:
    """The name of a further read: `name`, or with the first number from 2 on that is not taken."""
    taken, number, found = set(taken), 1, name
    while found in taken:
        number += 1
        found = f"{name}{number}"
    return found
