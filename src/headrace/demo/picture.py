"""Draws a run as SVG: one lane for each of twelve instances, the outage as a band across all of them.

The picture is as wide as a README's column, so its text keeps its size there. It has colors for light and for dark
pages, chosen by `prefers-color-scheme`.
"""

from __future__ import annotations

from html import escape

from headrace.demo.timeline import ActivitySpan, Lane, Outage, Picture
from headrace.workflows.stages import STAGES

MAX_LANES = 12
WIDTH = 860
LEFT = 214
RIGHT = 22
TOP = 104
LANE = 22
BAR = 14
FOOT = 92

KEYWORDS = {keyword: stage.label for keyword, stage in STAGES.items()}
"""Keywords of stages, and what the legend calls them. Each is also a class of the style sheet."""

_LIGHT = "".join(f".{each.keyword} {{ fill: {each.pale}; stroke: {each.color}; }}\n" for each in STAGES.values())
_DARK = "".join(
    f".{each.keyword} {{ fill: {each.dark_pale}; stroke: {each.dark_color}; }}\n" for each in STAGES.values()
)
STYLE = """
text { font-family: system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; fill: #27313f; }
.title { font-size: 19px; font-weight: 600; }
.fact { font-size: 13px; fill: #4b5666; }
.lane { font-size: 13px; }
.axis { font-size: 12px; fill: #5b6675; }
.mark { font-size: 13px; font-weight: 600; fill: #a8322a; }
.page { fill: #ffffff; }
.grid { stroke: #e6eaef; }
.outage { fill: #f7dcd9; }
.rule { stroke: #a8322a; stroke-width: 1.6; }
LIGHT_STAGES.other { fill: #e4e7ec; stroke: #8a93a3; }
.effect { fill: #3b6fb6; }
.in-flight, .failed { fill: #a8322a; }
.ended { fill: #2f7d4f; }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3; }
.fact { fill: #a9b4c0; }
.axis { fill: #97a3b0; }
.mark { fill: #ff8a80; }
.page { fill: #0d1117; }
.grid { stroke: #222b36; }
.outage { fill: #4a1f1e; }
.rule { stroke: #ff8a80; }
DARK_STAGES.other { fill: #262d36; stroke: #8b949e; }
.effect { fill: #6ea8fe; }
.in-flight, .failed { fill: #ff8a80; }
.ended { fill: #56d39a; }
}
""".replace("LIGHT_STAGES", _LIGHT).replace("DARK_STAGES", _DARK)


