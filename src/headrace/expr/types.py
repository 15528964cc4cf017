"""Types of the checker.

The names are those of the reference implementation, because its error messages show them. `UNKNOWN` is compatible with
every type; nil has a type of its own, `NIL`, which is not.
"""

from __future__ import annotations

from dataclasses import dataclass

from headrace.expr.numbers import MAX_INT, MIN_INT

_INTEGERS = frozenset(("int", "int64", "uint8"))


@dataclass(frozen=True, slots=True, eq=False)
class Signature:
    """The parameter types and the result type of a function."""

    parameters: tuple[Type, ...]
    result: Type


@dataclass(frozen=True, slots=True, eq=False)
class Type:
    """A type. `kind` is the underlying type in Go: a duration has the kind int64, but is not an integer."""

    name: str
    kind: str
    elem: Type | None = None
    """The type of the items of a list or of the values of a map."""
    key: Type | None = None
    signature: Signature | None = None
    is_nil: bool = False

    def __str__(self) -> str:
        return self.name

    @property
    def is_unknown(self) -> bool:
        return self.kind == "interface" or (self.kind == "invalid" and not self.is_nil)

    @property
    def is_integer(self) -> bool:
        return self.name in _INTEGERS

    @property
    def is_float(self) -> bool:
        return self.name == "float64"

    @property
    def is_number(self) -> bool:
        return self.is_integer or self.is_float

    @property
    def is_bool(self) -> bool:
        return self.kind == "bool"

    @property
    def is_string(self) -> bool:
        return self.kind == "string"

    @property
    def is_array(self) -> bool:
        return self.kind == "slice"

    @property
    def item(self) -> Type:
        return self.elem or UNKNOWN

    def is_assignable_to(self, other: Type) -> bool:
        if self.is_nil:
            return other.kind in ("ptr", "interface", "func", "map", "slice")
        if "invalid" in (self.kind, other.kind):
            return False
        return other.kind == "interface" or self.name == other.name

    def is_comparable_to(self, other: Type) -> bool:
        return (
            self.is_unknown
            or other.is_unknown
            or self.is_nil
            or other.is_nil
            or (self.is_number and other.is_number)
            or (self.is_array and other.is_array)
            or self.is_assignable_to(other)
        )


UNKNOWN = Type("unknown", "invalid")
NIL = Type("unknown", "invalid", is_nil=True)
ANY = Type("interface {}", "interface")
BOOL = Type("bool", "bool")
INT = Type("int", "int")
INT64 = Type("int64", "int64")
UINT8 = Type("uint8", "uint8")
FLOAT = Type("float64", "float64")
STRING = Type("string", "string")
BYTES = Type("[]uint8", "slice", UINT8)
ARRAY = Type("[]interface {}", "slice", ANY)
INTS = Type("[]int", "slice", INT)
FLOATS = Type("[]float64", "slice", FLOAT)
STRINGS = Type("[]string", "slice", STRING)
MAP = Type("map[string]interface {}", "map", ANY, STRING)
ANY_MAP = Type("map[interface {}]interface {}", "map", ANY, ANY)
GROUPS = Type("map[interface {}][]interface {}", "map", ARRAY, ANY)
TIME = Type("time.Time", "struct")
DURATION = Type("time.Duration", "int64")
MONTH = Type("time.Month", "int")
WEEKDAY = Type("time.Weekday", "int")
LOCATION = Type("*time.Location", "ptr")


def array_of(item: Type) -> Type:
    """A list that the language makes: its name is that of any list, its item type is known to the checker."""
    return Type(ARRAY.name, "slice", item)


def declared(kind: Type) -> Type:
    """The type without an item type that its name does not say."""
    return ARRAY if kind.name == ARRAY.name else kind


def function(parameters: tuple[Type, ...], result: Type | None) -> Type:
    name = f"func({', '.join(map(str, parameters))}){f' {result}' if result else ''}"
    return Type(name, "func", signature=Signature(parameters, result or NIL))


_TYPES_OF_VALUES: dict[type, Type] = {
    bool: BOOL,
    int: INT,
    float: FLOAT,
    str: STRING,
    bytes: BYTES,
    list: ARRAY,
    dict: MAP,
}


def type_of(value: object) -> Type:
    """The type of a value in a declared environment."""
    if value is None:
        return NIL
    if type(value) is int and not MIN_INT <= value <= MAX_INT:
        return FLOAT
    return _TYPES_OF_VALUES.get(type(value), UNKNOWN)


def _methods(**rows: tuple[Type, ...]) -> dict[str, Type]:
    """Types of bound methods by name. A row has the result first, then the parameters."""
    return {name: function(row[1:], row[0]) for name, row in rows.items()}


METHODS: dict[str, dict[str, Type]] = {
    TIME.name: _methods(
        Year=(INT,),
        Month=(MONTH,),
        Day=(INT,),
        Hour=(INT,),
        Minute=(INT,),
        Second=(INT,),
        Nanosecond=(INT,),
        Weekday=(WEEKDAY,),
        YearDay=(INT,),
        ISOWeek=(INT,),
        Unix=(INT64,),
        UnixMilli=(INT64,),
        UnixMicro=(INT64,),
        UnixNano=(INT64,),
        UTC=(TIME,),
        Local=(TIME,),
        Zone=(STRING,),
        IsDST=(BOOL,),
        In=(TIME, LOCATION),
        Location=(LOCATION,),
        Format=(STRING, STRING),
        String=(STRING,),
        Add=(TIME, DURATION),
        AddDate=(TIME, INT, INT, INT),
        Sub=(DURATION, TIME),
        Before=(BOOL, TIME),
        After=(BOOL, TIME),
        Equal=(BOOL, TIME),
        Compare=(INT, TIME),
        IsZero=(BOOL,),
        Truncate=(TIME, DURATION),
        Round=(TIME, DURATION),
    ),
    DURATION.name: _methods(
        Hours=(FLOAT,),
        Minutes=(FLOAT,),
        Seconds=(FLOAT,),
        Milliseconds=(INT64,),
        Microseconds=(INT64,),
        Nanoseconds=(INT64,),
        String=(STRING,),
        Abs=(DURATION,),
        Round=(DURATION, DURATION),
        Truncate=(DURATION, DURATION),
    ),
    MONTH.name: _methods(String=(STRING,)),
    WEEKDAY.name: _methods(String=(STRING,)),
    LOCATION.name: _methods(String=(STRING,)),
}
