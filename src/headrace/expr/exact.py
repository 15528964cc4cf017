"""Functions for hosts that must not round: `int` and `fromJSON` with integers of any size.

A host passes `NAMES` to `compile`, and the meter of `exact_meter` to `Program.measured`; the functions then stand for
the builtins of these names.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

from headrace.expr.errors import Failure
from headrace.expr.limits import Limits, Meter
from headrace.expr.values import Value, number, type_name
from headrace.json_depth import is_nested_deeper

MAX_DIGITS = 1_000
MAX_NESTING = 200
NAMES = frozenset({"int", "fromJSON"})
_INTEGER = re.compile(r"[+-]?[0-9]+", re.ASCII)


def exact_meter(limits: Limits) -> Meter:
    """The meter of one evaluation with these functions, which rounds no integer.

    Its clock stands still: no condition may know the time.
    """
    meter = Meter(limits, lambda: 0, {}, rounds=False)
    functions = _Functions(meter)
    meter.functions = {"int": functions.integer, "fromJSON": functions.decoded}
    return meter


class _Functions:
    """The functions of one evaluation, charged to its meter. A text is decoded once: no expression changes a value."""

    __slots__ = ("_decoded", "_meter")

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._decoded: dict[str, Any] = {}

    def integer(self, *arguments: Value) -> int:
        """`int(x)`: an integer stays, a text is read as decimal digits, a float is cut. Raises Failure for others."""
        value = _only("int", arguments)
        if type(value) is int:
            return value
        if type(value) is str:
            self._meter.read(4 * len(value))
            if _INTEGER.fullmatch(value) is None or len(value.lstrip("+-0")) > MAX_DIGITS:
                raise Failure(f"invalid operation: int({value[:100]!r})")
            return int(value.lstrip("+-0") or "0") * (-1 if value[0] == "-" else 1)
        given = number(value)
        if given is None or not math.isfinite(given):
            raise Failure(f"invalid operation: int({type_name(value)})")
        return int(given)

    def decoded(self, *arguments: Value) -> Any:
        """`fromJSON(text)`: its integers stay integers. Raises Failure for what is not JSON, or has a member twice."""
        text = _only("fromJSON", arguments)
        if type(text) is not str:
            raise Failure(f"invalid operation: fromJSON({type_name(text)})")
        if text in self._decoded:
            return self._decoded[text]
        self._meter.decode(len(text))
        if is_nested_deeper(text, MAX_NESTING):
            raise Failure(f"JSON is nested more than {MAX_NESTING} levels deep")
        try:
            found = self._decoded[text] = _DECODER.decode(text)
        except json.JSONDecodeError as error:
            raise Failure(f"invalid JSON at character {error.pos + 1}: {error.msg}") from None
        return found


def _only(name: str, arguments: tuple[Value, ...]) -> Value:
    if len(arguments) != 1:
        raise Failure(f"{name}: requires one argument")
    return arguments[0]


def _json_integer(text: str) -> int:
    if len(text) > MAX_DIGITS + 1:
        raise Failure(_TOO_LARGE)
    return int(text)


def _json_number(text: str) -> float:
    """A number with a fraction or an exponent. Raises Failure also for NaN and infinities, which JSON has not."""
    value = float(text)
    if not math.isfinite(value):
        raise Failure(_TOO_LARGE)
    return value


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(members := dict(pairs)) != len(pairs):
        raise Failure("JSON holds a member twice")
    return members


_TOO_LARGE = "JSON holds a number that is too large"
_DECODER = json.JSONDecoder(
    parse_int=_json_integer, parse_float=_json_number, parse_constant=_json_number, object_pairs_hook=_members
)
