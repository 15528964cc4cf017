"""`--since` and its like: an age such as `90m`, `12h` or `7d`, a day, or a date-time."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from headrace.cli.errors import USAGE, Failure
from headrace.clock import SystemClock

_AGE = re.compile(r"([0-9]{1,6})([smhdw])", re.ASCII)
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def moment_since(text: str, now_at: int | None = None, *, option: str = "--since") -> datetime:
    """Parse a point in time, in UTC if the text names no zone. Raises Failure for anything else."""
    if (match := _AGE.fullmatch(text)) is not None:
        now = datetime.fromtimestamp((SystemClock().now_at() if now_at is None else now_at) / 1_000_000, UTC)
        try:
            return now - timedelta(**{_UNITS[match[2]]: int(match[1])})
        except OverflowError:
            raise _unreadable(text, option) from None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise _unreadable(text, option) from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _unreadable(text: str, option: str) -> Failure:
    return Failure(
        f"{option} {text!r} is neither an age such as 90m, 12h or 7d nor a time such as 2026-11-30", code=USAGE
    )
