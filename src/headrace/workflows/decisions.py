"""Decisions: what the condition of a stage says as the stage opens, from what the stages before have recorded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from headrace.workflows.conditions import WHEN, condition_of
from headrace.workflows.variables import members_of


class Passed(NamedTuple):
    """A stage before, as conditions see it. `reads`: results by the names of its reads (see `add_read`)."""

    outcome: str
    reads: Mapping[str, Any]


class Verdict(NamedTuple):
    """The result of a condition. `skips` None: it has none, or `error` says why there is no decision."""

    skips: bool | None = None
    error: str | None = None


RUNS = Verdict()
"""The verdict about a stage without a condition."""


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
    stages = [{"outcome": each.outcome, "reads": dict(each.reads)} for each in before]
    try:
        given = members_of(condition.needed | condition.others, variables, meter.decode)
        result = condition.program.measured({"vars": given, "stages": stages}, meter)
    except ExpressionError as error:
        return Verdict(None, f"{WHEN}: {error.summary}")
    except Failure as failure:  # of a member of a variable, which has no place in the source
        return Verdict(None, f"{WHEN}: {failure}")
    if type(result) is not bool:
        return Verdict(None, f"{WHEN}: gives {kind_name(result, rounds=False)}, not true or false")
    return Verdict(not result)


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
