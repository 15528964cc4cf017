"""Reads a source that keeps its events in order, and accepts those that a trigger waits for into the inbox.

The position is stored in the commit that accepts the events, so no event is read twice or passed over. It moves by
compare-and-set: of two processes that read one source, the one that was overtaken stops.
"""

from __future__ import annotations

from typing import Protocol

import structlog

from headrace.clock import Clock
from headrace.errors import Deposed, InvalidValue, Unavailable
from headrace.events.envelope import Envelope, stored_envelope
from headrace.events.inbox import Arrival, Inbox
from headrace.journal.port import Journal
from headrace.journal.writes import MovePosition

log = structlog.get_logger("headrace.events")

PAGE = 200
RETRY_S = 1.0


class EventSource(Protocol):
    """A source that keeps its events in order, such as the sandbox."""

    async def event_source(self) -> str:
        """The name of the source, which never changes and which no other source has."""
        ...

    async def events_after(self, seq: int, limit: int) -> list[tuple[int, str]]:
        """The next events by their numbers, each an envelope's JSON. Those up to `seq` may be forgotten."""
        ...

    async def wait_for_events(self) -> None:
        """Returns when there may be more events than at the last call of `events_after`."""
        ...


class Feed:
    """Accepts the events of one source."""

    def __init__(self, source: EventSource, journal: Journal, inbox: Inbox, clock: Clock) -> None:
        self._source = source
        self._journal = journal
        self._inbox = inbox
        self._clock = clock
        self._is_deposed = False

    async def run(self) -> None:
        """Run until cancelled, or until another process reads the source."""
        if self._is_deposed:
            return
        name = await self._source.event_source()
        position = await self._journal.position(name)
        while True:
            page = await self._source.events_after(position or 0, PAGE)
            if not page:
                await self._source.wait_for_events()
                continue
            try:
                await self._accept(name, page, position)
            except Deposed:
                self._is_deposed = True
                log.error("another process reads this source; this one stops reading it", source=name)
                return
            position = page[-1][0]

    async def _accept(self, name: str, page: list[tuple[int, str]], expected: int | None) -> None:
        envelopes = [(seq, _read(name, seq, text)) for seq, text in page]
        arrivals = [Arrival.of(f"{name}:{seq}", envelope) for seq, envelope in envelopes if envelope is not None]
        while True:
            try:
                position = MovePosition(source=name, position=page[-1][0], expected=expected)
                await self._inbox.accept_wanted(arrivals, position=position)
            except Unavailable as error:
                log.warning("the journal cannot commit; events wait", source=name, reason=str(error))
                await self._clock.sleep(RETRY_S)
            else:
                return


def _read(name: str, seq: int, text: str) -> Envelope | None:
    try:
        return stored_envelope(text)
    except (InvalidValue, ValueError) as error:
        log.error("an event that is no envelope was left out", source=name, seq=seq, reason=str(error))
        return None
