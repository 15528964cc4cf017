"""Moments, lengths of time and zones of the language: nanoseconds, the year 0, and Go's layouts.

`datetime` counts microseconds and begins with the year 1, so the arithmetic is our own; only the rules of named zones
come from `zoneinfo`, imported when the first one is asked for.
"""

from __future__ import annotations

from headrace.expr.times.durations import Duration
from headrace.expr.times.moments import Time
from headrace.expr.times.zones import UTC, Location

__all__ = ["UTC", "Duration", "Location", "Time"]
