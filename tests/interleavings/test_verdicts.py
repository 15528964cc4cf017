"""A true verdict about an effect leaves one booking, a false one no certificate. `.verdicts` judges 10,000 of them."""

from __future__ import annotations

import pytest

from tests.interleavings.life import quiet
from tests.interleavings.verdicts import Verdicts, judge, judged_lives

SEEDS_EACH = 60


@pytest.mark.parametrize("first", [1, 61])
def test_verdicts_about_effects_whose_truth_the_sandbox_knows(first: int) -> None:
    figures = judged_lives(SEEDS_EACH, first)
    assert figures["problems"] == []
    assert all(figures[f"{truth}: {verdict}"] for truth in ("true", "false") for verdict in ("booked", "not_booked"))


@pytest.mark.parametrize("is_shared", [False, True])
def test_a_payout_that_is_redriven_after_a_verdict_is_certified(is_shared: bool) -> None:
    """Its request is the one of the earlier attempt, which may still arrive, byte for byte: also its time."""
    life = Verdicts(1, "payments not_listed", False, (("not_booked", False),), True, is_shared, None, False, True)
    with quiet():
        judged = judge(life)
    assert (judged.outcome, judged.problems) == ("true: not_booked", [])
