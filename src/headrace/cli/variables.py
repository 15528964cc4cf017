"""`--variable name=value`, repeatable."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches

from headrace.cli.errors import USAGE, Failure

_PAIR = re.compile(r"\s*[A-Za-z_][A-Za-z0-9_.-]*=")


def read_variables(given: list[str]) -> dict[str, str]:
    """Parse the variables. A comma separates several if each part is a `name=value`; else it belongs to the value."""
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


def remarks_on_variables(stages: list[dict[str, object]], variables: Mapping[str, str]) -> Iterator[str]:
    """Remark on variables that the definition does not use, with the most similar name that it does."""
    from headrace.workflows.variables import names_in

    asked = names_in(stages)
    used = {name for name in variables if any(each == name or each.startswith(f"{name}.") for each in asked)}
    open_names = sorted(asked - variables.keys())
    for name in variables:
        if name not in used:
            near = get_close_matches(name, open_names, n=1) or get_close_matches(name, sorted(asked), n=1)
            advice = f"; did you mean {near[0]!r}?" if near else ""
            yield f"the workflow does not use the variable {name!r}{advice}"
