"""RFC 3339 in, microseconds inside, UTC with `Z` out."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

_FORM = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.([0-9]+))?(?:Z|([+-])([0-9]{2}):([0-9]{2}))"
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def microseconds(text: str) -> int:
    """Microseconds since the epoch, finer digits rounded. Raises ValueError."""
    form = _FORM.fullmatch(text)
    if form is None:
        raise ValueError("not a time such as 2024-05-01T10:00:00Z")
    clock, fraction, sign, hours, minutes = form.groups()
    whole = (datetime.fromisoformat(clock + "Z") - _EPOCH) // _MICROSECOND
    part = (int((fraction or "")[:7].ljust(7, "0")) + 5) // 10  # from its seventh digit on rounded half up
    moment_at = whole + part - _offset_s(sign, hours, minutes) * 1_000_000
    shown(moment_at)  # an offset may lead out of the years that can be written
    return moment_at


def shown(moment_at: int) -> str:
    """The shortest form: no fraction where there is none, no trailing zeros. Raises ValueError."""
    try:
        text = (_EPOCH + timedelta(microseconds=moment_at)).isoformat().removesuffix("+00:00")
    except OverflowError:
        raise ValueError("a year outside 1 to 9999") from None
    return (text.rstrip("0") if "." in text else text) + "Z"


def _offset_s(sign: str | None, hours: str | None, minutes: str | None) -> int:
    if sign is None or hours is None or minutes is None:
        return 0
    if int(hours) > 23 or int(minutes) > 59:
        raise ValueError("an offset of more than a day")
    offset_s = int(hours) * 3_600 + int(minutes) * 60
    return offset_s if sign == "+" else -offset_s
