"""Result types of binary operators, by the types of their sides; None for types that an operator refuses."""

from __future__ import annotations

from collections.abc import Callable

from headrace.expr.errors import Failure
from headrace.expr.types import (
    ANY,
    BOOL,
    BYTES,
    DURATION,
    FLOAT,
    INT,
    LOCATION,
    NIL,
    STRING,
    TIME,
    UNKNOWN,
    Type,
    array_of,
)

Result = Type | None
Rule = Callable[[Type, Type], Result]
Test = Callable[[Type], bool]


def _is(kind: Type) -> Test:
    return lambda given: given.name == kind.name


def _is_number(kind: Type) -> bool:
    return kind.is_number


def _is_integer(kind: Type) -> bool:
    return kind.is_integer


_TIME, _DURATION, _STRING, _BOOL = _is(TIME), _is(DURATION), _is(STRING), _is(BOOL)


def _may(left: Type, right: Type, *tests: Test) -> bool:
    """True where one side is unknown and the other is unknown too or passes one of the tests."""
    if left.is_unknown:
        return right.is_unknown or any(test(right) for test in tests)
    return right.is_unknown and any(test(left) for test in tests)


def _promoted(left: Type, right: Type) -> Type:
    return FLOAT if left.is_float or right.is_float else INT


def _equal(left: Type, right: Type) -> Result:
    return BOOL if left.is_comparable_to(right) else None


def _logical(left: Type, right: Type) -> Result:
    return BOOL if (left.is_bool and right.is_bool) or _may(left, right, _BOOL) else None


def _ordered(left: Type, right: Type) -> Result:
    tests = (_is_number, _STRING, _TIME, _DURATION)
    if any(test(left) and test(right) for test in tests) or _may(left, right, *tests):
        return BOOL
    return None


def _add(left: Type, right: Type) -> Result:
    if left.is_number and right.is_number:
        return _promoted(left, right)
    if left.is_string and right.is_string:
        return STRING
    sums = {(TIME.name, DURATION.name): TIME, (DURATION.name, TIME.name): TIME, (DURATION.name,) * 2: DURATION}
    if (left.name, right.name) in sums:
        return sums[left.name, right.name]
    return UNKNOWN if _may(left, right, _is_number, _STRING, _TIME, _DURATION) else None


def _subtract(left: Type, right: Type) -> Result:
    if left.is_number and right.is_number:
        return _promoted(left, right)
    differences = {(TIME.name,) * 2: DURATION, (TIME.name, DURATION.name): TIME, (DURATION.name,) * 2: DURATION}
    if (left.name, right.name) in differences:
        return differences[left.name, right.name]
    return UNKNOWN if _may(left, right, _is_number, _TIME, _DURATION) else None


def _multiply(left: Type, right: Type) -> Result:
    if left.is_number and right.is_number:
        return _promoted(left, right)
    factors = [_DURATION(kind) or kind.is_number for kind in (left, right)]
    if all(factors):
        return DURATION
    return UNKNOWN if _may(left, right, _is_number, _DURATION) else None


def _divide(left: Type, right: Type) -> Result:
    return FLOAT if (left.is_number and right.is_number) or _may(left, right, _is_number) else None


def _remainder(left: Type, right: Type) -> Result:
    return INT if (left.is_integer and right.is_integer) or _may(left, right, _is_integer) else None


def _range(left: Type, right: Type) -> Result:
    return array_of(INT) if _remainder(left, right) else None


def _in(left: Type, right: Type) -> Result:
    if (right.kind == "struct" or right.name == LOCATION.name) and (left.is_string or left.is_unknown):
        return BOOL
    if right.kind == "map":
        key = right.key or ANY
        if not left.is_unknown and not left.is_assignable_to(key):
            raise Failure(f"cannot use {left} as type {key} in map key")
        return BOOL
    if right.is_array:
        if not left.is_comparable_to(right.item):
            raise Failure(f"cannot use {left} as type {right.item} in array")
        return BOOL
    return BOOL if right.is_unknown or (left.is_unknown and right.is_string) else None


def _text(left: Type, right: Type) -> Result:
    return BOOL if (left.is_string and right.is_string) or _may(left, right, _STRING) else None


def _matches(left: Type, right: Type) -> Result:
    return BOOL if left.name == BYTES.name and right.is_string else _text(left, right)


def _coalesce(left: Type, right: Type) -> Result:
    if left.is_nil or right.is_nil:
        return NIL if left.is_nil and right.is_nil else (right if left.is_nil else left)
    return left if right.is_assignable_to(left) else UNKNOWN


BINARY_RULES: dict[str, Rule] = {
    **dict.fromkeys(("==", "!="), _equal),
    **dict.fromkeys(("and", "&&", "or", "||"), _logical),
    **dict.fromkeys(("<", "<=", ">", ">="), _ordered),
    "+": _add,
    "-": _subtract,
    "*": _multiply,
    "/": _divide,
    "**": _divide,
    "^": _divide,
    "%": _remainder,
    "..": _range,
    "in": _in,
    "matches": _matches,
    **dict.fromkeys(("contains", "startsWith", "endsWith"), _text),
    "??": _coalesce,
}
