"""Times read from texts, by a given layout or by the usual ones in turn."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from headrace.expr.errors import Failure
from headrace.expr.times import calendar
from headrace.expr.times.durations import SECOND
from headrace.expr.times.layouts import DAYS, MAX_LAYOUT, MONTHS, RFC3339, is_fraction, is_offset, parts_of
from headrace.expr.times.moments import Time
from headrace.expr.times.zones import UTC, Location, fixed

_DAY_START = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
LAYOUTS = tuple(
    (re.compile(start, re.ASCII | re.IGNORECASE), layout)
    for start, layout in (
        (_DAY_START + "$", "2006-01-02"),
        (r"[0-9]{1,2}:", "15:04:05"),
        (_DAY_START + r"(?: |[0-9])", "2006-01-02 15:04:05"),
        (_DAY_START + "T", RFC3339),
        (r"[0-9]{2} ", "02 Jan 06 15:04 MST"),
        (r"[A-Za-z]+day,", "Monday, 02-Jan-06 15:04:05 MST"),
        (r"[A-Za-z]{3},", "Mon, 02 Jan 2006 15:04:05 MST"),
    )
)
"""Layouts that `date` tries without a layout argument, in this order: pattern of the beginning, and layout."""

_OFFSETS = {
    "07": re.compile(r"([+-])([0-9]{2})", re.ASCII),
    "0700": re.compile(r"([+-])([0-9]{2})([0-9]{2})", re.ASCII),
    "07:00": re.compile(r"([+-])([0-9]{2}):([0-9]{2})", re.ASCII),
    "070000": re.compile(r"([+-])([0-9]{2})([0-9]{2})([0-9]{2})", re.ASCII),
    "07:00:00": re.compile(r"([+-])([0-9]{2}):([0-9]{2}):([0-9]{2})", re.ASCII),
}
_ONE_OR_TWO = re.compile(r"[0-9]{1,2}", re.ASCII)
_TWO = re.compile(r"[0-9]{2}", re.ASCII)
_UP_TO_THREE = re.compile(r"[0-9]{1,3}", re.ASCII)
_THREE = re.compile(r"[0-9]{3}", re.ASCII)
_FOUR = re.compile(r"[0-9]{4}", re.ASCII)
_FRACTION = re.compile(r"[.,]([0-9]+)", re.ASCII)
_ZONE = re.compile(
    r"ChST|MeST|GMT(?:[+-]0*(?:1?[0-9]|2[0-3])(?![0-9]))?|[A-Z]{3,5}(?![A-Z])|[+-](?=..)0*(?:1?[0-9]|2[0-3])(?![0-9])"
)
"""Pattern of a zone: an abbreviation, or signed hours from UTC."""


class Mismatch(Exception):
    """The text does not match the layout."""


def read_date(text: str, location: Location | None = None) -> Time:
    """Read a time by the first of the usual layouts that fits. Raises Failure if none does.

    A text without a zone is read in `location`, or in UTC.
    """
    for start, layout in LAYOUTS:
        if start.match(text) is None:
            continue
        try:
            return _read(text, layout, location or UTC)
        except Mismatch:
            continue
    raise Failure(f"invalid date {text}")


def read_with_layout(text: str, layout: str, location: Location) -> Time:
    """Read a time by a layout; in `location` without a zone in the text. Raises Failure for a text that differs."""
    if len(layout) > MAX_LAYOUT:
        raise Failure(f"a layout has at most {MAX_LAYOUT} characters")
    try:
        return _read(text, layout, location)
    except Mismatch:
        raise Failure(f'parsing time "{text}" as "{layout}": cannot parse it') from None


@dataclass(slots=True)
class _Reading:
    """The fields read so far, and the rest of the text. Methods raise Mismatch."""

    rest: str
    year: int = 0
    month: int = -1
    day: int = -1
    day_of_year: int = -1
    hour: int = 0
    minute: int = 0
    second: int = 0
    nanosecond: int = 0
    is_pm: bool | None = None
    offset_s: int | None = None
    zone_name: str = ""
    is_utc: bool = False

    def take(self, pattern: re.Pattern[str]) -> re.Match[str]:
        match = pattern.match(self.rest)
        if match is None:
            raise Mismatch
        self.rest = self.rest[match.end() :]
        return match

    def number(self, pattern: re.Pattern[str], most: int, least: int = 0) -> int:
        value = int(self.take(pattern).group())
        if not least <= value <= most:
            raise Mismatch
        return value

    def word(self, words: tuple[str, ...]) -> int:
        """Read one of the words, in any case, and return its index."""
        for index, word in enumerate(words):
            if self.rest[: len(word)].lower() == word.lower():
                self.rest = self.rest[len(word) :]
                return index
        raise Mismatch

    def skip(self, literal: str) -> None:
        """Read a literal of the layout. A run of spaces matches any run of spaces."""
        while literal:
            if literal[0] == " ":
                if self.rest and self.rest[0] != " ":
                    raise Mismatch
                literal, self.rest = literal.lstrip(" "), self.rest.lstrip(" ")
            elif self.rest[:1] != literal[0]:
                raise Mismatch
            else:
                literal, self.rest = literal[1:], self.rest[1:]


def _read(text: str, layout: str, location: Location) -> Time:
    reading = _Reading(text)
    parts = parts_of(layout)
    for index, part in enumerate(parts):
        reading.skip(part.literal)
        if not part.element:
            break
        if is_fraction(part.element):
            _take_layout_fraction(reading, part.element)
        elif is_offset(part.element):
            _take_offset(reading, part.element)
        else:
            _READERS[part.element](reading)
        if part.element in ("5", "05") and not is_fraction(parts[index + 1].element):
            # Seconds may have a fraction that the layout does not show.
            match = _FRACTION.match(reading.rest)
            if match:
                reading.rest = reading.rest[match.end() :]
                reading.nanosecond = int(match[1][:9].ljust(9, "0"))
    if reading.rest:
        raise Mismatch
    return _time(reading, location)


def _take_layout_fraction(reading: _Reading, element: str) -> None:
    """Read a fraction of a second: `.000` requires three digits; `.999` accepts any number or none."""
    count = len(element) - 1
    match = _FRACTION.match(reading.rest)
    if element[1] == "9":
        if match is None:
            return
        digits = match[1][:9]
    else:
        if match is None or len(match[1]) < count:
            raise Mismatch
        digits = match[1][:count]
    reading.rest = reading.rest[1 + len(digits) :]
    reading.nanosecond = int(digits[:9].ljust(9, "0"))


def _take_offset(reading: _Reading, element: str) -> None:
    if element[0] == "Z" and reading.rest.startswith("Z"):
        reading.rest = reading.rest[1:]
        reading.is_utc = True
        return
    sign, *fields = reading.take(_OFFSETS[element[1:]]).groups()
    hour, minute, second = (int(field) for field in (*fields, "0", "0")[:3])
    if hour > 24 or minute > 60 or second > 60:
        raise Mismatch
    size = hour * 3_600 + minute * 60 + second
    reading.offset_s = -size if sign == "-" else size


def _take_zone(reading: _Reading) -> None:
    if reading.rest.startswith("UTC"):
        reading.rest = reading.rest[3:]
        reading.is_utc = True
        return
    name = reading.take(_ZONE).group()
    is_named = len(name) == 3 or name.startswith(("GMT", "ChST", "MeST", "+", "-"))
    if not is_named and not (name == "WITA" or (name.endswith("T") and len(name) in (4, 5))):
        raise Mismatch
    reading.zone_name = name


def _take_year(reading: _Reading) -> None:
    reading.year = int(reading.take(_FOUR).group())


def _take_short_year(reading: _Reading) -> None:
    year = int(reading.take(_TWO).group())
    reading.year = year + (1900 if year >= 69 else 2000)


def _take_long_month(reading: _Reading) -> None:
    reading.month = reading.word(MONTHS) + 1


def _take_short_month(reading: _Reading) -> None:
    reading.month = reading.word(tuple(name[:3] for name in MONTHS)) + 1


def _take_month(pattern: re.Pattern[str]) -> Callable[[_Reading], None]:
    def take(reading: _Reading) -> None:
        reading.month = reading.number(pattern, 12, 1)

    return take


def _take_day(pattern: re.Pattern[str], *, may_be_padded: bool = False) -> Callable[[_Reading], None]:
    def take(reading: _Reading) -> None:
        if may_be_padded:
            reading.rest = reading.rest.removeprefix(" ")
        reading.day = int(reading.take(pattern).group())

    return take


def _take_day_of_year(*, is_padded: bool) -> Callable[[_Reading], None]:
    def take(reading: _Reading) -> None:
        if is_padded:
            reading.rest = reading.rest[:2].lstrip(" ") + reading.rest[2:]
        reading.day_of_year = int(reading.take(_UP_TO_THREE if is_padded else _THREE).group())

    return take


def _take_clock(name: str, pattern: re.Pattern[str], most: int) -> Callable[[_Reading], None]:
    def take(reading: _Reading) -> None:
        setattr(reading, name, reading.number(pattern, most))

    return take


def _take_half(words: tuple[str, str]) -> Callable[[_Reading], None]:
    def take(reading: _Reading) -> None:
        if not reading.rest.startswith(words):
            raise Mismatch
        reading.is_pm = reading.rest.startswith(words[1])
        reading.rest = reading.rest[2:]

    return take


def _take_words(words: tuple[str, ...]) -> Callable[[_Reading], None]:
    """Read one of the words and ignore it."""

    def take(reading: _Reading) -> None:
        reading.word(words)

    return take


_READERS: dict[str, Callable[[_Reading], None]] = {
    "January": _take_long_month,
    "Jan": _take_short_month,
    "1": _take_month(_ONE_OR_TWO),
    "01": _take_month(_TWO),
    "Monday": _take_words(DAYS),
    "Mon": _take_words(tuple(name[:3] for name in DAYS)),
    "2": _take_day(_ONE_OR_TWO),
    "_2": _take_day(_ONE_OR_TWO, may_be_padded=True),
    "02": _take_day(_TWO),
    "__2": _take_day_of_year(is_padded=True),
    "002": _take_day_of_year(is_padded=False),
    "15": _take_clock("hour", _ONE_OR_TWO, 23),
    "3": _take_clock("hour", _ONE_OR_TWO, 12),
    "03": _take_clock("hour", _TWO, 12),
    "4": _take_clock("minute", _ONE_OR_TWO, 59),
    "04": _take_clock("minute", _TWO, 59),
    "5": _take_clock("second", _ONE_OR_TWO, 59),
    "05": _take_clock("second", _TWO, 59),
    "2006": _take_year,
    "06": _take_short_year,
    "PM": _take_half(("AM", "PM")),
    "pm": _take_half(("am", "pm")),
    "MST": _take_zone,
}


def _time(reading: _Reading, location: Location) -> Time:
    if reading.day_of_year >= 0:
        if not 1 <= reading.day_of_year <= 365 + calendar.is_leap(reading.year):
            raise Mismatch
        days = calendar.days_from(reading.year, 1, 1) + reading.day_of_year - 1
        date = calendar.date_of(days)
        if reading.month not in (-1, date[1]) or reading.day not in (-1, date[2]):
            raise Mismatch
    else:
        month = 1 if reading.month < 0 else reading.month
        day = 1 if reading.day < 0 else reading.day
        if not 1 <= day <= calendar.days_in(reading.year, month):
            raise Mismatch
        date = reading.year, month, day

    hour = reading.hour
    if reading.is_pm and hour < 12:
        hour += 12
    elif reading.is_pm is False and hour == 12:
        hour = 0
    second_of_day = hour * 3_600 + reading.minute * 60 + reading.second

    def clock_in(zone: Location) -> Time:
        return Time.of_clock(date, second_of_day, reading.nanosecond, zone)

    if reading.is_utc:
        return clock_in(UTC)
    if reading.offset_s is not None:
        # Use `location` if it has that offset at that time.
        time = clock_in(fixed(reading.offset_s))
        offset, name = location.at(time.unix_s)
        is_same = offset == reading.offset_s and reading.zone_name in ("", name)
        return time.in_zone(location if is_same else fixed(time.offset_s, reading.zone_name))
    if reading.zone_name:
        # An abbreviation means an offset only where `location` uses it; else it is kept as a name, like UTC. Only
        # `GMT` with hours says what it means by itself.
        time, name = clock_in(UTC), reading.zone_name
        offset = location.offset_named(name, time.unix_s)
        if offset is not None:
            return Time(time.nanoseconds - offset * SECOND, location)
        hours = int(name[3:]) if name.startswith("GMT") and len(name) > 3 else 0
        return Time(time.nanoseconds, fixed(hours * 3_600, name))
    return clock_in(location)
