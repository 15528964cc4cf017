"""Lines and columns of the values of a JSON text, by path, like those that the YAML reader keeps.

A strict reader has checked the text before; this module only finds places. In a text that is not JSON it finds those
before the mistake. Its depth limit is that reader's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from headrace.json_text import MAX_DEPTH
from headrace.workflows.variables import shown

Mark = tuple[int, int]
"""Line and column, from 1."""

_PIECE = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]:,]|[^\s{}\[\]:,"]+', re.DOTALL)


@dataclass(slots=True)
class _Container:
    path: str
    is_list: bool
    count: int = 0
    key: str | None = None
    """Path segment of the member whose value comes next."""

    def path_of_next(self) -> str:
        if self.is_list:
            return f"{self.path}[{self.count}]"
        return f"{self.path}.{self.key}" if self.path else str(self.key)


@dataclass(slots=True)
class Places:
    """`marks` by path; `repeated` is the first key that occurs twice in its object."""

    marks: dict[str, Mark] = field(default_factory=dict[str, Mark])
    repeated: Mark | None = None


def places_of(text: str) -> Places:
    """Find the places of a JSON text, down to the depth that the strict reader allows."""
    places, around = Places(), list[_Container]()
    for piece, mark in _pieces(text):
        inside = around[-1] if around else None
        if piece in "]}":
            del around[-1:]
        elif piece == "," and inside:
            inside.count, inside.key = inside.count + 1, None
        elif piece == ":":
            continue
        elif inside and not inside.is_list and inside.key is None:
            _take_key(places, inside, piece, mark)
        else:
            path = inside.path_of_next() if inside else ""
            places.marks.setdefault(path, mark)
            if piece in "[{":
                if len(around) == MAX_DEPTH:
                    break
                around.append(_Container(path, piece == "["))
    return places


def _take_key(places: Places, inside: _Container, piece: str, mark: Mark) -> None:
    """Record a member at the place of its key."""
    inside.key = shown(_text(piece))
    path = inside.path_of_next()
    if path in places.marks and places.repeated is None:
        places.repeated = mark
    places.marks[path] = mark


def _text(piece: str) -> str:
    try:
        return str(json.JSONDecoder(strict=False).decode(piece))
    except ValueError:
        return piece


def _pieces(text: str) -> Iterator[tuple[str, Mark]]:
    line, line_start, position = 1, 0, 0
    for match in _PIECE.finditer(text):
        newlines = text.count("\n", position, match.start())
        if newlines:
            line += newlines
            line_start = text.rindex("\n", position, match.start()) + 1
        position = match.start()
        yield match.group(), (line, match.start() - line_start + 1)
