"""Regular expressions for `matches`: RE2, so that no pattern takes more than linear time.

Python's `re` has another language and backtracks. The binding is imported when the first pattern is compiled.
"""

from __future__ import annotations

import importlib
import re
from functools import lru_cache
from typing import Any

from headrace.expr.errors import Failure
from headrace.expr.limits import Meter
from headrace.expr.values import Value, from_utf8, not_a, repaired, utf8

MAX_PATTERN = 1_024
MAX_PATTERNS = 4_096
"""Characters of one pattern, and of all that are written in one expression."""
MAX_INSTRUCTIONS = 100_000
"""Of all patterns in one expression, compiled: `\\pL{100}` has seven characters and seventy thousand of them."""

_MAX_MEMORY_BYTES = 2 * 1024 * 1024
_CACHED = 256

_STEPS_PER_CHARACTER = 16
_INSTRUCTIONS_PER_COMPILE_STEP = 2
_CHARACTERS_PER_STEP = 16
_INSTRUCTIONS_PER_STEP = 100
"""RE2 reads a character in constant time until its cache of states is full; then it tries its instructions in turn."""

_ONE_BYTE = re.compile(r"(?:^|[^\\])(?:\\\\)*\\C")
_WORDS = {
    "missing )": "missing closing )",
    "missing ]": "missing closing ]",
    "invalid perl operator": "invalid or unsupported Perl syntax",
    "invalid repetition size": "invalid repeat count",
    "no argument for repetition operator": "missing argument to repetition operator",
    "bad repetition operator": "invalid nested repetition operator",
}
"""RE2's words in those of the language's reference."""


@lru_cache(maxsize=_CACHED)
def pattern(source: str) -> Any:
    """The compiled pattern. Raises Failure."""
    if len(source) > MAX_PATTERN:
        raise Failure(f"error parsing regexp: expression is longer than {MAX_PATTERN} characters")
    if _ONE_BYTE.search(source):
        raise Failure("error parsing regexp: invalid escape sequence: `\\C`")
    re2: Any = importlib.import_module("re2")
    options = re2.Options()
    options.max_mem = _MAX_MEMORY_BYTES
    options.log_errors = False
    options.never_capture = True
    try:
        return re2.compile(utf8(source), options)
    except re2.error as error:
        given: Any = error.args[0] if error.args else ""
        text = given.decode("utf-8", "replace") if isinstance(given, bytes) else str(given)
        what, separator, where = text.partition(": ")
        reason = f"{_WORDS.get(what, what)}{separator}{f'`{where}`' if where else ''}"
        raise Failure(f"error parsing regexp: {reason}") from None


class Patterns:
    """The patterns that are written in one expression."""

    def __init__(self) -> None:
        self._characters = 0
        self._instructions = 0

    def compiled(self, source: str) -> Any:
        """Raises Failure for a pattern that is wrong, or where they are too many together."""
        self._characters += len(source)
        if self._characters > max(MAX_PATTERNS, len(source)):
            raise Failure(f"the patterns of an expression have at most {MAX_PATTERNS} characters")
        found = pattern(source)
        self._instructions += found.programsize
        if self._instructions > MAX_INSTRUCTIONS:
            raise Failure("the patterns of the expression are too large")
        return found


def matches(meter: Meter, value: Value, source: Value) -> bool:
    """Whether the pattern is found in a text or bytes. Nil has no text and is no pattern."""
    if value is None or source is None:
        return False
    if type(source) is not str:
        raise not_a(source, "string")
    compiled = meter.patterns.get(source)
    if compiled is None:
        meter.step(_STEPS_PER_CHARACTER * (1 + len(source)))
        meter.patterns[source] = compiled = pattern(source)
        meter.step(compiled.programsize // _INSTRUCTIONS_PER_COMPILE_STEP)
    return found(meter, value, compiled)


def found(meter: Meter, value: Value, compiled: Any) -> bool:
    if value is None:
        return False
    if type(value) not in (str, bytes):
        raise not_a(value, "[]uint8")
    data = repaired(value if isinstance(value, str) else from_utf8(value)).encode()
    length = len(data)
    meter.step(1 + length // _CHARACTERS_PER_STEP + length * compiled.programsize // _INSTRUCTIONS_PER_STEP)
    return compiled.search(data) is not None
