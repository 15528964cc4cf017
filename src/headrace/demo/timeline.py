"""Timelines of instances from their histories, as text and for the picture."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from headrace.workflows.activities import ACTIVITIES

Json = dict[str, Any]

EFFECTS = frozenset(name for name, activity in ACTIVITIES.items() if activity.is_effect)


@dataclass(frozen=True, slots=True)
class ActivitySpan:
    """`started_s` and `ended_s` count from the beginning of the picture."""

    name: str
    started_s: float
    ended_s: float | None
    attempt: int

    @property
    def is_effect(self) -> bool:
        return self.name in EFFECTS

    def covers(self, moment_s: float) -> bool:
        return self.started_s <= moment_s and (self.ended_s is None or self.ended_s > moment_s)


@dataclass(frozen=True, slots=True)
class StageSpan:
    keyword: str
    started_s: float
    ended_s: float | None
    activities: tuple[ActivitySpan, ...]


@dataclass(frozen=True, slots=True)
class Lane:
    """The timeline of one instance."""

    example: str
    run: str
    instance_id: str
    stages: tuple[StageSpan, ...]
    error: str | None = None

    @property
    def started_s(self) -> float:
        return self.stages[0].started_s if self.stages else 0.0

    @property
    def ended_s(self) -> float:
        return max((stage.ended_s or stage.started_s for stage in self.stages), default=0.0)


@dataclass(frozen=True, slots=True)
class Outage:
    """From SIGKILL to `/readyz`."""

    killed_s: float
    ready_s: float


@dataclass(frozen=True, slots=True)
class Picture:
    """Timelines of a run, with the outage. Times are seconds from its beginning."""

    lanes: list[Lane]
    outage: Outage
    facts: list[str] = field(default_factory=list[str])

    @property
    def length_s(self) -> float:
        return max((lane.ended_s for lane in self.lanes), default=1.0)

    @property
    def effects_in_flight(self) -> int:
        """Number of effects between their intent and their outcome when the server was killed."""
        activities = [activity for lane in self.lanes for stage in lane.stages for activity in stage.activities]
        return sum(activity.is_effect and activity.covers(self.outage.killed_s) for activity in activities)


def lane_of(
    example: str, run: str, instance: Json, stages: list[Json], activities: list[list[Json]], zero: float
) -> Lane:
    """`zero` is the beginning of the picture in seconds since the epoch."""
    spans = tuple(_stage_span(stage, activities[number], zero) for number, stage in enumerate(stages))
    return Lane(example, run, instance["id"], spans, instance.get("error"))


def _stage_span(stage: Json, activities: list[Json], zero: float) -> StageSpan:
    spans = tuple(
        ActivitySpan(entry["name"], _since(zero, entry["startedAt"]), _ended(zero, entry), entry["attempt"])
        for entry in activities
    )
    return StageSpan(stage["name"], _since(zero, stage["startedAt"]), _ended(zero, stage), spans)


def _ended(zero: float, entry: Json) -> float | None:
    return _since(zero, entry["terminatedAt"]) if entry.get("terminatedAt") else None


def _since(zero: float, moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp() - zero


def lane_lines(lane: Lane, outage: Outage) -> list[str]:
    """The lane as text: one line for each stage, the kill where it fell."""
    state = f"failed: {lane.error}" if lane.error else "succeeded"
    lines = [f"{lane.example}  run {lane.run}  {lane.instance_id}  {state} after {lane.ended_s - lane.started_s:.2f} s"]
    for number, stage in enumerate(lane.stages):
        ended = "...   " if stage.ended_s is None else f"{stage.ended_s:6.2f}"
        activities = ", ".join(_activity(activity, outage) for activity in stage.activities)
        is_open_at_kill = stage.started_s < outage.killed_s < (math.inf if stage.ended_s is None else stage.ended_s)
        if not stage.activities and is_open_at_kill:
            activities = "  (outlived the kill)"
        lines.append(f"  {stage.started_s:6.2f} -> {ended} s  {number} {stage.keyword:<11}{activities}")
    return lines


def _activity(activity: ActivitySpan, outage: Outage) -> str:
    marks: list[str] = []
    if activity.attempt > 1:
        marks.append(f"{activity.attempt} attempts")
    if activity.is_effect and activity.covers(outage.killed_s):
        marks.append("in flight at the kill")
    return activity.name + (f" ({', '.join(marks)})" if marks else "")
