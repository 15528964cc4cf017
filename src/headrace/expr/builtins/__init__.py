"""The builtin functions of the language. Builtins that take a predicate are compiled instead (`closures.predicates`).

A builtin receives the meter and its arguments. It checks the types that the checker could not know, charges the meter
for its work, and returns a value or raises Failure.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from headrace.expr.builtins import aggregates, bits, conversions, dates, lists, maps, texts
from headrace.expr.values import Value


class Function(NamedTuple):
    """A builtin: its implementation and how many arguments it takes."""

    call: Callable[..., Value]
    least: int
    """The smallest number of arguments."""
    most: int
    """The largest number of arguments."""


_ANY_NUMBER = 10_000

UNCOUNTED = frozenset(
    (
        *("first", "last", "toJSON", "fromJSON", "toBase64", "fromBase64", "duration", "timezone", "indexOf"),
        *("lastIndexOf", "hasPrefix", "hasSuffix", "repeat", "trimPrefix", "trimSuffix", "join"),
    )
)
"""Builtins that ignore surplus arguments in calls that the checker does not see."""

FUNCTIONS: dict[str, Function] = {
    "len": Function(lists.length, 1, 1),
    "type": Function(conversions.kind, 1, 1),
    "abs": Function(aggregates.absolute, 1, 1),
    "ceil": Function(aggregates.ceiling, 1, 1),
    "floor": Function(aggregates.floor, 1, 1),
    "round": Function(aggregates.nearest, 1, 1),
    "int": Function(conversions.to_int, 1, 1),
    "float": Function(conversions.to_float, 1, 1),
    "string": Function(conversions.to_string, 1, 1),
    "trim": Function(texts.trim, 1, 2),
    "trimPrefix": Function(texts.trim_prefix, 1, 2),
    "trimSuffix": Function(texts.trim_suffix, 1, 2),
    "upper": Function(texts.upper, 1, 1),
    "lower": Function(texts.lower, 1, 1),
    "split": Function(texts.split, 2, 3),
    "splitAfter": Function(texts.split_after, 2, 3),
    "replace": Function(texts.replace, 3, 4),
    "repeat": Function(texts.repeat, 2, 2),
    "join": Function(texts.join, 1, 2),
    "indexOf": Function(texts.index_of, 2, 2),
    "lastIndexOf": Function(texts.last_index_of, 2, 2),
    "hasPrefix": Function(texts.starts_with, 2, 2),
    "hasSuffix": Function(texts.ends_with, 2, 2),
    "max": Function(aggregates.largest, 1, _ANY_NUMBER),
    "min": Function(aggregates.smallest, 1, _ANY_NUMBER),
    "mean": Function(aggregates.mean, 1, _ANY_NUMBER),
    "median": Function(aggregates.median, 1, _ANY_NUMBER),
    "toJSON": Function(conversions.to_json, 1, 1),
    "fromJSON": Function(conversions.from_json, 1, 1),
    "toBase64": Function(conversions.to_base64, 1, 1),
    "fromBase64": Function(conversions.from_base64, 1, 1),
    "now": Function(dates.now, 0, 1),
    "duration": Function(dates.duration, 1, 1),
    "date": Function(dates.date, 1, 4),
    "timezone": Function(dates.timezone, 1, 1),
    "first": Function(lists.first, 1, 1),
    "last": Function(lists.last, 1, 1),
    "get": Function(lists.get, 2, 2),
    "take": Function(lists.take, 2, 2),
    "keys": Function(maps.keys, 1, 1),
    "values": Function(maps.values, 1, 1),
    "toPairs": Function(maps.to_pairs, 1, 1),
    "fromPairs": Function(maps.from_pairs, 1, 1),
    "reverse": Function(lists.reverse, 1, 1),
    "uniq": Function(lists.uniq, 1, 1),
    "concat": Function(lists.concat, 1, _ANY_NUMBER),
    "flatten": Function(lists.flatten, 1, 1),
    "sort": Function(lists.sort, 1, 2),
    "bitand": Function(bits.bit_and, 2, 2),
    "bitor": Function(bits.bit_or, 2, 2),
    "bitxor": Function(bits.bit_xor, 2, 2),
    "bitnand": Function(bits.bit_and_not, 2, 2),
    "bitnot": Function(bits.bit_not, 1, 1),
    "bitshl": Function(bits.shift_left, 2, 2),
    "bitshr": Function(bits.shift_right, 2, 2),
    "bitushr": Function(bits.shift_right_unsigned, 2, 2),
}

WITH_PREDICATE: dict[str, tuple[bool, ...]] = {
    **dict.fromkeys(
        ("all", "none", "any", "one", "filter", "map", "find", "findIndex", "findLast", "findLastIndex", "groupBy"),
        (True, True),
    ),
    "count": (True, False),
    "sum": (True, False),
    "sortBy": (True, True, False),
    "reduce": (True, True, False),
}
"""Builtins whose second argument is a predicate; for each argument, True if it is required."""

NAMES = frozenset(FUNCTIONS) | frozenset(WITH_PREDICATE)
