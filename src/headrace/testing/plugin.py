"""The plug-in of pytest: the fixture `money`.

    pytest_plugins = ["headrace.testing"]     # in conftest.py

    def test_pays_when_confirmed(money):
        money.given(ledgers={"main": {"users:jane": {"balance": {"USD/2": 5000}}}})
        run = money.run("payout.yaml", amount="4000")
        money.clock.advance("2h")
        run.send_event("confirmed")
        assert run.effects == ["main users:jane -> merchants:7 4000 USD/2"]

All runs of a test share one clock and the same services. At its end books and history are compared, as `headrace test`
does; where they contradict each other the test fails.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

import pytest

from headrace.sandbox.given import read_given
from headrace.testing.books import problems_of
from headrace.testing.cases import add_workflow
from headrace.testing.persons import REASON
from headrace.testing.results import Outcome, Result, result_of, rows_of
from headrace.testing.runs import Plan, Run, Surroundings
from headrace.usecases.approvals import Verdict
from headrace.workflows.durations import duration_us
from headrace.workflows.variables import check_variables


class MoneyRun:
    """A run that a test has started. Its members tell what it has come to by now."""

    def __init__(self, run: Run) -> None:
        self._run = run

    @property
    def outcome(self) -> Outcome:
        """`succeeded`, `failed`, `waiting` or `needs_attention`."""
        return self._result.outcome

    @property
    def error(self) -> str | None:
        """The error that it has ended with, or why it needs attention; None without one."""
        return self._result.error

    @property
    def effects(self) -> list[str]:
        """The effects that were carried out, a line each, in order: `main users:jane -> world 4000 USD/2`."""
        return self._result.effects

    @property
    def balances(self) -> dict[str, dict[str, dict[str, int]]]:
        """All balances by ledger, account and asset: `run.balances["main"]["users:jane"]["USD/2"]`."""
        return self._result.balances

    def send_event(self, name: str) -> None:
        """Send it an event, and let it go on until it waits again. One that has ended takes no events."""
        self._run.send_event(name)
        self._run.go_on(self._run.clock.now_at())

    def approve(self, by: str, reason: str = REASON) -> None:
        """Let a person approve what the run would do from where it waits for approvals, and let it go on.

        The persons of one wait approve one plan. Raises NotInThisState where it does not wait, and NotPermitted for
        `requester`, the person who starts every run.
        """
        self._decide(by, "approve", reason)

    def reject(self, by: str, reason: str = REASON) -> None:
        """Let a person reject what the run would do from where it waits: it ends. Raises NotInThisState."""
        self._decide(by, "reject", reason)

    def _decide(self, by: str, verdict: Verdict, reason: str) -> None:
        self._run.persons.decide(by, verdict, reason)
        self._run.go_on(self._run.clock.now_at())

    @property
    def _result(self) -> Result:
        return result_of(self._run, checks=False)


class MoneyClock:
    """The clock of a test. It begins at 2024-05-01T10:00:00Z; the test moves it, and so do pauses between attempts."""

    def __init__(self, money: Money) -> None:
        self._money = money

    def advance(self, duration: str) -> None:
        """Let a time such as `90s`, `2h` or `7d` pass; delays that end meanwhile end at their moments."""
        self._money.advance(duration_us(duration, "duration"))


class Money:
    """The fixture: services in memory, a clock, and the runs of one test. `folder`: that of the workflows."""

    def __init__(self, folder: Path) -> None:
        self.clock = MoneyClock(self)
        self._folder = folder
        self._around = Surroundings.new()
        self._runs: list[Run] = []

    def given(self, contents: Mapping[str, Any] | None = None, **members: Any) -> None:
        """Fill the services, with the members of `given` of a file of cases: `ledgers`, `wallets`, `payments`.

        Raises InvalidValue, which names the place of a mistake.
        """
        self._around.sandbox.fill(read_given({**(contents or {}), **members}))

    def run(self, file: str | Path, /, **variables: str) -> MoneyRun:
        """Start the workflow of a file beside the test, and let it go on until it waits or has ended.

        Raises InvalidValue for an invalid definition or variables, and OSError.
        """
        workflow = add_workflow(self._folder / file, f"workflow-{len(self._runs)}", self._around.journal)
        run = Run(workflow, Plan(check_variables(variables)), self._around)
        run.start()
        self._runs.append(run)
        run.go_on(self._around.clock.now_at())
        return MoneyRun(run)

    def advance(self, length_us: int) -> None:
        """Let time pass for all runs, from each moment at which something happens to the next."""
        clock = self._around.clock
        until_at = clock.now_at() + length_us
        while (moment_at := min((at for run in self._runs if (at := run.next_moment())), default=None)) is not None:
            if moment_at > until_at:
                break
            clock.advance_to(moment_at)
            for run in self._runs:
                run.go_on(clock.now_at())
        clock.advance_to(until_at)

    def problems(self) -> list[str]:
        """Contradictions of books and history, and runs that can neither go on nor end."""
        rows = [row for run in self._runs for row in rows_of(run)]
        of_runs = [problem for run in self._runs for problem in result_of(run, checks=False).problems]
        return [*of_runs, *problems_of(self._around.sandbox.contents(), rows)]

    def close(self) -> None:
        self._around.close()


@pytest.fixture
def money(request: pytest.FixtureRequest) -> Generator[Money]:
    """Run workflows against services in memory, in virtual time."""
    opened = Money(request.path.parent)
    yield opened
    problems = opened.problems()
    opened.close()
    if problems:
        pytest.fail("books and history contradict each other:\n" + "\n".join(problems), pytrace=False)
