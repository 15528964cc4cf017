"""Functions for hosts that must not round: `int` and `fromJSON` with integers of any size.

A host passes `EXACT` to `Program.run`, and its names to `compile`; they then stand for the builtins of these names.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from headrace.expr.errors import Failure
from headrace.expr.values import Value, number, type_name

MAX_DIGITS = 1_000
_INTEGER = re.compile(r"[+-]?[0-9]+", re.ASCII)


def exact_int(*arguments: Value) -> int:
    """`int(x)`: an integer stays, a text is read as decimal digits, a float is cut. Raises Failure for other values."""
    value = _only("int", arguments)
    if type(value) is int:
        return value
    if type(value) is str:
        if _INTEGER.fullmatch(value) is None or len(value.lstrip("+-0")) > MAX_DIGITS:
            raise Failure(f"invalid operation: int({value[:100]!r})")
        return int(value.lstrip("+-0") or "0") * (-1 if value[0] == "-" else 1)
    given = number(value)
    if given is None or not math.isfinite(given):
        raise Failure(f"invalid operation: int({type_name(value)})")
    return int(given)


def exact_json(*arguments: Value) -> Any:
    """`fromJSON(text)`: its integers stay integers. Raises Failure for what is not JSON, or has a member twice."""
    text = _only("fromJSON", arguments)
    if type(text) is not str:
        raise Failure(f"invalid operation: fromJSON({type_name(text)})")
    try:
        return _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise Failure(f"invalid JSON at character {error.pos + 1}: {error.msg}") from None
    except RecursionError:
        raise Failure("JSON is nested too deeply") from None


def _only(name: str, arguments: tuple[Value, ...]) -> Value:
    if len(arguments) != 1:
        raise Failure(f"{name}: requires one argument")
    return arguments[0]


def _number(text: str) -> int | float:
    """A number of JSON. Raises Failure for one that is too large, and for NaN and infinities, which JSON has not."""
    is_integer = _INTEGER.fullmatch(text) is not None
    value = int(text) if is_integer and len(text) <= MAX_DIGITS + 1 else float(text)
    if isinstance(value, float) and (is_integer or not math.isfinite(value)):
        raise Failure("JSON holds a number that is too large")
    return value


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(members := dict(pairs)) != len(pairs):
        raise Failure("JSON holds a member twice")
    return members


_DECODER = json.JSONDecoder(parse_int=_number, parse_float=_number, parse_constant=_number, object_pairs_hook=_members)
EXACT: Mapping[str, Callable[..., Any]] = {"int": exact_int, "fromJSON": exact_json}
