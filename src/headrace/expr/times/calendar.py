"""The proleptic Gregorian calendar without a limit of years. Days count from 1970-01-01."""

from __future__ import annotations

_DAYS_BEFORE = (0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334)
_ERA_DAYS = 146_097
"""Days of 400 years."""
_ERA_START = 719_468
"""Days from 0000-03-01 to 1970-01-01."""


def is_leap(year: int) -> bool:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


def days_in(year: int, month: int) -> int:
    return 29 if month == 2 and is_leap(year) else (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)[month - 1]


def day_of_year(year: int, month: int, day: int) -> int:
    return _DAYS_BEFORE[month - 1] + day + (month > 2 and is_leap(year))


def days_from(year: int, month: int, day: int) -> int:
    """Days since 1970-01-01. `month` is 1 to 12; `day` may be any number: 0 is the last day of the month before."""
    shifted = year - (month <= 2)
    era, of_era = divmod(shifted, 400)
    of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    return era * _ERA_DAYS + of_era * 365 + of_era // 4 - of_era // 100 + of_year - _ERA_START


def date_of(days: int) -> tuple[int, int, int]:
    """The year, month (from 1) and day of a number of days since 1970-01-01."""
    era, of_era = divmod(days + _ERA_START, _ERA_DAYS)
    year = (of_era - of_era // 1460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year + year // 4 - year // 100)
    shifted_month = (5 * of_year + 2) // 153
    month = shifted_month + 3 if shifted_month < 10 else shifted_month - 9
    return year + era * 400 + (month <= 2), month, of_year - (153 * shifted_month + 2) // 5 + 1


def weekday(days: int) -> int:
    """The day of the week of a day since 1970-01-01; 0 is Sunday."""
    return (days + 4) % 7


def iso_week(days: int) -> tuple[int, int]:
    """The ISO 8601 year and week of a day since 1970-01-01."""
    thursday = days - (days + 3) % 7 + 3
    year = date_of(thursday)[0]
    return year, (thursday - days_from(year, 1, 1)) // 7 + 1
