"""The timeline: order is kept, short and long are both seen, and all of it fits into the width."""

from __future__ import annotations

import random
import re
from itertools import pairwise

import pytest

from headrace.pictures.timeline import (
    AHEAD,
    LEAST,
    MAX_ROWS,
    WIDTH,
    BarState,
    Clock,
    Row,
    Span,
    StageSpan,
    Timeline,
    axis_svg,
    bar_svg,
    timeline,
)

MS, SECOND, DAY = 1_000, 1_000_000, 86_400_000_000
START = 1_780_000_000_000_000
HUNDREDTH = 0.011
"""Places are rounded to hundredths of a percent."""


def stage(number: int, state: BarState, *times: int | None, effects: tuple[Span, ...] = ()) -> StageSpan:
    start, end = (*times, None, None)[:2]
    return StageSpan(number, Span(f"stage {number}", state, start, end), effects)


def run_of_days() -> list[StageSpan]:
    """3 ms of a send, then a hold of 7 days, of which 2 are over; then two stages that are planned."""
    effect = Span("book", "booked", START + MS, START + 2 * MS)
    return [
        stage(0, "booked", START, START + 3 * MS, effects=(effect,)),
        stage(1, "waiting", START + 3 * MS, None),
        stage(2, "planned"),
        stage(3, "planned"),
    ]


def bars(line: Timeline) -> list[tuple[float, float]]:
    return [(row.bar.x, row.bar.width) for row in line.rows if row.bar is not None]


@pytest.mark.parametrize("is_linear", [False, True])
def test_a_later_moment_is_never_left_of_an_earlier_one_and_all_sum_to_the_width(is_linear: bool) -> None:
    chance = random.Random(11)
    for _ in range(300):
        moments = [START + chance.choice([chance.randint(0, 9), chance.randint(0, 10**12)]) for _ in range(20)]
        extent = chance.choice([WIDTH, WIDTH - AHEAD])
        clock = Clock(moments, extent, is_linear=is_linear)
        places = [clock.place(moment) for moment in sorted(moments)]
        assert places == sorted(places) and places[0] == 0 and places[-1] == extent
        starts = [clock.bar(moment, max(moments)).x for moment in sorted(moments)]
        assert starts == sorted(starts)
        for first in moments:
            for last in moments:
                bar = clock.bar(min(first, last), max(first, last))
                assert bar.x >= 0 and bar.width >= LEAST and bar.x + bar.width <= extent + HUNDREDTH


def test_between_neighbours_the_width_grows_with_the_logarithm_of_the_milliseconds() -> None:
    clock = Clock([START, START + 9 * MS, START + 9 * MS + 999 * MS], 100)
    assert clock.place(START + 9 * MS) == round(100 * (0.6 + 1) / (0.6 + 1 + 0.6 + 3), 2)


def test_milliseconds_and_days_are_both_seen_and_a_linear_clock_is_true_to_scale() -> None:
    folded = timeline(run_of_days(), START + 2 * DAY, is_over=False)
    send, book, hold, *planned = bars(folded)
    assert send[1] > 10 and book[1] > 3 and hold[1] > 30
    assert [row.kind for row in folded.rows] == ["stage", "effect", "stage", "stage", "stage"]
    linear = timeline(run_of_days(), START + 2 * DAY, is_over=False, is_linear=True)
    assert bars(linear)[0][1] == LEAST and bars(linear)[2] == (0, WIDTH - AHEAD)
    half = timeline([stage(0, "booked", START, START + DAY)], START + 4 * DAY, is_over=False, is_linear=True)
    assert bars(half) == [(0, 25)]
    assert [x >= WIDTH - AHEAD for x, _ in planned] == [True, True]


def test_planned_stages_share_the_last_tenth_and_what_goes_on_ends_at_now_with_a_dot() -> None:
    line = timeline(run_of_days(), START + 2 * DAY, is_over=False)
    hold, first, second = (row.bar for row in line.rows[2:])
    assert hold is not None and first is not None and second is not None
    assert line.now == WIDTH - AHEAD and hold.is_open and hold.x + hold.width == pytest.approx(line.now)
    assert first.x + first.width < second.x and second.x + second.width <= WIDTH
    svg = bar_svg(line, line.rows[2])
    assert 'cx="90.0%"' in svg and " open" in svg and svg.count("<circle") == 1
    assert "<circle" not in bar_svg(line, line.rows[0])
    assert ">now</text>" in axis_svg(line)


