"""The limits of an expression, and the meter that an evaluation runs against.

A *step* is one iteration of a predicate, one call, or about as much work inside one operation, such as comparing 64
characters or copying 100 items. A *unit* of memory is an item of a new list, a pair of a new map, or a byte of a new
text. Every operation charges the meter before it makes or walks data, so that time and memory stay within a small
factor of the budget.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from headrace.expr.errors import BudgetFailure

MAX_DATA_DEPTH = 500
"""Levels of lists and maps in a result, and in the arguments of `string`, `toJSON`, `flatten`, `max` and so on."""

MAX_RESULT_ITEMS = 1_000_000
"""Items of a result, nested ones included. A shared list counts each time it appears."""

CHECK_EVERY_STEPS = 2_000
"""Steps between two checks of the deadline."""

_CHARACTERS_PER_STEP = 64
_ITEMS_PER_STEP = 100
_CHARACTERS_PER_UNIT = 16


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of an expression's size, and of the steps and memory units of one evaluation.

    The defaults are the language's; a trigger sets smaller ones.
    """

    source_bytes: int = 64 * 1024
    nodes: int = 10_000
    depth: int = 320
    steps: int = 1_000_000
    memory_units: int = 1_000_000


class Meter:
    """The budget of one evaluation. It also carries the clock and the host's functions.

    `rounds`: an integer beyond 64 bits is a float to operators and builtins, as in the reference. Without it they keep
    such an integer, compare it exactly, and fail where they would have to round it.
    `now_ns` returns nanoseconds since 1970; `is_expired` returns True when the evaluation must stop.
    """

    __slots__ = ("_is_expired", "_unchecked", "functions", "memory_left", "now_ns", "patterns", "rounds", "steps_left")

    def __init__(
        self,
        limits: Limits,
        now_ns: Callable[[], int],
        functions: Mapping[str, Callable[..., Any]],
        is_expired: Callable[[], bool] | None = None,
        *,
        rounds: bool = True,
    ) -> None:
        self.rounds = rounds
        self.steps_left = limits.steps
        self.memory_left = limits.memory_units
        self.now_ns = now_ns
        self.functions = functions
        self.patterns: dict[str, Any] = {}
        """Compiled patterns by source: each pattern is charged once per evaluation."""
        self._is_expired = is_expired
        self._unchecked = 0

    def step(self, steps: int = 1) -> None:
        """Charge steps before work is done. Raises BudgetFailure."""
        self.steps_left -= steps
        if self.steps_left < 0:
            raise BudgetFailure("step budget exceeded")
        if self._is_expired is not None:
            self._unchecked += steps
            if self._unchecked >= CHECK_EVERY_STEPS:
                self._unchecked = 0
                if self._is_expired():
                    raise BudgetFailure("time budget exceeded")

    def grow(self, units: int) -> None:
        """Charge memory units before they are used. Raises BudgetFailure when no unit is left, as in the reference."""
        self.memory_left -= units
        if self.memory_left <= 0 and units:
            raise BudgetFailure("memory budget exceeded")

    def read(self, characters: int) -> None:
        """Charge steps for reading a text."""
        if characters > _CHARACTERS_PER_STEP:
            self.step(characters // _CHARACTERS_PER_STEP)

    def decode(self, characters: int) -> None:
        """Charge for decoding a text of JSON, before it is decoded: what it costs to read, and what it may hold."""
        self.grow(characters // 4)
        self.read(characters * 4)

    def visit(self, items: int) -> None:
        """Charge steps for copying the items of a list or a map."""
        if items > _ITEMS_PER_STEP:
            self.step(items // _ITEMS_PER_STEP)

    def write(self, characters: int) -> None:
        """Charge for a text made from one that exists: a slice, another case. It costs less than a new text."""
        if characters > _CHARACTERS_PER_UNIT:
            self.grow(characters // _CHARACTERS_PER_UNIT)
            self.read(characters)

    def build(self, characters: int) -> None:
        """Charge for a new text: one unit for each character."""
        self.grow(characters)
        self.read(characters)
