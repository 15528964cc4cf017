"""Regular expressions of `matches`, by RE2: every pattern takes linear time.

Python's `re` has another syntax and backtracks. RE2's binding is imported when the first pattern is compiled.
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
"""Characters of one pattern."""
MAX_PATTERNS = 4_096
"""Characters of all patterns that are written in one expression."""
MAX_INSTRUCTIONS = 100_000
"""Compiled instructions of all patterns in one expression: the seven characters `\\pL{100}` give 70,000."""

_MAX_MEMORY_BYTES = 2 * 1024 * 1024
_CACHED = 256

_STEPS_PER_CHARACTER = 16
_INSTRUCTIONS_PER_COMPILE_STEP = 2
_CHARACTERS_PER_STEP = 16
_INSTRUCTIONS_PER_STEP = 100
"""Instructions of a pattern that cost one step for each character.

RE2 reads a character in constant time until its cache of states is full; then it tries its instructions in turn.
"""

_ONE_BYTE = re.compile(r"(?:^|[^\\])(?:\\\\)*\\C")
_WORDS = {
    "missing )": "missing closing )",
    "missing ]": "missing closing ]",
    "invalid perl operator": "invalid or unsupported Perl syntax",
    "invalid repetition size": "invalid repeat count",
    "no argument for repetition operator": "missing argument to repetition operator",
    "bad repetition operator": "invalid nested repetition operator",
}
"""Error texts of RE2, and the texts of the reference for them."""


@lru_cache(maxsize=_CACHED)
def pattern(source: str) -> Any:
    """A compiled pattern, cached. Raises Failure for a pattern that is too long or malformed."""
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
    """The patterns that are written in one expression: their total size is limited."""

    def __init__(self) -> None:
        self._characters = 0
        self._instructions = 0

    def compiled(self, source: str) -> Any:
        """Compile one more pattern. Raises Failure if it is malformed or the patterns together are too large."""
        self._characters += len(source)
        if self._characters > max(MAX_PATTERNS, len(source)):
            raise Failure(f"the patterns of an expression have at most {MAX_PATTERNS} characters")
        found = pattern(source)
        self._instructions += found.programsize
        if self._instructions > MAX_INSTRUCTIONS:
            raise Failure("the patterns of the expression are too large")
        return found


def matches(meter: Meter, value: Value, source: Value) -> bool:
    """True where the pattern is found in a text or bytes; false where the value or the pattern is nil.

    Raises Failure for other types or a malformed pattern.
    """
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
    """True where a compiled pattern is found in a text or bytes; false for nil. Raises Failure for other types."""
    if value is None:
        return False
    if type(value) not in (str, bytes):
        raise not_a(value, "[]uint8")
    data = repaired(value if isinstance(value, str) else from_utf8(value)).encode()
    length = len(data)
    meter.step(1 + length // _CHARACTERS_PER_STEP + length * compiled.programsize // _INSTRUCTIONS_PER_STEP)
    return compiled.search(data) is not None
