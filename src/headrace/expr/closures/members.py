"""Access to names, members and slices, and calls of methods and of the host's functions."""

from __future__ import annotations

from typing import Any, NamedTuple

from headrace.expr import access
from headrace.expr import time_methods as methods
from headrace.expr.closures import ENV, METER, Frame, Run, Spot
from headrace.expr.errors import Failure
from headrace.expr.limits import Meter
from headrace.expr.values import Method, Value, is_nil, type_name

MAP: type[Any] = dict
"""The type `dict`, typed so that pyright does not narrow a value to `dict[Unknown, Unknown]`."""


def name(key: str) -> Run:
    """Read a name of the environment; nil if it is missing."""
    return lambda frame: frame[ENV].get(key)


def environment() -> Run:
    return lambda frame: frame[ENV]


def path(base: Run, names: list[tuple[str, Spot]]) -> Run:
    """Read a path of constant names: `base.a.b.c`."""
    if len(names) == 1:
        return _single(base, *names[0])

    def run(frame: Frame) -> Value:
        value = base(frame)
        for key, spot in names:
            value = value.get(key) if type(value) is MAP else _fetched(frame, value, key, spot)
        return value

    return run


def _single(base: Run, key: str, spot: Spot) -> Run:
    def run(frame: Frame) -> Value:
        value = base(frame)
        return value.get(key) if type(value) is MAP else _fetched(frame, value, key, spot)

    return run


def _fetched(frame: Frame, value: Value, key: Value, spot: Spot) -> Value:
    try:
        return access.fetch(frame[METER], value, key)
    except Failure as failure:
        raise spot.error(failure) from None


def item(base: Run, key: Run, spot: Spot) -> Run:
    def run(frame: Frame) -> Value:
        value = base(frame)
        return _fetched(frame, value, key(frame), spot)

    return run


def part(base: Run, start: Run | None, end: Run | None, spot: Spot) -> Run:
    """Slice a value: `base[start:end]`; None for a bound that is left out."""
    has_start, has_end = start is not None, end is not None

    def run(frame: Frame) -> Value:
        value = base(frame)
        first = start(frame) if start is not None else None
        last = end(frame) if end is not None else None
        try:
            return access.part(frame[METER], value, first, last, has_start=has_start, has_end=has_end)
        except Failure as failure:
            raise spot.error(failure) from None

    return run


# calls


def called(meter: Meter, callee: Value, arguments: list[Value]) -> Value:
    meter.step(4)
    if type(callee) is Method:
        return methods.call(meter, callee, arguments)
    if callee is None:
        raise Failure("invalid operation: cannot call nil")
    raise Failure(f"invalid operation: cannot call non-function of type {type_name(callee)}")


def call(callee: Run, arguments: list[Run], spot: Spot) -> Run:
    """Call the value of an expression: a method. Any other value fails."""

    def run(frame: Frame) -> Value:
        target = callee(frame)
        given: list[Value] = []
        for argument in arguments:
            given.append(argument(frame))  # noqa: PERF401 # a comprehension is one more frame per level
        try:
            return called(frame[METER], target, given)
        except Failure as failure:
            raise spot.error(failure) from None

    return run


def host_call(function: str, arguments: list[Run], spot: Spot) -> Run:
    """Call a function of the host. Its Failure gets a place; any other exception passes through unchanged."""

    def run(frame: Frame) -> Value:
        given: list[Value] = []
        for argument in arguments:
            given.append(argument(frame))  # noqa: PERF401 # a comprehension is one more frame per level
        meter: Meter = frame[METER]
        try:
            meter.step()
            host = meter.functions.get(function)
            if host is None:
                raise Failure("invalid operation: cannot call nil")
            return host(*given)
        except Failure as failure:
            raise spot.error(failure) from None

    return run


# chains


class Step(NamedTuple):
    """One step of an optional chain: an access to a key, followed by a call where `arguments` is not None."""

    key: Run
    is_optional: bool
    arguments: list[Run] | None
    spot: Spot


def chain(base: Run, steps: list[Step]) -> Run:
    """Evaluate an optional chain such as `a?.b.c`: nil before an optional step ends the whole chain with nil.

    The arguments of its calls are evaluated first, from the last call to the first, so they can fail even where the
    chain ends with nil.
    """
    calls = [step.arguments for step in steps if step.arguments is not None][::-1]

    def run(frame: Frame) -> Value:
        given: list[list[Value]] = []
        for arguments in calls:
            values: list[Value] = []
            for argument in arguments:
                values.append(argument(frame))  # noqa: PERF401 # a comprehension is one more frame per level
            given.append(values)
        value = base(frame)
        for key, is_optional, arguments, spot in steps:
            if is_optional and is_nil(value):
                return None
            value = _fetched(frame, value, key(frame), spot)
            if arguments is not None:
                try:
                    value = called(frame[METER], value, given.pop())
                except Failure as failure:
                    raise spot.error(failure) from None
        return None if is_nil(value) else value

    return run
