"""Time zones: UTC, fixed offsets, and named ones."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from headrace.expr.errors import Failure
from headrace.expr.times import calendar

if TYPE_CHECKING:
    from datetime import datetime, tzinfo

_NAME = re.compile(r"[A-Za-z0-9_+-]+(?:/[A-Za-z0-9_+-]+)*", re.ASCII)
_MAX_NAME = 64
_DAY_S = 86_400
_ERA_YEARS = 400


class Location:
    """A time zone. Equal to itself only; `str()` is its name."""

    __slots__ = ("_rules", "abbreviation", "name", "offset_s")

    def __init__(self, name: str, offset_s: int = 0, abbreviation: str = "", rules: tzinfo | None = None) -> None:
        self.name = name
        self.offset_s = offset_s
        self.abbreviation = abbreviation
        self._rules = rules

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return f"Location({self.name})"

    @property
    def key(self) -> str:
        return self.name

    def at(self, unix_s: int) -> tuple[int, str]:
        """Offset from UTC in seconds, and abbreviation, at a moment."""
        if self._rules is None:
            return self.offset_s, self.abbreviation
        moment = _datetime(unix_s, self._rules)
        offset = moment.utcoffset()
        name = moment.tzname() or ""
        return (offset.days * _DAY_S + offset.seconds if offset else 0), name

    def is_summer(self, unix_s: int) -> bool:
        """Clocks are moved at a moment: daylight saving time."""
        return self._rules is not None and bool(_datetime(unix_s, self._rules).dst())

    def unix_s(self, local_s: int) -> int:
        """The moment that a clock in this zone shows as `local_s`: in a gap or an overlap, one of the two."""
        offset, _ = self.at(local_s)
        if offset:
            offset, _ = self.at(local_s - offset)
        return local_s - offset

    def offset_named(self, abbreviation: str, local_s: int) -> int | None:
        """The offset that an abbreviation means here, near a moment first, else at any time of its year."""
        offset, name = self.at(local_s)
        if self._rules is None:
            return offset if name == abbreviation else None
        for days in (0, *range(30, 366, 30)):
            offset, name = self.at(local_s - days * _DAY_S)
            if name == abbreviation:
                return offset
        return None


UTC = Location("UTC", 0, "UTC")
LOCAL = Location("Local", 0, "UTC")
"""An expression means the same on every machine: none has a time of its own."""


def fixed(offset_s: int, abbreviation: str = "") -> Location:
    return Location(abbreviation, offset_s, abbreviation)


def named(name: str) -> Location:
    """A zone of the time zone database; the empty name is UTC."""
    if name in ("", "UTC"):
        return UTC
    if name == "Local":
        return LOCAL
    unknown = Failure(f"unknown time zone {name}")
    if len(name) > _MAX_NAME or not _NAME.fullmatch(name):
        raise unknown
    from zoneinfo import ZoneInfo

    try:
        return Location(name, rules=ZoneInfo(name))
    except (KeyError, ValueError, OSError):
        raise unknown from None


def _datetime(unix_s: int, rules: tzinfo) -> datetime:
    """A moment for zone rules; years that `datetime` does not have are handled like the same one 400 years away."""
    from datetime import UTC as UTC_RULES
    from datetime import datetime

    days, second = divmod(unix_s, _DAY_S)
    year, month, day = calendar.date_of(days)
    if not 2 <= year <= 9998:
        year = 2 + (year - 2) % _ERA_YEARS if year < 2 else 9200 + year % _ERA_YEARS
    hour, rest = divmod(second, 3_600)
    moment = datetime(year, month, day, hour, rest // 60, rest % 60, tzinfo=UTC_RULES)
    return moment.astimezone(rules)
