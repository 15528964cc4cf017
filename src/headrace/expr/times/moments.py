"""Times: nanoseconds since 1970-01-01 UTC, and the time zone in which a time is shown."""

from __future__ import annotations

from headrace.expr.errors import Failure
from headrace.expr.times import calendar
from headrace.expr.times.durations import SECOND, Duration
from headrace.expr.times.zones import UTC, Location

_DAY_S = 86_400
_ZERO_NS = calendar.days_from(1, 1, 1) * _DAY_S * SECOND
"""The start of the year 1: the zero time of the reference."""
_LARGEST_NS = 1 << 93
"""The largest distance from 1970: about 64 bits of seconds."""


class Time:
    """An instant and a time zone. Equality and order use the instant alone. Raises Failure beyond the range."""

    __slots__ = ("_date", "_zone", "location", "nanoseconds")

    def __init__(self, nanoseconds: int, location: Location = UTC) -> None:
        if abs(nanoseconds) > _LARGEST_NS:
            raise Failure("time is out of range")
        self.nanoseconds = nanoseconds
        self.location = location
        self._date: tuple[int, int, int] | None = None
        self._zone: tuple[int, str] | None = None

    @classmethod
    def of_clock(cls, date: tuple[int, int, int], second_of_day: int, nanosecond: int, location: Location) -> Time:
        """The time at which a clock in `location` shows a date and second of the day; the day may be any number."""
        local_s = calendar.days_from(*date) * _DAY_S + second_of_day
        return cls(location.unix_s(local_s) * SECOND + nanosecond, location)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Time) and self.nanoseconds == other.nanoseconds

    def __lt__(self, other: Time) -> bool:
        return self.nanoseconds < other.nanoseconds

    def __hash__(self) -> int:
        return hash(self.nanoseconds)

    def __repr__(self) -> str:
        return f"Time({self.to_rfc3339()})"

    @property
    def unix_s(self) -> int:
        return self.nanoseconds // SECOND

    @property
    def nanosecond(self) -> int:
        return self.nanoseconds % SECOND

    @property
    def zone(self) -> tuple[int, str]:
        """The offset from UTC in seconds, and the abbreviation, of the zone at this time."""
        if self._zone is None:
            self._zone = self.location.at(self.unix_s)
        return self._zone

    @property
    def offset_s(self) -> int:
        return self.zone[0]

    @property
    def abbreviation(self) -> str:
        return self.zone[1]

    @property
    def local_s(self) -> int:
        """The local clock in the zone, as seconds since 1970-01-01 of that clock."""
        return self.unix_s + self.offset_s

    @property
    def local_days(self) -> int:
        return self.local_s // _DAY_S

    @property
    def date(self) -> tuple[int, int, int]:
        """The year, month (from 1) and day in the zone."""
        if self._date is None:
            self._date = calendar.date_of(self.local_days)
        return self._date

    @property
    def clock(self) -> tuple[int, int, int]:
        """The hour, minute and second in the zone."""
        minutes, second = divmod(self.local_s % _DAY_S, 60)
        return minutes // 60, minutes % 60, second

    @property
    def is_zero(self) -> bool:
        return self.nanoseconds == _ZERO_NS

    def in_zone(self, location: Location) -> Time:
        return Time(self.nanoseconds, location)

    def plus(self, duration: Duration) -> Time:
        return Time(self.nanoseconds + duration.nanoseconds, self.location)

    def minus(self, duration: Duration) -> Time:
        return self.plus(Duration.wrapped(-duration.nanoseconds))

    def since(self, other: Time) -> Duration:
        return Duration.clamped(self.nanoseconds - other.nanoseconds)

    def plus_date(self, years: int, months: int, days: int) -> Time:
        """The time with years, months and days added; a day beyond the end of a month falls into the next."""
        year, month, day = self.date
        more_years, month = divmod(month - 1 + months, 12)
        local = self.local_s % _DAY_S
        date = (year + years + more_years, month + 1, day + days)
        return Time.of_clock(date, local, self.nanosecond, self.location)

    def truncated(self, step: Duration) -> Time:
        """The time rounded down to a multiple of `step` since the zero time; unchanged if `step` is not positive."""
        if step.nanoseconds <= 0:
            return self
        return Time(self.nanoseconds - (self.nanoseconds - _ZERO_NS) % step.nanoseconds, self.location)

    def rounded(self, step: Duration) -> Time:
        if step.nanoseconds <= 0:
            return self
        rest = (self.nanoseconds - _ZERO_NS) % step.nanoseconds
        up = step.nanoseconds if 2 * rest >= step.nanoseconds else 0
        return Time(self.nanoseconds - rest + up, self.location)

    def to_rfc3339(self) -> str:
        """The time in RFC 3339, with up to nine digits of a second and its offset."""
        from headrace.expr.times.layouts import RFC3339_NANO, formatted

        return formatted(self, RFC3339_NANO)

    def __str__(self) -> str:
        from headrace.expr.times.layouts import PLAIN, formatted

        return formatted(self, PLAIN)
