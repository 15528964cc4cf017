"""Errors of expressions, with the place in the source.

    HeadraceError
    `- ExpressionError        has a message, a stage and, where there is one, a line and column
       |- InvalidExpression   the text does not parse (stage `parse`) or fails for every event (stage `check`)
       `- EvaluationFailed    the expression is valid but fails for this event (stage `run`)
          `- BudgetExceeded   the evaluation took too many steps, too much memory or too long

Inside the package, operations on values and builtins raise `Failure`, which has the reason but no place. The node that
asked for the operation adds the place. A function of the host may raise Failure too. No other exception leaves this
package.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from headrace.errors import HeadraceError

Stage = Literal["parse", "check", "run"]


class Failure(Exception):
    """An operation on values failed. The node that asked for the operation adds the place."""


class BudgetFailure(Failure):
    """A budget of steps, memory or time is used up."""


@dataclass(frozen=True, slots=True)
class Place:
    """A point in a source: `line` and `column` count from 1, in code points."""

    line: int
    column: int
    text: str
    """The whole line of source, without its end."""

    @classmethod
    def of(cls, source: str, offset: int) -> Place:
        """The place of an offset, which counts code points from 0."""
        offset = min(offset, len(source))
        start = source.rfind("\n", 0, offset) + 1
        end = source.find("\n", offset)
        return cls(source.count("\n", 0, offset) + 1, offset - start + 1, source[start : end if end >= 0 else None])

    def __str__(self) -> str:
        return f"({self.line}:{self.column})"

    def drawing(self) -> str:
        """The line with a pointer below the column, for a fixed-width font. Long lines are cut to 120 characters."""
        first = max(0, self.column - 60)
        shown = self.text[first : first + 120]
        return f" | {shown}\n | {'.' * (self.column - 1 - first)}^"


class ExpressionError(HeadraceError):
    """An expression is refused, or its evaluation failed. `str()` gives `message (line:column)` and a drawing."""

    stage: Stage = "run"

    def __init__(self, message: str, place: Place | None = None) -> None:
        super().__init__(f"{message} {place}\n{place.drawing()}" if place else message)
        self.message = message
        self.place = place

    @property
    def position(self) -> tuple[int, int] | None:
        """Line and column, from 1; None without a place."""
        return (self.place.line, self.place.column) if self.place else None

    @property
    def summary(self) -> str:
        """The message and `(line:column)` in one line."""
        return f"{self.message} {self.place}" if self.place else self.message


class InvalidExpression(ExpressionError):
    """The expression does not parse, or would fail for every event."""

    def __init__(self, message: str, place: Place | None = None, stage: Literal["parse", "check"] = "parse") -> None:
        super().__init__(message, place)
        self.stage = stage


class EvaluationFailed(ExpressionError):
    """The expression cannot be evaluated over this event."""


class BudgetExceeded(EvaluationFailed):
    """The evaluation reached a limit of steps, memory or time."""
