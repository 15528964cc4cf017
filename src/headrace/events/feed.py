"""Reads a source that keeps its events in order and takes those that some trigger waits for into the inbox.

Where it stands is kept in the commit of what it took, so nothing is read twice and nothing is left out.
"""

from __future__ import annotations

from typing import Protocol

import structlog

from headrace.clock import Clock
from headrace.errors import InvalidValue, Unavailable
from headrace.events.envelope import Envelope, stored_envelope
from headrace.events.inbox import Arrival, Inbox
from headrace.journal.port import Journal

log = structlog.get_logger("headrace.events")

PAGE = 200
RETRY_S = 1.0


class EventSource(Protocol):
    async def event_source(self) -> str:
        """Who it is, for ever: another source has another name, however alike they look."""
        ...

    async def events_after(self, seq: int, limit: int) -> list[tuple[int, str]]:
        """The next events by their numbers, each an envelope's JSON. Those up to `seq` may be forgotten."""
        ...

    async def wait_for_events(self) -> None:
        """Returns when there may be more events than at the last call of `events_after`."""
        ...


class Feed:
    def __init__(self, source: EventSource, journal: Journal, inbox: Inbox, clock: Clock) -> None:
        self._source = source
        self._journal = journal
        self._inbox = inbox
        self._clock = clock

    async def run(self) -> None:
        """For ever."""
        name = await self._source.event_source()
        position = await self._journal.position(name) or 0
        while True:
            page = await self._source.events_after(position, PAGE)
            if not page:
                await self._source.wait_for_events()
                continue
            await self._accept(name, page)
            position = page[-1][0]

    async def _accept(self, name: str, page: list[tuple[int, str]]) -> None:
        envelopes = [(seq, _read(name, seq, text)) for seq, text in page]
        arrivals = [Arrival.of(f"{name}:{seq}", envelope) for seq, envelope in envelopes if envelope is not None]
        while True:
            try:
                await self._inbox.accept_wanted(arrivals, position=(name, page[-1][0]))
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
