"""The inbox: every accepted event has a row, found by its identities, before anything happens because of it.

A repeated delivery, however late, is counted on that row and has no further effect. An event that claims a known
identity with another payload gets its own row: triggers record it as a conflict and start nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import Protocol

import structlog

from headrace.clock import Clock
from headrace.errors import Deposed, InvalidValue
from headrace.events import identity
from headrace.events.envelope import Envelope, stored_envelope
from headrace.journal.port import Journal, Later, Required, Results, Unit
from headrace.journal.writes import AcceptEvent, EventAccepted, IdentifyEvent, MovePosition, PlaceEvent, RepeatEvent

log = structlog.get_logger("headrace.events")

_ANY_SEQ = 2**63 - 1
_PAGE = 200


class Receipt(Enum):
    """Result of accepting an event."""

    NEW = "new"
    REPEATED = "repeated"
    CONFLICTING = "conflicting"


class InboxMeter(Protocol):
    def events_accepted(self, new: int, repeated: int, conflicting: int) -> None: ...


@dataclass(frozen=True, slots=True)
class Arrival:
    """An event with its identities: `key`, and `place`, the broker's name of the message (decision T5).

    `text` is its envelope: decoded, it may take thirty times the memory while it waits for the commit.
    """

    key: str
    type: str
    names: tuple[str, str]
    text: str
    fingerprint: bytes
    place: str | None = None
    old_key: str | None = None
    """Key under which release 0.1.0 would have stored it."""
    depth: int = 0
    """Number of triggers in the chain that led to it, according to its sender."""

    @classmethod
    def of(cls, place: str, envelope: Envelope, depth: int = 0) -> Arrival:
        """From a source that gives a message the same name at every delivery."""
        return cls._of(envelope.identity or place, envelope, place, None, depth)

    @classmethod
    def sent(cls, envelope: Envelope, otherwise: str, old_key: str | None, depth: int = 0) -> Arrival:
        """From a caller. `otherwise` is the key of an event without an identity of its own."""
        return cls._of(envelope.identity or otherwise, envelope, None, old_key, depth)

    @classmethod
    def _of(cls, key: str, envelope: Envelope, place: str | None, old_key: str | None, depth: int) -> Arrival:
        fingerprint = identity.fingerprint(envelope.payload)
        old_key = old_key if envelope.id is None else f"id:{envelope.id}"
        return cls(key, envelope.type, envelope.names, envelope.text, fingerprint, place, old_key, depth)


class Inbox:
    """Accepts events. `on_events` is called when new events are durable."""

    def __init__(self, journal: Journal, clock: Clock, meter: InboxMeter, on_events: Callable[[], None]) -> None:
        self._journal = journal
        self._clock = clock
        self._meter = meter
        self._on_events = on_events
        self._identifying = asyncio.Lock()
        self._is_identified = False

    async def identify(self) -> None:
        """Store the identities of events that release 0.1.0 accepted, before any event is accepted.

        Returns quickly if there are none. Raises Unavailable.
        """
        async with self._identifying:
            if not self._is_identified:
                after_seq = 0
                while page := await self._journal.unidentified_events(after_seq, _PAGE):
                    unit = Unit()
                    for event in page:
                        after_seq = event.seq
                        try:
                            envelope = stored_envelope(event.envelope or "")
                        except (InvalidValue, ValueError):
                            log.warning(
                                "an accepted event cannot be read, so its identity stays unknown", seq=event.seq
                            )
                            continue
                        unit.add(IdentifyEvent(fingerprint=identity.fingerprint(envelope.payload), seq=event.seq))
                        if envelope.identity is not None:
                            unit.add(PlaceEvent(key=envelope.identity, seq=event.seq))
                    await self._journal.commit(unit)
                self._is_identified = True

    async def accept(self, arrivals: Sequence[Arrival], *, position: MovePosition | None = None) -> list[Receipt]:
        """Accept events, and store the position of their source in the same commit.

        All of them are durable on return, or none. Raises Unavailable, or Deposed where another process reads it.
        """
        unit = Unit()
        await self.add(unit, arrivals)
        if position is not None:
            unit.add(Required(position, partial(Deposed, position.source)))
        results = await self._journal.commit(unit)
        self.accepted(arrivals, results)
        return receipts_of(results)

    async def add(self, unit: Unit, arrivals: Sequence[Arrival]) -> None:
        """Add the writes that accept events to a unit; call `accepted` once it is committed. Raises Unavailable."""
        if not self._is_identified:
            await self.identify()
        now_at = self._clock.now_at()
        for arrival in arrivals:
            _add(unit, arrival, now_at)

    def accepted(self, arrivals: Sequence[Arrival], results: Results) -> None:
        """Count events whose unit is committed, log the conflicts among them, and wake the triggers.

        A repeated conflict counts as a repeat: it is logged and counted as a conflict once.
        """
        rows = _accepted(results)
        first_time = [arrival for arrival, row in zip(arrivals, rows, strict=True) if row.repeats == 0]
        receipts = [_receipt(row) for row in rows if row.repeats == 0]
        conflicts = [each.key for each, receipt in zip(first_time, receipts, strict=True) if receipt is not Receipt.NEW]
        self._meter.events_accepted(len(first_time) - len(conflicts), len(rows) - len(first_time), len(conflicts))
        if conflicts:
            log.warning(
                "events claim a known identity with another payload; they start nothing",
                count=len(conflicts),
                first_key=conflicts[0],
            )
        if first_time:
            self._on_events()

    async def accept_wanted(self, arrivals: Sequence[Arrival], *, position: MovePosition | None = None) -> None:
        """Accept the events that a trigger waits for.

        An event without a trigger now starts nothing later either. Raises Unavailable, Deposed.
        """
        wanted = [each for each in arrivals if await self._journal.triggers_on(each.names, _ANY_SEQ)]
        if wanted or position is not None:
            await self.accept(wanted, position=position)

    async def repeat(self, arrivals: Sequence[Arrival]) -> None:
        """Count repeated events that were recognized before they were read."""
        if not self._is_identified:
            await self.identify()
        now_at = self._clock.now_at()
        unit = Unit()
        for arrival in arrivals:
            unit.add(RepeatEvent(at=now_at, key=arrival.key, old_key=arrival.old_key))
        await self._journal.commit(unit)
        self._meter.events_accepted(0, len(arrivals), 0)


def _add(unit: Unit, arrival: Arrival, now_at: int) -> None:
    unit.add(
        AcceptEvent(
            key=arrival.key,
            type=arrival.type,
            envelope=arrival.text,
            received_at=now_at,
            depth=arrival.depth,
            fingerprint=arrival.fingerprint,
            place=arrival.place,
            conflict_key=identity.of_conflict(arrival.key, arrival.fingerprint),
            old_key=arrival.old_key,
        )
    )
    if (place := arrival.place) is not None and place != arrival.key:
        unit.add(Later(lambda results: PlaceEvent(key=place, seq=_accepted(results)[-1].seq)))


def _accepted(results: Results) -> list[EventAccepted]:
    """Results of the events of a unit, in the order of their arrivals."""
    return [each for each in results if isinstance(each, EventAccepted)]


def receipts_of(results: Results) -> list[Receipt]:
    """Receipts of the events of a unit, in the order of their arrivals."""
    return [_receipt(row) for row in _accepted(results)]


def _receipt(row: EventAccepted) -> Receipt:
    if row.conflicts_with is not None:
        return Receipt.CONFLICTING
    return Receipt.REPEATED if row.repeats else Receipt.NEW
