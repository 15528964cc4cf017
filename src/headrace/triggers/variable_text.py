"""Convert the value of an expression to the text of a variable: exact or refused, never a guess (decision Q15)."""

from __future__ import annotations

import math
from typing import Any, cast

import msgspec

from headrace.errors import HeadraceError
from headrace.expr.times import Duration, Time
from headrace.expr.values import KeyedMap
from headrace.json_text import LongInteger
from headrace.workflows.variables import MAX_NESTING, MAX_VALUE_BYTES

_PLAIN_BELOW = 1e21


class NotText(HeadraceError):
    """The value has no exact text, so it cannot be a variable."""


def text_of(value: Any) -> str:
    """Convert to text: integers exact, floats in their shortest exact form, lists and maps as compact JSON.

    Raises NotText.
    """
    if value is None:
        raise NotText("gives nil, which is not a value for a variable")
    if isinstance(value, list | dict | KeyedMap):
        return msgspec.json.encode(_Copy().of(cast("Any", value), MAX_NESTING)).decode()
    plain = _scalar(value)
    if isinstance(plain, bool):
        return "true" if plain else "false"
    if isinstance(plain, float) and plain.is_integer() and abs(plain) < _PLAIN_BELOW:
        return str(int(plain))  # no exponent or point while the digits alone are exact
    return repr(plain) if isinstance(plain, float) else str(plain)


class _Copy:
    """Copies a value with JSON's types. It stops when the text would be too long for a variable.

    A list may contain one text many times: a megabyte in memory may become gigabytes as text.
    """

    def __init__(self) -> None:
        self._left = MAX_VALUE_BYTES

    def of(self, value: Any, depth: int) -> Any:
        if depth == 0:
            raise NotText(f"gives a value nested more than {MAX_NESTING} deep")
        self._pay(1)
        if value is None:
            return None
        if isinstance(value, list):
            return [self.of(item, depth - 1) for item in cast("list[Any]", value)]
        if isinstance(value, dict | KeyedMap):
            pairs: Any = cast("Any", value).items()
            return {self._paid(_key(key)): self.of(item, depth - 1) for key, item in pairs}
        plain = _scalar(value)
        if isinstance(plain, float) and plain.is_integer() and abs(plain) < _PLAIN_BELOW:
            return int(plain)
        return self._paid(plain) if isinstance(plain, str) else plain

    def _paid(self, text: str) -> str:
        self._pay(len(text))
        return text

    def _pay(self, characters: int) -> None:
        self._left -= characters
        if self._left < 0:
            raise NotText(f"gives a value of more than {MAX_VALUE_BYTES} bytes as text")


def _key(key: Any) -> str:
    if not isinstance(key, str):
        raise NotText("gives a map whose keys are not all text")
    return _sound(key)


def _scalar(value: Any) -> str | int | float | bool:
    match value:
        case bool():
            return value
        case str():
            return _sound(value)
        case int():
            return int(value)
        case float() if math.isfinite(value):
            return value
        case float():
            raise NotText(f"gives {value}, which is not a number")
        case Time():
            return value.to_rfc3339()
        case Duration():
            return str(value)
        case LongInteger():
            raise NotText(f"gives an {value.expression_type}")
        case _:
            raise NotText("gives a value that is neither text, number, boolean, list, map, time nor duration")


def _sound(text: str) -> str:
    """Check a text. Slices count bytes, so it may have been cut within a character."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise NotText("gives a text cut within a character") from None
    return text
