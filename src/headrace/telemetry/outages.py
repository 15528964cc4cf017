"""Failed calls of one service as a few log lines: each failure while they are rare, then the start and the end of an
outage. Pure: times are parameters, and lines are returned, not written.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from headrace.clock import date_time

OUTAGE_FAILURES = 3
OUTAGE_S = 5.0
"""A service is failing once so many calls in a row have failed and it has not answered for so long."""
REMIND_S = 300.0
LINES = 5
WINDOW_S = 10.0
"""No more than `LINES` single failures are logged within `WINDOW_S`; the next line says how many were left out."""


@dataclass(frozen=True, slots=True)
class Line:
    """An event's text and its fields."""

    event: str
    fields: dict[str, Any]


class Outage:
    """The state of one service: answering, doubtful (the latest calls failed) or failing."""

    __slots__ = (
        *("_failures", "_first_at", "_first_s", "_is_failing", "_lines", "_said_s", "_service", "_unsaid"),
        "_window_s",
    )

    def __init__(self, service: str) -> None:
        self._service = service
        self._failures = 0  # since the latest answer
        self._first_s = 0.0
        self._first_at = 0
        self._is_failing = False
        self._said_s = 0.0
        self._window_s = float("-inf")
        self._lines = 0
        self._unsaid = 0

    @property
    def is_answering(self) -> bool:
        return not self._failures

    def failed(self, now_s: float, now_at: int, reason: str, fields: dict[str, Any]) -> Line | None:
        """`fields`: what a line about this single failure says, beside service and reason."""
        if not self._failures:
            self._first_s, self._first_at = now_s, now_at
        self._failures += 1
        if self._is_failing:
            if now_s - self._said_s < REMIND_S:
                return None
            self._said_s = now_s
            return self._about_outage(f"{self._service} is still failing", reason)
        if self._failures >= OUTAGE_FAILURES and now_s - self._first_s >= OUTAGE_S:
            self._is_failing, self._said_s, self._unsaid = True, now_s, 0
            return self._about_outage(f"{self._service} is failing", reason)
        return self._single(now_s, {"service": self._service, "reason": reason, **fields})

    def answered(self, now_s: float) -> Line | None:
        """The service answered to the point, be it with a refusal."""
        was_failing, failures = self._is_failing, self._failures
        self._is_failing, self._failures = False, 0
        if not was_failing:
            return None
        fields = {"since": date_time(self._first_at), "seconds": round(now_s - self._first_s), "failed_calls": failures}
        return Line(f"{self._service} is back", fields)

    def _about_outage(self, event: str, reason: str) -> Line:
        return Line(event, {"since": date_time(self._first_at), "failed_calls": self._failures, "reason": reason})

    def _single(self, now_s: float, fields: dict[str, Any]) -> Line | None:
        if now_s - self._window_s >= WINDOW_S:
            self._window_s, self._lines = now_s, 0
        if self._lines == LINES:
            self._unsaid += 1
            return None
        self._lines += 1
        if self._unsaid:
            fields["more_since_last_line"], self._unsaid = self._unsaid, 0
        return Line("attempt failed", fields)
