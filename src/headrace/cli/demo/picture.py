"""Draws a run as SVG: a lane for each instance, the outage as a band across all of them."""

from __future__ import annotations

from html import escape

from headrace.cli.demo.timeline import ActivitySpan, Lane, Outage, Picture, StageSpan
from headrace.workflows.stages import STAGES

WIDTH = 1180
LEFT = 208
RIGHT = 28
TOP = 116
LANE = 15
GAP = 7
FOOT = 84

EFFECT = "#3b6fb6"

STYLE = """
text { font-family: system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; fill: #27313f; }
.title { font-size: 19px; font-weight: 600; }
.fact { font-size: 12.5px; fill: #556070; }
.lane { font-size: 11px; fill: #3c4757; }
.axis { font-size: 11px; fill: #6c7686; }
.mark { font-size: 12px; font-weight: 600; fill: #a8322a; }
"""


def draw(picture: Picture) -> str:
    scale = _Scale(picture)
    parts = [
        _opening(picture, scale),
        f"<style>{STYLE}</style>",
        f'<rect width="{WIDTH}" height="{scale.height}" fill="#ffffff"/>',
        *_header(picture),
        *_axis(scale),
        *_outage_band(picture.outage, scale),
        *(
            part
            for index, lane in enumerate(picture.lanes)
            for part in _lane(lane, scale.y(index), scale, picture.outage)
        ),
        *_outage_band(picture.outage, scale, opacity=0.55),
        *_outage_marks(picture.outage, scale),
        *_legend(scale),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _opening(picture: Picture, scale: _Scale) -> str:
    size = f'viewBox="0 0 {WIDTH} {scale.height}" width="{WIDTH}" height="{scale.height}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{escape(_summary(picture))}">'


class _Scale:
    """Seconds to x, lanes to y. Lanes of one example stand together."""

    def __init__(self, picture: Picture) -> None:
        self.length_s = max(picture.length_s, picture.outage.ready_s) * 1.02
        self._tops: list[int] = []
        top, previous = TOP, ""
        for lane in picture.lanes:
            top += GAP if previous and lane.example != previous else 0
            self._tops.append(top)
            top, previous = top + LANE, lane.example
        self.bottom = top
        self.height = top + FOOT

    def x(self, at_s: float) -> float:
        return round(LEFT + max(at_s, 0.0) / self.length_s * (WIDTH - LEFT - RIGHT), 1)

    def y(self, index: int) -> int:
        return self._tops[index]

    @property
    def step_s(self) -> int:
        return next((step for step in (1, 2, 5, 10, 20, 60) if self.length_s / step <= 14), 120)


def _header(picture: Picture) -> list[str]:
    lines = ['<text class="title" x="24" y="34">A run that was killed and resumed</text>']
    for row, facts in enumerate((picture.facts[:2], picture.facts[2:])):
        text = " · ".join(facts)
        lines.append(f'<text class="fact" x="24" y="{56 + 18 * row}">{escape(text)}</text>')
    return lines


def _axis(scale: _Scale) -> list[str]:
    parts: list[str] = []
    for second in range(0, int(scale.length_s) + 1, scale.step_s):
        x = scale.x(second)
        parts.append(f'<line x1="{x}" y1="{TOP - 8}" x2="{x}" y2="{scale.bottom + 4}" stroke="#eceff3"/>')
        parts.append(f'<text class="axis" x="{x}" y="{scale.bottom + 20}" text-anchor="middle">{second} s</text>')
    return parts


def _outage_band(outage: Outage, scale: _Scale, *, opacity: float = 1.0) -> list[str]:
    """Drawn below the lanes, and once more, thinly, above: nothing happens there."""
    x, width = scale.x(outage.killed_s), scale.x(outage.ready_s) - scale.x(outage.killed_s)
    place = f'x="{x}" y="{TOP - 8}" width="{width:.1f}" height="{scale.bottom - TOP + 12}"'
    return [f'<rect {place} fill="#f7dcd9" fill-opacity="{opacity}"/>']


def _outage_marks(outage: Outage, scale: _Scale) -> list[str]:
    killed, ready = scale.x(outage.killed_s), scale.x(outage.ready_s)
    return [
        _rule(killed, scale, ""),
        _rule(ready, scale, ' stroke-dasharray="4 3"'),
        f'<text class="mark" x="{killed - 4}" y="{TOP - 16}" text-anchor="end">kill -9</text>',
        f'<text class="mark" x="{ready + 4}" y="{TOP - 16}">started again</text>',
    ]


def _rule(x: float, scale: _Scale, dashes: str) -> str:
    ends = f'x1="{x}" y1="{TOP - 12}" x2="{x}" y2="{scale.bottom + 4}"'
    return f'<line {ends} stroke="#a8322a" stroke-width="1.6"{dashes}/>'


def _lane(lane: Lane, y: int, scale: _Scale, outage: Outage) -> list[str]:
    label = f"{lane.example} {lane.run}"
    parts = [f'<text class="lane" x="{LEFT - 10}" y="{y + 11}" text-anchor="end">{escape(label)}</text>']
    for stage in lane.stages:
        parts += _stage(stage, y, scale, outage)
    color = "#a8322a" if lane.error else "#2f7d4f"
    parts.append(f'<circle cx="{scale.x(lane.ended_s) + 5}" cy="{y + 7.5}" r="2.6" fill="{color}"/>')
    return parts


def _stage(stage: StageSpan, y: int, scale: _Scale, outage: Outage) -> list[str]:
    ended_s = stage.ended_s if stage.ended_s is not None else scale.length_s
    x, width = scale.x(stage.started_s), max(scale.x(ended_s) - scale.x(stage.started_s), 2.5)
    kind = STAGES[stage.keyword]
    bar = (
        f'<rect x="{x}" y="{y + 2}" width="{width:.1f}" height="11" rx="2" fill="{kind.pale}" stroke="{kind.color}" '
        f'stroke-width="0.7"><title>{escape(_stage_title(stage))}</title></rect>'
    )
    return [bar, *(_activity(activity, y, scale, outage) for activity in stage.activities if activity.is_effect)]


def _activity(activity: ActivitySpan, y: int, scale: _Scale, outage: Outage) -> str:
    ended_s = activity.ended_s if activity.ended_s is not None else scale.length_s
    x, width = scale.x(activity.started_s), max(scale.x(ended_s) - scale.x(activity.started_s) - 0.8, 2.0)
    color = "#a8322a" if activity.covers(outage.killed_s) else EFFECT
    tries = f", {activity.attempt} attempts" if activity.attempt > 1 else ""
    return (
        f'<rect x="{x}" y="{y + 5}" width="{width:.1f}" height="5" rx="1" fill="{color}">'
        f"<title>{escape(activity.name + tries)}</title></rect>"
    )


def _stage_title(stage: StageSpan) -> str:
    ended = "still running" if stage.ended_s is None else f"{stage.ended_s:.2f} s"
    return f"{stage.keyword}: {stage.started_s:.2f} s to {ended}"


def _legend(scale: _Scale) -> list[str]:
    y, x = scale.bottom + 44, LEFT
    parts: list[str] = []
    entries = [(stage.label, stage.pale, stage.color) for stage in STAGES.values()]
    entries += [("effect", EFFECT, EFFECT), ("effect in flight at the kill", "#a8322a", "#a8322a")]
    for words, fill, stroke in entries:
        parts.append(f'<rect x="{x}" y="{y}" width="18" height="11" rx="2" fill="{fill}" stroke="{stroke}"/>')
        parts.append(f'<text class="fact" x="{x + 24}" y="{y + 10}">{words}</text>')
        x += 44 + 7 * len(words)
    parts.append(f'<circle cx="{x + 4}" cy="{y + 5.5}" r="2.6" fill="#2f7d4f"/>')
    parts.append(f'<text class="fact" x="{x + 14}" y="{y + 10}">ended, books exact</text>')
    return parts


def _summary(picture: Picture) -> str:
    return f"Timeline of {len(picture.lanes)} workflow instances, killed at {picture.outage.killed_s:.1f} s and resumed"
