"""Number literals of the source."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NoReturn

from headrace.expr.numbers import MAX_INT

_BASES = {"0x": (16, "hex"), "0b": (2, "binary"), "0o": (8, "octal")}


def number(text: str, fail: Callable[[str], NoReturn]) -> int | float:
    """The value of a literal: `1_000`, `0xFF`, `0o17`, `0b1`, `1.5`, `1e3`. There are no negative literals.

    `fail` is called, and must raise, with the reason for a literal that is malformed or does not fit 64 bits.
    """
    digits = text.replace("_", "")
    prefix = digits[:2].lower()
    is_float = prefix != "0x" and any(mark in digits for mark in ".eE")
    if is_float:
        try:
            value = float(digits)
        except ValueError:
            fail(f'invalid float literal: parsing "{digits}": invalid syntax')
        if math.isinf(value):
            fail(f'invalid float literal: parsing "{digits}": value out of range')
        return value
    base, name = _BASES.get(prefix, (10, "integer"))
    body = digits[2:] if prefix in _BASES else digits
    if len(body) > 64:
        body = body.lstrip("0") or "0"
    try:
        value = int(body, base) if len(body) <= 64 else MAX_INT + 1
    except ValueError:
        fail(f'invalid {name} literal: parsing "{digits}": invalid syntax')
    if value > MAX_INT:
        fail(f'invalid {name} literal: parsing "{digits}": value out of range')
    return value
