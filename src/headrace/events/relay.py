"""Takes the outbox to one publisher, in order, and remembers how far it got.

Where that cannot be reached, events wait and nothing else does; after a crash the last ones are sent once more,
under the same ids.
"""

from __future__ import annotations

from typing import Protocol

import structlog

from headrace.clock import Clock
from headrace.errors import Unavailable
from headrace.events.bus import BusUnavailable, Publisher
from headrace.events.outbox import publication
from headrace.journal.port import Journal, Unit

log = structlog.get_logger("headrace.events")

RETRY_S = 0.5
RETRY_CAP_S = 30.0


class RelayMeter(Protocol):
    def published(self, publisher: str, count: int) -> None: ...

    def publications_waiting(self, publisher: str, count: int) -> None: ...


class Relay:
    def __init__(self, publisher: Publisher, journal: Journal, clock: Clock, meter: RelayMeter) -> None:
        self._publisher = publisher
        self._journal = journal
        self._clock = clock
        self._meter = meter
        self._failures = 0
        self.position: int | None = None
        """The last event that it has taken; None until it begins. A new publisher is told of what comes from now on."""

    @property
    def name(self) -> str:
        return f"to:{self._publisher.name}"

    async def run(self) -> None:
        """For ever."""
        origin = await self._journal.identity()
        if self.position is None:
            await self.begin()
        while True:
            assert self.position is not None
            page = await self._journal.outbox(self.position, self._publisher.page)
            if not page:
                await self._journal.outbox_news()
                continue
            try:
                await self._publisher.publish([publication(origin, event) for event in page])
                await self._move(page[-1].seq)
            except (BusUnavailable, Unavailable) as error:
                await self._pause(error, await self._journal.outbox_end() - self.position)
                continue
            self._went_well(len(page), await self._journal.outbox_end() - self.position)

    async def begin(self) -> None:
        """To be awaited before anything happens that is to be told: a new publisher's first event is the next one."""
        while True:
            try:
                position = await self._journal.position(self.name)
                await self._move(position if position is not None else await self._journal.outbox_end())
            except Unavailable as error:
                await self._pause(error, 0)
            else:
                return

    async def _move(self, position: int) -> None:
        unit = Unit()
        unit.add("move_position", self.name, position)
        await self._journal.commit(unit)
        self.position = position

    async def _pause(self, error: Exception, waiting: int) -> None:
        """Said once for each outage, not at each attempt."""
        if self._failures == 0:
            log.warning("events of ours wait", publisher=self._publisher.name, reason=str(error))
        self._meter.publications_waiting(self._publisher.name, waiting)
        pause_s = min(RETRY_CAP_S, RETRY_S * 2**self._failures)
        self._failures = min(self._failures + 1, 10)
        await self._clock.sleep(pause_s)

    def _went_well(self, count: int, waiting: int) -> None:
        if self._failures:
            log.info("events of ours go out again", publisher=self._publisher.name)
        self._failures = 0
        self._meter.published(self._publisher.name, count)
        self._meter.publications_waiting(self._publisher.name, waiting)


async def trim_outbox(relays: list[Relay], journal: Journal, oldest_at: int) -> None:
    """Forget what every publisher has taken, and what is older than this, a thousand events at most."""
    if any(relay.position is None for relay in relays):
        return
    taken = min((relay.position or 0 for relay in relays), default=0)
    unit = Unit()
    unit.add("trim_outbox", taken, oldest_at)
    await journal.commit(unit)
