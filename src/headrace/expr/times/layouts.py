"""Go's layouts: a format is the example time Mon Jan 2 15:04:05 MST 2006, written as wanted."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from headrace.expr.times import calendar

if TYPE_CHECKING:
    from headrace.expr.times.moments import Time

RFC3339 = "2006-01-02T15:04:05Z07:00"
RFC3339_NANO = "2006-01-02T15:04:05.999999999Z07:00"
PLAIN = "2006-01-02 15:04:05.999999999 -0700 MST"

MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
          "November", "December")  # fmt: skip
DAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")

_ELEMENT = re.compile(
    r"""
    January | Jan(?![a-z]) | Monday | Mon(?![a-z]) | MST
  | 002 | 0[1-6] | 15 | 1 | 2006 | 2 | __2 | _2(?!006) | 3 | 4 | 5 | PM | pm
  | [-Z]07(?:0000 | :00:00 | 00 | :00)?
  | [.,](?:0+|9+)(?![0-9])
    """,
    re.VERBOSE | re.ASCII,
)
MAX_LAYOUT = 1_000


class Part(NamedTuple):
    """A piece of a layout: literal text, then an element such as `15`, which is empty at the end."""

    literal: str
    element: str


@lru_cache(maxsize=64)
def parts_of(layout: str) -> tuple[Part, ...]:
    parts: list[Part] = []
    position = 0
    for match in _ELEMENT.finditer(layout):
        parts.append(Part(layout[position : match.start()], match.group()))
        position = match.end()
    parts.append(Part(layout[position:], ""))
    return tuple(parts)


def is_fraction(element: str) -> bool:
    return element[:1] in (".", ",") and element[1:2] in ("0", "9")


def is_offset(element: str) -> bool:
    return element[:3] in ("-07", "Z07")


def formatted(time: Time, layout: str) -> str:
    return "".join(part.literal + _written(time, part.element) for part in parts_of(layout))


def _written(time: Time, element: str) -> str:
    if not element:
        return ""
    if is_fraction(element):
        # `.000` keeps its digits, `.999` drops zeros at the end and the point with them.
        digits = f"{time.nanosecond:09d}"[: len(element) - 1]
        if element[1] == "9":
            digits = digits.rstrip("0")
        return element[0] + digits if digits else ""
    if is_offset(element):
        if element[0] == "Z" and not time.offset_s:
            return "Z"
        minutes, seconds = divmod(abs(time.offset_s), 60)
        fields = [minutes // 60, minutes % 60, seconds][: (len(element.replace(":", "")) - 1) // 2]
        return ("-" if time.offset_s < 0 else "+") + (":" if ":" in element else "").join(
            f"{field:02d}" for field in fields
        )
    return _WRITERS[element](time)


def _year(time: Time) -> str:
    year = time.date[0]
    return f"{year:04d}" if year >= 0 else f"-{-year:04d}"


def _hour12(time: Time) -> int:
    return time.clock[0] % 12 or 12


def _zone(time: Time) -> str:
    if time.abbreviation:
        return time.abbreviation
    minutes = abs(time.offset_s) // 60
    text = f"{'-' if time.offset_s < 0 else '+'}{minutes // 60:02d}"
    return f"{text}{minutes % 60:02d}"


def _day_of_year(time: Time) -> int:
    return calendar.day_of_year(*time.date)


_WRITERS: dict[str, Callable[[Time], str]] = {
    "January": lambda time: MONTHS[time.date[1] - 1],
    "Jan": lambda time: MONTHS[time.date[1] - 1][:3],
    "1": lambda time: str(time.date[1]),
    "01": lambda time: f"{time.date[1]:02d}",
    "Monday": lambda time: DAYS[calendar.weekday(time.local_days)],
    "Mon": lambda time: DAYS[calendar.weekday(time.local_days)][:3],
    "2": lambda time: str(time.date[2]),
    "_2": lambda time: f"{time.date[2]:2d}",
    "02": lambda time: f"{time.date[2]:02d}",
    "__2": lambda time: f"{_day_of_year(time):3d}",
    "002": lambda time: f"{_day_of_year(time):03d}",
    "15": lambda time: f"{time.clock[0]:02d}",
    "3": lambda time: str(_hour12(time)),
    "03": lambda time: f"{_hour12(time):02d}",
    "4": lambda time: str(time.clock[1]),
    "04": lambda time: f"{time.clock[1]:02d}",
    "5": lambda time: str(time.clock[2]),
    "05": lambda time: f"{time.clock[2]:02d}",
    "2006": _year,
    "06": lambda time: f"{abs(time.date[0]) % 100:02d}",
    "PM": lambda time: "PM" if time.clock[0] >= 12 else "AM",
    "pm": lambda time: "pm" if time.clock[0] >= 12 else "am",
    "MST": _zone,
}
