"""The expression language for triggers: its limits, and the functions that triggers add."""

from __future__ import annotations

from headrace.expr.limits import Limits

LIMITS = Limits(source_bytes=8 * 1024)
FUNCTIONS = frozenset({"link"})
