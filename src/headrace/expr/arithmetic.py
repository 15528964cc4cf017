"""Arithmetic on values of any type: numbers, texts, times and durations.

The compiler handles the frequent cases itself and calls these functions for the rest. With `wraps`, `+ - *` on integers
wrap around at 64 bits; without it, an operand or a result that does not fit raises Failure. Every function raises
Failure for types that its operator does not take.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from headrace.expr.errors import Failure
from headrace.expr.limits import Meter
from headrace.expr.numbers import divided, fits, power, remainder, to_float, wrapped
from headrace.expr.times import Duration, Time
from headrace.expr.values import Byte, Value, joined_text, number, type_name

Operation = Callable[[Meter, Value, Value], Value]


def undefined(operator: str, left: Value, right: Value) -> Failure:
    return Failure(f"invalid operation: {type_name(left)} {operator} {type_name(right)}")


def in_64_bits(operator: str, left: int, right: int, result: int, *, wraps: bool) -> int:
    """The result of an integer operation in 64 bits. Raises Failure if it does not fit and `wraps` is false."""
    if fits(result):
        return result
    if not wraps:
        raise Failure(f"invalid operation: {left} {operator} {right} does not fit 64 bits")
    return wrapped(result)


def _numbers(left: Value, right: Value, *, wraps: bool) -> tuple[int | float, int | float] | None:
    """Both operands as integers or both as floats; None if one of them is not a number.

    Raises Failure for an integer beyond 64 bits, which would become a float, if `wraps` is false.
    """
    first, second = number(left, rounds=wraps), number(right, rounds=wraps)
    if first is None or second is None:
        return None
    if type(first) is type(second):
        return first, second
    return to_float(first), to_float(second)


def _result(operator: str, pair: tuple[float, float], result: float, *, wraps: bool) -> int | float:
    if isinstance(result, int):
        return in_64_bits(operator, int(pair[0]), int(pair[1]), result, wraps=wraps)
    return result


def add(meter: Meter, left: Value, right: Value, *, wraps: bool = True) -> Value:
    """The value of `left + right`: numbers, two texts, or a time and a duration. Raises Failure for other types."""
    pair = _numbers(left, right, wraps=wraps)
    if pair is not None:
        return _result("+", pair, pair[0] + pair[1], wraps=wraps)
    kinds: tuple[type[Any], type[Any]] = (left.__class__, right.__class__)
    if kinds == (str, str):
        meter.build(len(left) + len(right))
        return joined_text(left + right)
    if kinds == (Time, Duration):
        return left.plus(right)
    if kinds == (Duration, Time):
        return right.plus(left)
    if kinds == (Duration, Duration):
        return Duration.wrapped(left.nanoseconds + right.nanoseconds)
    raise undefined("+", left, right)


def subtract(meter: Meter, left: Value, right: Value, *, wraps: bool = True) -> Value:
    """The value of `left - right`: numbers, times or durations. Raises Failure for other types."""
    pair = _numbers(left, right, wraps=wraps)
    if pair is not None:
        return _result("-", pair, pair[0] - pair[1], wraps=wraps)
    kinds: tuple[type[Any], type[Any]] = (left.__class__, right.__class__)
    if kinds == (Time, Time):
        return left.since(right)
    if kinds == (Time, Duration):
        return left.minus(right)
    if kinds == (Duration, Duration):
        return Duration.wrapped(left.nanoseconds - right.nanoseconds)
    raise undefined("-", left, right)


def multiply(meter: Meter, left: Value, right: Value, *, wraps: bool = True) -> Value:
    pair = _numbers(left, right, wraps=wraps)
    if pair is not None:
        return _result("*", pair, pair[0] * pair[1], wraps=wraps)
    first, second = (value.nanoseconds if type(value) is Duration else number(value) for value in (left, right))
    if first is None or second is None:
        raise undefined("*", left, right)
    if isinstance(first, int) and isinstance(second, int):
        return Duration.wrapped(first * second)
    return to_float(first) * to_float(second)


def divide(meter: Meter, left: Value, right: Value) -> Value:
    first, second = number(left, rounds=meter.rounds), number(right, rounds=meter.rounds)
    if first is None or second is None:
        raise undefined("/", left, right)
    return divided(to_float(first), to_float(second))


def modulo(meter: Meter, left: Value, right: Value) -> Value:
    first, second = number(left, rounds=meter.rounds), number(right, rounds=meter.rounds)
    if type(first) is not int or type(second) is not int:
        raise undefined("%", left, right)
    if not second:
        raise Failure("integer divide by zero")
    return remainder(first, second)


def exponent(meter: Meter, left: Value, right: Value) -> Value:
    return power(_float(left, rounds=meter.rounds), _float(right, rounds=meter.rounds))


def _float(value: Value, *, rounds: bool) -> float:
    given = number(value, rounds=rounds)
    if given is None:
        raise Failure(f"invalid operation: float({type_name(value)})")
    return to_float(given)


def negate(value: Value, *, wraps: bool = True) -> Value:
    given = number(value, rounds=wraps)
    if given is None:
        raise Failure(f"invalid operation: - {type_name(value)}")
    if type(value) is Byte:
        return Byte(-value & 0xFF)
    if type(given) is int:
        return in_64_bits("-", 0, given, -given, wraps=wraps)
    return -given
