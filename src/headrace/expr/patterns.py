"""Regular expressions for `matches`: RE2, so that no pattern takes more than linear time.

Python's `re` has another language and backtracks. The binding is imported when the first pattern is compiled.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from headrace.expr.errors import Failure
from headrace.expr.limits import Meter
from headrace.expr.values import Value, not_a, utf8

MAX_PATTERN = 4_096
_MAX_MEMORY_BYTES = 4 * 1024 * 1024
_MAX_REPEAT = 1_000
_CACHED = 256

_LAST_WORDS = re.compile(r"^b?['\"]?(.*?)['\"]?$", re.DOTALL)


@lru_cache(maxsize=_CACHED)
def pattern(source: str) -> Any:
    """The compiled pattern. Raises Failure with RE2's words."""
    if len(source) > MAX_PATTERN:
        raise Failure(f"error parsing regexp: expression is longer than {MAX_PATTERN} characters")
    import re2

    options = re2.Options()
    options.max_mem = _MAX_MEMORY_BYTES
    options.log_errors = False
    try:
        return re2.compile(utf8(source), options)
    except re2.error as error:
        raise Failure(f"error parsing regexp: {_reason(error)}") from None


def _reason(error: Exception) -> str:
    given = error.args[0] if error.args else ""
    return given.decode("utf-8", "replace") if isinstance(given, bytes) else str(given)


def matches(meter: Meter, value: Value, source: Value) -> bool:
    """Whether the pattern is found in a text or bytes. Nil has no text and is no pattern."""
    if value is None or source is None:
        return False
    if type(source) is not str:
        raise not_a(source, "string")
    return found(meter, value, pattern(source))


def found(meter: Meter, value: Value, compiled: Any) -> bool:
    if value is None:
        return False
    if type(value) not in (str, bytes):
        raise not_a(value, "[]uint8")
    data = value if type(value) is bytes else utf8(value)
    meter.step(1 + len(data) // 16)
    return compiled.search(data) is not None
