"""Lengths of time and moments as text. Both become whole microseconds, exactly.

Durations follow Go's grammar (`1h30m`, `1.5h`, `500ms`, a bare `0`), with `d` (24 h) and `w` (7 d) beside its units.
Moments follow RFC 3339: a date, `T`, a time, and an offset that is never left out.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache

from headrace.errors import InvalidValue
from headrace.workflows.variables import check_text, shown

MAX_DURATION_CHARACTERS = 256
MAX_DURATION_US = 36_525 * 24 * 3_600 * 1_000_000
"""A hundred years of 365.25 days."""

_NANOSECONDS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "μs": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60 * 1_000_000_000,
    "h": 3_600 * 1_000_000_000,
    "d": 24 * 3_600 * 1_000_000_000,
    "w": 7 * 24 * 3_600 * 1_000_000_000,
}
_PART = re.compile(r"([0-9]*)(?:\.([0-9]*))?(ns|us|µs|μs|ms|s|m|h|d|w)", re.ASCII)
_MOMENT = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,30}))?"
    r"(?:Z|([+-])([0-9]{2}):([0-9]{2}))",
    re.ASCII,
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_YEAR_2_AT = (datetime(2, 1, 1, tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1)


def duration_us(value: object, field: str = "") -> int:
    """Microseconds of a duration, rounded up so that a delay never ends early. Raises InvalidValue."""
    text = check_text(value, field)
    if text.startswith("-"):
        raise InvalidValue(field, f"{shown(text)} is negative")
    nanoseconds = _nanoseconds(text.removeprefix("+")) if len(text) <= MAX_DURATION_CHARACTERS else None
    if nanoseconds is None:
        raise InvalidValue(field, f"{shown(text)} is not a duration such as 5s, 1h30m or 7d")
    microseconds = -(-nanoseconds // 1_000)
    if microseconds > MAX_DURATION_US:
        raise InvalidValue(field, f"{shown(text)} is longer than 100 years")
    return microseconds


def moment_us(value: object, field: str = "") -> int:
    """Microseconds since the epoch of an RFC 3339 text, rounded to the nearest one. Raises InvalidValue."""
    text = check_text(value, field)
    try:
        moment_at = _microseconds(text)
    except (ValueError, OverflowError) as error:
        raise InvalidValue(field, f"{shown(text)} is not a date: {error}") from None
    if moment_at is None:
        raise InvalidValue(field, f"{shown(text)} is not a date such as 2024-05-01T10:00:00Z")
    return moment_at


@lru_cache(maxsize=1_024)
def moment_text(moment_at: int) -> str:
    """RFC 3339 in UTC with `Z`; six digits of fraction, none where they are all zero."""
    moment = _EPOCH + timedelta(microseconds=moment_at)
    return moment.replace(tzinfo=None).isoformat() + "Z"


def moment_of(value: object, field: str = "") -> str:
    """An RFC 3339 text as we write it."""
    return moment_text(moment_us(value, field))


def booking_moment_of(value: object, field: str = "") -> str:
    """The time at which a transaction takes effect. Raises InvalidValue, also for year 1 of UTC.

    A ledger reads the first moment of year 1 as "no timestamp" and books at its own time instead.
    """
    moment_at = moment_us(value, field)
    if moment_at < _YEAR_2_AT:
        raise InvalidValue(
            field, f"{shown(str(value))} is in year 1 (UTC), which a ledger reads as no timestamp at all"
        )
    return moment_text(moment_at)


@lru_cache(maxsize=1_024)
def _nanoseconds(text: str) -> int | None:
    """Rounded up; None where the text is not a duration."""
    if text == "0":
        return 0
    position, total, scale = 0, 0, 10**MAX_DURATION_CHARACTERS
    while position < len(text):
        match = _PART.match(text, position)
        if match is None:
            return None
        whole, fraction = match[1], match[2] or ""
        if not whole and not fraction:
            return None
        total += int(whole + fraction) * _NANOSECONDS[match[3]] * 10 ** (MAX_DURATION_CHARACTERS - len(fraction))
        position = match.end()
    return -(-total // scale) if position else None


@lru_cache(maxsize=1_024)
def _microseconds(text: str) -> int | None:
    """Parse a date; None for a text of another form. Raises ValueError or OverflowError for an impossible day."""
    match = _MOMENT.fullmatch(text)
    if match is None:
        return None
    zone = UTC
    if match[8] is not None:
        hours, minutes = int(match[9]), int(match[10])
        if hours > 23 or minutes > 59:
            raise ValueError("an offset is at most 23:59")
        offset = timedelta(hours=hours, minutes=minutes)
        zone = timezone(-offset if match[8] == "-" else offset)
    year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])
    moment = datetime(year, month, day, hour, minute, second, tzinfo=zone)
    digits = match[7] or "0"
    scale = 10 ** len(digits)
    fraction = (2 * int(digits) * 1_000_000 + scale) // (2 * scale)  # in microseconds, halves rounded up
    result = (moment - _EPOCH) // timedelta(microseconds=1) + fraction
    moment_text(result)  # refuses what lies outside the years 1 to 9999 once offset and rounding are applied
    return result
