"""Reading what a caller sent: strict JSON with exact integers, and its fields by name.

Everything that is not as it should be becomes 400 VALIDATION with the path of the field.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, cast

from headrace.money import ADDRESS_PATTERN, ASSET_PATTERN, LEDGER_PATTERN
from headrace.sandbox import timestamps
from headrace.sandbox.responses import Json, invalid

MAX_BODY_BYTES = 1_048_576
MAX_DEPTH = 64
# A real ledger goes far beyond, but Python refuses to read or write more than 4,300 digits:
# the difference is for sums.
MAX_DIGITS = 4_000

_ADDRESS = re.compile(ADDRESS_PATTERN, re.ASCII)
_ASSET = re.compile(ASSET_PATTERN, re.ASCII)
_LEDGER = re.compile(LEDGER_PATTERN, re.ASCII)


def json_of(body: bytes | str | None) -> Any:
    """Decoded JSON. Refuses duplicate keys, NaN, Infinity, NUL, lone surrogates and deep nesting."""
    try:
        text = body if isinstance(body, str) else (body or b"").decode()
        value = _DECODER.decode(text)
    except (ValueError, RecursionError) as problem:
        raise invalid(f"the body is not JSON: {problem}") from None
    _check(value, MAX_DEPTH)
    return value


def stored(text: str) -> Any:
    """A document that was checked when it came in."""
    return _DECODER.decode(text)


def object_of(body: bytes | None) -> Json:
    return as_object(json_of(body), "the body")


def as_object(value: object, path: str) -> Json:
    if not isinstance(value, dict):
        raise invalid(f"{path} must be an object")
    return cast("Json", value)


def is_address(text: object) -> bool:
    return isinstance(text, str) and _ADDRESS.fullmatch(text) is not None


def is_asset(text: object) -> bool:
    return isinstance(text, str) and _ASSET.fullmatch(text) is not None


def is_ledger_name(text: object) -> bool:
    return isinstance(text, str) and text != "_" and _LEDGER.fullmatch(text) is not None


def metadata_of(value: object, path: str) -> dict[str, str]:
    """Text to text; nothing at all is empty, and a null value is empty text as on a real ledger."""
    if value is None:
        return {}
    pairs: dict[str, str] = {}
    for key, item in as_object(value, path).items():
        if item is not None and not isinstance(item, str):
            raise invalid(f"{path}.{key} must be text")
        pairs[key] = item or ""
    return pairs


class Fields:
    """The members of one JSON object. A null member counts as absent, except where the reader says otherwise."""

    def __init__(self, values: object, path: str = "") -> None:
        self._values = as_object(values, path or "the body")
        self._prefix = f"{path}." if path else ""

    def __contains__(self, name: str) -> bool:
        return self._values.get(name) is not None

    def raw(self, name: str) -> Any:
        return self._values.get(name)

    def path(self, name: str) -> str:
        return self._prefix + name

    def wrong(self, name: str, reason: str) -> Exception:
        return invalid(f"{self.path(name)} {reason}")

    def optional_text(self, name: str) -> str | None:
        value = self._values.get(name)
        if value is not None and not isinstance(value, str):
            raise self.wrong(name, "must be text")
        return value

    def text(self, name: str, *, may_be_empty: bool = False) -> str:
        value = self.optional_text(name)
        if value is None or not (value or may_be_empty):
            raise self.wrong(name, "is required")
        return value

    def choice(self, name: str, allowed: Sequence[str]) -> str:
        value = self.text(name)
        if value not in allowed:
            raise self.wrong(name, f"must be one of {', '.join(allowed)}")
        return value

    def flag(self, name: str, default: bool | None = None) -> bool:
        value = self._values.get(name)
        if value is None and default is not None:
            return default
        if not isinstance(value, bool):
            raise self.wrong(name, "must be true or false")
        return value

    def amount(self, name: str) -> int:
        value = self._values.get(name)
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise self.wrong(name, "must be an integer, zero or more")
        return value

    def asset(self, name: str) -> str:
        value = self._values.get(name)
        if not is_asset(value):
            raise self.wrong(name, "must be an asset such as USD/2")
        return cast("str", value)

    def address(self, name: str) -> str:
        value = self._values.get(name)
        if not is_address(value):
            raise self.wrong(name, "must be an account address such as users:1")
        return cast("str", value)

    def metadata(self, name: str = "metadata") -> dict[str, str]:
        return metadata_of(self._values.get(name), self.path(name))

    def items(self, name: str) -> list[Any]:
        value = self._values.get(name)
        if value is None:
            return []
        if not isinstance(value, list):
            raise self.wrong(name, "must be a list")
        return cast("list[Any]", value)

    def moment_at(self, name: str) -> int | None:
        """Microseconds, or None when the member is absent. Null is not a time."""
        if name not in self._values:
            return None
        try:
            return timestamps.microseconds(self.text(name, may_be_empty=True))
        except ValueError as problem:
            raise self.wrong(name, f"is {problem}") from None


def _check(value: object, depth: int) -> None:
    if isinstance(value, str):
        _check_text(value)
    elif isinstance(value, dict | list):
        if depth == 0:
            raise invalid(f"the body is nested more than {MAX_DEPTH} deep")
        items = cast("dict[str, Any] | list[Any]", value)
        if isinstance(items, dict):
            for key in items:
                _check_text(key)
        for item in items.values() if isinstance(items, dict) else items:
            _check(item, depth - 1)


def _check_text(text: str) -> None:
    if "\x00" in text:
        raise invalid("text must not hold NUL")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise invalid("text must not hold half a surrogate pair") from None


def _unique(pairs: list[tuple[str, Any]]) -> Json:
    values = dict(pairs)
    if len(values) < len(pairs):
        raise ValueError("the same key twice in one object")
    return values


def _integer(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise ValueError(f"an integer of more than {MAX_DIGITS} digits")
    return int(text)


def _constant(text: str) -> Any:
    raise ValueError(f"{text} is not a JSON number")


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_int=_integer, parse_constant=_constant)
