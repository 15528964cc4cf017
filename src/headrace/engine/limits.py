"""Bounds and times of an engine."""

from __future__ import annotations

from dataclasses import dataclass

from headrace.engine.concurrency import START


@dataclass(frozen=True, slots=True)
class EngineLimits:
    """Bounds and times. `max_active`: instances taken up at once.

    `concurrency`: the most requests to one service under way at once; `concurrency_start`: the limit to begin with,
    which then adapts to how the service answers.
    """

    concurrency: int = 64
    concurrency_start: int = START
    max_active: int = 10_000
    settle_s: float = 30.0
    retry_base_s: float = 1.0
    retry_cap_s: float = 100.0
    stop_s: float = 10.0
    abort_s: float = 4.0
