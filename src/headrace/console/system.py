"""System: what is known of this server, its journal, the services, and where its events are. Nothing is estimated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, get_args

from headrace.console.facts import Facts
from headrace.console.pages import Page, Place
from headrace.console.words import duration
from headrace.events.loopback import LoopbackPublisher
from headrace.telemetry import Telemetry
from headrace.usecases.ports import Ports
from headrace.workflows.activities import Service

OWN_TRIGGERS = LoopbackPublisher.name
LAST_ROW = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Answers:
    """Attempts of this process at effects of a service, by outcome, since it began. `under_way`: now."""

    service: str
    done: int
    refused: int
    unknown: int
    under_way: int | None


@dataclass(frozen=True, slots=True)
class Destination:
    """A publisher, and the number of the last event that it has acknowledged; None: it has not begun."""

    name: str
    position: int | None


async def show_system(place: Place) -> Page:
    """The state of the server, as far as it is known."""
    ports, facts, journal = place.ports, place.facts, place.ports.journal
    now_at = ports.clock.now_at()
    running, attention = await journal.counts()
    state = await journal.engine()
    overdue = await journal.due(0, LAST_ROW, now_at, 1)
    names = [OWN_TRIGGERS, *(each.name for each in ports.publishers)]
    values: dict[str, Any] = {
        "facts": facts,
        "size": None if facts is None else size_text(facts.journal_bytes()),
        "release": ports.release,
        "identity": await journal.identity(),
        "state": state,
        "running": running,
        "attention": attention,
        "in_memory": ports.engine.active_instances,
        "triggers": await journal.trigger_count(),
        "max_triggers": ports.max_triggers,
        "overdue": duration(now_at - overdue[0].next_at) if overdue else "",
        "next_deadline": await journal.next_deadline(now_at),
        "lag": None if facts is None else lag_of(facts.telemetry),
        "services": [] if facts is None else answers_of(facts),
        "destinations": [await destination_of(ports, name) for name in names],
        "own_triggers": OWN_TRIGGERS,
        "outbox_end": await journal.outbox_end(),
        "dead_letters": bool(await journal.set_aside(1)),
    }
    return Page("system.html", "System", values)


async def destination_of(ports: Ports, name: str) -> Destination:
    """A publisher with its position, which is stored under its name."""
    return Destination(name, await ports.journal.position(f"to:{name}"))


def answers_of(facts: Facts) -> list[Answers]:
    """How the services have answered."""
    found: list[Answers] = []
    for service in get_args(Service):
        done, refused, unknown = (
            int(facts.telemetry.value("headrace_attempts_total", service=service, outcome=outcome) or 0)
            for outcome in ("done", "refused", "unknown")
        )
        under_way = facts.telemetry.value("headrace_attempts_in_flight", service=service)
        found.append(Answers(service, done, refused, unknown, None if under_way is None else int(under_way)))
    return found


def lag_of(telemetry: Telemetry) -> tuple[int, str] | None:
    """The number of delays that this process has ended, and how late they were on average; None where it ended none."""
    count = telemetry.value("headrace_timer_lag_seconds_count") or 0
    total_s = telemetry.value("headrace_timer_lag_seconds_sum") or 0
    return (int(count), duration(int(total_s / count * 1_000_000))) if count else None


def size_text(count: int | None) -> str:
    """`12.3 MB`; empty where it is not known."""
    if count is None:
        return ""
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} bytes"
