"""Questions for a person: an effect whose outcome no look-up can decide, and what speaks for each verdict."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from headrace.effects import port
from headrace.effects.evidence import moved_by, speaks_for
from headrace.effects.settlement import Doubt
from headrace.journal.records import AttentionRow
from headrace.pictures.amounts import amount_text
from headrace.workflows.activities import ACTIVITIES


@dataclass(frozen=True, slots=True)
class Question:
    """An effect about which a person has to decide. `since_at`: when that was found."""

    stage: int
    position: int
    name: str
    amount: str
    attempts: int
    last_failure: str
    for_booked: str
    for_not_booked: str
    since_at: int


def question_of(row: AttentionRow) -> Question:
    """The question about an open effect that needs attention."""
    service = ACTIVITIES[row.name].service
    moved = moved_by(port.Request(service, row.request_method, row.request_path, row.request_body))
    doubt, is_aborted = cast("Doubt", row.attention or "not_found"), row.terminated_at is not None
    return Question(
        row.stage,
        row.position,
        row.name,
        "" if moved is None else amount_text(*moved),
        row.attempt,
        row.last_failure or "",
        speaks_for(doubt, "booked", is_aborted=is_aborted),
        speaks_for(doubt, "not_booked", is_aborted=is_aborted),
        row.since_at,
    )
