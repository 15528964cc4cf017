"""Builtins that make times, durations and time zones: `now`, `date`, `duration`, `timezone`."""

from __future__ import annotations

from headrace.expr.errors import Failure
from headrace.expr.limits import Meter
from headrace.expr.times import UTC, Duration, Location, Time, durations, reading, zones
from headrace.expr.values import Value, text_of

_MOST_CHARACTERS = 1_000
_DATE_STEPS = 16


def _short(value: Value) -> str:
    given = text_of(value)
    if len(given) > _MOST_CHARACTERS:
        raise Failure(f"a date or duration has at most {_MOST_CHARACTERS} characters")
    return given


def now(meter: Meter, location: Value = UTC) -> Time:
    if type(location) is not Location:
        raise Failure("invalid number of arguments (expected 0, got 1)")
    return Time(meter.now_ns(), location)


def duration(meter: Meter, value: Value) -> Duration:
    return durations.parse_duration(_short(value))


def timezone(meter: Meter, value: Value) -> Location:
    return zones.named(_short(value))


def date(meter: Meter, *arguments: Value) -> Time:
    """The builtin `date([zone,] text [, layout [, name of a zone]])`. Raises Failure for a text that is not a date."""
    meter.step(_DATE_STEPS)
    location: Location | None = None
    if type(arguments[0]) is Location:
        location, *arguments = arguments  # pyright: ignore[reportAssignmentType]
    if not 1 <= len(arguments) <= 3:
        raise Failure(f"invalid number of arguments (expected 1 to 3, got {len(arguments)})")
    value = _short(arguments[0])
    if len(arguments) == 1:
        return reading.read_date(value, location)
    if len(arguments) == 3:
        location = zones.named(_short(arguments[2]))
    return reading.read_with_layout(value, text_of(arguments[1]), location or UTC)
