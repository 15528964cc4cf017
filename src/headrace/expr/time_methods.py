"""Methods of times, durations, time zones and named integers, such as `now().Unix()`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from headrace.expr.errors import Failure
from headrace.expr.limits import Meter
from headrace.expr.numbers import wrapped
from headrace.expr.times import calendar
from headrace.expr.times.durations import HOUR, MICROSECOND, MILLISECOND, MINUTE, SECOND, Duration
from headrace.expr.times.layouts import MAX_LAYOUT, formatted
from headrace.expr.times.moments import Time
from headrace.expr.times.zones import LOCAL, UTC, Location
from headrace.expr.values import Method, Month, NamedInt, Value, Weekday, integer, not_a, text_of

_MOST_DAYS = 10**12

TimeMethod: TypeAlias = Callable[[Time], Value]
DurationMethod: TypeAlias = Callable[[Duration], Value]


def _time(value: Value) -> Time:
    if not isinstance(value, Time):
        raise not_a(value, "time.Time")
    return value


def _duration(value: Value) -> Duration:
    if not isinstance(value, Duration):
        raise not_a(value, "time.Duration")
    return value


def _location(value: Value) -> Location:
    if not isinstance(value, Location):
        raise not_a(value, "*time.Location")
    return value


def _format(time: Time, layout: Value) -> str:
    if len(text_of(layout)) > MAX_LAYOUT:
        raise Failure(f"a layout has at most {MAX_LAYOUT} characters")
    return formatted(time, layout)


def _add_date(time: Time, years: Value, months: Value, days: Value) -> Time:
    counts = [integer(value) for value in (years, months, days)]
    if any(abs(count) > _MOST_DAYS for count in counts):
        raise Failure("time is out of range")
    return time.plus_date(*counts)


def _compare(time: Time, other: Value) -> int:
    difference = time.nanoseconds - _time(other).nanoseconds
    return (difference > 0) - (difference < 0)


def _parts(unit: int) -> DurationMethod:
    """A method that returns a duration in units as a float, rounded as in the reference."""

    def part(duration: Duration) -> float:
        size = abs(duration.nanoseconds)
        value = size // unit + (size % unit) / unit
        return -value if duration.nanoseconds < 0 else value

    return part


def _whole(unit: int) -> DurationMethod:
    def whole(duration: Duration) -> int:
        size = abs(duration.nanoseconds) // unit
        return -size if duration.nanoseconds < 0 else size

    return whole


_TIME_METHODS: dict[str, TimeMethod] = {
    "Year": lambda time: time.date[0],
    "Month": lambda time: Month(time.date[1]),
    "Day": lambda time: time.date[2],
    "Hour": lambda time: time.clock[0],
    "Minute": lambda time: time.clock[1],
    "Second": lambda time: time.clock[2],
    "Nanosecond": lambda time: time.nanosecond,
    "Weekday": lambda time: Weekday(calendar.weekday(time.local_days)),
    "YearDay": lambda time: calendar.day_of_year(*time.date),
    "ISOWeek": lambda time: calendar.iso_week(time.local_days)[0],
    "Unix": lambda time: wrapped(time.unix_s),
    "UnixMilli": lambda time: wrapped(time.nanoseconds // MILLISECOND),
    "UnixMicro": lambda time: wrapped(time.nanoseconds // MICROSECOND),
    "UnixNano": lambda time: wrapped(time.nanoseconds),
    "UTC": lambda time: time.in_zone(UTC),
    "Local": lambda time: time.in_zone(LOCAL),
    "Zone": lambda time: time.zone[1],
    "IsDST": lambda time: time.location.is_daylight_saving(time.unix_s),
    "Location": lambda time: time.location,
    "String": str,
    "IsZero": lambda time: time.is_zero,
}
_TIME_METHODS_OF_ONE: dict[str, Callable[[Time, Value], Value]] = {
    "In": lambda time, location: time.in_zone(_location(location)),
    "Format": _format,
    "Add": lambda time, duration: time.plus(_duration(duration)),
    "Sub": lambda time, other: time.since(_time(other)),
    "Before": lambda time, other: time < _time(other),
    "After": lambda time, other: _time(other) < time,
    "Equal": lambda time, other: time == _time(other),
    "Compare": _compare,
    "Truncate": lambda time, step: time.truncated(_duration(step)),
    "Round": lambda time, step: time.rounded(_duration(step)),
}
_DURATION_METHODS: dict[str, DurationMethod] = {
    "Hours": _parts(HOUR),
    "Minutes": _parts(MINUTE),
    "Seconds": _parts(SECOND),
    "Milliseconds": _whole(MILLISECOND),
    "Microseconds": _whole(MICROSECOND),
    "Nanoseconds": lambda duration: duration.nanoseconds,
    "String": str,
    "Abs": lambda duration: Duration.clamped(abs(duration.nanoseconds)),
}
_DURATION_METHODS_OF_ONE: dict[str, Callable[[Duration, Value], Value]] = {
    "Round": lambda duration, step: duration.rounded(_duration(step)),
    "Truncate": lambda duration, step: duration.truncated(_duration(step)),
}


def call(meter: Meter, method: Method, arguments: list[Value]) -> Value:
    """Call a bound method. Raises Failure for a wrong number or type of arguments."""
    implementation, expected = _found(method.owner, method.name)
    if len(arguments) != expected:
        raise Failure(f"invalid number of arguments: expected {expected}, got {len(arguments)}")
    if method.name in ("Format", "String"):
        size = len(arguments[0]) if arguments and type(arguments[0]) is str else 16
        meter.grow(size)
        meter.step(size // 4)
    return implementation(method.owner, *arguments)


def _found(owner: Value, name: str) -> tuple[Callable[..., Value], int]:
    """The implementation of a method and its number of arguments."""
    if isinstance(owner, Time):
        if name == "AddDate":
            return _add_date, 3
        return (_TIME_METHODS[name], 0) if name in _TIME_METHODS else (_TIME_METHODS_OF_ONE[name], 1)
    if isinstance(owner, Duration):
        return (_DURATION_METHODS[name], 0) if name in _DURATION_METHODS else (_DURATION_METHODS_OF_ONE[name], 1)
    return (_name if isinstance(owner, NamedInt) else str), 0


def _name(owner: NamedInt) -> str:
    return owner.text()
