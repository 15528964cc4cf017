"""Types that each builtin takes and returns, for the checker.

A builtin has either overloads, tried in order, or a rule: a function from argument types to the result type that raises
Failure for types the builtin refuses.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from headrace.expr.builtins import FUNCTIONS
from headrace.expr.errors import Failure
from headrace.expr.types import (
    ANY,
    ANY_MAP,
    ARRAY,
    BOOL,
    DURATION,
    FLOAT,
    FLOATS,
    INT,
    INTS,
    LOCATION,
    STRING,
    STRINGS,
    TIME,
    Signature,
    Type,
)

Rule = Callable[[Sequence[Type]], Type]

_NUMERIC_KINDS = frozenset(("int", "int64", "uint8", "float64"))
_ANY_OR_ARRAY = frozenset(("interface", "slice"))


def _named(kind: Type) -> str:
    return "%!s(<nil>)" if kind.is_nil else kind.name


def _count(arguments: Sequence[Type], expected: int) -> None:
    if len(arguments) != expected:
        raise Failure(f"invalid number of arguments (expected {expected}, got {len(arguments)})")


def _one_of(name: str, kinds: frozenset[str], result: Type | None) -> Rule:
    """A rule for one argument of one of the kinds; with `result` None, the result has the type of the argument."""

    def rule(arguments: Sequence[Type]) -> Type:
        _count(arguments, 1)
        if arguments[0].kind not in kinds:
            raise Failure(f"invalid argument for {name} (type {_named(arguments[0])})")
        return result or arguments[0]

    return rule


def _collection(kinds: frozenset[str], result: Type, refusal: str) -> Rule:
    def rule(arguments: Sequence[Type]) -> Type:
        _count(arguments, 1)
        if arguments[0].kind not in kinds:
            raise Failure(refusal.format(_named(arguments[0])))
        return result

    return rule


def _element(refusal: str) -> Rule:
    def rule(arguments: Sequence[Type]) -> Type:
        _count(arguments, 1)
        if arguments[0].kind not in _ANY_OR_ARRAY:
            raise Failure(refusal.format(_named(arguments[0])))
        return arguments[0].elem or ANY

    return rule


def _aggregate(name: str) -> Rule:
    """A rule for numbers and lists. Items of a list are checked during evaluation."""

    def rule(arguments: Sequence[Type]) -> Type:
        if not arguments:
            raise Failure(f"not enough arguments to call {name}")
        for argument in arguments:
            if argument.kind in _ANY_OR_ARRAY:
                return ANY
            if argument.kind not in _NUMERIC_KINDS:
                raise Failure(f"invalid argument for {name} (type {_named(argument)})")
        return arguments[0]

    return rule


def _take(arguments: Sequence[Type]) -> Type:
    _count(arguments, 2)
    source, count = arguments
    if source.kind not in _ANY_OR_ARRAY:
        raise Failure(f"cannot take from {_named(source)}")
    if count.kind not in ("interface", "int", "int64"):
        raise Failure(f"cannot take {_named(count)} elements")
    return source


def _concat(arguments: Sequence[Type]) -> Type:
    if not arguments:
        raise Failure("invalid number of arguments (expected at least 1, got 0)")
    for argument in arguments:
        if argument.kind not in _ANY_OR_ARRAY:
            raise Failure(f"cannot concat {_named(argument)}")
    return ARRAY


def _now(arguments: Sequence[Type]) -> Type:
    if not arguments or (len(arguments) == 1 and arguments[0].is_assignable_to(LOCATION)):
        return TIME
    raise Failure(f"invalid number of arguments (expected 0, got {len(arguments)})")


def _date(arguments: Sequence[Type]) -> Type:
    if not arguments:
        raise Failure("invalid number of arguments (expected at least 1, got 0)")
    has_zone = arguments[0].is_assignable_to(LOCATION) and not arguments[0].is_nil
    rest = len(arguments) - has_zone
    if rest > 3:
        raise Failure(f"invalid number of arguments (expected at most 3, got {rest})")
    return TIME


_NUMERIC = _NUMERIC_KINDS | {"interface"}
_MAPS = frozenset(("interface", "map"))

RULES: dict[str, Rule] = {
    "len": _one_of("len", frozenset(("interface", "slice", "map", "string")), INT),
    "abs": _one_of("abs", _NUMERIC, None),
    "ceil": _one_of("ceil", _NUMERIC, FLOAT),
    "floor": _one_of("floor", _NUMERIC, FLOAT),
    "round": _one_of("round", _NUMERIC, FLOAT),
    "int": _one_of("int", _NUMERIC | {"string"}, INT),
    "float": _one_of("float", _NUMERIC | {"string"}, FLOAT),
    "max": _aggregate("max"),
    "min": _aggregate("min"),
    "mean": _aggregate("mean"),
    "median": _aggregate("median"),
    "first": _element("cannot get first element from {}"),
    "last": _element("cannot get last element from {}"),
    "take": _take,
    "keys": _collection(_MAPS, ARRAY, "cannot get keys from {}"),
    "values": _collection(_MAPS, ARRAY, "cannot get values from {}"),
    "toPairs": _collection(_MAPS, ARRAY, "cannot transform {} to pairs"),
    "fromPairs": _collection(_ANY_OR_ARRAY, ANY_MAP, "cannot transform {} from pairs"),
    "reverse": _collection(_ANY_OR_ARRAY, ARRAY, "cannot reverse {}"),
    "uniq": _collection(_ANY_OR_ARRAY, ARRAY, "cannot uniq {}"),
    "flatten": _collection(_ANY_OR_ARRAY, ARRAY, "cannot flatten {}"),
    "concat": _concat,
    "now": _now,
    "date": _date,
}


def _overloads(*rows: tuple[Type, ...]) -> tuple[Signature, ...]:
    """The overloads of a builtin. A row has the result first, then the parameters."""
    return tuple(Signature(row[1:], row[0]) for row in rows)


_TEXT_TO_TEXT = _overloads((STRING, STRING))
_BITS = _overloads((INT, INT, INT))
_SPLIT = _overloads((STRINGS, STRING, STRING), (STRINGS, STRING, STRING, INT))

OVERLOADS: dict[str, tuple[Signature, ...]] = {
    "type": _overloads((STRING, ANY)),
    "string": _overloads((STRING, ANY)),
    "trim": _overloads((STRING, STRING), (STRING, STRING, STRING)),
    "trimPrefix": _overloads((STRING, STRING, STRING), (STRING, STRING)),
    "trimSuffix": _overloads((STRING, STRING, STRING), (STRING, STRING)),
    "upper": _TEXT_TO_TEXT,
    "lower": _TEXT_TO_TEXT,
    "split": _SPLIT,
    "splitAfter": _SPLIT,
    "replace": _overloads((STRING, STRING, STRING, STRING, INT), (STRING, STRING, STRING, STRING)),
    "repeat": _overloads((STRING, STRING, INT)),
    "join": _overloads((STRING, STRINGS, STRING), (STRING, ARRAY, STRING), (STRING, ARRAY), (STRING, STRINGS)),
    "indexOf": _overloads((INT, STRING, STRING)),
    "lastIndexOf": _overloads((INT, STRING, STRING)),
    "hasPrefix": _overloads((BOOL, STRING, STRING)),
    "hasSuffix": _overloads((BOOL, STRING, STRING)),
    "toJSON": _overloads((STRING, ANY)),
    "fromJSON": _overloads((ANY, STRING)),
    "toBase64": _TEXT_TO_TEXT,
    "fromBase64": _TEXT_TO_TEXT,
    "duration": _overloads((DURATION, STRING)),
    "timezone": _overloads((LOCATION, STRING)),
    "sort": _overloads(
        *((ARRAY, kind, STRING) for kind in (ARRAY, INTS, FLOATS, STRINGS)),
        *((ARRAY, kind) for kind in (ARRAY, FLOATS, STRINGS, INTS)),
    ),
    **dict.fromkeys(("bitand", "bitor", "bitxor", "bitnand", "bitshl", "bitshr", "bitushr"), _BITS),
    "bitnot": _overloads((INT, INT)),
}

OF_THE_CHECKER = frozenset(("get", "count", "sum"))
"""Builtins whose calls `checker.py` checks itself."""

for _name in FUNCTIONS:
    if _name not in RULES and _name not in OVERLOADS and _name not in OF_THE_CHECKER:
        raise ImportError(f"the builtin {_name} has no types: add it to RULES or OVERLOADS of expr/signatures.py")
