"""Events as JSON text: stored, compared and shown.

An event may hold integers of any length (`json_text.LongInteger`), which every decoder and encoder here keeps exact.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from headrace.json_text import LongInteger, decode_long
from headrace.money import MAX_DIGITS

_LONG_RUN = re.compile(rf"(?<![0-9])[0-9]{{{MAX_DIGITS + 1}}}")
"""The look-behind keeps the search linear in a text that consists of digits."""


def stored(value: Any) -> str:
    """Compact JSON text with every integer exact."""
    return msgspec.json.encode(value, enc_hook=_as_number).decode()


def read(text: str) -> Any:
    """The value of a text that `stored` made. Raises ValueError."""
    return decode_long(text) if _LONG_RUN.search(text) else msgspec.json.decode(text)


def canonical(value: Any) -> bytes:
    """The same for texts that differ in the order of members, blanks and escapes only."""
    return msgspec.json.encode(value, enc_hook=_as_number, order="sorted")


def shown(value: Any) -> str:
    """JSON text for API clients, whose decoders may refuse long integers: those become text."""
    return msgspec.json.encode(value, enc_hook=_as_text).decode()


def _as_number(value: Any) -> msgspec.Raw:
    return msgspec.Raw(_as_text(value).encode())


def _as_text(value: Any) -> str:
    if not isinstance(value, LongInteger):
        raise TypeError(f"{str(value)[:80]!r} is no part of an event")
    return value.digits
