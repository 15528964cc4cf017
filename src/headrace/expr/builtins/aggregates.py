"""Builtins on numbers: `abs`, `ceil`, `floor`, `round`, and `min`, `max`, `mean`, `median` of many."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import repeat

from headrace.expr.equality import compared
from headrace.expr.errors import Failure
from headrace.expr.limits import MAX_DATA_DEPTH, Meter
from headrace.expr.numbers import rounded, to_float, wrapped
from headrace.expr.times import Duration
from headrace.expr.values import Byte, NamedInt, NilList, Value, number, type_name

_PAID_AT_ONCE = 64


def _refused(name: str, value: Value) -> Failure:
    return Failure(f"invalid argument for {name} (type {type_name(value)})")


def absolute(meter: Meter, value: Value) -> Value:
    if type(value) is int and not meter.rounds:
        return abs(value)
    given = number(value)
    if given is None:
        raise _refused("abs", value)
    if type(value) is Byte:
        return value
    if type(given) is int:
        return wrapped(abs(given))
    return -given if given < 0 else given  # a zero keeps its sign


def ceiling(meter: Meter, value: Value) -> float:
    given = _float(meter, value, "ceil")
    return math.copysign(float(math.ceil(given)), given) if math.isfinite(given) else given


def floor(meter: Meter, value: Value) -> float:
    given = _float(meter, value, "floor")
    return math.copysign(float(math.floor(given)), given) if math.isfinite(given) else given


def nearest(meter: Meter, value: Value) -> float:
    return rounded(_float(meter, value, "round"))


def _float(meter: Meter, value: Value, name: str) -> float:
    given = number(value, rounds=meter.rounds)
    if given is None:
        raise _refused(name, value)
    return to_float(given)


def largest(meter: Meter, *values: Value) -> Value:
    return _best(meter, "max", "<", values)


def smallest(meter: Meter, *values: Value) -> Value:
    return _best(meter, "min", ">", values)


def _best(meter: Meter, name: str, is_worse: str, values: tuple[Value, ...]) -> Value:
    """The first of the values that no other beats. A single value that is not a list is returned as it is."""
    if len(values) == 1 and not _is_nested(values[0]):
        return values[0]
    best: Value = None
    for value, depth in _leaves(meter, name, values):
        is_number = number(value) is not None or (depth == 0 and isinstance(value, NamedInt | Duration))
        if not is_number:
            raise _refused(name, value)
        if best is None or compared(is_worse, best, value, rounds=meter.rounds):
            best = value
    return best


def mean(meter: Meter, *values: Value) -> float:
    total, count = 0.0, 0
    for value in _floats(meter, "mean", values):
        total += value
        count += 1
    return total / count if count else 0.0


def median(meter: Meter, *values: Value) -> float:
    found = sorted(_floats(meter, "median", values))
    if not found:
        return 0.0
    middle = len(found) // 2
    return found[middle] if len(found) % 2 else (found[middle - 1] + found[middle]) / 2


def _floats(meter: Meter, name: str, values: Sequence[Value]) -> Iterator[float]:
    for value, _ in _leaves(meter, name, values):
        given = number(value, rounds=meter.rounds)
        if given is None and isinstance(value, NamedInt | Duration):
            given = value.nanoseconds if isinstance(value, Duration) else int(value)
        if given is None:
            raise _refused(name, value)
        yield to_float(given)


def _is_nested(value: Value) -> bool:
    return type(value) in (list, NilList, bytes)


def _leaves(meter: Meter, name: str, values: Sequence[Value]) -> Iterator[tuple[Value, int]]:
    """The values in the arguments and in lists among them, in order, each with its depth of nesting."""
    stack = [zip(values, repeat(0))]
    unpaid = 0
    while stack:
        for value, depth in stack[-1]:
            unpaid += 1
            if unpaid == _PAID_AT_ONCE:
                meter.step(unpaid // 4)
                unpaid = 0
            if not _is_nested(value):
                yield value, depth
                continue
            if depth >= MAX_DATA_DEPTH:
                raise Failure(f"{name}: data is nested deeper than {MAX_DATA_DEPTH} levels")
            stack.append(zip(value, repeat(depth + 1)))
            break
        else:
            stack.pop()
