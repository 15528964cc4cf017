"""The inspector: all that is known of one stage of a run, and of each call that it made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from headrace.console.stages import Call, Step
from headrace.errors import InvalidValue
from headrace.journal.records import ResolutionRow

MAX_CHARACTERS = 20_000
"""More of one text is not shown: the page stays readable, and the API has the whole."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """A call with its request and its response as text. `decision`: of a person about it. `evidence`: for that one."""

    call: Call
    body: str
    response: str
    decision: ResolutionRow | None
    evidence: str = ""


@dataclass(frozen=True, slots=True)
class Inspected:
    """A stage in detail. `input`: empty, it has not started. `previous`, `following`: numbers in links; 0: none."""

    step: Step
    definition: str
    input: str
    exchanges: tuple[Exchange, ...]
    previous: int
    following: int


def chosen(text: str, steps: Sequence[Step]) -> Step | None:
    """The stage that a link names, counted from 1 as on the page; None for no text. Raises InvalidValue."""
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 10 and 0 < int(text) <= len(steps)):
        raise InvalidValue("stage", f"this run has stages 1 to {len(steps)}")
    return steps[int(text) - 1]


def inspected(step: Step, count: int, decided: Mapping[str, ResolutionRow]) -> Inspected:
    """The stage in detail. `count`: how many the definition has; `decided`: decisions about effects, by their keys."""
    return Inspected(
        step,
        pretty(msgspec.json.encode(step.definition)),
        "" if step.stage is None else pretty(step.stage.input),
        tuple(_exchange(call, decided.get(call.row.key)) for call in step.calls),
        step.number,
        step.number + 2 if step.number + 1 < count else 0,
    )


def _exchange(call: Call, decision: ResolutionRow | None) -> Exchange:
    body, response = pretty(call.row.request_body or b""), pretty(call.row.output or "")
    return Exchange(call, body, response, decision, "" if decision is None else pretty(decision.evidence))


def pretty(text: str | bytes, limit: int = MAX_CHARACTERS) -> str:
    """JSON over several lines; other text as it is. A long one ends with how much is left out."""
    given = text if isinstance(text, str) else text.decode(errors="replace")
    try:
        shown = msgspec.json.format(given, indent=2) if given else ""
    except msgspec.DecodeError:
        shown = given
    left_out = len(shown) - limit
    return shown if left_out <= 0 else f"{shown[:limit]}\n… and {left_out} more characters"
