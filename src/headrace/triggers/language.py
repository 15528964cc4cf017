"""The expression language as triggers use it: its limits, and the functions beyond the language's own."""

from __future__ import annotations

from headrace.expr.limits import Limits

LIMITS = Limits(source_bytes=8 * 1024)
FUNCTIONS = frozenset({"link"})
