"""Builtins on maps: keys, values and pairs, in order of insertion. The reference gives them in any order."""

from __future__ import annotations

from typing import Any

from headrace.expr.errors import Failure
from headrace.expr.formats import text
from headrace.expr.limits import Meter
from headrace.expr.values import KeyedMap, Value, is_list, type_name

_POINTERS_PER_UNIT = 8
_UNITS_PER_ENTRY = 3


def _map(value: Value, refusal: str) -> dict[str, Value] | KeyedMap:
    kind: type[Any] = value.__class__
    if kind is dict or kind is KeyedMap:
        return value
    raise Failure(refusal.format(type_name(value)))


def keys(meter: Meter, value: Value) -> list[Value]:
    found = _map(value, "cannot get keys from {}")
    meter.visit(len(found))
    meter.grow(len(found) // _POINTERS_PER_UNIT)
    return list(found)


def values(meter: Meter, value: Value) -> list[Value]:
    found = _map(value, "cannot get values from {}")
    meter.visit(len(found))
    meter.grow(len(found) // _POINTERS_PER_UNIT)
    return [item for _, item in found.items()]


def to_pairs(meter: Meter, value: Value) -> list[Value]:
    found = _map(value, "cannot transform {} to pairs")
    meter.step(len(found) // 8 + 1)
    meter.grow(len(found))
    return [[key, item] for key, item in found.items()]


def from_pairs(meter: Meter, value: Value) -> KeyedMap:
    """The builtin `fromPairs`: a map from a list of `[key, value]`. Raises Failure for an item that is not a pair."""
    if not is_list(value):
        raise Failure(f"cannot transform {type_name(value)} from pairs")
    found = KeyedMap(rounds=meter.rounds)
    for pair in value:
        meter.step()
        meter.grow(_UNITS_PER_ENTRY)
        if not is_list(pair):
            raise Failure(f"invalid pair {text(meter, pair)}")
        if len(pair) != 2:
            raise Failure(f"invalid pair length {text(meter, pair)}")
        found[pair[0]] = pair[1]
    return found
