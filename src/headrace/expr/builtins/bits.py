"""Bits of 64-bit integers. Floats are refused, whatever their value."""

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


def both(meter: Meter, x: Value, y: Value) -> int:
    return _integer(x, "bitand") & _integer(y, "bitand")


def either(meter: Meter, x: Value, y: Value) -> int:
    return _integer(x, "bitor") | _integer(y, "bitor")


def one(meter: Meter, x: Value, y: Value) -> int:
    return _integer(x, "bitxor") ^ _integer(y, "bitxor")


def without(meter: Meter, x: Value, y: Value) -> int:
    """The bits of x that y does not have."""
    return _integer(x, "bitnand") & ~_integer(y, "bitnand")


def inverse(meter: Meter, x: Value) -> int:
    return ~_integer(x, "bitnot")


def left(meter: Meter, x: Value, y: Value) -> int:
    return wrapped(_integer(x, "bitshl") << _shift(y, "bitshl"))


def right(meter: Meter, x: Value, y: Value) -> int:
    return _integer(x, "bitshr") >> _shift(y, "bitshr")


def unsigned_right(meter: Meter, x: Value, y: Value) -> int:
    return wrapped((_integer(x, "bitushr") & _MASK) >> _shift(y, "bitushr"))
