"""Values as text: the formats of the builtins `string` and `toJSON`. Nesting is limited to `MAX_DATA_DEPTH`."""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Iterable
from typing import Any

from headrace.expr.deep import Deep, walked
from headrace.expr.errors import Failure
from headrace.expr.limits import MAX_DATA_DEPTH, Meter
from headrace.expr.numbers import float_text, json_float_text
from headrace.expr.times import Duration, Location, Time
from headrace.expr.values import KeyedMap, Method, NamedInt, NilList, Value, number, type_name, utf8

_JSON_ESCAPES = {
    '"': '\\"',
    "\\": "\\\\",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\b": "\\b",
    "\f": "\\f",
}
_KINDS_IN_ORDER = (
    *("<nil>", "uint8", "string", "int", "float64", "bool"),
    *("time.Month", "time.Weekday", "time.Duration", "time.Time"),
)
"""The order in which the reference shows keys of several types in one map."""
_DAY_S = 86_400
_JSON_SPECIAL = re.compile('[\x00-\x1f"\\\\<>&\u2028\u2029\ud800-\udfff]')


def _below(depth: int) -> int:
    if depth >= MAX_DATA_DEPTH:
        raise Failure(f"data is nested deeper than {MAX_DATA_DEPTH} levels")
    return depth + 1


# string


def text(meter: Meter, value: Value) -> str:
    """The builtin `string`. Raises Failure for nesting too deep or a value without a text."""
    if type(value) is str:
        return value
    simple = _plain_text(value, rounds=meter.rounds)
    if simple is not None:
        return simple
    parts: list[str] = []
    walked(_write_text(meter, value, parts, 0))
    return "".join(parts)


def _plain_text(value: Value, *, rounds: bool) -> str | None:
    """The text of a value that is not a list, map or bytes; None for those."""
    if value is None:
        return "<nil>"
    if type(value) is str:
        return value
    if type(value) is bool:
        return "true" if value else "false"
    if isinstance(value, NamedInt):
        return value.text()
    if type(value) is int and not rounds:
        return str(value)
    given = number(value)
    if given is not None:
        return str(given) if type(given) is int else float_text(given)
    return str(value) if type(value) in (Time, Duration, Location) else None


def _write_text(meter: Meter, value: Value, parts: list[str], depth: int) -> Deep[None]:
    meter.step()
    plain = _plain_text(value, rounds=meter.rounds)
    if plain is not None:
        parts.append(plain)
    elif type(value) in (list, NilList):
        depth = _below(depth)
        parts.append("[")
        for index, item in enumerate(value):
            if index:
                parts.append(" ")
            yield _write_text(meter, item, parts, depth)
        parts.append("]")
    elif type(value) is bytes:
        parts.append(f"[{' '.join(map(str, value))}]")
    elif type(value) in (dict, KeyedMap):
        depth = _below(depth)
        parts.append("map[")
        for index, (key, item) in enumerate(_sorted_pairs(value)):
            if index:
                parts.append(" ")
            parts.append(f"{text(meter, key)}:")
            yield _write_text(meter, item, parts, depth)
        parts.append("]")
    else:
        raise Failure(f"cannot make a string of {type_name(value)}")
    meter.build(len(parts[-1]) + 1)


def _sorted_pairs(value: dict[str, Value] | KeyedMap) -> Iterable[tuple[Value, Value]]:
    """The pairs of a map sorted by key; keys of several types are sorted by type first."""
    if isinstance(value, dict):
        return sorted(value.items(), key=lambda pair: utf8(pair[0]))
    return sorted(value.items(), key=lambda pair: _sort_key(pair[0]))


def _sort_key(key: Value) -> tuple[int, float, bytes]:
    """A sort key that orders keys by type, then by value."""
    kind = type_name(key)
    rank = _KINDS_IN_ORDER.index(kind) if kind in _KINDS_IN_ORDER else len(_KINDS_IN_ORDER)
    given = key if type(key) is int else number(key)
    if given is not None:
        return (rank, given, b"")
    if isinstance(key, NamedInt | Duration):
        return (rank, key.nanoseconds if isinstance(key, Duration) else int(key), b"")
    return (rank, 0, utf8(_plain_text(key, rounds=True) or ""))


# JSON


def json_text(meter: Meter, value: Value) -> str:
    """The builtin `toJSON`: two spaces per level, keys sorted. Raises Failure for a value that JSON lacks."""
    parts: list[str] = []
    walked(_write_json(meter, value, parts, 0))
    return "".join(parts)


def _write_json(meter: Meter, value: Value, parts: list[str], depth: int) -> Deep[None]:
    meter.step()
    kind: type[Any] = value.__class__
    if kind is list:
        inner = _below(depth)
        indent = "\n" + "  " * inner
        for index, item in enumerate(value):
            parts.append(("," if index else "[") + indent)
            yield _write_json(meter, item, parts, inner)
        parts.append(f"{indent[:-2]}]" if value else "[]")
    elif kind is dict:
        inner = _below(depth)
        indent = "\n" + "  " * inner
        for index, (key, item) in enumerate(_sorted_pairs(value)):
            parts.append(("," if index else "{") + indent + _json_string(key) + ": ")
            meter.build(len(key))
            yield _write_json(meter, item, parts, inner)
        parts.append(f"{indent[:-2]}}}" if value else "{}")
    else:
        parts.append(_json_scalar(meter, value))
    meter.build(len(parts[-1]) + 2 * depth)


def _json_scalar(meter: Meter, value: Value) -> str:
    if value is None or type(value) is NilList:
        return "null"
    if type(value) is bool:
        return "true" if value else "false"
    if type(value) is str:
        meter.read(len(value))
        return _json_string(value)
    if isinstance(value, NamedInt):
        return str(int(value))
    if type(value) is int and not meter.rounds:
        return str(value)
    given = number(value)
    if given is not None:
        if type(given) is int:
            return str(given)
        if not math.isfinite(given):
            raise Failure(f"json: unsupported value: {float_text(given)}")
        return json_float_text(given)
    return _json_other(value)


def _json_other(value: Value) -> str:
    if type(value) is bytes:
        return f'"{base64.b64encode(value).decode()}"'
    if type(value) is Duration:
        return str(value.nanoseconds)
    if type(value) is Time:
        if not 0 <= value.date[0] <= 9999:
            raise Failure("Time.MarshalJSON: year outside of range [0,9999]")
        if abs(value.zone[0]) >= _DAY_S:
            raise Failure("Time.MarshalJSON: timezone hour outside of range [0,23]")
        return f'"{value.to_rfc3339()}"'
    if type(value) is Location:
        return "{}"
    if type(value) is Method:
        raise Failure("json: unsupported type: func")
    raise Failure(f"json: unsupported type: {type_name(value)}")


def _json_string(value: str) -> str:
    return f'"{_JSON_SPECIAL.sub(lambda match: _json_escape(match.group()), value)}"'


def _json_escape(letter: str) -> str:
    """The escape of one character. A lone surrogate becomes the escape of the replacement character."""
    if "\ud800" <= letter <= "\udfff":
        return "\\ufffd"
    return _JSON_ESCAPES.get(letter) or f"\\u{ord(letter):04x}"
