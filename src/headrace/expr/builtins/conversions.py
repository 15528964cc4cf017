"""Builtins that convert a value: `int`, `float`, `string`, `toJSON`, `fromJSON`, `toBase64`, `fromBase64`, `type`."""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Callable
from functools import cache
from typing import Any, NoReturn

from headrace.expr import numbers
from headrace.expr.errors import Failure
from headrace.expr.formats import json_text, text
from headrace.expr.limits import Meter
from headrace.expr.times import Duration
from headrace.expr.values import NamedInt, Value, from_utf8, kind_name, number, text_of, type_name, utf8

_BASE64 = re.compile(
    r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?",
    re.ASCII,
)


def kind(meter: Meter, value: Value) -> str:
    return kind_name(value, rounds=meter.rounds)


def to_int(meter: Meter, value: Value) -> int:
    """The builtin `int`: floats are truncated, texts read as decimal. Raises Failure for other values."""
    given = number(value)
    if given is not None:
        return given if type(given) is int else numbers.truncated(given)
    if type(value) is str:
        parsed = numbers.parsed_integer(value)
        if parsed is None:
            raise Failure(f"invalid operation: int({_excerpt(value)})")
        return parsed
    if isinstance(value, NamedInt):
        return int(value)
    if type(value) is Duration:
        return value.nanoseconds
    raise Failure(f"invalid operation: int({type_name(value)})")


def to_float(meter: Meter, value: Value) -> float:
    given = number(value)
    if given is not None:
        return numbers.to_float(given)
    if type(value) is str:
        meter.read(len(value))
        parsed = numbers.parsed_float(value)
        if parsed is None:
            raise Failure(f"invalid operation: float({_excerpt(value)})")
        return parsed
    raise Failure(f"invalid operation: float({type_name(value)})")


def _excerpt(value: str) -> str:
    return value if len(value) <= 100 else value[:100] + "..."


def to_string(meter: Meter, value: Value) -> str:
    return text(meter, value)


def to_json(meter: Meter, value: Value) -> str:
    return json_text(meter, value)


def to_base64(meter: Meter, value: Value) -> str:
    data = utf8(text_of(value))
    meter.write(len(data) * 4 // 3)
    return base64.b64encode(data).decode()


def from_base64(meter: Meter, value: Value) -> str:
    encoded = text_of(value).replace("\r", "").replace("\n", "")
    meter.write(len(encoded))
    if not _BASE64.fullmatch(encoded):
        raise Failure("illegal base64 data")
    return from_utf8(base64.b64decode(encoded))


def from_json(meter: Meter, value: Value) -> Value:
    """The builtin `fromJSON`: every number becomes a float. Raises Failure for a text that is not JSON."""
    source = text_of(value)
    meter.decode(len(source))
    try:
        decoded = _decoder().decode(source)
    except json.JSONDecodeError as error:
        if not source[error.pos :].strip(" \t\r\n"):
            raise Failure("unexpected end of JSON input") from None
        raise Failure(f"invalid JSON at character {error.pos + 1}: {error.msg}") from None
    except RecursionError:
        raise Failure("JSON is nested too deeply") from None
    return _without_surrogates(decoded) if "\\u" in source else decoded


@cache
def _decoder() -> json.JSONDecoder:
    return json.JSONDecoder(parse_int=_json_number, parse_float=_json_number, parse_constant=_no_constant)


def _json_number(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise Failure(f"json: cannot unmarshal number {_excerpt(digits)} into Go value of type float64")
    return value


def _no_constant(word: str) -> NoReturn:
    raise Failure(f"invalid JSON: {word} is no value")


def _without_surrogates(decoded: Any) -> Any:
    """Replace lone surrogates, which escapes in JSON can write, by the replacement character."""
    if type(decoded) not in _REPAIRS:
        return _repaired(decoded)
    pending: list[Any] = [decoded]
    while pending:
        node: Any = pending.pop()
        inner = _REPAIRS[type(node)](node)
        pending += [item for item in inner if type(item) in _REPAIRS]
    return decoded


def _repair_list(node: list[Any]) -> list[Any]:
    node[:] = [_repaired(item) for item in node]
    return node


def _repair_map(node: dict[str, Any]) -> list[Any]:
    pairs = [(_repaired(key), _repaired(item)) for key, item in node.items()]
    node.clear()
    node.update(pairs)
    return list(node.values())


_REPAIRS: dict[type, Callable[[Any], list[Any]]] = {list: _repair_list, dict: _repair_map}


def _repaired(value: Any) -> Any:
    if type(value) is not str or value.isascii():
        return value
    return "".join("\ufffd" if "\ud800" <= letter <= "\udfff" else letter for letter in value)
