"""Values: what they are made of here, what they are called, and what one of them is to an operator.

    nil  None                    bool  bool              int     int, in 64 bits
    float  float                 string  str             bytes   bytes
    array  list, NilList         map   dict, KeyedMap    time    times.Time
    duration  times.Duration     named integers  NamedInt         location  times.Location

A text is a `str`. Where a byte of it is no part of a character (a slice through one), it stands as a lone surrogate,
as in Python's `surrogateescape`; `utf8` gives the bytes. Nothing else of Python is a value: an object of any other
type has the kind `unknown` and no operation; messages name it by its class attribute `expression_type`, if any.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, TypeAlias

from headrace.expr.errors import Failure
from headrace.expr.numbers import MAX_INT, MIN_INT, to_float, truncated
from headrace.expr.times import Duration, Location, Time

Value: TypeAlias = Any

Key = tuple[str, Any]


class NilList(list[Value]):
    """A list that was never made: empty, and nil to `==` and `??`."""

    __slots__ = ()


class NamedInt(int):
    """An integer with a type of its own: it equals its own kind only and takes no part in arithmetic."""

    __slots__ = ()
    type_name = "int"

    def text(self) -> str:
        return str(int(self))


class Byte(int):
    """One byte of a text or of bytes: an unsigned number."""

    __slots__ = ()


class Month(NamedInt):
    __slots__ = ()
    type_name = "time.Month"
    NAMES = ("January", "February", "March", "April", "May", "June",
             "July", "August", "September", "October", "November", "December")  # fmt: skip

    def text(self) -> str:
        return self.NAMES[self - 1]


class Weekday(NamedInt):
    __slots__ = ()
    type_name = "time.Weekday"
    NAMES = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")

    def text(self) -> str:
        return self.NAMES[self]


class KeyedMap:
    """A map whose keys may be anything that can be one; 1, 1.0 and true are three. Keeps the order of insertion."""

    __slots__ = ("_entries", "is_grouped")

    def __init__(self, pairs: Iterable[tuple[Value, Value]] = (), *, is_grouped: bool = False) -> None:
        self._entries: dict[Key, tuple[Value, Value]] = {}
        self.is_grouped = is_grouped
        """Its values are lists: a missing one is an empty list."""
        for key, value in pairs:
            self[key] = value

    def __setitem__(self, key: Value, value: Value) -> None:
        self._entries[hashable(key)] = (key, value)

    def get(self, key: Value, default: Value = None) -> Value:
        entry = self._entries.get(hashable(key))
        return default if entry is None else entry[1]

    def __contains__(self, key: Value) -> bool:
        return hashable(key) in self._entries

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Value]:
        return (key for key, _ in self._entries.values())

    def items(self) -> list[tuple[Value, Value]]:
        return list(self._entries.values())

    def entries(self) -> dict[Key, tuple[Value, Value]]:
        return self._entries

    def __repr__(self) -> str:
        return f"KeyedMap({self.items()!r})"


class Method:
    """A method of a time, a duration or a named integer, not yet called."""

    __slots__ = ("name", "owner")

    def __init__(self, owner: Value, name: str) -> None:
        self.owner = owner
        self.name = name


_TYPE_NAMES: dict[type, str] = {
    type(None): "<nil>",
    bool: "bool",
    int: "int",
    float: "float64",
    str: "string",
    bytes: "[]uint8",
    Byte: "uint8",
    list: "[]interface {}",
    NilList: "[]interface {}",
    dict: "map[string]interface {}",
    Time: "time.Time",
    Duration: "time.Duration",
    Location: "*time.Location",
    Month: "time.Month",
    Weekday: "time.Weekday",
    Method: "func",
}
_KINDS: dict[type, str] = {
    **_TYPE_NAMES,
    type(None): "nil",
    float: "float",
    bytes: "array",
    Byte: "uint",
    list: "array",
    NilList: "array",
    dict: "map",
    KeyedMap: "map",
    Location: "time.Location",
}


def type_name(value: Value) -> str:
    """In the words of the reference implementation, for messages."""
    if type(value) is KeyedMap:
        return "map[interface {}][]interface {}" if value.is_grouped else "map[interface {}]interface {}"
    if type(value) is int and not MIN_INT <= value <= MAX_INT:
        return "float64"
    kind: type[Any] = value.__class__
    return _TYPE_NAMES.get(kind) or getattr(kind, "expression_type", "unknown")


def kind_name(value: Value) -> str:
    """What the builtin `type` answers."""
    if type(value) is int and not MIN_INT <= value <= MAX_INT:
        return "float"
    kind: type[Any] = value.__class__
    return _KINDS.get(kind, "unknown")


def is_nil(value: Value) -> bool:
    return value is None or type(value) is NilList


def is_list(value: Value) -> bool:
    return type(value) is list or type(value) is NilList


def number(value: Value) -> int | float | None:
    """The number a value is to an operator: an int in 64 bits or a float. None: it is no number."""
    kind: type[Any] = value.__class__
    if kind is int:
        return value if MIN_INT <= value <= MAX_INT else to_float(value)
    if kind is float:
        return value
    return int(value) if kind is Byte else None


def integer(value: Value) -> int:
    """For an index, a bound, a count: floats are truncated."""
    given = number(value)
    if given is None:
        raise Failure(f"invalid operation: int({type_name(value)})")
    return given if type(given) is int else truncated(given)


def hashable(key: Value) -> Key:
    """What makes two keys the same. Lists and maps cannot be keys."""
    kind: type[Any] = key.__class__
    if kind in (list, NilList, dict, KeyedMap, bytes, Method):
        raise Failure(f"cannot use {type_name(key)} as a key: type is not comparable")
    given = number(key)
    if given is not None:
        return (type_name(key), given if given == given else object())  # no NaN is the same as another
    if kind is Time:
        return ("time.Time", (key.nanoseconds, str(key.location)))
    return (type_name(key), int(key) if isinstance(key, NamedInt) else key)


# texts


def utf8(text: str) -> bytes:
    """The bytes of a text. A surrogate that stands for no byte is no character."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        repaired = "".join("\ufffd" if "\ud800" <= c <= "\udfff" and not "\udc80" <= c <= "\udcff" else c for c in text)
        return repaired.encode("utf-8", "surrogateescape")


def from_utf8(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def joined_text(text: str) -> str:
    """A text put together from parts: bytes that have become neighbours may be a character now."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return from_utf8(utf8(text))
    return text


def is_whole(text: str) -> bool:
    """Every part of it is a character."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def repaired(text: str) -> str:
    """Of characters only: what is a part of one becomes the replacement character, byte by byte."""
    return text if is_whole(text) else "".join("\ufffd" if "\ud800" <= c <= "\udfff" else c for c in text)


def text_of(value: Value) -> str:
    """For an operation that takes texts only."""
    if type(value) is not str:
        raise not_a(value, "string")
    return value


def not_a(value: Value, wanted: str) -> Failure:
    """In the words of the reference implementation, which users of it will search for."""
    return Failure(
        f"interface conversion: interface {{}} is {'nil' if value is None else type_name(value)}, not {wanted}"
    )
