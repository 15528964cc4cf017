"""The timeline of a run: a row for each stage and for each of its effects, with a bar on a clock.

A run has effects of milliseconds and waits of days, so its clock is folded: between two neighbouring moments at which
something begins or ends, the width grows with the logarithm of the time between them. A linear clock is true to scale
instead. Places are percentages of the width: one drawing fits every width, without a style and without a script.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from math import log10
from typing import Literal

from headrace.pictures.moves import State

BarState = State | Literal["waiting", "skipped"]
"""The state of a bar: of a move, or of a stage that waits or is left out."""
RowKind = Literal["stage", "effect", "folded"]

WIDTH = 100.0
AHEAD = 10.0
"""The width that stages share that are not reached."""
LEAST = 0.6
"""The width of the shortest bar, so that it can be seen; also the share of a moment that follows at once."""
MAX_ROWS = 60
LABEL = 40.0
"""The width that the label of a moment needs on a narrow page."""
LABEL_OF_NOW = 10.0
HEIGHTS: dict[RowKind, int] = {"stage": 22, "effect": 16, "folded": 22}
BAR_MARGIN = 4
DOT = 4
AXIS_HEIGHT = 20
_SECOND, _MINUTE = 1_000_000, 60_000_000
_ENDED: frozenset[BarState] = frozenset({"booked", "skipped", "undone"})
"""States of stages that fold once they are over: one that has failed stays in sight."""
_NOT_REACHED: frozenset[BarState] = frozenset({"planned", "unmade"})


@dataclass(frozen=True, slots=True)
class Span:
    """A stage or an effect. Times in microseconds; `start_at` None: not reached; `end_at` None: it goes on."""

    label: str
    state: BarState
    start_at: int | None = None
    end_at: int | None = None


@dataclass(frozen=True, slots=True)
class StageSpan:
    """A stage of the definition with its effects in order. `number`: of the stage."""

    number: int
    span: Span
    effects: tuple[Span, ...] = ()


@dataclass(frozen=True, slots=True)
class Bar:
    """In percent of the width. `is_open`: it ends at now, and goes on."""

    x: float
    width: float
    is_open: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """A row: `effect` is the place of its effect in the stage; None: it is the stage's own. `bar` None: it has none."""

    kind: RowKind
    stage: int
    effect: int | None
    label: str
    state: BarState
    bar: Bar | None


@dataclass(frozen=True, slots=True)
class Timeline:
    """Rows in order. `now`: the place of now, or of the end. `ticks`: moments to label, by place, as text in UTC."""

    rows: tuple[Row, ...]
    now: float
    is_over: bool
    ticks: tuple[tuple[float, str], ...]
    folded: int = 0


