"""Takes the outbox to one publisher, in order, and remembers how far it got.

Where that cannot be reached, events wait and nothing else does; after a crash the last ones are sent once more,
under the same ids. One that is refused again and again, while the next are taken, is set aside: kept in the journal,
and no longer in the way of the others.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

import structlog

from headrace.buses.port import BusUnavailable, Publication, PublicationRefused, Publisher
from headrace.clock import Clock
from headrace.errors import Unavailable
from headrace.events.outbox import publication
from headrace.journal.port import Journal, Unit, sweep
from headrace.journal.records import OutboxEvent
from headrace.journal.writes import AddDeadLetter, MovePosition, TrimOutbox

log = structlog.get_logger("headrace.events")

RETRY_S = 0.5
RETRY_CAP_S = 30.0
MAX_IN_A_ROW = 10
"""Events refused one after the other: with more of them it is the other side that is at fault, and events wait."""
CONFIRMATIONS = 6
"""Attempts, over half a minute, at each that was refused, once another is taken: that side may just have come back."""
LOOK_PAGE = 500
LOOK_AT_ONCE = 20_000
"""Rows looked at for one that is wanted; the rest the next time."""


class RelayMeter(Protocol):
    def published(self, publisher: str, count: int) -> None: ...

    def publications_waiting(self, publisher: str, count: int) -> None: ...

    def publication_set_aside(self, publisher: str) -> None: ...

    def publications_dropped(self, publisher: str, count: int) -> None: ...


class Relay:
    """`max_refusals`: how often one event may be refused before it is found out whether others are taken."""

    def __init__(
        self, publisher: Publisher, journal: Journal, clock: Clock, meter: RelayMeter, *, max_refusals: int = 10
    ) -> None:
        self._publisher = publisher
        self._journal = journal
        self._clock = clock
        self._meter = meter
        self._max_refusals = max_refusals
        self._failures = 0
        self._refusals: tuple[str, int] = ("", 0)
        """Of which event, how many, one after the other."""
        self._unwanted_to = 0
        self.position: int | None = None
        """The last event that it is done with; None until it begins. A new publisher is told of what comes from now."""

    @property
    def name(self) -> str:
        return f"to:{self._publisher.name}"

    async def run(self) -> None:
        """For ever."""
        origin = await self._journal.identity()
        if self.position is None:
            await self.begin()
        while True:
            try:
                page = await self._next_page()
                if page:
                    await self._hand_over(origin, page)
            except (BusUnavailable, Unavailable) as error:
                await self._pause(error)
            else:
                await self._went_well()
                if not page:
                    await self._journal.outbox_news()

    async def begin(self) -> None:
        """To be awaited before anything happens that is to be told: a new publisher's first event is the next one."""
        while self.position is None:
            try:
                position = await self._journal.position(self.name)
                await self._move(position if position is not None else await self._journal.outbox_end())
            except Unavailable as error:
                await self._pause(error)

    async def _next_page(self) -> list[OutboxEvent]:
        assert self.position is not None
        end = await self._journal.outbox_end()
        page = await self._journal.outbox(self.position, self._publisher.page)
        first = page[0].seq if page else end + 1
        if (count := first - self.position - 1) > 0:
            log.error("events of ours grew too old before they were taken", publisher=self._publisher.name, count=count)
            self._meter.publications_dropped(self._publisher.name, count)
            await self._move(first - 1)
            page = page or await self._journal.outbox(self.position, self._publisher.page)  # it may have come meanwhile
        return page

    async def _hand_over(self, origin: str, page: list[OutboxEvent]) -> None:
        wanted, end = self._wanted(origin, page), page[-1].seq
        if wanted and wanted[0][1].id == self._refusals[0]:
            wanted, end = wanted[:1], wanted[0][0]  # alone: those behind it are not sent with every attempt at it
        try:
            if wanted:
                await self._publisher.publish([each for _, each in wanted])
        except PublicationRefused as refusal:
            seq = next(seq for seq, each in wanted if each.id == refusal.publication_id)
            if seq > page[0].seq:
                await self._move(seq - 1)  # those before it have been taken
            await self._refused(origin, refusal)
            return
        await self._move(end)
        self._meter.published(self._publisher.name, len(wanted))

    def _wanted(self, origin: str, page: list[OutboxEvent]) -> list[tuple[int, Publication]]:
        return [(event.seq, publication(origin, event)) for event in page if self._publisher.wants(event.type)]

    async def _move(self, position: int, unit: Unit | None = None) -> None:
        unit = unit or Unit()
        unit.add(MovePosition(source=self.name, position=position))
        await self._journal.commit(unit)
        self.position = position

    # what is refused

    async def _refused(self, origin: str, refusal: PublicationRefused) -> None:
        """Set it aside once it is certain that it alone is at fault: others are taken. Raises it until then."""
        event_id, times = self._refusals
        self._refusals = refusal.publication_id, times + 1 if event_id == refusal.publication_id else 1
        if self._refusals[1] < self._max_refusals:
            raise refusal
        refused: list[tuple[Publication, str]] = []
        taken = await self._first_taken(origin, refused)
        if taken is None:
            raise refusal
        count = len(refused) + 1
        refused = await self._still_refused(refused)
        unit = Unit()
        for each, reason in refused:
            log.error("an event of ours is set aside", publisher=self._publisher.name, event_id=each.id, reason=reason)
            unit.add(
                AddDeadLetter(
                    publisher=self._publisher.name,
                    event_id=each.id,
                    type=each.type,
                    body=each.body.decode(),
                    reason=reason[:1_000],
                    at=self._clock.now_at(),
                )
            )
        await self._move(taken, unit)
        for _ in refused:
            self._meter.publication_set_aside(self._publisher.name)
        self._meter.published(self._publisher.name, count - len(refused))

    async def _first_taken(self, origin: str, refused: list[tuple[Publication, str]]) -> int | None:
        """The number of the first event that is taken, one by one; None where none of the next few is."""
        position, left = self.position or 0, LOOK_AT_ONCE
        while left > 0 and (page := await self._journal.outbox(position, LOOK_PAGE)):
            for seq, each in self._wanted(origin, page):
                if len(refused) > MAX_IN_A_ROW:
                    return None
                if (reason := await self._refusal_of(each)) is None:
                    return seq
                refused.append((each, reason))
            position = page[-1].seq
            if len(refused) == 1:  # what is behind it up to here is not wanted: the next look begins there
                position = self._unwanted_to = max(position, self._unwanted_to)
            left -= len(page)
            await asyncio.sleep(0)
        return None

    async def _still_refused(self, refused: list[tuple[Publication, str]]) -> list[tuple[Publication, str]]:
        """What is left of them after some more attempts: with a part of it back, it takes one and refuses another."""
        for number in range(CONFIRMATIONS):
            if refused:
                await self._clock.sleep(RETRY_S * 2**number)
            refused = [(each, reason) for each, _ in refused if (reason := await self._refusal_of(each)) is not None]
        return refused

    async def _refusal_of(self, each: Publication) -> str | None:
        try:
            await self._publisher.publish([each])
        except PublicationRefused as refusal:
            return str(refusal)
        return None

    # how it goes

    async def _pause(self, error: Exception) -> None:
        """Said once for each outage, not at each attempt."""
        if self._failures == 0:
            log.warning("events of ours wait", publisher=self._publisher.name, reason=str(error))
        await self._count_waiting()
        pause_s = min(RETRY_CAP_S, RETRY_S * 2**self._failures)
        self._failures = min(self._failures + 1, 10)
        await self._clock.sleep(pause_s)

    async def _went_well(self) -> None:
        if self._failures:
            log.info("events of ours go out again", publisher=self._publisher.name)
        self._failures = 0
        await self._count_waiting()

    async def _count_waiting(self) -> None:
        if self.position is not None:
            waiting = await self._journal.outbox_end() - self.position
            self._meter.publications_waiting(self._publisher.name, waiting)


async def trim_outbox(relays: list[Relay], journal: Journal, before_s: int) -> None:
    """Remove events that every publisher is done with, and those stored before this moment of time served."""
    if any(relay.position is None for relay in relays):
        return
    taken = min((relay.position or 0 for relay in relays), default=0)
    await sweep(journal, TrimOutbox(up_to_seq=taken, before_s=before_s))
