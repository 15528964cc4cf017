"""The events that Headrace publishes, each stored in the commit of the change that it reports.

Only events of a wanted type are stored. A type is wanted from the commit of the first trigger that waits for it, or
from the first start of a publisher that takes it (`headrace.journal.writes.WantType`).
"""

from __future__ import annotations

import json
from functools import partial
from typing import Any

from headrace.buses.event_types import (
    APP,
    FAILED_TRIGGER,
    SUCCEEDED_TRIGGER,
    type_named,
)
from headrace.buses.port import Publication
from headrace.clock import date_time
from headrace.errors import InvalidValue
from headrace.journal.port import Unit, WhenWanted
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

    # instances: made inside a commit, for a wanted type only

    def announce(
        self, type_: str, at: int, workflow_id: str, instance_id: str, number: int | None, error: str | None, /
    ) -> Publish:
        """An instance, or its stage of this number, has started or ended; `error` None: without an error."""
        payload: dict[str, Any] = {"id": workflow_id, "instanceID": instance_id}
        if number is not None:
            payload["number"] = number
        return _event(type_, at, {**payload, **_error(error)}, instance_id)

    # triggers

    def trigger_succeeded(self, unit: Unit, at: int, occurrence_id: str, trigger_id: str, instance_id: str) -> None:
        payload = {"id": occurrence_id, "triggerID": trigger_id, "workflowInstanceID": instance_id}
        unit.add(WhenWanted(SUCCEEDED_TRIGGER, partial(_event, SUCCEEDED_TRIGGER, at, payload, instance_id)))

    def trigger_failed(self, unit: Unit, at: int, occurrence_id: str, trigger_id: str, error: str, depth: int) -> None:
        payload = {"id": occurrence_id, "triggerID": trigger_id, **_error(error)}
        unit.add(WhenWanted(FAILED_TRIGGER, partial(_event, FAILED_TRIGGER, at, payload, None, depth)))


def _event(type_: str, at: int, payload: dict[str, Any], instance_id: str | None, depth: int | None = None) -> Publish:
    return Publish(type=type_, happened_at=at, payload=_text_of(payload), instance_id=instance_id, depth=depth)


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
