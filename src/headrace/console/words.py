"""The words of the console: what a run is doing, how long ago something was, and what a status is called."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec

from headrace.journal.records import ActivityRow, Instance
from headrace.workflows.interpreter import CANCELED
from headrace.workflows.stages import STAGES

APPROVAL = "an approval"
SECOND, MINUTE, HOUR, DAY = 1_000_000, 60_000_000, 3_600_000_000, 86_400_000_000


class Status(NamedTuple):
    """A status as a person reads it: a sign, so that no status is shown by its colour alone, and a word."""

    sign: str
    word: str
    style: str


STATUS_WORDS: dict[str, Status] = {
    "running": Status("→", "Moving", "moving"),
    "waiting": Status("◔", "Waiting", "waiting"),
    "retrying": Status("↻", "Retrying", "retrying"),
    "attention": Status("?", "Needs a decision", "attention"),
    "succeeded": Status("✓", "Completed", "completed"),
    "failed": Status("✕", "Failed", "failed"),
    "aborted": Status("⊘", "Aborted", "aborted"),
}
"""By the statuses of the journal, in the order of the tabs."""


def status_of(instance: Instance, activities: Sequence[ActivityRow]) -> str:
    """The status of an instance. `activities`: those of its last stage."""
    if instance.is_terminal:
        return "succeeded" if instance.error is None else "aborted" if instance.error == CANCELED else "failed"
    still_open = [row for row in activities if row.terminated_at is None]
    if any(row.needs_attention for row in still_open):
        return "attention"
    if any(row.last_failure is not None for row in still_open):
        return "retrying"
    return "waiting" if waits_for(instance) and not still_open else "running"


def waits_for(instance: Instance) -> str:
    """Name what the last stage waits for: an approval, the end of a delay, an event; empty: it waits for nothing."""
    stage = instance.stages[-1] if instance.stages else None
    if instance.is_terminal or stage is None or stage.terminated_at is not None:
        return ""
    if stage.gate is not None and stage.gate_passed_at is None:
        return APPROVAL
    if stage.keyword == "delay":
        return "the end of a delay"
    body = msgspec.json.decode(stage.input)
    event = STAGES[stage.keyword].awaited_event(body) if stage.keyword in STAGES else None
    return f"event {event}" if event else ""


def ago(at: int, now_at: int) -> str:
    """`3 min ago`, `in 2 h`, for microseconds since the epoch."""
    span = now_at - at
    text = duration(abs(span))
    return f"{text} ago" if span >= 0 else f"in {text}"


def duration(microseconds: int) -> str:
    """`140 ms`, `12.3 s`, `4 min`, `3 h 20 min`, `9 days`."""
    if microseconds < SECOND:
        return f"{microseconds // 1_000} ms"
    if microseconds < MINUTE:
        return f"{microseconds / SECOND:.1f} s"
    if microseconds < HOUR:
        return f"{microseconds // MINUTE} min"
    if microseconds < DAY:
        hours, rest = divmod(microseconds, HOUR)
        return f"{hours} h {rest // MINUTE} min" if rest >= MINUTE else f"{hours} h"
    days = microseconds // DAY
    return "1 day" if days == 1 else f"{days} days"


def stamp(at: int) -> str:
    """`2024-05-01 10:00:00.123`, in UTC, for microseconds since the epoch."""
    return f"{datetime.fromtimestamp(at // SECOND, UTC):%Y-%m-%d %H:%M:%S}.{at % SECOND // 1_000:03}"
