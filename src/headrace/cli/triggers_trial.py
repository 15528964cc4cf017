"""Explain which part of a trigger's filter was false, computed here with the server's expression language.

The server returns only whether the filter matches. Only the server can follow a link, so a condition that uses one
stays undecided here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from headrace.expr.explanation import Part

Json = dict[str, Any]

MAX_SHOWN = 80
"""Maximum characters of a value; a longer one is cut."""
_GROUPS = {"all": "all of", "any": "any of", "not": "not", "choice": "the branch taken of"}


def explanation(trigger: Json, payload: Json) -> Json | None:
    """Explain a filter as a document. None if there is no filter, or this program cannot parse it."""
    from headrace.clock import SystemClock
    from headrace.triggers.expressions import InvalidSource, explained

    source = trigger.get("filter")
    if not source:
        return None
    try:
        return _document(explained(source, payload, SystemClock()))
    except InvalidSource:
        return None


def hints(trigger: Json, payload: Json) -> list[str]:
    """Hint at members of the event that hold a number as text while the filter compares them as numbers."""
    from headrace.triggers.hints import text_hints

    source = trigger.get("filter")
    return text_hints(source, payload) if source else []


def _document(part: Part) -> Json:
    document: Json = {"kind": part.kind, "source": part.source, "outcome": part.outcome.value}
    if part.error is not None:
        document["error"] = part.error
    if part.values:
        document["values"] = {source: _data(value) for source, value in part.values}
    if part.parts:
        document["parts"] = [_document(each) for each in part.parts]
    return document


def _data(value: Any) -> Any:
    """Convert to JSON if the value is simple, else to text."""
    from headrace.triggers.variable_text import NotText, text_of

    if value is None or type(value) is bool or type(value) is int:
        return value
    if isinstance(value, str):
        return value.encode(errors="replace").decode()
    try:
        text = text_of(value)
    except NotText:
        return str(value)
    if isinstance(value, float) or (isinstance(value, list | dict) and len(text) <= MAX_SHOWN):
        return json.loads(text)
    return f"{text[:MAX_SHOWN]}..." if len(text) > MAX_SHOWN else text


def lines(document: Json) -> list[str]:
    """Format each condition and group as an indented line: outcome, source, and the values it read."""
    rows = list(_rows(document, 0))
    width = max(len(outcome) for outcome, _, _ in rows)
    return [f"  {outcome.ljust(width)}  {'  ' * depth}{text}" for outcome, depth, text in rows]


def _rows(part: Json, depth: int) -> Iterator[tuple[str, int, str]]:
    text = _GROUPS.get(part["kind"]) or " ".join(part["source"].split())
    looked_at = [f"{source} is {_shown(value)}" for source, value in part.get("values", {}).items()]
    notes = [*looked_at, *([part["error"]] if "error" in part else [])]
    yield part["outcome"], depth, f"{text}    ({'; '.join(notes)})" if notes else text
    for each in part.get("parts", ()):
        yield from _rows(each, depth + 1)


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}..."
