"""What handlers work with, handed in by whoever composes the server."""

from __future__ import annotations

from dataclasses import dataclass, field

from headrace.api.replies import Reply
from headrace.api.room import Room
from headrace.auth.door import Door
from headrace.clock import Clock, Ids
from headrace.engine.port import Engine
from headrace.events.inbox import Inbox
from headrace.events.outbox import Outbox
from headrace.journal.port import Journal
from headrace.settings import Settings
from headrace.telemetry import Telemetry
from headrace.triggers.expressions import Evaluator


@dataclass(frozen=True, slots=True)
class Services:
    journal: Journal
    engine: Engine
    clock: Clock
    ids: Ids
    settings: Settings
    telemetry: Telemetry
    inbox: Inbox
    evaluator: Evaluator
    outbox: Outbox
    door: Door
    description: Reply
    page: Reply
    """The same for people."""
    room: Room = field(default_factory=Room)
