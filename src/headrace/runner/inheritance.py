"""Effects that a continuation takes over: those that earlier instances of its case asked for in its first stage."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from headrace.effects.earlier import EarlierEffect
from headrace.effects.port import Request
from headrace.journal.chains import is_done, ordinal_of
from headrace.journal.records import ActivityRow, Standing
from headrace.workflows.activities import ACTIVITIES
from headrace.workflows.interpreter import CANCELED

NOTHING: Mapping[int, EarlierEffect] = {}


def left_by(standing: Standing) -> tuple[ActivityRow, ...]:
    """The effects that an ended instance leaves to its continuation: those of its last stage, the oldest first."""
    return (*standing.inherited, *(row for row in standing.activities if row.key))


def earlier_effects(rows: Iterable[ActivityRow]) -> dict[int, EarlierEffect]:
    """By ordinal, the effects of one stage as earlier instances left them. `rows`: the oldest first."""
    found: dict[int, list[ActivityRow]] = {}
    for row in rows:
        found.setdefault(ordinal_of(row), []).append(row)
    return {ordinal: _combined(same) for ordinal, same in found.items()}


def _combined(rows: list[ActivityRow]) -> EarlierEffect:
    """One effect, from its rows of several instances: done in one of them at most, and in none after that."""
    done = next((row for row in rows if is_done(row)), None)
    if done is not None:
        output = None if done.output is None else msgspec.json.decode(done.output)
        return EarlierEffect(done.name, _request(done), is_done=True, output=output)
    unknown = next((row for row in rows if _may_arrive(row)), None)
    row = unknown or rows[-1]
    return EarlierEffect(row.name, _request(row), is_done=False, may_arrive=unknown is not None)


def _may_arrive(row: ActivityRow) -> bool:
    """Whether an attempt had no answer: only then was another made, or a person or an abort closed it."""
    return row.attempt > 1 or row.last_failure is not None or row.error == CANCELED


def _request(row: ActivityRow) -> Request:
    service = ACTIVITIES[row.name].service
    key = row.key if service != "payments" else ""
    return Request(service, row.request_method, row.request_path, row.request_body, key)
