"""An event and the end of its wait's time, in both orders of commits. `.waits` lives 10,000 of them."""

from __future__ import annotations

import json

import pytest

from tests.interleavings.waits import BAR, BETWEEN, END, EVENT, RESULTS, waited_lives

SEEDS_EACH = 100


@pytest.mark.parametrize("first", [1, 101])
def test_events_that_race_the_ends_of_their_waits(first: int) -> None:
    figures = waited_lives(SEEDS_EACH, first, bar=0.05)
    assert figures["problems"] == []
    assert figures[BETWEEN], "no event came between the last look and the end"
    assert all(figures[f"{on_timeout}: {order}"] for on_timeout in ("fail", "continue") for order in (EVENT, END))


def test_the_full_run_that_is_kept_met_both_orders_and_found_nothing() -> None:
    kept = [json.loads(line) for line in RESULTS.read_text("utf-8").splitlines()]
    full = [each for each in kept if each["seeds"] >= 10_000]
    assert full and all(each["problems"] == [] for each in kept)
    assert all(each[order] > BAR * each["seeds"] for each in full for order in (EVENT, END)), full
    met = (BETWEEN, "two servers", "with a kill", "clock set back", "clock set forth")
    assert all(each[name] >= 1_000 for each in full for name in met), full


def test_an_order_that_hardly_occurs_is_a_problem() -> None:
    assert len(waited_lives(2, 1, bar=1.0)["problems"]) == 2
