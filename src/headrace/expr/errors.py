"""What goes wrong with an expression, and where.

    HeadraceError
    `- ExpressionError        has a message, a stage and, where there is one, a line and column
       |- InvalidExpression   the text does not parse (stage `parse`) or cannot be right (stage `check`)
       `- EvaluationFailed    the text is right, this event is not (stage `run`)
          `- BudgetExceeded   it took too many steps, too much memory or too long

`Failure` is what a value or a builtin raises inside the package: it has the reason, not the place. The node that called
it adds the place. A host function may raise it too; no other exception leaves this package.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from headrace.errors import HeadraceError

Stage = Literal["parse", "check", "run"]


class Failure(Exception):
    """An operation on values failed; the place is added by the node that asked for it."""


class BudgetFailure(Failure):
    """A budget is used up."""


@dataclass(frozen=True, slots=True)
class Place:
    """A point in a source: `line` and `column` count from 1, in code points."""

    line: int
    column: int
    text: str
    """The whole line."""

    @classmethod
    def of(cls, source: str, offset: int) -> Place:
        offset = min(offset, len(source))
        start = source.rfind("\n", 0, offset) + 1
        end = source.find("\n", offset)
        return cls(source.count("\n", 0, offset) + 1, offset - start + 1, source[start : end if end >= 0 else None])

    def __str__(self) -> str:
        return f"({self.line}:{self.column})"

    def drawing(self) -> str:
        """The line with a pointer under the point, for a reader with a fixed-width font; long lines are cut."""
        first = max(0, self.column - 60)
        shown = self.text[first : first + 120]
        return f" | {shown}\n | {'.' * (self.column - 1 - first)}^"


class ExpressionError(HeadraceError):
    """An expression is refused, or its evaluation failed. `str()` is `message (line:column)` and a drawing."""

    stage: Stage = "run"

    def __init__(self, message: str, place: Place | None = None) -> None:
        super().__init__(f"{message} {place}\n{place.drawing()}" if place else message)
        self.message = message
        self.place = place

    @property
    def position(self) -> tuple[int, int] | None:
        """Line and column, from 1."""
        return (self.place.line, self.place.column) if self.place else None

    @property
    def summary(self) -> str:
        """One line: the message and where."""
        return f"{self.message} {self.place}" if self.place else self.message


class InvalidExpression(ExpressionError):
    """The expression is wrong whatever the event is."""

    def __init__(self, message: str, place: Place | None = None, stage: Literal["parse", "check"] = "parse") -> None:
        super().__init__(message, place)
        self.stage = stage


class EvaluationFailed(ExpressionError):
    """The expression cannot be evaluated over this event."""


class BudgetExceeded(EvaluationFailed):
    """The evaluation was stopped at one of its limits."""
