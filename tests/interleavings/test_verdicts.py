"""A true verdict about an effect leaves one booking, a false one no certificate. `.verdicts` judges 10,000 of them."""

from __future__ import annotations

import json

import pytest

from tests.interleavings.life import quiet
from tests.interleavings.verdicts import RESULTS, Verdicts, judge, judged_lives

SEEDS_EACH = 60


@pytest.mark.parametrize("first", [1, 61])
def test_verdicts_about_effects_whose_truth_the_sandbox_knows(first: int) -> None:
    figures = judged_lives(SEEDS_EACH, first)
    assert figures["problems"] == []
    assert all(figures[f"{truth}: {verdict}"] for truth in ("true", "false") for verdict in ("booked", "not_booked"))


def test_the_full_run_that_is_kept_met_every_verdict_and_found_nothing() -> None:
    kept = [json.loads(line) for line in RESULTS.read_text("utf-8").splitlines()]
    full = [each for each in kept if each["seeds"] >= 10_000]
    assert full and all(each["problems"] == [] for each in kept)
    met = [f"{truth}: {verdict}" for truth in ("true", "false") for verdict in ("booked", "not_booked")]
    assert all(each[name] >= 1_000 for each in full for name in met), full


@pytest.mark.parametrize("is_shared", [False, True])
def test_a_payout_that_is_redriven_after_a_verdict_is_certified(is_shared: bool) -> None:
    """Its request is the one of the earlier attempt, which may still arrive, byte for byte: also its time."""
    life = Verdicts(1, "payments not_listed", False, (("not_booked", False),), True, is_shared, None, False, True)
    with quiet():
        judged = judge(life)
    assert (judged.outcome, judged.problems) == ("true: not_booked", [])
