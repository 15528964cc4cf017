"""The language's own functions, but for those that take a predicate: those are compiled (`closures.predicates`).

A function takes the meter and its arguments, checks what the checker could not know, pays, and answers a value.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from headrace.expr.builtins import aggregates, bits, conversions, dates, lists, maps, texts
from headrace.expr.values import Value


class Function(NamedTuple):
    call: Callable[..., Value]
    least: int
    """How many arguments it takes at least,"""
    most: int
    """and at most."""


_ANY_NUMBER = 10_000

UNCOUNTED = frozenset(
    (
        *("first", "last", "toJSON", "fromJSON", "toBase64", "fromBase64", "duration", "timezone", "indexOf"),
        *("lastIndexOf", "hasPrefix", "hasSuffix", "repeat", "trimPrefix", "trimSuffix", "join"),
    )
)
"""Leave arguments aside that they do not take, where the checker has not looked."""

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
    "bitand": Function(bits.both, 2, 2),
    "bitor": Function(bits.either, 2, 2),
    "bitxor": Function(bits.one, 2, 2),
    "bitnand": Function(bits.without, 2, 2),
    "bitnot": Function(bits.inverse, 1, 1),
    "bitshl": Function(bits.left, 2, 2),
    "bitshr": Function(bits.right, 2, 2),
    "bitushr": Function(bits.unsigned_right, 2, 2),
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
"""Those whose second argument is a predicate: for each argument, whether it must be there."""

NAMES = frozenset(FUNCTIONS) | frozenset(WITH_PREDICATE)
