"""Calls of builtins that take values only, no predicate."""

from __future__ import annotations

from headrace.expr.builtins import FUNCTIONS, UNCOUNTED, Function
from headrace.expr.closures import METER, Frame, Run, Spot
from headrace.expr.errors import Failure
from headrace.expr.limits import Meter
from headrace.expr.values import Value


def builtin(name: str, arguments: list[Run], spot: Spot) -> Run:
    """A call of a builtin. It charges one step; a wrong number of arguments fails when it is evaluated."""
    function = FUNCTIONS[name]
    if name in UNCOUNTED and len(arguments) > function.most:
        return _many(function, arguments, spot)
    if not function.least <= len(arguments) <= function.most:
        # Reached only where the checker does not look: in the arguments of an unknown function.
        few = "not enough" if len(arguments) < function.least else "too many"

        def run(frame: Frame) -> Value:
            raise spot.error(Failure(f"{few} arguments to call {name}"))

        return run
    return _unary(function, arguments[0], spot) if len(arguments) == 1 else _many(function, arguments, spot)


def _unary(function: Function, argument: Run, spot: Spot) -> Run:
    call = function.call

    def run(frame: Frame) -> Value:
        value = argument(frame)
        meter: Meter = frame[METER]
        try:
            meter.step()
            return call(meter, value)
        except Failure as failure:
            raise spot.error(failure) from None

    return run


def _many(function: Function, arguments: list[Run], spot: Spot) -> Run:
    call, most = function.call, function.most

    def run(frame: Frame) -> Value:
        given: list[Value] = []
        for argument in arguments:
            given.append(argument(frame))  # noqa: PERF401 # a comprehension is one more frame per level
        meter: Meter = frame[METER]
        try:
            meter.step()
            return call(meter, *given[:most])
        except Failure as failure:
            raise spot.error(failure) from None

    return run
