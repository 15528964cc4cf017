"""YAML documents with the values of JSON only (decision W5).

Plain `null`, `true`, `false` and JSON numbers mean the same as in JSON; every other scalar is text: `0100`, `1:30`,
`no` and dates included. Anchors, aliases, tags and second documents are refused. The place of each value is kept, so
that problems of a definition are reported with line and column.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import yaml

from headrace import json_text
from headrace.json_text import MAX_DEPTH, TOO_DEEP, Malformed
from headrace.workflows.variables import shown

Mark = tuple[int, int]
"""Line and column, from 1."""

MAX_VALUES = 40_000
"""In one document. The longest useful definition has fewer; many more would take seconds to parse."""
MAX_PATH_CHARACTERS = 256
"""A value with a longer path has the place of the nearest one around it; no path of a definition is longer."""

LINE_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
"""The end of a line, as the parser counts lines."""

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_INTEGER = re.compile(r"-?(0|[1-9][0-9]*)", re.ASCII)
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?", re.ASCII)
_LAST_STEP = re.compile(r"(\.[^.\[\]]*|\[[^\[\]]*\])$")
_WORDS: dict[str, Any] = {"": None, "null": None, "true": True, "false": False}


@dataclass(slots=True)
class Document:
    """A value and the marks of its parts, by paths such as `stages[0].send.amount`."""

    value: Any
    marks: dict[str, Mark] = field(default_factory=dict[str, Mark])

    def locate(self, path: str) -> Mark | None:
        """The place of this path, or of the nearest value around it. None for a document without marks."""
        while path and path not in self.marks:
            shorter = _LAST_STEP.sub("", path)
            path = shorter if shorter != path else ""
        return self.marks.get(path)


def decode(body: bytes) -> Document:
    """The only document of a body. Raises Malformed, with line and column."""
    with _refusing():
        return _Reader(json_text.utf8(body)).only_document()


def decode_all(body: bytes) -> Iterator[Document]:
    """Yield each document of a body. Raises Malformed at the first malformed one, after those before it."""
    with _refusing():
        yield from _Reader(json_text.utf8(body)).documents()


def comments(body: bytes) -> dict[int, str]:
    """The lines that hold a comment alone, by number from 1, without indentation. Lines of texts are none.

    Raises Malformed.
    """
    text = json_text.utf8(body)
    within: set[int] = set()
    with _refusing():
        events: Iterator[Any] = iter(yaml.parse(text, Loader=_LOADER))
        for event in events:
            if isinstance(event, yaml.ScalarEvent):
                start: Any = event.start_mark
                end: Any = event.end_mark
                within.update(range(start.line + 1, end.line + (end.column > 0)))
    lines = (line.strip() for line in LINE_BREAK.split(text))
    return {number + 1: line for number, line in enumerate(lines) if line.startswith("#") and number not in within}


@contextmanager
def _refusing() -> Generator[None]:
    try:
        yield
    except yaml.MarkedYAMLError as error:
        line, column = _place(error.problem_mark or error.context_mark)
        raise Malformed(f"is not YAML: {error.problem or error.context}", line, column) from None
    except yaml.YAMLError as error:
        raise Malformed(f"is not YAML: {str(error).splitlines()[0]}") from None


class _Reader:
    """Builds values from the events of the parser; depth is checked before each recursion."""

    def __init__(self, text: str) -> None:
        self._events: Iterator[Any] = iter(yaml.parse(text, Loader=_LOADER))
        self._marks: dict[str, Mark] = {}
        self._values = 0

    def only_document(self) -> Document:
        next(self._events)  # the stream's start
        start = next(self._events)
        if isinstance(start, yaml.StreamEndEvent):
            return Document(None)
        document = self._document(start)
        following = next(self._events)
        if not isinstance(following, yaml.StreamEndEvent):
            raise _refused("a second document", following)
        return document

    def documents(self) -> Iterator[Document]:
        next(self._events)  # the stream's start
        while not isinstance(start := next(self._events), yaml.StreamEndEvent):
            yield self._document(start)

    def _document(self, start: Any) -> Document:
        if start.tags:
            raise _refused("a %TAG directive", start)
        self._marks = {}
        self._values = 0
        value = self._value(next(self._events), "", 1)
        next(self._events)  # the document's end
        return Document(value, self._marks)

    def _value(self, event: Any, path: str, depth: int) -> Any:
        self._values += 1
        if self._values > MAX_VALUES:
            raise _refused(None, event, f"holds more than {MAX_VALUES} values")
        if path not in self._marks and len(path) <= MAX_PATH_CHARACTERS:
            self._marks[path] = _place(event.start_mark)
        if isinstance(event, yaml.AliasEvent):
            raise _refused(f"an alias (*{event.anchor})", event)
        if event.anchor is not None:
            raise _refused(f"an anchor (&{event.anchor})", event)
        if event.tag is not None:
            raise _refused(f"a tag ({event.tag})", event)
        if isinstance(event, yaml.ScalarEvent):
            return _scalar(event, path)
        if depth > MAX_DEPTH:
            raise _refused(None, event, TOO_DEEP)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(path, depth)
        return self._mapping(path, depth)

    def _sequence(self, path: str, depth: int) -> list[Any]:
        items: list[Any] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            items.append(self._value(event, _joined(path, f"[{len(items)}]"), depth + 1))
        return items

    def _mapping(self, path: str, depth: int) -> dict[str, Any]:
        members: dict[str, Any] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key = _key(event, path)
            if key in members:
                raise _refused(None, event, f"has the key {key!r} twice in one mapping")
            member_path = _joined(path, f".{shown(key)}" if path else shown(key))
            if len(member_path) <= MAX_PATH_CHARACTERS:
                self._marks[member_path] = _place(event.start_mark)
            members[key] = self._value(next(self._events), member_path, depth + 1)
        return members


def _joined(path: str, step: str) -> str:
    return path + step if len(path) <= MAX_PATH_CHARACTERS else path


def _key(event: Any, path: str) -> str:
    if not isinstance(event, yaml.ScalarEvent):
        raise _refused("a key that is not plain text", event)
    if event.anchor is not None or event.tag is not None:
        raise _refused("an anchor or a tag", event)
    return _checked(event, path)


def _scalar(event: Any, path: str) -> Any:
    text = _checked(event, path)
    if event.style:  # quoted or a block: text, whatever it looks like
        return text
    if text in _WORDS:
        return _WORDS[text]
    try:
        if _INTEGER.fullmatch(text):
            return json_text.integer(text)
        return json_text.fraction(text) if _NUMBER.fullmatch(text) else text
    except Malformed as error:
        raise _refused(None, event, error.reason) from None


def _checked(event: Any, path: str) -> str:
    try:
        json_text.check_text(event.value)
    except Malformed as error:
        raise _refused(None, event, error.reason, path) from None
    return event.value


def _refused(what: str | None, event: Any, reason: str = "", path: str = "") -> Malformed:
    line, column = _place(event.start_mark)
    reason = reason or f"holds {what}; only values of JSON are supported"
    return Malformed(reason, line, column, field=path or "body")


def _place(mark: Any) -> Mark:
    return (1, 1) if mark is None else (mark.line + 1, mark.column + 1)
