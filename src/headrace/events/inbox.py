"""The inbox: every accepted event has a row, found by its identity, before anything happens because of it.

So a delivery that comes again, however late, is counted on that row and does nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from headrace.clock import Clock
from headrace.events.envelope import Envelope
from headrace.journal.port import Caller, Journal, Unit

_ANY_SEQ = 2**63 - 1


class InboxMeter(Protocol):
    def events_accepted(self, new: int, repeated: int) -> None: ...


@dataclass(frozen=True, slots=True)
class Arrival:
    """An event and its identity: what its source calls it, never a hash of what it holds.

    `text` is its envelope: as objects it may take thirty times as much memory while it waits for the commit.
    """

    key: str
    type: str
    names: tuple[str, str]
    text: str
    depth: int = 0
    """How many triggers led to it, one after the other, as far as its sender says."""

    @classmethod
    def of(cls, key: str, envelope: Envelope, depth: int = 0) -> Arrival:
        return cls(key, envelope.type, envelope.names, envelope.text, depth)


class Inbox:
    """`on_events` is called once new events are durable."""

    def __init__(self, journal: Journal, clock: Clock, meter: InboxMeter, on_events: Callable[[], None]) -> None:
        self._journal = journal
        self._clock = clock
        self._meter = meter
        self._on_events = on_events

    async def accept(
        self,
        arrivals: Sequence[Arrival],
        *,
        caller: Caller | None = None,
        answer: bytes = b"",
        position: tuple[str, int] | None = None,
    ) -> None:
        """All of them are durable on return, or none is.

        In the same commit: that a caller sent them, and the answer to its key, or how far a source was read.
        Raises RepeatedKey, Unavailable.
        """
        now_at = self._clock.now_at()
        unit = Unit()
        for arrival in arrivals:
            unit.add("accept_event", arrival.key, arrival.type, arrival.text, now_at, arrival.depth)
        _sign(unit, caller, now_at, arrivals, answer)
        if position is not None:
            unit.add("move_position", *position)
        rows = await self._journal.commit(unit)
        self._count([row[0] for row in rows[: len(arrivals)] if row is not None])

    async def accept_wanted(self, arrivals: Sequence[Arrival], *, position: tuple[str, int] | None = None) -> None:
        """Those that a trigger waits for.

        An event that no trigger waits for today starts nothing tomorrow either. Raises Unavailable.
        """
        wanted = [each for each in arrivals if await self._journal.triggers_on(each.names, _ANY_SEQ)]
        if wanted or position is not None:
            await self.accept(wanted, position=position)

    async def repeat(self, keys: Sequence[str]) -> None:
        """These came again, and it was known before they were looked at."""
        now_at = self._clock.now_at()
        unit = Unit()
        for key in keys:
            unit.add("repeat_event", now_at, key)
        await self._journal.commit(unit)
        self._meter.events_accepted(0, len(keys))

    def _count(self, repeats: list[int]) -> None:
        repeated = sum(count > 0 for count in repeats)
        self._meter.events_accepted(len(repeats) - repeated, repeated)
        if repeated < len(repeats):
            self._on_events()


def _sign(unit: Unit, caller: Caller | None, now_at: int, arrivals: Sequence[Arrival], answer: bytes) -> None:
    """Each event by its own name: whoever looks for one must find who sent it. The answer is that of them all."""
    if caller is None:
        return
    unkeyed = replace(caller, key=None)
    for number, arrival in enumerate(arrivals):
        unit.sign(unkeyed if number else caller, now_at, arrival.key, 202, answer)
