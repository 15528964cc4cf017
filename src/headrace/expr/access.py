"""Access to members and items (`base[key]`), slices (`base[start:end]`) and the operator `in`."""

from __future__ import annotations

from typing import Any

from headrace.expr.equality import equal
from headrace.expr.errors import Failure
from headrace.expr.limits import Meter
from headrace.expr.times import Duration, Location, Time
from headrace.expr.types import METHODS
from headrace.expr.values import (
    Byte,
    KeyedMap,
    Method,
    Month,
    NilList,
    Value,
    Weekday,
    from_utf8,
    integer,
    is_nil,
    type_name,
    utf8,
)

_OWNERS: dict[type[Any], str] = {
    Time: "time.Time",
    Duration: "time.Duration",
    Month: "time.Month",
    Weekday: "time.Weekday",
    Location: "*time.Location",
}


def shown(key: Value) -> str:
    """The key as an error message shows it: its value, or its type where it has no short text."""
    return "<nil>" if key is None else str(key) if type(key) in (str, int, float) else type_name(key)


def fetch(meter: Meter, base: Value, key: Value) -> Value:
    """The value of `base[key]`: nil for a key that a map lacks. Raises Failure for an index that a list lacks.

    An index counts from the end if negative; an index of a text counts bytes of UTF-8.
    """
    kind: type[Any] = base.__class__
    if kind is dict:
        return base.get(text_key(key))
    if kind is list or kind is NilList:
        return base[_position(meter, key, len(base))]
    if kind is KeyedMap:
        return base.get(key, NilList() if base.is_grouped else None)
    if kind is str:
        if base.isascii():
            return Byte(ord(base[_position(meter, key, len(base))]))
        meter.read(len(base))
        data = utf8(base)
        return Byte(data[_position(meter, key, len(data))])
    if kind is bytes:
        return Byte(base[_position(meter, key, len(base))])
    if type(key) is str and key in METHODS.get(_OWNERS.get(kind, ""), {}):
        return Method(base, key)
    raise Failure(f"cannot fetch {shown(key)} from {type_name(base)}")


def text_key(key: Value) -> str:
    """The key as a key of a JSON object; nil is the empty text. Raises Failure for any other type."""
    if type(key) is str:
        return key
    if key is None:
        return ""
    raise Failure(f"value of type {type_name(key)} is not assignable to type string")


def _position(meter: Meter, key: Value, length: int) -> int:
    index = integer(key, rounds=meter.rounds)
    position = index + length if index < 0 else index
    if not 0 <= position < length:
        raise Failure(f"index out of range: {position} (array length is {length})")
    return position


def part(meter: Meter, base: Value, start: Value, end: Value, *, has_start: bool, has_end: bool) -> Value:
    """The value of `base[start:end]`. Raises Failure where `base` is not a text, a list or bytes.

    Bounds count from the end if negative and are clamped; in a text they count bytes of UTF-8.
    """
    if type(base) is str:
        data = base if base.isascii() else utf8(base)
        meter.write(len(data))
        piece = data[_bounds(meter, start, end, len(data), has_start=has_start, has_end=has_end)]
        return piece if isinstance(piece, str) else from_utf8(piece)
    if type(base) not in (list, NilList, bytes):
        if not has_end:
            raise Failure(f"invalid argument for len (type {type_name(base)})")
        raise Failure(f"cannot slice {shown(start if has_start else 0)}")
    bounds = _bounds(meter, start, end, len(base), has_start=has_start, has_end=has_end)
    count = max(0, bounds.stop - bounds.start)
    meter.visit(count)
    meter.grow(count // 16)
    return base[bounds] if type(base) is not NilList else base


def _bounds(meter: Meter, start: Value, end: Value, length: int, *, has_start: bool, has_end: bool) -> slice:
    first = integer(start, rounds=meter.rounds) if has_start else 0
    last = integer(end, rounds=meter.rounds) if has_end else length
    first = max(0, first + length if first < 0 else first)
    last = min(length, max(0, last + length if last < 0 else last))
    return slice(min(first, last), last)


def contains(meter: Meter, needle: Value, within: Value) -> bool:
    """True where `needle in within` holds. Raises Failure where `within` is not a list, map, struct or nil."""
    kind: type[Any] = within.__class__
    if is_nil(within):
        return False
    if kind is list or kind is bytes:
        if type(needle) is str:
            meter.read(len(within))
            return isinstance(within, list) and needle in within
        meter.step(len(within) // 4)
        return any(equal(meter, item, needle) for item in within)
    if kind is dict:
        return text_key(needle) in within
    if kind is KeyedMap:
        return needle in within
    if kind is Time or kind is Location:
        if type(needle) is not str:
            raise Failure(f"cannot use {type_name(needle)} as field name of {type_name(within).lstrip('*')}")
        return False  # neither has a member
    raise Failure(f'operator "in" not defined on {type_name(within)}')