def draw(picture: Picture) -> str:
    """Draw the picture as one SVG document."""
    lanes = chosen_lanes(picture)
    scale = _Scale(picture, lanes)
    facts = list(picture.facts[:2])
    if facts and len(lanes) < len(picture.lanes):
        facts[0] += f" ({len(lanes)} are shown)"
    parts = [
        _opening(picture, scale),
        f"<style>{STYLE}</style>",
        f'<rect class="page" width="{WIDTH}" height="{scale.height}"/>',
        '<text class="title" x="20" y="34">Killed with kill -9, started again, each effect booked once</text>',
        *(f'<text class="fact" x="20" y="{54 + 17 * row}">{escape(fact)}</text>' for row, fact in enumerate(facts)),
        *_axis(scale),
        *_outage_band(picture.outage, scale),
        *(part for index, lane in enumerate(lanes) for part in _lane(lane, scale.y(index), scale, picture.outage)),
        *_outage_band(picture.outage, scale, opacity=0.55),
        *_outage_marks(picture.outage, scale),
        *_legend(scale),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def chosen_lanes(picture: Picture) -> list[Lane]:
    """At most twelve lanes, in the picture's order.

    Each example gets its first lane before any example gets its second. Among lanes of the same rank, those that the
    kill interrupted come first.
    """
    seen: dict[str, int] = {}
    ranked: list[tuple[int, bool, int]] = []
    interrupted_first = sorted(picture.lanes, key=lambda lane: not _is_interrupted(lane, picture.outage))
    positions = {id(lane): index for index, lane in enumerate(picture.lanes)}
    for lane in interrupted_first:
        rank = seen.get(lane.example, 0)
        seen[lane.example] = rank + 1
        ranked.append((rank, not _is_interrupted(lane, picture.outage), positions[id(lane)]))
    chosen = sorted(index for _, _, index in sorted(ranked)[:MAX_LANES])
    return [picture.lanes[index] for index in chosen]


def _is_interrupted(lane: Lane, outage: Outage) -> bool:
    activities = [activity for stage in lane.stages for activity in stage.activities]
    return any(activity.is_effect and activity.covers(outage.killed_s) for activity in activities)


def _opening(picture: Picture, scale: _Scale) -> str:
    size = f'viewBox="0 0 {WIDTH} {scale.height}" width="{WIDTH}" height="{scale.height}"'
    killed_s = picture.outage.killed_s
    label = f"Timeline of {len(picture.lanes)} workflow instances, killed at {killed_s:.1f} s and resumed"
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{escape(label)}">'


class _Scale:
    """Maps seconds to x and the number of a lane to y."""

    def __init__(self, picture: Picture, lanes: list[Lane]) -> None:
        self.length_s = max(*(lane.ended_s for lane in lanes), picture.outage.ready_s, 1.0) * 1.02
        self.bottom = TOP + LANE * len(lanes)
        self.height = self.bottom + FOOT

    def x(self, at_s: float) -> float:
        return round(LEFT + max(at_s, 0.0) / self.length_s * (WIDTH - LEFT - RIGHT), 1)

    def y(self, index: int) -> int:
        return TOP + LANE * index

    @property
    def step_s(self) -> int:
        return next((step for step in (1, 2, 5, 10, 20, 60) if self.length_s / step <= 14), 120)


def _axis(scale: _Scale) -> list[str]:
    parts: list[str] = []
    for second in range(0, int(scale.length_s) + 1, scale.step_s):
        x = scale.x(second)
        parts.append(f'<line class="grid" x1="{x}" y1="{TOP - 4}" x2="{x}" y2="{scale.bottom + 4}"/>')
        parts.append(f'<text class="axis" x="{x}" y="{scale.bottom + 20}" text-anchor="middle">{second} s</text>')
    return parts


def _outage_band(outage: Outage, scale: _Scale, *, opacity: float = 1.0) -> list[str]:
    """Drawn below the lanes, and once more above them, half transparent: nothing happens there."""
    x, width = scale.x(outage.killed_s), scale.x(outage.ready_s) - scale.x(outage.killed_s)
    place = f'x="{x}" y="{TOP - 4}" width="{width:.1f}" height="{scale.bottom - TOP + 8}"'
    return [f'<rect class="outage" {place} fill-opacity="{opacity}"/>']


def _outage_marks(outage: Outage, scale: _Scale) -> list[str]:
    killed, ready = scale.x(outage.killed_s), scale.x(outage.ready_s)
    return [
        _rule(killed, scale, ""),
        _rule(ready, scale, ' stroke-dasharray="4 3"'),
        f'<text class="mark" x="{killed - 4}" y="{TOP - 9}" text-anchor="end">kill -9</text>',
        f'<text class="mark" x="{ready + 4}" y="{TOP - 9}">started again</text>',
    ]


def _rule(x: float, scale: _Scale, dashes: str) -> str:
    return f'<line class="rule" x1="{x}" y1="{TOP - 10}" x2="{x}" y2="{scale.bottom + 4}"{dashes}/>'


def _lane(lane: Lane, y: int, scale: _Scale, outage: Outage) -> list[str]:
    label = f"{lane.example} {lane.run}"
    middle = y + LANE / 2
    parts = [f'<text class="lane" x="{LEFT - 10}" y="{middle + 4.5}" text-anchor="end">{escape(label)}</text>']
    for stage in lane.stages:
        ended_s = stage.ended_s if stage.ended_s is not None else scale.length_s
        x, width = scale.x(stage.started_s), max(scale.x(ended_s) - scale.x(stage.started_s), 2.5)
        kind = stage.keyword if stage.keyword in KEYWORDS else "other"
        ended = "still running" if stage.ended_s is None else f"{stage.ended_s:.2f} s"
        title = escape(f"{stage.keyword}: {stage.started_s:.2f} s to {ended}")
        bar = (
            f'<rect class="{kind}" x="{x}" y="{y + (LANE - BAR) / 2}" width="{width:.1f}" height="{BAR}" rx="2" '
            f'stroke-width="0.8"><title>{title}</title></rect>'
        )
        parts += [bar, *(_activity(activity, y, scale, outage) for activity in stage.activities if activity.is_effect)]
    state = "failed" if lane.error else "ended"
    parts.append(f'<circle class="{state}" cx="{scale.x(lane.ended_s) + 6}" cy="{middle}" r="3.2"/>')
    return parts


def _activity(activity: ActivitySpan, y: int, scale: _Scale, outage: Outage) -> str:
    ended_s = activity.ended_s if activity.ended_s is not None else scale.length_s
    x, width = scale.x(activity.started_s), max(scale.x(ended_s) - scale.x(activity.started_s) - 0.8, 2.0)
    kind = "in-flight" if activity.covers(outage.killed_s) else "effect"
    attempts = f", {activity.attempt} attempts" if activity.attempt > 1 else ""
    return (
        f'<rect class="{kind}" x="{x}" y="{y + LANE / 2 - 3}" width="{width:.1f}" height="6" rx="1">'
        f"<title>{escape(activity.name + attempts)}</title></rect>"
    )


def _legend(scale: _Scale) -> list[str]:
    """Two rows: the stages; the effects and the end of an instance."""
    parts: list[str] = []
    effects = [("effect", "effect"), ("in-flight", "effect in flight at the kill")]
    x = LEFT
    for row, entries in enumerate(([*KEYWORDS.items()], effects)):
        x, y = LEFT, scale.bottom + 38 + 22 * row
        for kind, words in entries:
            parts.append(f'<rect class="{kind}" x="{x}" y="{y}" width="18" height="11" rx="2"/>')
            parts.append(f'<text class="fact" x="{x + 25}" y="{y + 10}">{words}</text>')
            x += 48 + 7 * len(words)
    y = scale.bottom + 38 + 22
    parts.append(f'<circle class="ended" cx="{x + 6}" cy="{y + 5.5}" r="3.2"/>')
    parts.append(f'<text class="fact" x="{x + 17}" y="{y + 10}">ended, books exact</text>')
    return parts
