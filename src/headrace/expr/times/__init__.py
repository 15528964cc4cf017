"""Times, durations and time zones of the language: in nanoseconds, for any year, with Go's layouts.

Python's `datetime` counts microseconds and begins with the year 1, so this package has its own arithmetic. Only the
rules of named zones come from `zoneinfo`, which is imported when the first one is needed.
"""

from __future__ import annotations

from headrace.expr.times.durations import Duration
from headrace.expr.times.moments import Time
from headrace.expr.times.zones import UTC, Location

__all__ = ["UTC", "Duration", "Location", "Time"]
