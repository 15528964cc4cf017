"""Durations: 64 bits of nanoseconds, and their text such as `1h30m`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from headrace.expr.errors import Failure
from headrace.expr.numbers import MAX_INT, MIN_INT, wrapped

MICROSECOND = 1_000
MILLISECOND = 1_000_000
SECOND = 1_000_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE

_UNITS = {
    "ns": 1,
    "us": MICROSECOND,
    "µs": MICROSECOND,
    "μs": MICROSECOND,
    "ms": MILLISECOND,
    "s": SECOND,
    "m": MINUTE,
    "h": HOUR,
}
_PART = re.compile(r"([0-9]*)(?:\.([0-9]*))?([^0-9.]*)", re.ASCII)
_MAX_TEXT = 1_000


@dataclass(frozen=True, slots=True, order=True)
class Duration:
    """A length of time in nanoseconds. `wrapped` and `clamped` bring a value into 64 bits."""

    nanoseconds: int

    @classmethod
    def wrapped(cls, nanoseconds: int) -> Duration:
        return cls(wrapped(nanoseconds))

    @classmethod
    def clamped(cls, nanoseconds: int) -> Duration:
        return cls(max(MIN_INT, min(MAX_INT, nanoseconds)))

    def __str__(self) -> str:
        """The text of a duration: `1h30m0s`, `1.5s`, `100ms`, `0s`."""
        size = abs(self.nanoseconds)
        sign = "-" if self.nanoseconds < 0 else ""
        if size < SECOND:
            return sign + _below_a_second(size)
        minutes, rest = divmod(size, MINUTE)
        hours, minutes = divmod(minutes, 60)
        seconds = _scaled(rest, SECOND) + "s"
        if hours:
            return f"{sign}{hours}h{minutes}m{seconds}"
        return f"{sign}{minutes}m{seconds}" if minutes else sign + seconds

    def truncated(self, step: Duration) -> Duration:
        """The duration truncated towards zero to a multiple of `step`; unchanged if `step` is not positive."""
        if step.nanoseconds <= 0:
            return self
        rest = abs(self.nanoseconds) % step.nanoseconds
        return Duration(self.nanoseconds - (-rest if self.nanoseconds < 0 else rest))

    def rounded(self, step: Duration) -> Duration:
        """The duration rounded to a multiple of `step`, halves away from zero; unchanged if `step` is not positive."""
        if step.nanoseconds <= 0:
            return self
        size = abs(self.nanoseconds)
        whole, rest = divmod(size, step.nanoseconds)
        result = (whole + (2 * rest >= step.nanoseconds)) * step.nanoseconds
        return Duration.clamped(-result if self.nanoseconds < 0 else result)


def _below_a_second(size: int) -> str:
    if not size:
        return "0s"
    for unit, name in ((MILLISECOND, "ms"), (MICROSECOND, "µs")):
        if size >= unit:
            return _scaled(size, unit) + name
    return f"{size}ns"


def _scaled(size: int, unit: int) -> str:
    """A size in units as a decimal without trailing zeros."""
    whole, rest = divmod(size, unit)
    fraction = str(rest).rjust(len(str(unit)) - 1, "0").rstrip("0")
    return f"{whole}.{fraction}" if fraction else str(whole)


def parse_duration(text: str) -> Duration:
    """Read a duration: `1h30m`, `1.5h`, `-2s`, `100ms` or `0`; hours are the largest unit. Raises Failure."""
    body = text.removeprefix("-") if text.startswith("-") else text.removeprefix("+")
    if body == "0":
        return Duration(0)
    if not body or len(body) > _MAX_TEXT:
        raise _invalid(text)
    total, position = 0, 0
    while position < len(body):
        match = _PART.match(body, position)
        assert match is not None, "the pattern matches anything"
        whole, fraction, unit = match[1], match[2] or "", match[3]
        if not whole and not fraction:
            raise _invalid(text)
        if not unit:
            raise Failure(f'time: missing unit in duration "{text}"')
        if unit not in _UNITS:
            raise Failure(f'time: unknown unit "{unit}" in duration "{text}"')
        if int(whole or "0") > MAX_INT + 1:
            raise _invalid(text)
        total += (int(whole or "0") * 10 ** len(fraction) + int(fraction or "0")) * _UNITS[unit] // 10 ** len(fraction)
        position = match.end()
    if total > MAX_INT + text.startswith("-"):
        raise _invalid(text)
    return Duration(-total if text.startswith("-") else total)


def _invalid(text: str) -> Failure:
    return Failure(f'time: invalid duration "{text}"')
