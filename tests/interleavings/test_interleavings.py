"""Lives by chance keep MS-1 to MS-10. `python -m tests.interleavings` lives 20,000 of them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.interleavings.__main__ import RESULTS, lived
from tests.interleavings.bugs import LIVES_BUGS
from tests.interleavings.life import live, quiet
from tests.interleavings.planted import ROOT, TABLE
from tests.interleavings.schedule import ASSET, Schedule, Step

SEEDS_EACH = 40


@pytest.mark.parametrize("first", range(1, 1 + 6 * SEEDS_EACH, SEEDS_EACH))
def test_interleavings_of_persons_batches_kills_and_servers(first: int) -> None:
    figures = lived(SEEDS_EACH, first)
    assert figures["violations"] == 0, "\n".join(
        [f"seed {figures['failed']}", *figures["schedule"], *figures["shortest"], *figures["problems"]]
    )
    assert figures["attempts"] > 0 and figures["commits"] > figures["instances"]


def test_the_full_run_that_is_kept_met_everything_and_found_nothing() -> None:
    kept = [json.loads(line) for line in RESULTS.read_text("utf-8").splitlines()]
    full = [each for each in kept if each["seeds"] >= 20_000]
    assert full and all(each["violations"] == 0 for each in kept)
    met = (
        "aborted",
        "continuations",
        "undos",
        "gates denied",
        "gates passed",
        "plans used",
        "resolved",
        "items started",
    )
    more = ("ingestions", "kills", "stages skipped", "waits ended", "events used")
    assert all(each[name] >= 100 for each in full for name in (*met, *more)), full


@pytest.mark.parametrize("is_shared", [False, True])
def test_a_case_that_left_its_plan_after_it_had_booked_is_certified(is_shared: bool) -> None:
    """The payee changes after an approval: the debit is booked and named, and the payout is never sent."""
    pay = {"account": {"id": "a", "ledger": "main"}}
    payout = {"payment": {"psp": "dummy-pay", "type": "PAYOUT"}}
    send: dict[str, Any] = {"source": pay, "destination": payout, "amount": {"asset": ASSET, "amount": 40}}
    steps = (
        Step(0, "start"),
        Step(500, "plan rest", "cat"),
        Step(1_000, "payee", choice=2),
        Step(1_500, "approve", "dan"),
    )
    schedule = Schedule(0, is_shared, ({"approve": {}}, {"send": send}), None, False, 0, 0.0, False, steps)
    with quiet():
        lived = live(schedule)
    assert lived.problems == []
    assert (lived.counts["gates passed"], lived.counts["effects"]) == (1, 1)


def test_a_case_that_an_approver_undoes_afterwards_is_certified() -> None:
    send: dict[str, Any] = {
        "source": {"account": {"id": "a", "ledger": "main"}},
        "destination": {"account": {"id": "b", "ledger": "main"}},
        "amount": {"asset": ASSET, "amount": 40},
    }
    steps = (
        Step(0, "start"),
        Step(500, "plan rest", "cat"),
        Step(1_000, "approve", "dan"),
        Step(3_000, "undo", "dan", choice=1),
    )
    schedule = Schedule(0, False, ({"approve": {}}, {"send": send}), None, False, 0, 0.0, False, steps)
    with quiet():
        lived = live(schedule)
    assert lived.problems == []
    assert (lived.counts["gates passed"], lived.counts["undos"]) == (1, 1)


def test_a_clock_that_is_set_back_between_two_approvals_puts_none_behind_the_gate() -> None:
    steps = (
        Step(0, "start"),
        Step(500, "plan rest", "cat"),
        Step(1_000, "approve", "dan"),
        Step(1_500, "clock", choice=1),
        Step(2_000, "approve", "eve"),
    )
    schedule = Schedule(0, False, ({"approve": {"approvals": 2}},), None, False, 0, 0.0, False, steps)
    with quiet():
        lived = live(schedule)
    assert lived.problems == []
    assert lived.counts["gates passed"] == 1


def test_the_planted_bugs_apply_and_its_oracle_has_found_each() -> None:
    """`python -m tests.interleavings.planted` writes the table."""
    assert [problem for bug in LIVES_BUGS for change in bug.changes if (problem := change.problem(ROOT))] == []
    rows = [line.split(" | ") for line in TABLE.read_text("utf-8").splitlines() if line.startswith("| ")][1:]
    assert [row[0].removeprefix("| ") for row in rows] == [bug.name for bug in LIVES_BUGS]
    assert all(row[3].isdigit() for row in rows), "a bug was not found"
    assert [row[2] for row in rows] == [bug.lives for bug in LIVES_BUGS]
    assert [row[4] for row in rows] == [bug.oracle for bug in LIVES_BUGS], "another oracle has found it"
