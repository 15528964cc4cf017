"""Strict JSON in, exact JSON out.

What comes in is money-bearing: a key given twice, a number that is not one, text that no database or
service could keep are refused here, each with its reason, instead of being guessed at further inside.
"""

from __future__ import annotations

import json
from typing import Any, NoReturn, cast

import msgspec

from headrace.errors import InvalidValue
from headrace.money import MAX_DIGITS

MAX_DEPTH = 64
"""Containers within one another, in JSON and YAML alike."""

Container = dict[str, Any] | list[Any]

TOO_DEEP = f"is nested more than {MAX_DEPTH} levels deep"

encode = msgspec.json.Encoder().encode
"""JSON bytes of a reply: compact, integers exact."""


class Malformed(InvalidValue):
    """A body that cannot be read. `line` and `column` count from 1 where they are known."""

    def __init__(self, reason: str, line: int | None = None, column: int | None = None) -> None:
        place = "" if line is None else f" (line {line}, column {column})"
        super().__init__("body", reason + place)
        self.line = line
        self.column = column


def decode(body: bytes) -> Any:
    """The value of a JSON text. Raises Malformed."""
    text = utf8(body)
    try:
        value = _decoder.decode(text)
    except json.JSONDecodeError as error:
        raise Malformed(f"is not JSON: {error.msg}", error.lineno, error.colno) from None
    except RecursionError:
        raise Malformed(TOO_DEEP) from None
    if "\\u" in text or text.count("[") + text.count("{") > MAX_DEPTH:
        _check(value)
    return value


def utf8(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise Malformed(f"is not UTF-8 (byte {error.start})") from None


def integer(digits: str) -> int:
    if len(digits.lstrip("-")) > MAX_DIGITS:
        raise Malformed(f"holds an integer of more than {MAX_DIGITS} digits")
    return int(digits)


def fraction(literal: str) -> float:
    """A JSON number with a point or an exponent. No amount is ever one: those who ask for amounts refuse it."""
    value = float(literal)
    if value in (float("inf"), float("-inf")):
        raise Malformed(f"holds a number out of range: {literal[:40]}")
    return value


def check_text(text: str) -> None:
    """Raises Malformed for what is valid in an escape but can be kept nowhere."""
    if "\x00" in text:
        raise Malformed("holds a NUL character")
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise Malformed("holds a lone surrogate, which is no character")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise Malformed(f"has the key {_first_repeated([key for key, _ in pairs])!r} twice in one object")
    return members


def _first_repeated(keys: list[str]) -> str:
    seen: set[str] = set()
    for key in keys:
        if key in seen:
            return key
        seen.add(key)
    raise AssertionError(keys)


def _no_number(literal: str) -> NoReturn:
    raise Malformed(f"is not JSON: {literal} is no number")


def _check(root: Any) -> None:
    """Depth and text, without recursion."""
    waiting: list[tuple[Any, int]] = [(root, 1)]
    while waiting:
        value, depth = waiting.pop()
        if isinstance(value, str):
            check_text(value)
        elif isinstance(value, (dict, list)):
            if depth > MAX_DEPTH:
                raise Malformed(TOO_DEEP)
            waiting.extend((child, depth + 1) for child in _children(cast("Container", value)))


def _children(value: Container) -> list[Any]:
    return [*value.keys(), *value.values()] if isinstance(value, dict) else value


_decoder = json.JSONDecoder(
    object_pairs_hook=_unique, parse_int=integer, parse_float=fraction, parse_constant=_no_number
)
