"""Functions of the operators. The quick way is for what events hold; everything else goes to `arithmetic` and so on."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from headrace.expr import access, arithmetic, patterns
from headrace.expr.builtins import texts
from headrace.expr.closures import METER, Frame, Run, Spot
from headrace.expr.equality import compared, equal
from headrace.expr.errors import Failure
from headrace.expr.limits import Meter
from headrace.expr.numbers import MAX_INT, MIN_INT, wrapped
from headrace.expr.values import Value, integer, is_nil, not_a

Operation = Callable[[Meter, Value, Value], Value]

_EXACT = 1 << 53
"""Integers below it are equal to, less and more than the same floats as theirs."""


def applied(operation: Operation, left: Run, right: Run, spot: Spot) -> Run:
    def run(frame: Frame) -> Value:
        first = left(frame)
        second = right(frame)
        try:
            return operation(frame[METER], first, second)
        except Failure as failure:
            raise spot.error(failure) from None

    return run


def binary(operator: str, left: Run, right: Run, spot: Spot, *, wraps: bool) -> Run:
    """An operator that evaluates both sides."""
    if operator in _SUMS:
        return _SUMS[operator](partial(_SUM_OPERATIONS[operator], wraps=wraps), left, right, spot)
    if operator == "==":
        return _equal(left, right, spot)
    if operator == "!=":
        return inverted(_equal(left, right, spot), spot)
    return applied(_OPERATIONS[operator], left, right, spot)


# + - *


def _add(slow: Operation, left: Run, right: Run, spot: Spot) -> Run:
    def run(frame: Frame) -> Value:
        first = left(frame)
        second = right(frame)
        if type(first) is int and type(second) is int:
            result = first + second
            if MIN_INT <= result <= MAX_INT and MIN_INT <= first <= MAX_INT and MIN_INT <= second <= MAX_INT:
                return result
        try:
            return slow(frame[METER], first, second)
        except Failure as failure:
            raise spot.error(failure) from None

    return run


def _subtract(slow: Operation, left: Run, right: Run, spot: Spot) -> Run:
    def run(frame: Frame) -> Value:
        first = left(frame)
        second = right(frame)
        if type(first) is int and type(second) is int:
            result = first - second
            if MIN_INT <= result <= MAX_INT and MIN_INT <= first <= MAX_INT and MIN_INT <= second <= MAX_INT:
                return result
        try:
            return slow(frame[METER], first, second)
        except Failure as failure:
            raise spot.error(failure) from None

    return run


_Builder = Callable[[Operation, Run, Run, Spot], Run]
_SUMS: dict[str, _Builder] = {"+": _add, "-": _subtract, "*": applied}
_SUM_OPERATIONS: dict[str, Callable[..., Value]] = {
    "+": arithmetic.add,
    "-": arithmetic.subtract,
    "*": arithmetic.multiply,
}


# equality and order


def _equal(left: Run, right: Run, spot: Spot) -> Run:
    def run(frame: Frame) -> bool:
        first = left(frame)
        second = right(frame)
        if type(first) is str and type(second) is str:
            return first == second
        try:
            return equal(frame[METER], first, second)
        except Failure as failure:
            raise spot.error(failure) from None

    return run


def same(kind: type, left: Run, right: Run, spot: Spot) -> Run:
    """Equality of two texts, or two integers, and nothing else."""
    wanted = "string" if kind is str else "int"

    def run(frame: Frame) -> bool:
        first = left(frame)
        second = right(frame)
        if type(first) is not kind or type(second) is not kind:
            raise spot.error(not_a(second if type(first) is kind else first, wanted))
        return first == second

    return run


def equal_to_text(left: Run, text: str) -> Run:
    def run(frame: Frame) -> bool:
        value = left(frame)
        return type(value) is str and value == text

    return run


def is_exact(value: object) -> bool:
    """An integer literal that compares with any number as Python does."""
    return type(value) is int and -_EXACT < value < _EXACT


def equal_to_integer(left: Run, integer: int, spot: Spot) -> Run:
    def run(frame: Frame) -> bool:
        value = left(frame)
        if type(value) is int or type(value) is float:
            return value == integer
        try:
            return equal(frame[METER], value, integer)
        except Failure as failure:
            raise spot.error(failure) from None

    return run


def compared_with_integer(operator: str, left: Run, integer: int, spot: Spot) -> Run:
    def slow(value: Value) -> bool:
        try:
            return compared(operator, value, integer)
        except Failure as failure:
            raise spot.error(failure) from None

    def less(frame: Frame) -> bool:
        value = left(frame)
        return value < integer if type(value) is int or type(value) is float else slow(value)

    def less_or_equal(frame: Frame) -> bool:
        value = left(frame)
        return value <= integer if type(value) is int or type(value) is float else slow(value)

    def more(frame: Frame) -> bool:
        value = left(frame)
        return value > integer if type(value) is int or type(value) is float else slow(value)

    def more_or_equal(frame: Frame) -> bool:
        value = left(frame)
        return value >= integer if type(value) is int or type(value) is float else slow(value)

    return {"<": less, "<=": less_or_equal, ">": more, ">=": more_or_equal}[operator]


def _order(operator: str) -> Operation:
    def order(meter: Meter, left: Value, right: Value) -> bool:
        if type(left) is str and type(right) is str:
            meter.read(min(len(left), len(right)))
        return compared(operator, left, right)

    return order


def chained(first: Run, links: list[tuple[str, Run, Spot]]) -> Run:
    """`a < b < c`."""

    def run(frame: Frame) -> bool:
        left = first(frame)
        for operator, operand, spot in links:
            right = operand(frame)
            try:
                if not compared(operator, left, right):
                    return False
            except Failure as failure:
                raise spot.error(failure) from None
            left = right
        return True

    return run


# texts and membership


def _text_operation(holds: Callable[[Meter, Value, Value], bool]) -> Operation:
    """nil holds nothing and is held by nothing."""

    def operation(meter: Meter, left: Value, right: Value) -> bool:
        if is_nil(left) or is_nil(right):
            return False
        return holds(meter, left, right)

    return operation


def matches_constant(left: Run, compiled: Any, spot: Spot) -> Run:
    def run(frame: Frame) -> bool:
        value = left(frame)
        try:
            return patterns.found(frame[METER], value, compiled)
        except Failure as failure:
            raise spot.error(failure) from None

    return run


def in_texts(left: Run, texts: frozenset[str]) -> Run:
    """`x in ["a", "b"]`: only a text can be in it."""

    def run(frame: Frame) -> bool:
        value = left(frame)
        return type(value) is str and value in texts

    return run


def _range(meter: Meter, left: Value, right: Value) -> list[int]:
    """Between bounds that are further apart than 64 bits can say, the size wraps around, as it does upstream."""
    first, last = integer(left), integer(right)
    size = max(0, wrapped(last - first + 1))
    meter.grow(size)
    meter.step(size // 16)
    if first <= last:
        return list(range(first, first + size))
    return [wrapped(first + position) for position in range(size)]


# logic


def _not_bool(value: Value, spot: Spot) -> Exception:
    return spot.error(not_a(value, "bool"))


def both(left: Run, right: Run, spot: Spot) -> Run:
    """`and`: the right side is the answer where the left one is true, whatever it is."""

    def run(frame: Frame) -> Value:
        first = left(frame)
        if first is True:
            return right(frame)
        if first is False:
            return False
        raise _not_bool(first, spot)

    return run


def either(left: Run, right: Run, spot: Spot) -> Run:
    def run(frame: Frame) -> Value:
        first = left(frame)
        if first is True:
            return True
        if first is False:
            return right(frame)
        raise _not_bool(first, spot)

    return run


def inverted(operand: Run, spot: Spot) -> Run:
    def run(frame: Frame) -> bool:
        value = operand(frame)
        if value is True:
            return False
        if value is False:
            return True
        raise _not_bool(value, spot)

    return run


def coalesced(left: Run, right: Run) -> Run:
    def run(frame: Frame) -> Value:
        value = left(frame)
        return right(frame) if is_nil(value) else value

    return run


def negated(operand: Run, spot: Spot, *, wraps: bool) -> Run:
    def run(frame: Frame) -> Value:
        value = operand(frame)
        try:
            return arithmetic.negate(value, wraps=wraps)
        except Failure as failure:
            raise spot.error(failure) from None

    return run


def conditional(branches: list[tuple[Run, Run | None, Spot]], otherwise: Run) -> Run:
    """The first branch whose condition is true; None yields the condition."""

    def run(frame: Frame) -> Value:
        for condition, then, spot in branches:
            value = condition(frame)
            if value is True:
                return then(frame) if then is not None else True
            if value is not False:
                raise _not_bool(value, spot)
        return otherwise(frame)

    return run


_OPERATIONS: dict[str, Any] = {
    "/": arithmetic.divide,
    "%": arithmetic.modulo,
    "**": arithmetic.exponent,
    "^": arithmetic.exponent,
    "..": _range,
    "in": access.contains,
    "matches": patterns.matches,
    "contains": _text_operation(texts.holds),
    "startsWith": _text_operation(texts.starts_with),
    "endsWith": _text_operation(texts.ends_with),
    **{operator: _order(operator) for operator in ("<", "<=", ">", ">=")},
}
