"""Operators. Types that events hold are handled inline; other types go to `arithmetic`, `equality` and `access`."""

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
"""Integers of a smaller size compare with a float exactly as their own float does."""


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
    """A binary operator that evaluates both sides, the left one first."""
    if operator in _SUMS:
        return _SUMS[operator](partial(_SUM_OPERATIONS[operator], wraps=wraps), left, right, spot)
    if operator == "==":
        return _equal(left, right, spot)
    if operator == "!=":
        return logical_not(_equal(left, right, spot), spot)
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
    """Compare two texts, or two integers, for equality. A side of any other type fails."""
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
    """True for an integer literal that Python compares with any number as the language does."""
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
    """Compare a value with a constant integer by `<`, `<=`, `>` or `>=`."""

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
        return compared(operator, left, right, rounds=meter.rounds)

    return order


def chained(first: Run, links: list[tuple[str, Run, Spot]]) -> Run:
    """Compare in a chain: `a < b < c` stops at the first comparison that is false."""

    def run(frame: Frame) -> bool:
        left = first(frame)
        for operator, operand, spot in links:
            right = operand(frame)
            try:
                if not compared(operator, left, right, rounds=frame[METER].rounds):
                    return False
            except Failure as failure:
                raise spot.error(failure) from None
            left = right
        return True

    return run


# texts and membership


def _text_operation(holds: Callable[[Meter, Value, Value], bool]) -> Operation:
    """Wrap a text operator so that nil on either side gives false."""

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
    """Test `x in ["a", "b"]` for constant texts. A value that is not a text gives false."""

    def run(frame: Frame) -> bool:
        value = left(frame)
        return type(value) is str and value in texts

    return run


def _range(meter: Meter, left: Value, right: Value) -> list[int]:
    """The integers of `left..right`. A size that does not fit 64 bits wraps around, as in the reference."""
    first, last = integer(left, rounds=meter.rounds), integer(right, rounds=meter.rounds)
    size = max(0, wrapped(last - first + 1))
    meter.grow(size)
    meter.step(size // 16)
    if first <= last:
        return list(range(first, first + size))
    return [wrapped(first + position) for position in range(size)]


# logic


def _not_bool(value: Value, spot: Spot) -> Exception:
    return spot.error(not_a(value, "bool"))


def logical_and(left: Run, right: Run, spot: Spot) -> Run:
    """The operator `and`: where the left side is true, the result is the right side, of any type."""

    def run(frame: Frame) -> Value:
        first = left(frame)
        if first is True:
            return right(frame)
        if first is False:
            return False
        raise _not_bool(first, spot)

    return run


def logical_or(left: Run, right: Run, spot: Spot) -> Run:
    def run(frame: Frame) -> Value:
        first = left(frame)
        if first is True:
            return True
        if first is False:
            return right(frame)
        raise _not_bool(first, spot)

    return run


def logical_not(operand: Run, spot: Spot) -> Run:
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
    """Evaluate the first branch whose condition is true. A branch of None yields the condition itself."""

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
