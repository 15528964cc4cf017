"""Events as JSON text, for storage, comparison and display.

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
    """Encode as compact JSON with exact integers."""
    return msgspec.json.encode(value, enc_hook=_as_number).decode()


def read(text: str) -> Any:
    """Decode a text that `stored` encoded. Raises ValueError."""
    return decode_long(text) if _LONG_RUN.search(text) else msgspec.json.decode(text)


def canonical(value: Any) -> bytes:
    """Encode so that texts which differ only in the order of members, blanks and escapes become equal."""
    return msgspec.json.encode(value, enc_hook=_as_number, order="sorted")


def shown(value: Any) -> str:
    """Encode for API clients: long integers, which their decoders may refuse, become text."""
    return msgspec.json.encode(value, enc_hook=_as_text).decode()


def _as_number(value: Any) -> msgspec.Raw:
    return msgspec.Raw(_as_text(value).encode())


def _as_text(value: Any) -> str:
    if not isinstance(value, LongInteger):
        raise TypeError(f"{str(value)[:80]!r} cannot be part of an event")
    return value.digits
