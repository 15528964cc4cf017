"""Bitwise builtins on 64-bit integers. A float is refused, whatever its value."""

from __future__ import annotations

from headrace.expr.errors import Failure
from headrace.expr.limits import Meter
from headrace.expr.numbers import wrapped
from headrace.expr.values import Byte, Value, number, type_name

_MASK = (1 << 64) - 1


def _integer(value: Value, name: str) -> int:
    given = number(value)
    if type(given) is not int or type(value) not in (int, Byte):
        raise Failure(f"cannot use {type_name(value)} as argument (type int) to call {name}")
    return given


def _shift(value: Value, name: str) -> int:
    count = _integer(value, name)
    if count < 0:
        raise Failure(f"invalid operation: negative shift count {count} (type int)")
    return min(count, 64)


def bit_and(meter: Meter, x: Value, y: Value) -> int:
    return _integer(x, "bitand") & _integer(y, "bitand")


def bit_or(meter: Meter, x: Value, y: Value) -> int:
    return _integer(x, "bitor") | _integer(y, "bitor")


def bit_xor(meter: Meter, x: Value, y: Value) -> int:
    return _integer(x, "bitxor") ^ _integer(y, "bitxor")


def bit_and_not(meter: Meter, x: Value, y: Value) -> int:
    """The bits of x that are not set in y."""
    return _integer(x, "bitnand") & ~_integer(y, "bitnand")


def bit_not(meter: Meter, x: Value) -> int:
    return ~_integer(x, "bitnot")


def shift_left(meter: Meter, x: Value, y: Value) -> int:
    return wrapped(_integer(x, "bitshl") << _shift(y, "bitshl"))


def shift_right(meter: Meter, x: Value, y: Value) -> int:
    return _integer(x, "bitshr") >> _shift(y, "bitshr")


def shift_right_unsigned(meter: Meter, x: Value, y: Value) -> int:
    return wrapped((_integer(x, "bitushr") & _MASK) >> _shift(y, "bitushr"))
