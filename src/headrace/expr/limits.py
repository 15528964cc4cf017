"""The limits of an expression, and the meter that an evaluation runs against.

A *step* is an iteration of a predicate, a call, or about as much work inside one operation: comparing sixty-four
characters, copying a hundred items. A *unit* of memory is an item of a list that the evaluation made, a pair of a
map, or a byte of text. Whatever makes or walks data pays the meter first, so that time and memory stay within a small
factor of the budget.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from headrace.expr.errors import BudgetFailure

MAX_DATA_DEPTH = 500
"""Nesting of lists and maps in a value that is walked: results, `string`, `toJSON`, `flatten`, `max` and so on."""

MAX_RESULT_ITEMS = 1_000_000
"""Items of a result and of all that is in it, each time it appears: a list may hold one other list many times."""

CHECK_EVERY_STEPS = 2_000
"""How often a deadline is looked at."""

_CHARACTERS_PER_STEP = 64
_ITEMS_PER_STEP = 100
_CHARACTERS_PER_UNIT = 16


@dataclass(frozen=True, slots=True)
class Limits:
    """What an expression may be and may use. The defaults are the language's; a trigger sets smaller ones."""

    source_bytes: int = 64 * 1024
    nodes: int = 10_000
    depth: int = 320
    steps: int = 1_000_000
    memory_units: int = 1_000_000


class Meter:
    """Counts one evaluation. Also carries what differs from run to run: the clock, the host's functions."""

    __slots__ = ("_is_expired", "_unchecked", "functions", "memory_left", "now_ns", "patterns", "steps_left")

    def __init__(
        self,
        limits: Limits,
        now_ns: Callable[[], int],
        functions: Mapping[str, Callable[..., Any]],
        is_expired: Callable[[], bool] | None = None,
    ) -> None:
        self.steps_left = limits.steps
        self.memory_left = limits.memory_units
        self.now_ns = now_ns
        self.functions = functions
        self.patterns: dict[str, Any] = {}
        """Those that came up in this run: each is paid for once."""
        self._is_expired = is_expired
        self._unchecked = 0

    def step(self, steps: int = 1) -> None:
        """Pays for work about to be done."""
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
        """Pays for memory about to be taken. As upstream, a budget that is used up to the last unit is exceeded."""
        self.memory_left -= units
        if self.memory_left <= 0 and units:
            raise BudgetFailure("memory budget exceeded")

    def read(self, characters: int) -> None:
        """Pays for going through a text."""
        if characters > _CHARACTERS_PER_STEP:
            self.step(characters // _CHARACTERS_PER_STEP)

    def visit(self, items: int) -> None:
        """Pays for going through the items of a list or a map at the speed of a copy."""
        if items > _ITEMS_PER_STEP:
            self.step(items // _ITEMS_PER_STEP)

    def write(self, characters: int) -> None:
        """Pays for a text that is about as long as one that is there already: a part, another case."""
        if characters > _CHARACTERS_PER_UNIT:
            self.grow(characters // _CHARACTERS_PER_UNIT)
            self.read(characters)

    def build(self, characters: int) -> None:
        """Pays for a text that is put together, byte by byte."""
        self.grow(characters)
        self.read(characters)
