"""The nesting of a JSON text, told before it is decoded.

A decoder nests as deep as Python's stack allows, which differs from caller to caller. What depends on a text, such as
a stage that is skipped, must not; so each place that decodes one has a limit of its own.
"""

from __future__ import annotations

import re
from itertools import accumulate

_STRING = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
"""A string, or what is left of a text that ends within one."""
_STEPS = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")
_NO_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")


def is_nested_deeper(text: str, levels: int) -> bool:
    """Whether lists and objects are nested more than `levels` deep. The text may be anything, also no JSON."""
    brackets = _STRING.sub("", text).encode(errors="replace").translate(_STEPS, _NO_BRACKETS)
    return max(accumulate(memoryview(brackets).cast("b")), default=0) > levels