def test_a_run_that_is_over_ends_at_its_last_moment_and_needs_nothing_ahead() -> None:
    line = timeline([stage(0, "booked", START, START + 5 * MS)], START + 9 * DAY, is_over=True)
    assert bars(line) == [(0, WIDTH)] and line.now == WIDTH and ">ended</text>" in axis_svg(line)
    failed = [stage(0, "refused", START, START + 5 * MS), stage(1, "unmade")]
    assert bars(timeline(failed, START, is_over=True))[0] == (0, WIDTH - AHEAD)


@pytest.mark.parametrize("is_linear", [False, True])
def test_a_run_of_one_moment_and_one_that_has_not_begun_are_drawn(is_linear: bool) -> None:
    line = timeline([stage(0, "skipped", START, START)], START, is_over=True, is_linear=is_linear)
    assert bars(line) == [(0, LEAST)]
    line = timeline([stage(0, "planned")], START, is_over=False, is_linear=is_linear)
    assert len(bars(line)) == 1 and bars(line)[0][0] > WIDTH - AHEAD and line.now == WIDTH - AHEAD
    assert timeline([], START, is_over=False).rows == ()


def test_a_clock_that_was_set_back_breaks_nothing() -> None:
    line = timeline([stage(0, "booked", START + SECOND, START), stage(1, "moving", START)], START - DAY, is_over=False)
    assert all(x >= 0 and width >= LEAST and x + width <= WIDTH + HUNDREDTH for x, width in bars(line))


def test_the_same_run_gives_the_same_bytes() -> None:
    def drawn() -> list[str]:
        line = timeline(run_of_days(), START + 2 * DAY, is_over=False)
        return [axis_svg(line), *(bar_svg(line, row) for row in line.rows)]

    assert drawn() == drawn()


def test_the_drawing_has_places_in_percent_within_the_width_and_no_style() -> None:
    line = timeline(run_of_days(), START + 2 * DAY, is_over=False)
    for svg in (axis_svg(line), *(bar_svg(line, row) for row in line.rows)):
        assert "viewBox" not in svg and "style" not in svg and 'aria-hidden="true"' in svg
        for x in re.findall(r'(?:x|x1|x2|cx|width)="([\d.]+)%"', svg):
            assert 0 <= float(x) <= 100
    ticks = [x for x, _ in line.ticks]
    assert ticks[0] == 0 and all(later - earlier >= 40 for earlier, later in pairwise(ticks))


def many(count: int) -> list[StageSpan]:
    done = [
        stage(
            n, "booked", START + n * MS, START + (n + 1) * MS, effects=(Span("book", "booked", START + n * MS, None),)
        )
        for n in range(count)
    ]
    return [*done, stage(count, "moving", START + count * MS), stage(count + 1, "planned")]


def test_above_sixty_rows_ended_stages_are_one_row_that_says_how_many() -> None:
    whole = timeline(many(29), START + SECOND, is_over=False)
    assert len(whole.rows) == MAX_ROWS and whole.folded == 0
    line = timeline(many(30), START + SECOND, is_over=False)
    fold, *rest = line.rows
    assert (fold.kind, fold.label) == ("folded", "30 stages have ended, with 30 effects")
    assert [row.stage for row in rest] == [30, 31] and line.folded == 30
    assert fold.bar is not None and fold.bar.x == 0


def test_the_selected_stage_and_one_that_failed_do_not_fold() -> None:
    line = timeline(many(40), START + SECOND, is_over=False, selected=7)
    assert [(row.kind, row.stage) for row in line.rows[:3]] == [("folded", 0), ("stage", 7), ("effect", 7)]
    assert line.rows[0].label == "39 stages have ended, with 39 effects"
    failed = [*many(40)[:40], stage(40, "refused", START + SECOND, START + SECOND)]
    last: Row = timeline(failed, START + SECOND, is_over=True).rows[-1]
    assert (last.kind, last.state) == ("stage", "refused")
