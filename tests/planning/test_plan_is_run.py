"""The decisive test of planning: what is planned is what a run does, on workflows by chance over books by chance.

`python -m tests.planning.comparison` compares 5,000 of them; its figures are in `results.jsonl`.
"""

from __future__ import annotations

import json
from collections import Counter

import pytest

from tests.planning.comparison import PER_BOOKS, RESULTS, compared

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


def test_the_full_run_that_is_kept_found_no_difference_and_met_every_end() -> None:
    kept = [json.loads(line) for line in RESULTS.read_text("utf-8").splitlines()]
    assert all((each["differences"], each["not GET"]) == (0, 0) for each in kept)
    full = [each for each in kept if each["workflows"] >= 5_000]
    assert full and all({"command", "at", "commit", "seeds"} <= each.keys() for each in full)
    ends = ("succeeds", "fails invalid", "fails refused INSUFFICIENT_FUND", "fails refused LEDGER_NOT_FOUND", "funded")
    met = ("assumed event", "assumed delay", "assumed ingestion", "assumed read", "ran before", "skipped")
    for each in full:
        assert all(each[name] > 0 for name in (*ends, *met)), each
        assert sum(count for name, count in each.items() if name.startswith("fails")) >= 1_000
