"""Values that are known in part: what variables, event data and other services leave open."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from headrace.workflows.variables import PLACEHOLDER


class Open(Enum):
    """The value about which nothing is known."""

    UNKNOWN = "unknown"


UNKNOWN: Final = Open.UNKNOWN

Value = Any
"""A boolean, number, text, PartialText, Record, list of values, None for nil, or UNKNOWN."""


@dataclass(frozen=True, slots=True)
class PartialText:
    """Text of two or more known segments, with any text between each two of them.

    `is_fresh` marks an id that exists only at run time, so that it equals no text written in advance.
    """

    segments: tuple[str, ...]
    is_fresh: bool = False

    def may_be(self, text: str) -> bool:
        """True if some choice of the open parts gives this text."""
        first, *middle, last = self.segments
        if self.is_fresh or len(text) < len(first) + len(last):
            return False
        if not (text.startswith(first) and text.endswith(last)):
            return False
        position, end = len(first), len(text) - len(last)
        for segment in middle:
            found = text.find(segment, position, end)
            if found < 0:
                return False
            position = found + len(segment)
        return True

    def starts_with(self, prefix: str) -> bool | Open:
        return self._has(self.segments[0], prefix, str.startswith)

    def ends_with(self, suffix: str) -> bool | Open:
        return self._has(self.segments[-1], suffix, str.endswith)

    def contains(self, part: str) -> bool | Open:
        if any(part in segment for segment in self.segments):
            return True
        return False if self.is_fresh else UNKNOWN

    def _has(self, known: str, wanted: str, test: Callable[[str, str], bool]) -> bool | Open:
        if test(known, wanted):
            return True
        return UNKNOWN if test(wanted, known) and not self.is_fresh else False


@dataclass(frozen=True, slots=True)
class Record:
    """An object. If it `is_open`, members that are not listed may exist with any value."""

    members: Mapping[str, Value]
    is_open: bool = False

    def member(self, name: str) -> Value:
        """The value of a member; nil is None."""
        return self.members.get(name, UNKNOWN if self.is_open else None)


ANY_TEXT = PartialText(("", ""))
FRESH_ID = PartialText(("", ""), is_fresh=True)


def may_be_text(value: Value, text: str) -> bool:
    """True if a value may turn out to be this text."""
    return value.may_be(text) if isinstance(value, PartialText) else value is UNKNOWN or value == text


def joined(left: Value, right: Value) -> Value:
    """Join two texts, each of which may be open. UNKNOWN if one of them may be no text."""
    first, second = _segments(left), _segments(right)
    if first is None or second is None:
        return UNKNOWN
    segments = (*first[:-1], first[-1] + second[0], *second[1:])
    is_fresh = any(isinstance(each, PartialText) and each.is_fresh for each in (left, right))
    return segments[0] if len(segments) == 1 else PartialText(segments, is_fresh)


def expanded(text: str, bindings: Mapping[str, Value]) -> Value:
    """A text of a definition with the values of its variables, as far as these are known."""
    if "${" not in text:
        return text
    result: Value = ""
    end = 0
    for match in PLACEHOLDER.finditer(text):
        value = bindings.get(match[1], UNKNOWN)
        result = joined(joined(result, text[end : match.start()]), value if _is_text(value) else ANY_TEXT)
        end = match.end()
    return joined(result, text[end:])


def _is_text(value: Value) -> bool:
    return isinstance(value, str | PartialText)


def _segments(value: Value) -> tuple[str, ...] | None:
    if isinstance(value, PartialText):
        return value.segments
    return (value,) if isinstance(value, str) else None
