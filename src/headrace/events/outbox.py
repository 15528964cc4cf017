"""The eight events that Headrace publishes, each stored in the commit of the change that it reports.

Only events of a wanted type are stored. A type is wanted from the commit of the first trigger that waits for it, or
from the first start of a publisher that takes it (`headrace.journal.writes.WantType`).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from headrace.buses.event_types import (
    APP,
    FAILED_STAGE,
    FAILED_TRIGGER,
    FAILED_WORKFLOW,
    STARTED_STAGE,
    STARTED_WORKFLOW,
    SUCCEEDED_STAGE,
    SUCCEEDED_TRIGGER,
    SUCCEEDED_WORKFLOW,
    type_named,
)
from headrace.buses.port import Publication
from headrace.clock import date_time
from headrace.errors import InvalidValue
from headrace.journal.port import Unit
from headrace.journal.records import OutboxEvent
from headrace.journal.writes import Publish, WantType

VERSION = "v2.0.0"
MAX_ERROR_CHARACTERS = 4_000
"""An event that a broker finds too long would hold up all that come after it. The instance keeps the whole text."""

_text_of = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class Outbox:
    """Adds events to the units of the changes that they report."""

    def want(self, unit: Unit, event: str) -> None:
        """A trigger waits for this event, which may be one that Headrace publishes."""
        if (kind := type_named(event)) is not None:
            unit.add(WantType(type=kind))

    # instances

    def workflow_started(self, unit: Unit, at: int, workflow_id: str, instance_id: str) -> None:
        _add(unit, STARTED_WORKFLOW, at, instance_id, lambda: {"id": workflow_id, "instanceID": instance_id})

    def workflow_ended(self, unit: Unit, at: int, workflow_id: str, instance_id: str, error: str | None) -> None:
        kind = SUCCEEDED_WORKFLOW if error is None else FAILED_WORKFLOW
        _add(unit, kind, at, instance_id, lambda: {"id": workflow_id, "instanceID": instance_id, **_error(error)})

    def stage_started(self, unit: Unit, at: int, workflow_id: str, instance_id: str, number: int) -> None:
        payload = {"id": workflow_id, "instanceID": instance_id, "number": number}
        _add(unit, STARTED_STAGE, at, instance_id, lambda: payload)

    def stage_ended(
        self, unit: Unit, at: int, workflow_id: str, instance_id: str, number: int, error: str | None
    ) -> None:
        kind = SUCCEEDED_STAGE if error is None else FAILED_STAGE
        payload = {"id": workflow_id, "instanceID": instance_id, "number": number}
        _add(unit, kind, at, instance_id, lambda: {**payload, **_error(error)})

    # triggers

    def trigger_succeeded(self, unit: Unit, at: int, occurrence_id: str, trigger_id: str, instance_id: str) -> None:
        payload = {"id": occurrence_id, "triggerID": trigger_id, "workflowInstanceID": instance_id}
        _add(unit, SUCCEEDED_TRIGGER, at, instance_id, lambda: payload)

    def trigger_failed(self, unit: Unit, at: int, occurrence_id: str, trigger_id: str, error: str, depth: int) -> None:
        payload = {"id": occurrence_id, "triggerID": trigger_id}
        _add(unit, FAILED_TRIGGER, at, None, lambda: {**payload, **_error(error)}, depth)


def _add(
    unit: Unit,
    kind: str,
    at: int,
    instance_id: str | None,
    payload: Callable[[], dict[str, Any]],
    depth: int | None = None,
) -> None:
    """Most runs publish nothing, so the payload is made inside the commit, for a wanted type only."""
    unit.publish(
        kind,
        lambda: Publish(type=kind, happened_at=at, payload=_text_of(payload()), instance_id=instance_id, depth=depth),
    )


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
    """The number in a depth header; 0 where there is none. Raises InvalidValue."""
    if not header:
        return 0
    if not (header.isascii() and header.isdigit() and len(header) <= 6):
        raise InvalidValue("Headrace-Depth", "must be a whole number")
    return int(header)
