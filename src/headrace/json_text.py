"""Strict decoding of JSON, for callers over HTTP and events from a bus.

The documents carry money. A repeated key, a malformed number, or text that no database or service can store is refused
here with its reason, instead of being guessed at further inside. A text of a megabyte is checked as text: walking the
decoded value would block every request for a second.
"""

from __future__ import annotations

import json
import re
from codecs import BOM_UTF8
from collections.abc import Iterator
from itertools import islice
from typing import Any, NoReturn, cast

import msgspec

from headrace.errors import InvalidValue
from headrace.json_depth import is_nested_deeper
from headrace.money import MAX_DIGITS

MAX_DEPTH = 64
"""Maximum nesting, in JSON and YAML alike."""

TOO_DEEP = f"is nested more than {MAX_DEPTH} levels deep"

encode = msgspec.json.Encoder().encode
"""JSON bytes of a value: compact, integers exact."""

_KEPT = re.compile(
    r"(?:[^\\]++|\\[^u]|\\u(?!0000|[dD][89a-fA-F])....|\\u[dD][89abAB]..\\u[dD][c-fC-F]..)*+",
    re.DOTALL,
)
"""JSON whose escapes stand for storable characters: no NUL, no half of a surrogate pair."""

_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
_PLAIN_NAME = re.compile("[A-Za-z0-9_.-]{1,64}", re.ASCII)
_MAX_SEARCHED = 10_000
"""Values among which the field of a refused character is searched: more of them would block other requests."""


class Malformed(InvalidValue):
    """An undecodable text. `line` and `column` count from 1 if they are known; `field` is the whole body or a value."""

    def __init__(self, reason: str, line: int | None = None, column: int | None = None, *, field: str = "body") -> None:
        place = "" if line is None else f" (line {line}, column {column})"
        super().__init__(field, reason + place)
        self.line = line
        self.column = column


class LongInteger:
    """An integer of more than MAX_DIGITS digits in an event. It is kept as digits, and no operator accepts it."""

    __slots__ = ("digits",)
    expression_type = f"integer of more than {MAX_DIGITS} digits"

    def __init__(self, digits: str) -> None:
        self.digits = digits

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LongInteger) and self.digits == other.digits

    def __hash__(self) -> int:
        return hash(self.digits)

    def __repr__(self) -> str:
        return f"an {self.expression_type}"


def decode(body: bytes) -> Any:
    """Decode a JSON text. Raises Malformed."""
    return _decode(utf8(body), _decoder)


def decode_event(body: bytes) -> Any:
    """Decode an event's JSON text: like `decode`, but an integer with too many digits becomes a LongInteger.

    Events have members that nothing reads, such as a ledger's volumes; a large one must not lose the event.
    """
    return _decode(utf8(body), _event_decoder)


def decode_long(text: str) -> Any:
    """Decode an event's JSON text that was checked before."""
    return _event_decoder.decode(text)


def _decode(text: str, decoder: json.JSONDecoder) -> Any:
    try:
        value = decoder.decode(text)
    except json.JSONDecodeError as error:
        raise Malformed(f"is not JSON: {error.msg}", error.lineno, error.colno) from None
    except RecursionError:
        raise Malformed(TOO_DEEP) from None
    if text.count("[") + text.count("{") > MAX_DEPTH and is_nested_deeper(text, MAX_DEPTH):
        raise Malformed(TOO_DEEP)
    _check_escapes(text, value)
    return value


def utf8(body: bytes) -> str:
    """Decode UTF-8, without a leading byte order mark. Raises Malformed."""
    try:
        return body.removeprefix(BOM_UTF8).decode()
    except UnicodeDecodeError as error:
        raise Malformed(f"is not UTF-8 (byte {error.start})") from None


def integer(digits: str) -> int:
    if len(digits.lstrip("-")) > MAX_DIGITS:
        raise Malformed(f"holds an integer of more than {MAX_DIGITS} digits")
    return int(digits)


def _event_integer(digits: str) -> int | LongInteger:
    return LongInteger(digits) if len(digits.lstrip("-")) > MAX_DIGITS else int(digits)


def fraction(literal: str) -> float:
    """Decode a JSON number with a point or an exponent. It is never an amount: readers of amounts refuse it."""
    value = float(literal)
    if value in (float("inf"), float("-inf")):
        raise Malformed(f"holds a number out of range: {literal[:40]}")
    return value


def check_text(text: str) -> None:
    """Check a text. Raises Malformed for an escape that is valid JSON but cannot be stored."""
    if "\x00" in text:
        raise _nul()
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise _half()


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise Malformed(f"has the key {_first_repeated([key for key, _ in pairs])[:100]!r} twice in one object")
    return members


def _first_repeated(keys: list[str]) -> str:
    seen: set[str] = set()
    for key in keys:
        if key in seen:
            return key
        seen.add(key)
    raise AssertionError(keys)


def _no_number(literal: str) -> NoReturn:
    raise Malformed(f"is not JSON: {literal} is not a number")


def _check_escapes(text: str, value: object) -> None:
    """Check the escapes of a text that is JSON, and decodes to this value."""
    if "\\u" not in text:
        return
    kept = _KEPT.match(text)
    end = 0 if kept is None else kept.end()
    if end < len(text):
        field = next((path for path in islice(_unstorable(value, ""), _MAX_SEARCHED) if path), "body")
        raise _nul(field) if text.startswith("\\u0000", end) else _half(field)


def _unstorable(value: object, path: str) -> Iterator[str]:
    """For each value in the order of the text, the path of a character in it that cannot be stored, or an empty text.

    The path is that of the object where it is in the name of a member or the name is long.
    """
    if isinstance(value, str):
        yield (path or "body") if _UNSTORABLE.search(value) else ""
    elif isinstance(value, list):
        for index, item in enumerate(cast("list[object]", value)):
            yield from _unstorable(item, f"{path}[{index}]")
    elif isinstance(value, dict):
        for name, member in cast("dict[str, object]", value).items():
            is_plain = _PLAIN_NAME.fullmatch(name) is not None
            yield (path or "body") if _UNSTORABLE.search(name) else ""
            yield from _unstorable(member, f"{path}.{name}".lstrip(".") if is_plain else path)
    else:
        yield ""


def _nul(field: str = "body") -> Malformed:
    return Malformed("holds a NUL character", field=field)


def _half(field: str = "body") -> Malformed:
    return Malformed("holds a lone surrogate, which is not a character", field=field)


_decoder = json.JSONDecoder(
    object_pairs_hook=_unique, parse_int=integer, parse_float=fraction, parse_constant=_no_number
)
_event_decoder = json.JSONDecoder(
    object_pairs_hook=_unique, parse_int=_event_integer, parse_float=fraction, parse_constant=_no_number
)
