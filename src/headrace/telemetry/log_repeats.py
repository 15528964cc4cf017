"""A bound on log lines that say the same again: a fault that lasts, met every second or by every instance."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

import structlog

from headrace.clock import Clock

LINES = 5
WINDOW_S = 60.0
"""At most `LINES` warnings with the same event and reason are logged within `WINDOW_S`."""
MAX_KEYS = 200


class Repeats:
    """A structlog processor that drops repeated warnings; the next one that is logged says how many were dropped.

    Only lines with a `reason` are counted: others are about one thing each. Those about a service have a bound of their
    own (`headrace.outages`).
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._seen: dict[tuple[str, str], _Seen] = {}

    def __call__(self, _logger: Any, method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        reason = line.get("reason")
        if reason is None or "service" in line or method not in ("warning", "error"):
            return line
        key = (str(line.get("event")), str(reason))
        seen = self._seen.get(key)
        if seen is None:
            if len(self._seen) >= MAX_KEYS:
                del self._seen[next(iter(self._seen))]
            seen = self._seen[key] = _Seen()
        now_s = self._clock.monotonic_s()
        dropped = 0
        if now_s - seen.since_s >= WINDOW_S:
            dropped = max(0, seen.lines - LINES)
            seen.since_s, seen.lines = now_s, 0
        seen.lines += 1
        if seen.lines > LINES:
            raise structlog.DropEvent
        if dropped:
            line["same_dropped"] = dropped
        return line


class _Seen:
    __slots__ = ("lines", "since_s")

    def __init__(self) -> None:
        self.lines = 0
        self.since_s = float("-inf")
