"""The decisive test of planning: what is planned is what a run does, on workflows by chance over books by chance.

`python -m tests.planning.comparison` compares 5,000 of them.
"""

from __future__ import annotations

from collections import Counter

import pytest

from tests.planning.comparison import PER_BOOKS, compared

BOOKS = 30


@pytest.mark.parametrize("number", range(BOOKS))
def test_a_run_does_what_was_planned(number: int) -> None:
    assert compared(f"suite:{number}", Counter()) == []


def test_the_workflows_by_chance_meet_every_end() -> None:
    """Comparisons of nothing but failures, or of nothing but successes, would prove little."""
    counts: Counter[str] = Counter()
    for number in range(12):
        compared(f"ends:{number}", counts)
    assert counts["plans"] >= 0.9 * 12 * PER_BOOKS
    ends = ("succeeds", "fails invalid", "fails refused INSUFFICIENT_FUND", "fails refused LEDGER_NOT_FOUND", "funded")
    assert all(counts[end] >= 5 for end in ends), counts
