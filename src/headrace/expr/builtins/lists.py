"""Builtins on lists: length, items, and new lists made from them."""

from __future__ import annotations

from collections.abc import Hashable
from functools import cmp_to_key
from itertools import chain
from typing import Any

from headrace.expr import access
from headrace.expr.equality import compared, equal
from headrace.expr.errors import BudgetFailure, Failure
from headrace.expr.limits import MAX_DATA_DEPTH, Meter
from headrace.expr.numbers import fits, to_float
from headrace.expr.times import Duration, Location, Time
from headrace.expr.types import METHODS
from headrace.expr.values import (
    Byte,
    KeyedMap,
    Method,
    NamedInt,
    NilList,
    Value,
    integer,
    is_list,
    is_nil,
    not_a,
    number,
    type_name,
    utf8,
)

_POINTERS_PER_UNIT = 8


def _items(value: Value, refusal: str) -> list[Value]:
    """The items of a list or of bytes. Raises Failure for other types, with `refusal` as the message."""
    if is_list(value):
        return value
    if type(value) is bytes:
        return [Byte(byte) for byte in value]
    raise Failure(refusal.format(type_name(value)))


def length(meter: Meter, value: Value) -> int:
    if type(value) in (str, list, dict, bytes, KeyedMap, NilList):
        return len(value)
    raise Failure(f"invalid argument for len (type {type_name(value)})")


def first(meter: Meter, value: Value) -> Value:
    return _at(meter, value, 0)


def last(meter: Meter, value: Value) -> Value:
    return _at(meter, value, -1)


def _at(meter: Meter, value: Value, index: int) -> Value:
    """The item at an index; nil where there is no such item or the value has no items."""
    try:
        return access.fetch(meter, value, index)
    except BudgetFailure:
        raise
    except Failure:
        return None


def get(meter: Meter, base: Value, key: Value) -> Value:
    """The builtin `get`: the value of `base[key]`, or nil where `base` has no such key or index."""
    kind: type[Any] = base.__class__
    if kind is dict:
        return access.fetch(meter, base, key)
    if kind is KeyedMap:
        return base.get(key)
    if kind in (list, NilList, bytes, str):
        size = len(utf8(base)) if kind is str and not base.isascii() else len(base)
        index = integer(key, rounds=meter.rounds)
        return access.fetch(meter, base, index) if -size <= index < size else None
    if kind is Time and type(key) is not str:
        raise not_a(key, "string")
    if isinstance(base, Time | Duration | Location | NamedInt) and type(key) is str:
        return Method(base, key) if key in METHODS.get(type_name(base), {}) else None
    return None


def take(meter: Meter, values: Value, count: Value) -> list[Value]:
    items = _items(values, "cannot take from {}")
    if type(count) not in (int, Byte) or not fits(count):
        raise Failure(f"cannot take {type_name(count)} elements")
    if count < 0:
        raise Failure(f"cannot take {count} elements")
    taken = min(count, len(items))
    meter.visit(taken)
    meter.grow(taken // _POINTERS_PER_UNIT)
    return items[:taken]


def reverse(meter: Meter, values: Value) -> list[Value]:
    items = _items(values, "cannot reverse {}")
    _pay(meter, len(items))
    return items[::-1]


def _pay(meter: Meter, items: int) -> None:
    meter.visit(items)
    meter.grow(items)


def uniq(meter: Meter, values: Value) -> list[Value]:
    """The builtin `uniq`: the list with the first of each group of equal items, in order."""
    items = _items(values, "cannot uniq {}")
    meter.grow(len(items) // _POINTERS_PER_UNIT)
    found: list[Value] = []
    alike: dict[Hashable, list[Value]] = {}
    for item in items:
        candidates = alike.setdefault(_likeness(item), [])
        meter.step(len(candidates) + 1)
        if not any(equal(meter, item, other) for other in candidates):
            candidates.append(item)
            found.append(item)
    return found


def _likeness(value: Value) -> Hashable:
    """A hash key that equal values share. Values that share a key may still differ."""
    if type(value) is str:
        return value
    given = number(value)
    if given is not None:
        return to_float(given)
    if is_nil(value):
        return None
    return "list", len(value) if type(value) in (list, bytes) else -1


def concat(meter: Meter, *values: Value) -> list[Value]:
    lists = [_items(value, "cannot concat {}") for value in values]
    size = sum(map(len, lists))
    _pay(meter, size)
    return list(chain.from_iterable(lists)) if size else NilList()


def flatten(meter: Meter, values: Value) -> list[Value]:
    """The builtin `flatten`: one list with the items of all nested lists. Raises Failure for a nesting too deep."""
    found: list[Value] = []
    stack = [iter(_items(values, "cannot flatten {}"))]
    while stack:
        for item in stack[-1]:
            if is_list(item) or type(item) is bytes:
                meter.step()
                stack.append(iter(_items(item, "")))
                break
            found.append(item)
            if not len(found) % 256:
                _pay(meter, 256)
        else:
            stack.pop()
        if len(stack) > MAX_DATA_DEPTH:
            raise Failure(f"flatten: data is nested deeper than {MAX_DATA_DEPTH} levels")
    _pay(meter, len(found) % 256)
    return found


def sort(meter: Meter, values: Value, order: Value = "asc") -> list[Value]:
    """The builtin `sort`: a stable sort by `<`. A value that is not a list gives an empty list."""
    if type(order) is not str:
        raise not_a(order, "string")
    if order not in ("asc", "desc"):
        raise Failure(f"invalid order {order}, expected asc or desc")
    if not is_list(values):
        return NilList()
    return [values[index] for index in sorted_indexes(meter, values, is_descending=order == "desc")]


def sorted_indexes(meter: Meter, keys: list[Value], *, is_descending: bool) -> list[int]:
    """The indexes of the keys in sorted order. The sort is stable."""
    _pay(meter, len(keys))
    meter.step(len(keys) // 2 + 1)
    are_texts = all(type(key) is str for key in keys)
    if are_texts:
        # Texts are ordered by their bytes; each different one is encoded once.
        encoded: dict[str, bytes] = {}
        for key in keys:
            if key not in encoded:
                meter.write(len(key))
                encoded[key] = utf8(key)
        keys = [encoded[key] for key in keys]
    if are_texts or _have_python_order(keys):
        return sorted(range(len(keys)), key=keys.__getitem__, reverse=is_descending)

    def order(left: int, right: int) -> int:
        meter.step(2)
        if compared("<", keys[left], keys[right], rounds=meter.rounds):
            return -1
        return 1 if compared("<", keys[right], keys[left], rounds=meter.rounds) else 0

    by_value: Any = cmp_to_key(order)
    return sorted(range(len(keys)), key=by_value, reverse=is_descending)


def _have_python_order(keys: list[Value]) -> bool:
    """True where Python orders the keys as the language does: integers of 64 bits, or floats without NaN."""
    kinds: set[type[Any]] = {type(key) for key in keys}
    if kinds == {int}:
        return fits(min(keys)) and fits(max(keys))
    return kinds == {float} and all(key == key for key in keys)  # no NaN
