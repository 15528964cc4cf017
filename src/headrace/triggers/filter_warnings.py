"""Warnings about a valid filter whose value cannot depend on the event."""

from __future__ import annotations

from headrace.expr import EvaluationFailed
from headrace.expr.lexer import Lexer
from headrace.triggers.expressions import InvalidSource, check_source

_VARYING = frozenset({"event", "$env", "now", "link"})
_KINDS = {"string": "a text", "int": "a number", "float64": "a number", "slice": "a list", "map": "an object"}
NEVER = "the trigger never fires"


def remark_on_filter(source: str) -> str | None:
    """Warn about a filter. None for a useful one, and for an invalid one."""
    try:
        program = check_source(source)
    except InvalidSource:
        return None
    if program.type.is_nil or not (program.type.is_bool or program.type.is_unknown):
        kind = "nil" if program.type.is_nil else _KINDS.get(program.type.kind, "a value that is not a boolean")
        return f"the filter returns {kind}, and only true fires: {NEVER}"
    if _VARYING & {token.text for token in Lexer(source).read()}:
        return None
    try:
        is_true = program.run({"event": {}}) is True
    except EvaluationFailed:
        is_true = False
    outcome = "it is true for every event" if is_true else NEVER
    return f"the filter does not depend on the event: {outcome}"
