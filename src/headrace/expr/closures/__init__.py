"""Functions that compiled nodes become. Each takes one argument: the frame of the evaluation.

A frame is a list: the environment, the meter, then a slot for each variable of the expression. The compiler chooses the
function once, so that a comparison with a constant text, for example, does nothing else when it runs.

Every function that can fail has a `Spot`, which turns a Failure into an EvaluationFailed with a place.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn, TypeAlias

from headrace.expr.errors import BudgetExceeded, BudgetFailure, EvaluationFailed, ExpressionError, Failure, Place
from headrace.expr.values import Value

Frame: TypeAlias = list[Any]
Run: TypeAlias = Callable[[Frame], Value]

ENV = 0
METER = 1
FIRST_SLOT = 2


class Spot:
    """The position of a node in its source: an offset in code points."""

    __slots__ = ("offset", "source")

    def __init__(self, source: str, offset: int) -> None:
        self.source = source
        self.offset = offset

    def error(self, failure: Failure) -> ExpressionError:
        """The failure as an EvaluationFailed or BudgetExceeded with the place of the node."""
        kind = BudgetExceeded if isinstance(failure, BudgetFailure) else EvaluationFailed
        return kind(str(failure), Place.of(self.source, self.offset))


def constant(value: Value) -> Run:
    return lambda frame: value


def slot(index: int) -> Run:
    return lambda frame: frame[index]


class NoItem:
    """Placeholder for an item of a map: a predicate may run over a map only if it reads no item."""


NO_ITEM = NoItem()


def item(index: int, spot: Spot) -> Run:
    """Read the current item (`#`) of a predicate from its slot."""

    def run(frame: Frame) -> Value:
        value = frame[index]
        return value if value is not NO_ITEM else no_item(spot)

    return run


def no_item(spot: Spot) -> NoReturn:
    raise spot.error(Failure("a map has no elements to run over: use keys, values or toPairs"))


def in_order(parts: list[tuple[int, Run]], last: Run) -> Run:
    """Evaluate the parts into their slots, then return the value of the last one."""

    def run(frame: Frame) -> Value:
        for index, part in parts:
            frame[index] = part(frame)
        return last(frame)

    return run


def sequence(items: list[Run]) -> Run:
    *before, last = items

    def run(frame: Frame) -> Value:
        for item in before:
            item(frame)
        return last(frame)

    return run


def array(items: list[Run], spot: Spot) -> Run:
    """Make a list of the values of the items, charged as memory."""
    count = len(items)

    def run(frame: Frame) -> Value:
        made: list[Value] = []
        for item in items:
            made.append(item(frame))  # noqa: PERF401 # a comprehension is one more frame per level
        try:
            frame[METER].grow(count)
        except Failure as failure:
            raise spot.error(failure) from None
        return made

    return run


def mapping(pairs: list[tuple[Run, Run, Spot]], spot: Spot) -> Run:
    """Make a map of the pairs. The first of several equal keys wins."""
    count = len(pairs)

    def run(frame: Frame) -> Value:
        made: dict[str, Value] = {}
        for key_of, value_of, key_spot in pairs:
            key = key_of(frame)
            if type(key) is not str:
                raise key_spot.error(Failure("a map key must be a string"))
            made.setdefault(key, value_of(frame))
        try:
            frame[METER].grow(count)
        except Failure as failure:
            raise spot.error(failure) from None
        return made

    return run
