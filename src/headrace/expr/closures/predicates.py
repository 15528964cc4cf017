"""Builtins that run a predicate over a list: `all`, `filter`, `map`, `reduce` and so on.

Each is built from a `Loop`: the list, the body, and the slots where the body reads the item and its index. An item
costs one step, and more if the body is long.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from headrace.expr.arithmetic import add
from headrace.expr.builtins import WITH_PREDICATE
from headrace.expr.builtins.lists import sorted_indexes
from headrace.expr.closures import METER, NO_ITEM, Frame, Run, Spot, no_item
from headrace.expr.errors import Failure
from headrace.expr.limits import Meter
from headrace.expr.values import Byte, KeyedMap, Value, hashable, is_list, not_a, type_name, utf8

_UNITS_PER_GROUP = 4
_SMALL = 1 << 62


class Loop(NamedTuple):
    """A compiled call of a builtin with a predicate."""

    name: str
    collection: Run
    body: Run | None
    """The predicate; None for `count(list)` and `sum(list)`, which use the items themselves."""
    item_slot: int
    index_slot: int
    accumulator_slot: int
    third: Run | None
    """The third argument: the order of `sortBy`, the first accumulator of `reduce`."""
    spot: Spot
    """The position of the call."""
    body_spot: Spot
    wraps: bool
    steps: int
    """Steps charged for each item."""


def items_of(loop: Loop, frame: Frame) -> list[Value]:
    """The items of the list. A text is the list of its bytes; a map gives placeholders that must not be read."""
    value = loop.collection(frame)
    if is_list(value):
        return value
    if type(value) is bytes or type(value) is str:
        data = utf8(value) if isinstance(value, str) else value
        _paid(loop, frame[METER].grow, len(data))
        return [Byte(byte) for byte in data]
    if type(value) in (dict, KeyedMap):
        return [NO_ITEM] * len(value)
    raise loop.spot.error(Failure(f"builtin {loop.name} takes only array (got {type_name(value)})"))


def _known(loop: Loop, value: Value) -> Value:
    return value if value is not NO_ITEM else no_item(loop.spot)


def _paid(loop: Loop, pay: Callable[[int], None], amount: int) -> None:
    try:
        pay(amount)
    except Failure as failure:
        raise loop.spot.error(failure) from None


def _outcomes(loop: Loop, frame: Frame, order: Callable[[list[Value]], Iterator[tuple[int, Value]]]) -> Iterator[int]:
    """Yield the indexes of the items for which the predicate holds, each while its item is in the slot."""
    body, item, index = loop.body, loop.item_slot, loop.index_slot
    meter: Meter = frame[METER]
    for position, value in order(items_of(loop, frame)):
        try:
            meter.step(loop.steps)
        except Failure as failure:
            raise loop.spot.error(failure) from None
        frame[item] = value
        frame[index] = position
        outcome = _known(loop, value) if body is None else body(frame)
        if outcome is True:
            yield position
        elif outcome is not False:
            raise loop.body_spot.error(not_a(outcome, "bool"))


def _forwards(items: list[Value]) -> Iterator[tuple[int, Value]]:
    return iter(enumerate(items))


def _backwards(items: list[Value]) -> Iterator[tuple[int, Value]]:
    return ((position, items[position]) for position in range(len(items) - 1, -1, -1))


def _all(loop: Loop) -> Run:
    """The builtin `all`: stops at the first item for which the predicate is false."""
    body, item, index, body_spot = loop.body, loop.item_slot, loop.index_slot, loop.body_spot
    assert body is not None, "all has a predicate"

    def run(frame: Frame) -> bool:
        step = frame[METER].step
        for position, value in enumerate(items_of(loop, frame)):
            _paid(loop, step, loop.steps)
            frame[item] = value
            frame[index] = position
            outcome = body(frame)
            if outcome is not True:
                if outcome is False:
                    return False
                raise body_spot.error(not_a(outcome, "bool"))
        return True

    return run


def _any(loop: Loop) -> Run:
    body, item, index, body_spot = loop.body, loop.item_slot, loop.index_slot, loop.body_spot
    assert body is not None, "any has a predicate"

    def run(frame: Frame) -> bool:
        step = frame[METER].step
        for position, value in enumerate(items_of(loop, frame)):
            _paid(loop, step, loop.steps)
            frame[item] = value
            frame[index] = position
            outcome = body(frame)
            if outcome is not False:
                if outcome is True:
                    return True
                raise body_spot.error(not_a(outcome, "bool"))
        return False

    return run


def _none(loop: Loop) -> Run:
    some = _any(loop)
    return lambda frame: not some(frame)


def _one(loop: Loop) -> Run:
    counted = _count(loop)
    return lambda frame: counted(frame) == 1


def _count(loop: Loop) -> Run:
    def run(frame: Frame) -> int:
        count = 0
        for _ in _outcomes(loop, frame, _forwards):
            count += 1
        return count

    return run


def _filter(loop: Loop) -> Run:
    item = loop.item_slot

    def run(frame: Frame) -> list[Value]:
        found: list[Value] = []
        for _ in _outcomes(loop, frame, _forwards):
            found.append(_known(loop, frame[item]))  # noqa: PERF401 # a comprehension is one more frame per level
        _paid(loop, frame[METER].grow, len(found))
        return found

    return run


def _found(order: Callable[[list[Value]], Iterator[tuple[int, Value]]], *, is_index: bool) -> Callable[[Loop], Run]:
    """The builtins of `find`: the first match in the given order, or its index; nil without a match."""

    def build(loop: Loop) -> Run:
        def run(frame: Frame) -> Value:
            for position in _outcomes(loop, frame, order):
                return position if is_index else _known(loop, frame[loop.item_slot])
            return None

        return run

    return build


def _results(loop: Loop, frame: Frame, *, is_kept: bool) -> Iterator[tuple[Value, Value]]:
    """Yield each item with the value of the predicate. With `is_kept`, each result is charged as memory."""
    body, item, index = loop.body, loop.item_slot, loop.index_slot
    meter: Meter = frame[METER]
    for position, value in enumerate(items_of(loop, frame)):
        try:
            meter.step(loop.steps)
            if is_kept:
                meter.grow(1)
        except Failure as failure:
            raise loop.spot.error(failure) from None
        frame[item] = value
        frame[index] = position
        yield value, _known(loop, value) if body is None else body(frame)


def _map(loop: Loop) -> Run:
    def run(frame: Frame) -> list[Value]:
        made: list[Value] = []
        for _, result in _results(loop, frame, is_kept=True):
            made.append(result)
        return made

    return run


def _sum(loop: Loop) -> Run:
    wraps = loop.wraps

    def run(frame: Frame) -> Value:
        total: Value = 0
        meter: Meter = frame[METER]
        for _, result in _results(loop, frame, is_kept=False):
            if type(result) is int and type(total) is int and -_SMALL < result < _SMALL and -_SMALL < total < _SMALL:
                total += result
                continue
            try:
                total = add(meter, result, total, wraps=wraps)
            except Failure as failure:
                raise loop.spot.error(failure) from None
        return total

    return run


def _group_by(loop: Loop) -> Run:
    def run(frame: Frame) -> KeyedMap:
        meter: Meter = frame[METER]
        groups = KeyedMap(is_grouped=True, rounds=meter.rounds)
        for value, key in _results(loop, frame, is_kept=False):
            try:
                item = _known(loop, value)
                group = groups.entries().get(hashable(key, rounds=meter.rounds))
                if group is None:
                    meter.grow(_UNITS_PER_GROUP)
                    groups[key] = [item]
                else:
                    group[1].append(item)
            except Failure as failure:
                raise loop.spot.error(failure) from None
        return groups

    return run


def _sort_by(loop: Loop) -> Run:
    third = loop.third

    def run(frame: Frame) -> list[Value]:
        items: list[Value] = []
        keys: list[Value] = []
        for value, key in _results(loop, frame, is_kept=False):
            items.append(_known(loop, value))
            keys.append(key)
        order = third(frame) if third is not None else "asc"
        if order not in ("asc", "desc"):
            raise loop.spot.error(Failure("unknown order, use asc or desc"))
        try:
            indexes = sorted_indexes(frame[METER], keys, is_descending=order == "desc")
        except Failure as failure:
            raise loop.spot.error(failure) from None
        return [items[position] for position in indexes]

    return run


def _reduce(loop: Loop) -> Run:
    """The builtin `reduce`: starts with the third argument, else with the first item."""
    body, third, item, index, accumulator = (
        loop.body,
        loop.third,
        loop.item_slot,
        loop.index_slot,
        loop.accumulator_slot,
    )
    assert body is not None, "reduce has a predicate"

    def run(frame: Frame) -> Value:
        items = items_of(loop, frame)
        first = 0 if third is not None else 1
        if len(items) < first:
            raise loop.spot.error(Failure("reduce of empty array with no initial value"))
        total = third(frame) if third is not None else _known(loop, items[0])
        for position in range(first, len(items)):
            _paid(loop, frame[METER].step, loop.steps)
            frame[item] = items[position]
            frame[index] = position
            frame[accumulator] = total
            total = body(frame)
        return total

    return run


PREDICATES: dict[str, Callable[[Loop], Run]] = {
    "all": _all,
    "any": _any,
    "none": _none,
    "one": _one,
    "count": _count,
    "filter": _filter,
    "map": _map,
    "find": _found(_forwards, is_index=False),
    "findLast": _found(_backwards, is_index=False),
    "findIndex": _found(_forwards, is_index=True),
    "findLastIndex": _found(_backwards, is_index=True),
    "sum": _sum,
    "groupBy": _group_by,
    "sortBy": _sort_by,
    "reduce": _reduce,
}

for _name in WITH_PREDICATE:
    if _name not in PREDICATES:
        raise ImportError(f"the builtin {_name} has no function: add it to PREDICATES of expr/closures/predicates.py")
