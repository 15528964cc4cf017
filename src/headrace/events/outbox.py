"""What Headrace publishes: the eight events of orchestration, each written in the commit of what it tells.

Nothing is written that nobody would read: a type goes into the outbox once something outside asks for all of them,
or a trigger of ours waits for it.
"""

from __future__ import annotations

import json
from typing import Any

from headrace.buses.port import Publication
from headrace.buses.published import (
    APP,
    FAILED_STAGE,
    FAILED_TRIGGER,
    FAILED_WORKFLOW,
    STARTED_STAGE,
    STARTED_WORKFLOW,
    SUCCEEDED_STAGE,
    SUCCEEDED_TRIGGER,
    SUCCEEDED_WORKFLOW,
    TYPES,
    type_named,
)
from headrace.clock import date_time
from headrace.errors import InvalidValue
from headrace.journal.port import Journal, Unit
from headrace.journal.records import OutboxEvent
from headrace.journal.writes import Publish

VERSION = "v2.0.0"
MAX_ERROR_CHARACTERS = 4_000
"""An event that a broker finds too long would hold up all that come after it. The instance keeps the whole text."""

_text_of = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class Outbox:
    """Adds events to the units of those who make them happen."""

    def __init__(self) -> None:
        self._wanted: set[str] = set()

    # what is wanted

    def want_all(self) -> None:
        """Something outside is told of everything."""
        self._wanted.update(TYPES)

    def want(self, event: str) -> None:
        """A trigger waits for this event: one of ours perhaps."""
        if (kind := type_named(event)) is not None:
            self._wanted.add(kind)

    async def want_what_triggers_want(self, journal: Journal) -> None:
        """Those that are there at the start."""
        for kind in TYPES:
            if await journal.triggers_on((kind.lower(), f"{APP}.{kind.lower()}"), _ANY_SEQ):
                self._wanted.add(kind)

    # instances

    def workflow_started(self, unit: Unit, at: int, workflow_id: str, instance_id: str) -> None:
        if STARTED_WORKFLOW in self._wanted:
            _add(unit, STARTED_WORKFLOW, at, {"id": workflow_id, "instanceID": instance_id}, instance_id)

    def workflow_ended(self, unit: Unit, at: int, workflow_id: str, instance_id: str, error: str | None) -> None:
        kind = SUCCEEDED_WORKFLOW if error is None else FAILED_WORKFLOW
        if kind in self._wanted:
            _add(unit, kind, at, {"id": workflow_id, "instanceID": instance_id, **_error(error)}, instance_id)

    def stage_started(self, unit: Unit, at: int, workflow_id: str, instance_id: str, number: int) -> None:
        if STARTED_STAGE in self._wanted:
            payload = {"id": workflow_id, "instanceID": instance_id, "number": number}
            _add(unit, STARTED_STAGE, at, payload, instance_id)

    def stage_ended(
        self, unit: Unit, at: int, workflow_id: str, instance_id: str, number: int, error: str | None
    ) -> None:
        kind = SUCCEEDED_STAGE if error is None else FAILED_STAGE
        if kind in self._wanted:
            payload = {"id": workflow_id, "instanceID": instance_id, "number": number, **_error(error)}
            _add(unit, kind, at, payload, instance_id)

    # triggers

    def trigger_succeeded(self, unit: Unit, at: int, occurrence_id: str, trigger_id: str, instance_id: str) -> None:
        if SUCCEEDED_TRIGGER in self._wanted:
            payload = {"id": occurrence_id, "triggerID": trigger_id, "workflowInstanceID": instance_id}
            _add(unit, SUCCEEDED_TRIGGER, at, payload, instance_id)

    def trigger_failed(self, unit: Unit, at: int, occurrence_id: str, trigger_id: str, error: str, depth: int) -> None:
        if FAILED_TRIGGER in self._wanted:
            payload = {"id": occurrence_id, "triggerID": trigger_id, **_error(error)}
            _add(unit, FAILED_TRIGGER, at, payload, None, depth)


_ANY_SEQ = 2**63 - 1


def _add(
    unit: Unit, kind: str, at: int, payload: dict[str, Any], instance_id: str | None, depth: int | None = None
) -> None:
    unit.add(Publish(type=kind, happened_at=at, payload=_text_of(payload), instance_id=instance_id, depth=depth))


def _error(error: str | None) -> dict[str, str]:
    return {} if error is None else {"error": error[:MAX_ERROR_CHARACTERS] or "failed"}


def publication(origin: str, event: OutboxEvent) -> Publication:
    """`origin` is the journal's name. The body is the same each time it is made."""
    body = (
        f'{{"date":"{date_time(event.happened_at)}","app":"{APP}","version":"{VERSION}",'
        f'"type":"{event.type}","payload":{event.payload}}}'
    )
    return Publication(f"{origin}:{event.seq}", event.type, event.depth, body.encode())


def is_own(origin: str, event_id: str) -> bool:
    """Whether this journal published it: its triggers know of it already, without any bus."""
    return event_id.partition(":")[0] == origin


def depth_of(header: str) -> int:
    """What a depth header says; 0 where there is none. Raises InvalidValue."""
    if not header:
        return 0
    if not (header.isascii() and header.isdigit() and len(header) <= 6):
        raise InvalidValue("Headrace-Depth", "must be a whole number")
    return int(header)
