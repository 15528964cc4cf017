"""Equality and order of two values."""

from __future__ import annotations

from typing import Any

from headrace.expr.errors import Failure
from headrace.expr.limits import Meter
from headrace.expr.times import Duration, Time
from headrace.expr.values import KeyedMap, NamedInt, NilList, Value, is_nil, number, type_name, utf8

_LISTS = (list, NilList, bytes)


def equal(meter: Meter, left: Value, right: Value) -> bool:
    """True where `left == right`. The meter is charged for items of lists and maps.

    Numbers compare by value, integers exactly at any size, lists item by item, times by instant. Maps are
    equal with equal keys and equal values of the same types.
    """
    if type(left) is str and type(right) is str:
        return left == right

    # What is still to be compared is kept in a list: data nests deeper than a stack.
    pending: list[tuple[Value, Value, bool]] = [(left, right, False)]
    while pending:
        left, right, is_exact = pending.pop()
        kinds = (type(left) in _LISTS, type(right) in _LISTS)
        if all(kinds):
            if len(left) != len(right):
                return False
            meter.step(len(left) // 4 + 1)
            if is_exact and type(left) is not type(right) and bytes in (type(left), type(right)):
                return False
            inner = _different_items(left, right)
            if inner is None:
                return False
            pending += [(a, b, is_exact) for a, b in inner]
        elif type(left) in (dict, KeyedMap) and type(left) is type(right):
            if left is right:
                continue
            pairs = _paired(meter, left, right)
            if pairs is None:
                return False
            pending += pairs
        elif not _scalars_are_equal(left, right, is_exact=is_exact, rounds=meter.rounds):
            return False
    return True


def _different_items(left: Any, right: Any) -> list[tuple[Value, Value]] | None:
    """The pairs of items that are not equal at a glance; None where two texts differ."""
    closer: list[tuple[Value, Value]] = []
    for a, b in zip(left, right, strict=True):
        if type(a) is str and type(b) is str:
            if a != b:
                return None
        elif type(a) is not int or type(b) is not int or a != b:
            closer.append((a, b))
    return closer


def _paired(meter: Meter, left: Any, right: Any) -> list[tuple[Value, Value, bool]] | None:
    """Pairs of the values under each key; None where the keys differ."""
    meter.step(len(left) // 4 + 1)
    if isinstance(left, KeyedMap):
        if left.entries().keys() != right.entries().keys() or left.is_grouped != right.is_grouped:
            return None
        return [(entry[1], right.entries()[key][1], True) for key, entry in left.entries().items()]
    if left.keys() != right.keys():
        return None
    return [(value, right[key], True) for key, value in left.items()]


def _scalars_are_equal(left: Value, right: Value, *, is_exact: bool, rounds: bool) -> bool:
    if is_nil(left) or is_nil(right):
        return is_nil(left) and is_nil(right)
    if isinstance(left, NamedInt) or isinstance(right, NamedInt):
        return type(left) is type(right) and int(left) == int(right)
    if hasattr(left, "expression_type"):
        return left == right
    if type(left) is int and type(right) is int:
        return left == right  # of any size
    first, second = number(left), number(right)
    if first is not None and second is not None:
        if not rounds:
            return left == right and (not is_exact or type(left) is type(right))
        if type(first) is type(second):
            return first == second and not (is_exact and type_name(left) != type_name(right))
        return not is_exact and float(first) == float(second)
    return type(left) is type(right) and type(left) in (str, bool, Time, Duration) and left == right


def compared(operator: str, left: Value, right: Value, *, rounds: bool = True) -> bool:
    """The result of `<`, `<=`, `>` or `>=` on numbers, texts, times or durations. Raises Failure for other types.

    Without `rounds`, an integer and a float compare by their exact values.
    """
    # Two Python values of one type whose order is the language's.
    first: Any
    second: Any
    if type(left) is str and type(right) is str:
        first, second = (left, right) if left.isascii() and right.isascii() else (utf8(left), utf8(right))
    elif type(left) is int and type(right) is int:
        first, second = left, right  # of any size
    elif (first := number(left)) is not None and (second := number(right)) is not None:
        if not rounds:
            first, second = left, right
        elif type(first) is not type(second):
            first, second = float(first), float(second)
    elif (isinstance(left, Time) and isinstance(right, Time)) or (
        isinstance(left, Duration) and isinstance(right, Duration)
    ):
        first, second = left.nanoseconds, right.nanoseconds
    else:
        raise Failure(f"invalid operation: {type_name(left)} {operator} {type_name(right)}")

    if operator == "<":
        return first < second
    if operator == "<=":
        return first <= second
    return first > second if operator == ">" else first >= second
