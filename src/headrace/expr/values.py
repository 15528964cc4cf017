"""Values of the language: their Python types, their names, and their conversions for operators.

    nil  None                    bool  bool              int     int, in 64 bits
    float  float                 string  str             bytes   bytes
    array  list, NilList         map   dict, KeyedMap    time    times.Time
    duration  times.Duration     named integers  NamedInt         location  times.Location

A text is a `str`. A byte that is not part of a whole character, after a slice through one, is a lone surrogate as in
Python's `surrogateescape`; `utf8` returns the bytes. No other Python object is a value: it has the kind `unknown` and
no operation, and messages name it by its class attribute `expression_type`, if any.
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
    """A nil list of Go: empty, and equal to nil for `==` and `??`."""

    __slots__ = ()


class NamedInt(int):
    """An integer of a named type, such as a month: it equals only its own type and has no arithmetic."""

    __slots__ = ()
    type_name = "int"

    def text(self) -> str:
        return str(int(self))


class Byte(int):
    """One byte of a text or of bytes, an unsigned number (uint8)."""

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
    """A map with keys of any comparable type, in order of insertion. 1, 1.0 and true are three keys.

    Raises Failure for a key that is a list, a map or bytes. `rounds`: as for `hashable`.
    """

    __slots__ = ("_entries", "_rounds", "is_grouped")

    def __init__(
        self, pairs: Iterable[tuple[Value, Value]] = (), *, is_grouped: bool = False, rounds: bool = True
    ) -> None:
        self._entries: dict[Key, tuple[Value, Value]] = {}
        self._rounds = rounds
        self.is_grouped = is_grouped
        """True for the result of `groupBy`: values are lists, and a missing key gives an empty list."""
        for key, value in pairs:
            self[key] = value

    def __setitem__(self, key: Value, value: Value) -> None:
        self._entries[hashable(key, rounds=self._rounds)] = (key, value)

    def get(self, key: Value, default: Value = None) -> Value:
        entry = self._entries.get(hashable(key, rounds=self._rounds))
        return default if entry is None else entry[1]

    def __contains__(self, key: Value) -> bool:
        return hashable(key, rounds=self._rounds) in self._entries

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
    """A method bound to a time, duration or named integer, before it is called."""

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
    """The name of a value's type in messages, as in the reference implementation."""
    if type(value) is KeyedMap:
        return "map[interface {}][]interface {}" if value.is_grouped else "map[interface {}]interface {}"
    if type(value) is int and not MIN_INT <= value <= MAX_INT:
        return "float64"
    kind: type[Any] = value.__class__
    return _TYPE_NAMES.get(kind) or getattr(kind, "expression_type", "unknown")


def kind_name(value: Value, *, rounds: bool = True) -> str:
    """The result of the builtin `type`. `rounds`: an integer beyond 64 bits is a float."""
    if rounds and type(value) is int and not MIN_INT <= value <= MAX_INT:
        return "float"
    kind: type[Any] = value.__class__
    return _KINDS.get(kind, "unknown")


def is_nil(value: Value) -> bool:
    return value is None or type(value) is NilList


def is_list(value: Value) -> bool:
    return type(value) is list or type(value) is NilList


def number(value: Value, *, rounds: bool = True) -> int | float | None:
    """A value as a number for an operator: an int in 64 bits or a float; None if it is not a number.

    An integer beyond 64 bits becomes a float; without `rounds` it raises Failure.
    """
    kind: type[Any] = value.__class__
    if kind is int:
        if MIN_INT <= value <= MAX_INT:
            return value
        if not rounds:
            raise Failure("invalid operation: an operand does not fit 64 bits")
        return to_float(value)
    if kind is float:
        return value
    return int(value) if kind is Byte else None


def integer(value: Value, *, rounds: bool = True) -> int:
    """A value as an index, bound or count: floats are truncated. Raises Failure for other types.

    `rounds`: as for `number`.
    """
    given = number(value, rounds=rounds)
    if given is None:
        raise Failure(f"invalid operation: int({type_name(value)})")
    return given if type(given) is int else truncated(given)


def hashable(key: Value, *, rounds: bool = True) -> Key:
    """A Python key that is equal for equal keys. Raises Failure for a list, a map or bytes.

    Without `rounds`, an integer of any size is a key of its own.
    """
    kind: type[Any] = key.__class__
    if kind in (list, NilList, dict, KeyedMap, bytes, Method):
        raise Failure(f"cannot use {type_name(key)} as a key: type is not comparable")
    if kind is int and not rounds:
        return ("int", key)
    given = number(key)
    if given is not None:
        return (type_name(key), given if given == given else object())  # no NaN is the same as another
    if kind is Time:
        return ("time.Time", (key.nanoseconds, str(key.location)))
    return (type_name(key), int(key) if isinstance(key, NamedInt) else key)


# texts


def utf8(text: str) -> bytes:
    """The bytes of a text in UTF-8. A lone surrogate that is not a byte becomes the replacement character."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        repaired = "".join("\ufffd" if "\ud800" <= c <= "\udfff" and not "\udc80" <= c <= "\udcff" else c for c in text)
        return repaired.encode("utf-8", "surrogateescape")


def from_utf8(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def joined_text(text: str) -> str:
    """A text after a concatenation: adjacent bytes that now form a character become that character."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return from_utf8(utf8(text))
    return text


def is_whole(text: str) -> bool:
    """True where the text has no part of a character."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def repaired(text: str) -> str:
    """The text with each byte that is a part of a character replaced by the replacement character."""
    return text if is_whole(text) else "".join("\ufffd" if "\ud800" <= c <= "\udfff" else c for c in text)


def text_of(value: Value) -> str:
    """The value if it is a text. Raises Failure for other types."""
    if type(value) is not str:
        raise not_a(value, "string")
    return value


def not_a(value: Value, wanted: str) -> Failure:
    """A Failure for a value of the wrong type, in the words of the reference, for which users will search."""
    return Failure(
        f"interface conversion: interface {{}} is {'nil' if value is None else type_name(value)}, not {wanted}"
    )
