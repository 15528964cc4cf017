"""Runs cases and compares what happened with what they expect."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from difflib import SequenceMatcher

from headrace.errors import HeadraceError
from headrace.testing.cases import Case, Expected, Suite
from headrace.testing.results import Result, duration_text, result_of
from headrace.testing.runs import Plan
from headrace.testing.virtual import VirtualClock
from headrace.triggers.expressions import Evaluator, no_links
from headrace.triggers.firing import Firing


@dataclass(frozen=True, slots=True)
class Difference:
    """A member of `expect`, or a check that every case has, that does not hold.

    `lines` begin with `- ` for what was expected, `+ ` for what happened, and two blanks for both.
    """

    about: str
    lines: list[str]


@dataclass(frozen=True, slots=True)
class Verdict:
    """A case that has run. It passed if there are no differences. `result` is None where nothing was started."""

    case: Case
    result: Result | None
    differences: list[Difference]


class NotStarted(HeadraceError):
    """The trigger of a case does not start the workflow with its event."""


def run_case(suite: Suite, case: Case) -> Verdict:
    """Run one case in a world of its own."""
    try:
        plan = plan_of(case)
    except NotStarted as error:
        return Verdict(case, None, [Difference("trigger", [f"+ {error}"])])
    with suite.world.run(plan) as run:
        run.go_on()
        result = result_of(run)
        return Verdict(case, result, list(_differences(case, result, run.faults_met)))


def plan_of(case: Case) -> Plan:
    """The run of a case. Raises NotStarted."""
    if case.variables is not None:
        return Plan(case.variables, case.events, case.faults, approvals=case.approvals)
    return Plan(_triggered(case), case.events, case.faults, by_trigger=True, approvals=case.approvals)


def _triggered(case: Case) -> dict[str, str]:
    """The variables that the trigger makes of the event; it is evaluated as a server does, with a loop of its own."""
    trigger, event = case.trigger, case.event
    assert trigger is not None and event is not None, "a case without variables has a trigger"

    async def variables() -> dict[str, str]:
        evaluator = Evaluator(VirtualClock(), no_links)
        try:
            firing = Firing(evaluator, trigger, event)
            if not await firing.matches():
                raise NotStarted("the filter of the trigger does not match the event")
            return await firing.variables()
        finally:
            evaluator.close()

    with ThreadPoolExecutor(1) as thread:  # the caller may be in a loop itself
        try:
            return thread.submit(lambda: asyncio.run(variables())).result()
        except NotStarted:
            raise
        except HeadraceError as error:
            raise NotStarted(str(error)) from None


def unmet_by(case: Case, result: Result) -> list[str]:
    """Expectations that the run of a case without its faults does not meet; the time that faults take is left out."""
    expected = replace(case.expected, ended_us=None) if case.faults else case.expected
    differences = _differences(replace(case, faults=(), expected=expected), result, 0)
    return [f"{difference.about}: {line}" for difference in differences for line in difference.lines]


def _differences(case: Case, result: Result, faults_met: int) -> Iterator[Difference]:
    expected = case.expected
    outcome = expected.outcome or ("failed" if expected.error is not None else None)
    if outcome is not None and outcome != result.outcome:
        yield Difference("outcome", [f"- {outcome}", f"+ {result.outcome}", *_why(result)])
    if expected.error is not None and expected.error not in (result.error or ""):
        yield Difference("error", [f"- .. {expected.error} ..", f"+ {result.error or 'none'}"])
    if expected.effects is not None and expected.effects != result.effects:
        yield Difference("effects", _diff(expected.effects, result.effects))
    if expected.effects_include is not None:
        lacking = _without(expected.effects_include, result.effects)
        if lacking:
            yield Difference("effects_include", [f"- {line}" for line in lacking] + [f"  {e}" for e in result.effects])
    if expected.skipped is not None and expected.skipped != result.skipped:
        wanted, found = [[f"stage {number}" for number in each] for each in (expected.skipped, result.skipped)]
        yield Difference("skipped", _diff(wanted, found))
    if lines := _other_balances(expected, result):
        yield Difference("balances", lines)
    if expected.ended_us is not None and expected.ended_us != result.ended_us:
        ended = "it has not ended" if result.ended_us is None else duration_text(result.ended_us)
        yield Difference("ended_at", [f"- {duration_text(expected.ended_us)}", f"+ {ended}"])
    if faults_met < len(case.faults):
        met = f"{faults_met} of {len(case.faults)}"
        yield Difference("faults", [f"+ {met} have hit an attempt: there is no such effect, or no such attempt of it"])
    if result.unmet:
        yield Difference("approvals", [f"+ {line}" for line in result.unmet])
    if result.problems:
        yield Difference("books", [f"+ {problem}" for problem in result.problems])


def _other_balances(expected: Expected, result: Result) -> list[str]:
    lines: list[str] = []
    for (ledger, account, asset), amount in (expected.balances or {}).items():
        held = result.balance(ledger, account, asset)
        if held != amount:
            lines += [f"- {ledger} {account} {amount} {asset}", f"+ {ledger} {account} {held} {asset}"]
    return lines


def _why(result: Result) -> list[str]:
    return [f"  {result.error}"] if result.error else []


def _without(wanted: list[str], found: list[str]) -> list[str]:
    """Lines that are wanted and not found; one that is wanted twice must be found twice."""
    left = list(found)
    return [line for line in wanted if line not in left or left.remove(line)]


def _diff(expected: list[str], found: list[str]) -> list[str]:
    lines: list[str] = []
    for kind, first, last, start, end in SequenceMatcher(None, expected, found, autojunk=False).get_opcodes():
        if kind == "equal":
            lines += [f"  {line}" for line in expected[first:last]]
        else:
            lines += [f"- {line}" for line in expected[first:last]] + [f"+ {line}" for line in found[start:end]]
    return lines
