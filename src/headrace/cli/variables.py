"""`--variable name=value`, as often as wanted."""

from __future__ import annotations

import re

from headrace.cli.exits import USAGE, Failure

_PAIR = re.compile(r"\s*[A-Za-z_][A-Za-z0-9_.-]*=")


def read_variables(given: list[str]) -> dict[str, str]:
    """A comma separates several where each part is a `name=value`; else it belongs to the value."""
    variables: dict[str, str] = {}
    for text in given:
        for name, value in _pairs(text):
            if name in variables:
                raise Failure(f"--variable {name} is given twice", code=USAGE)
            variables[name] = value
    return variables


def _pairs(text: str) -> list[tuple[str, str]]:
    parts = text.split(",")
    pieces = parts if all(_PAIR.match(part) for part in parts) else [text]
    pairs: list[tuple[str, str]] = []
    for piece in pieces:
        name, equals, value = piece.partition("=")
        if not equals or not name.strip():
            raise Failure(f"--variable {piece!r} is not name=value", code=USAGE)
        pairs.append((name.strip(), value))
    return pairs
