"""Time zones: UTC, fixed offsets, and zones of the time zone database."""

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
    """A time zone. Two zones are equal only if they are the same object; `str()` gives the name."""

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
        """The offset from UTC in seconds, and the abbreviation, at a time in seconds since 1970."""
        if self._rules is None:
            return self.offset_s, self.abbreviation
        moment = _datetime(unix_s, self._rules)
        offset = moment.utcoffset()
        name = moment.tzname() or ""
        return (offset.days * _DAY_S + offset.seconds if offset else 0), name

    def is_daylight_saving(self, unix_s: int) -> bool:
        """True where daylight saving time is in force at a time in seconds since 1970."""
        return self._rules is not None and bool(_datetime(unix_s, self._rules).dst())

    def unix_s(self, local_s: int) -> int:
        """Seconds since 1970 at which a clock in this zone shows `local_s`; in a gap or an overlap, one of the two."""
        offset, _ = self.at(local_s)
        if offset:
            offset, _ = self.at(local_s - offset)
        return local_s - offset

    def offset_named(self, abbreviation: str, local_s: int) -> int | None:
        """The offset in seconds of an abbreviation in this zone, at a time or up to a year before; None if unused."""
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
"""The zone `Local`, which is UTC: an expression gives the same result on every machine."""


def fixed(offset_s: int, abbreviation: str = "") -> Location:
    return Location(abbreviation, offset_s, abbreviation)


def named(name: str) -> Location:
    """A zone of the time zone database; the empty name is UTC. Raises Failure for an unknown name."""
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
    """A time as `datetime` for the rules of a zone; a year outside its range is moved by multiples of 400 years."""
    from datetime import UTC as UTC_RULES
    from datetime import datetime

    days, second = divmod(unix_s, _DAY_S)
    year, month, day = calendar.date_of(days)
    if not 2 <= year <= 9998:
        year = 2 + (year - 2) % _ERA_YEARS if year < 2 else 9200 + year % _ERA_YEARS
    hour, rest = divmod(second, 3_600)
    moment = datetime(year, month, day, hour, rest // 60, rest % 60, tzinfo=UTC_RULES)
    return moment.astimezone(rules)