class Clock:
    """The places of moments. One after another is never left of it; the last one is at `extent`."""

    def __init__(self, moments: Iterable[int], extent: float, *, is_linear: bool = False) -> None:
        """`moments`: at least one."""
        self.moments = sorted(set(moments))
        self.extent = extent
        spans = [later - earlier for earlier, later in pairwise(self.moments)]
        widths = [float(span) if is_linear else LEAST + log10(1 + span / 1_000) for span in spans]
        total, passed = sum(widths), 0.0
        self._places = {self.moments[0]: 0.0}
        for moment, width in zip(self.moments[1:], widths, strict=True):
            passed += width
            self._places[moment] = round(extent * passed / total, 2)

    def place(self, moment: int) -> float:
        """The place of one of the moments, in percent of the width."""
        return self._places[moment]

    def bar(self, start_at: int, end_at: int, *, is_open: bool = False) -> Bar:
        """A bar between two of the moments; one that would be too short to be seen is `LEAST` wide."""
        start, end = self.place(start_at), self.place(end_at)
        width = max(round(end - start, 2), LEAST)
        return Bar(round(min(start, self.extent - width), 2), width, is_open)

    def ticks(self) -> list[tuple[float, str]]:
        """Moments that are far enough apart to be labelled: with the day where it changes, or with milliseconds."""
        in_detail = self.moments[-1] - self.moments[0] < _MINUTE
        found: list[tuple[float, str]] = []
        free_from, day = 0.0, ""
        for moment in self.moments[:-1]:
            place, at = self.place(moment), datetime.fromtimestamp(moment // _SECOND, UTC)
            if place < free_from or place + LABEL + LABEL_OF_NOW > self.extent:
                continue
            today = f"{at.day} {at:%b}"
            text = f"{at:%H:%M:%S}"
            if in_detail:
                text += f".{moment % _SECOND // 1_000:03}"
            elif today != day:
                text = f"{today} {text}"
            found.append((place, text))
            free_from, day = place + LABEL, today
        return found


def timeline(
    stages: Sequence[StageSpan],
    now_at: int,
    *,
    is_over: bool,
    is_linear: bool = False,
    selected: int = -1,
    max_rows: int = MAX_ROWS,
) -> Timeline:
    """The timeline of a run. `now_at`: where what goes on ends; `is_over`: nothing goes on, so its end stands there.

    Above `max_rows` rows, stages that have ended are one row; `selected`: the number of a stage that is not among them.
    """
    count = sum(1 + len(stage.effects) for stage in stages)
    folded = (
        [each for each in stages if each.span.state in _ENDED and each.number != selected] if count > max_rows else []
    )
    shown = _with_fold(stages, folded) if len(folded) > 1 else list(stages)
    spans = [span for stage in shown for span in (stage.span, *stage.effects)]
    moments = [moment for span in spans for moment in (span.start_at, span.end_at) if moment is not None]
    if not is_over or not moments:
        now_at = max([now_at, *moments])
        moments.append(now_at)
    now_at = max(moments)
    ahead = [stage.number for stage in shown if stage.span.state in _NOT_REACHED and stage.span.start_at is None]
    clock = Clock(moments, WIDTH - AHEAD if ahead else WIDTH, is_linear=is_linear)
    step = AHEAD / max(len(ahead), 1)
    rows: list[Row] = []
    for stage in shown:
        is_fold = len(folded) > 1 and stage.number == folded[0].number
        bar = _bar(stage.span, clock, now_at)
        if stage.number in ahead:
            place = clock.extent + step * ahead.index(stage.number)
            bar = Bar(round(place + step * 0.1, 2), round(step * 0.8, 2))
        kind: RowKind = "folded" if is_fold else "stage"
        rows.append(Row(kind, stage.number, None, stage.span.label, stage.span.state, bar))
        for place, effect in enumerate(stage.effects):
            row = Row("effect", stage.number, place, effect.label, effect.state, _bar(effect, clock, now_at))
            rows.append(row)
    place_of_now = clock.place(now_at) if len(clock.moments) > 1 else clock.extent
    return Timeline(tuple(rows), place_of_now, is_over, tuple(clock.ticks()), len(folded) if len(folded) > 1 else 0)


def _with_fold(stages: Sequence[StageSpan], folded: Sequence[StageSpan]) -> list[StageSpan]:
    """The stages, with one for all folded ones in the place of their first."""
    numbers = {stage.number for stage in folded}
    starts = [stage.span.start_at for stage in folded if stage.span.start_at is not None]
    ends = [stage.span.end_at for stage in folded if stage.span.end_at is not None]
    effects = sum(len(stage.effects) for stage in folded)
    label = f"{len(folded)} stages have ended, with {effects} effect{'' if effects == 1 else 's'}"
    one = StageSpan(folded[0].number, Span(label, "booked", min(starts, default=None), max(ends, default=None)))
    return [
        one if stage is folded[0] else stage for stage in stages if stage is folded[0] or stage.number not in numbers
    ]


def _bar(span: Span, clock: Clock, now_at: int) -> Bar | None:
    if span.start_at is None:
        return None
    return clock.bar(span.start_at, now_at if span.end_at is None else span.end_at, is_open=span.end_at is None)


def bar_svg(line: Timeline, row: Row) -> str:
    """The bar of a row as SVG, for a cell of a table: the cells beside it say the same in words."""
    height = HEIGHTS[row.kind]
    marks = [_opened("bar", height), f'<line class="now" x1="{line.now}%" x2="{line.now}%" y1="0" y2="{height}"/>']
    if (bar := row.bar) is not None:
        thick, is_open = height - 2 * BAR_MARGIN, " open" if bar.is_open else ""
        marks.append(
            f'<rect class="{row.kind} {row.state}{is_open}" x="{bar.x}%" y="{BAR_MARGIN}" width="{bar.width}%" '
            f'height="{thick}" rx="3"/>'
        )
        if bar.is_open:
            marks.append(f'<circle class="{row.state}" cx="{line.now}%" cy="{height // 2}" r="{DOT}"/>')
    return "".join([*marks, "</svg>"])


def axis_svg(line: Timeline) -> str:
    """The labels of the clock as SVG, for the head of the column of bars."""
    marks = [_opened("axis", AXIS_HEIGHT)]
    for place, text in line.ticks:
        marks.append(
            f'<line x1="{place}%" x2="{place}%" y1="15" y2="{AXIS_HEIGHT}"/><text x="{place}%" y="11">{text}</text>'
        )
    word = "ended" if line.is_over else "now"
    marks.append(f'<text class="now" x="{line.now}%" y="11" text-anchor="end">{word}</text>')
    return "".join([*marks, "</svg>"])


def _opened(name: str, height: int) -> str:
    return f'<svg class="{name}" width="100%" height="{height}" aria-hidden="true" focusable="false">'
