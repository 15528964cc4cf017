"""Models of dead letters: events that a broker or an endpoint rejected repeatedly."""

from __future__ import annotations

from typing import Any

import msgspec

from headrace_client.models import Model, Timestamp


class DeadLetter(Model):
    """An event that Headrace stopped publishing after one publisher rejected it repeatedly."""

    id: str
    publisher: str
    reason: str
    dead_lettered_at: Timestamp = msgspec.field(name="setAsideAt")
    event: dict[str, Any]


class RefusedDeadLetter(Model):
    """A dead letter that was rejected again, and stays one."""

    id: str
    reason: str


class Replay(Model, kw_only=True):
    """Dead letters of one publisher that were published once more.

    `delivered`: ids of the events that it accepted. `left`: how many of those asked for were not tried; `unreachable`
    says why, where the publisher takes nothing now.
    """

    publisher: str
    delivered: list[str]
    refused: list[RefusedDeadLetter]
    left: int
    unreachable: str | None = None
