"""The expression language of triggers: filters and variables over an event.

    program = compile('event.amount >= 100 and event.asset in ["EUR/2", "USD/2"]')
    program.run({"event": {"amount": 250, "asset": "EUR/2"}})      # True

    source --lexer--> tokens --parser--> nodes --checker--> types --compiler--> closures --run--> value

It is the language of the expr-lang project, written anew: nothing of Python can be reached from an expression, every
evaluation has a budget, and the only errors that leave are those of `errors`.
"""

from __future__ import annotations

from headrace.expr.errors import (
    BudgetExceeded,
    EvaluationFailed,
    ExpressionError,
    Failure,
    InvalidExpression,
    Place,
)
from headrace.expr.limits import Limits, Meter
from headrace.expr.program import Program, compile, evaluate  # noqa: A004 # as re.compile
from headrace.expr.times import Duration, Location, Time
from headrace.expr.values import KeyedMap, Value

__all__ = [
    "compile",
    "evaluate",
    "Program",
    "Limits",
    "Meter",
    "Value",
    "Time",
    "Duration",
    "Location",
    "KeyedMap",
    "ExpressionError",
    "InvalidExpression",
    "EvaluationFailed",
    "BudgetExceeded",
    "Failure",
    "Place",
]
