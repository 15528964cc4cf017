"""The arithmetic of the adaptive limit, by tables, by properties, and against a simulated ledger."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.engine.concurrency import FIRST_HOLD_S, LONGEST_HOLD_S, AdaptiveLimit, Mark, Signal, signal_of
from tests.unit.engine.simulation import Simulation

ANSWERED, OVERLOADED, TIMED_OUT, NEUTRAL = Signal.ANSWERED, Signal.OVERLOADED, Signal.TIMED_OUT, Signal.NEUTRAL


def rounds(limit: AdaptiveLimit, count: int, signal: Signal = ANSWERED, now_s: float = 0.0) -> list[int]:
    """Each round: as many requests as the limit allows begin together, and end alike. The values after each."""
    values: list[int] = []
    for _ in range(count):
        marks = [limit.begin() for _ in range(limit.value)]
        full = len(marks)
        for mark in marks:
            limit.end(mark, signal, full, now_s)
        values.append(limit.value)
    return values


@pytest.mark.parametrize(
    ("status", "took_s", "signal"),
    [
        (200, 0.1, ANSWERED),
        (200, 29.0, ANSWERED),
        (204, 0.1, ANSWERED),
        (400, 0.1, ANSWERED),
        (404, 0.1, ANSWERED),
        (409, 0.1, ANSWERED),
        (301, 0.1, NEUTRAL),
        (401, 0.1, NEUTRAL),
        (403, 0.1, NEUTRAL),
        (500, 0.1, NEUTRAL),
        (501, 0.1, NEUTRAL),
        (500, 5.0, TIMED_OUT),
        (503, 15.0, TIMED_OUT),
        (408, 0.1, TIMED_OUT),
        (504, 0.1, TIMED_OUT),
        (429, 0.1, OVERLOADED),
        (429, 9.0, OVERLOADED),
        (502, 0.1, OVERLOADED),
        (503, 0.1, OVERLOADED),
    ],
)
def test_what_a_response_says_about_load(status: int, took_s: float, signal: Signal) -> None:
    assert signal_of(status, took_s) is signal


@pytest.mark.parametrize(("ceiling", "first"), [(64, 8), (8, 8), (3, 3), (1, 1)])
def test_it_starts_at_eight_or_at_its_ceiling(ceiling: int, first: int) -> None:
    assert AdaptiveLimit(ceiling).value == first


def test_it_grows_by_one_for_each_round_of_answers_up_to_its_ceiling() -> None:
    values = rounds(AdaptiveLimit(20), 20)
    assert values == [9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, *[20] * 9]


def test_it_does_not_grow_while_it_is_not_in_use() -> None:
    limit = AdaptiveLimit(64)
    for _ in range(1_000):
        limit.end(limit.begin(), ANSWERED, 7, 0.0)
    assert limit.value == 8


@pytest.mark.parametrize("signal", [OVERLOADED, TIMED_OUT])
def test_a_round_that_fails_halves_it(signal: Signal) -> None:
    limit = AdaptiveLimit(64, start=64)
    assert rounds(limit, 8, signal) == [32, 16, 8, 4, 2, 1, 1, 1]


@pytest.mark.parametrize(("share", "least", "most"), [(0.05, 30, 48), (0.1, 14, 22), (0.2, 6, 11), (0.5, 1, 4)])
def test_a_service_that_fails_now_and_then_keeps_many_under_way(share: float, least: int, most: int) -> None:
    """Failures that do not depend on the load: 2 * (1 - share) / share requests are under way on average."""
    limit, seeded = AdaptiveLimit(64), Random(1)
    values: list[int] = []
    for _ in range(20_000):
        signal = OVERLOADED if seeded.random() < share else ANSWERED
        limit.end(limit.begin(), signal, limit.value, 0.0)
        values.append(limit.value)
    assert least <= sum(values[1_000:]) / len(values[1_000:]) <= most


@pytest.mark.parametrize("capacity", [1, 2, 5, 12, 40])
def test_a_service_that_turns_away_what_exceeds_its_capacity_is_called_just_above_it(capacity: int) -> None:
    limit = AdaptiveLimit(64)
    values: list[int] = []
    for _ in range(400):
        marks = [limit.begin() for _ in range(limit.value)]
        full = len(marks)
        for number, mark in enumerate(marks):
            limit.end(mark, ANSWERED if number < capacity else OVERLOADED, full, 0.0)
        values.append(limit.value)
    assert capacity - 1 <= min(values[100:]) <= max(values[100:]) <= capacity + 3


def test_answers_from_before_a_cut_do_not_undo_it() -> None:
    limit = AdaptiveLimit(64, start=16)
    marks = [limit.begin() for _ in range(16)]
    limit.end(marks[0], TIMED_OUT, 16, 0.0)
    for mark in marks[1:]:
        limit.end(mark, ANSWERED, 16, 0.0)
    assert limit.value == 8
    assert limit.is_failing


def test_neutral_ends_change_nothing() -> None:
    limit = AdaptiveLimit(64)
    assert rounds(limit, 50, NEUTRAL) == [8] * 50


def test_it_recovers_from_the_floor_within_a_few_rounds() -> None:
    limit = AdaptiveLimit(64)
    rounds(limit, 5, OVERLOADED)
    assert limit.value == 1
    assert limit.is_failing
    assert rounds(limit, 10)[-1] >= 8
    assert not limit.is_failing


def test_one_request_that_times_out_while_others_are_answered_is_no_overload() -> None:
    limit = AdaptiveLimit(64)
    slow = limit.begin()
    rounds(limit, 200)
    limit.end(slow, TIMED_OUT, 64, 30.0)
    assert limit.value == 64


def test_a_time_out_is_an_overload_when_few_others_are_answered() -> None:
    limit = AdaptiveLimit(64, start=64)
    slow = limit.begin()
    rounds(limit, 5)
    limit.end(slow, TIMED_OUT, 64, 30.0)
    assert limit.value == 32


# the level at which a service stands still


def stand_still(limit: AdaptiveLimit, level: int, now_s: float = 0.0) -> None:
    """Answers until the level is reached, which then is not answered."""
    while limit.value < level:
        before = limit.value
        rounds(limit, 1, now_s=now_s)
        assert limit.value > before or level <= before + 1, f"stays at {before}, {level} wanted"
    rounds(limit, 1, TIMED_OUT, now_s)


def highest(limit: AdaptiveLimit, now_s: float) -> int:
    return max(rounds(limit, 200, now_s=now_s))


def test_the_level_of_a_standstill_is_kept_away_from_for_a_while() -> None:
    limit = AdaptiveLimit(64)
    stand_still(limit, 20)
    assert limit.value == 10
    assert highest(limit, 1.0) == 16
    assert highest(limit, FIRST_HOLD_S - 1) == 16
    assert highest(limit, FIRST_HOLD_S + 1) == 64, "the level works now: nothing is remembered"


@pytest.mark.parametrize(("level", "kept_below"), [(2, 1), (3, 2), (5, 4), (9, 8), (20, 16), (64, 52)])
def test_how_far_below_a_standstill_it_stays(level: int, kept_below: int) -> None:
    limit = AdaptiveLimit(64, start=level // 2)
    stand_still(limit, level)
    assert highest(limit, 1.0) == kept_below


def test_the_hold_doubles_up_to_an_hour() -> None:
    limit, now_s = AdaptiveLimit(64), 0.0
    for hold_s in (FIRST_HOLD_S, 600.0, 1_200.0, 2_400.0, LONGEST_HOLD_S, LONGEST_HOLD_S):
        stand_still(limit, 20, now_s)
        assert highest(limit, now_s) == 16
        assert highest(limit, now_s + hold_s - 1) == 16
        now_s += hold_s + 1


@pytest.mark.parametrize("cuts", [2, 3, 4, 5, 6, 7, 12])
def test_an_outage_teaches_nothing_about_levels(cuts: int) -> None:
    """Halved again and again, and then well: the service was down, no level was to blame."""
    limit = AdaptiveLimit(64)
    rounds(limit, 60)
    assert rounds(limit, cuts, TIMED_OUT)[-1] == max(1, 64 >> cuts)
    assert highest(limit, 1.0) == 64


def test_overload_that_is_answered_quickly_is_not_remembered() -> None:
    limit = AdaptiveLimit(64)
    rounds(limit, 12)
    rounds(limit, 1, OVERLOADED)
    assert highest(limit, 1.0) == 64


# properties


@given(
    ceiling=st.integers(1, 100),
    steps=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 99), st.floats(0, 1e5))),
)
def test_it_stays_between_one_and_its_ceiling_and_moves_in_bounded_steps(
    ceiling: int, steps: list[tuple[int, int, float]]
) -> None:
    limit = AdaptiveLimit(ceiling)
    marks: list[Mark] = [limit.begin() for _ in range(limit.value)]
    now_s = 0.0
    for kind, which, later_s in steps:
        now_s += later_s
        before = limit.value
        limit.end(marks.pop(which % len(marks)), list(Signal)[kind], limit.value, now_s)
        marks.append(limit.begin())
        assert 1 <= limit.value <= ceiling
        assert max(1, before // 2) <= limit.value <= before + 1


# a ledger that stands still at 20 open writes


def test_runs_on_a_ledger_that_stands_still_at_twenty_open_writes_all_end() -> None:
    world = Simulation(AdaptiveLimit(64))
    took_s = world.run(300)
    assert world.left == 0
    assert world.most_in_flight == 20, "it found the level"
    assert world.timeouts <= 20 and took_s < 40, "at the price of one time-out"
    lowest = min(world.values)
    assert lowest <= 10 and world.values[-1] > lowest, "the limit fell and rose"


def test_a_fixed_limit_of_sixty_four_does_not_get_through() -> None:
    """The fault itself: retries at full concurrency keep the ledger from ever moving."""

    class Fixed(AdaptiveLimit):
        def end(self, mark: Mark, signal: Signal, in_flight: int, now_s: float) -> None: ...

    world = Simulation(Fixed(64, start=64))
    world.run(300, until_s=150.0)
    assert world.left > 100


def test_sustained_load_loses_little_to_time_outs() -> None:
    world = Simulation(AdaptiveLimit(64), work_s=1.0)
    took_s = world.run(100_000, until_s=3_600.0)
    answered, best = 100_000 - world.left, 20 / world.work_s * took_s
    assert answered > 0.7 * best, f"{answered} of {best:.0f} in {took_s:.0f} s; {world.timeouts} time-outs"


@pytest.mark.parametrize("pool", [1, 2, 3, 5, 7, 8, 13, 40, 63])
def test_pools_of_any_size_are_found(pool: int) -> None:
    """A pool of one can never book, and costs no more than one request at a time."""
    world = Simulation(AdaptiveLimit(64), pool=pool, timeout_s=5.0)
    world.run(600, until_s=2_000.0)
    if pool == 1:
        assert world.left == 600 and world.limit.value == 1
    else:
        assert world.left == 0


def test_the_limit_recovers_at_once_after_an_outage() -> None:
    world = Simulation(AdaptiveLimit(64), pool=1_000, work_s=0.05, timeout_s=10.0)
    world.is_down = lambda now_s: 5.0 <= now_s < 200.0
    world.run(100_000, until_s=220.0)
    assert min(world.values) == 1
    assert world.limit.value == 64
