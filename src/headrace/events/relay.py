"""Publishes the outbox to one publisher, in order, and stores how far it got.

While the publisher is unreachable, its events wait and nothing else does; after a crash the last ones are sent once
more, under the same ids. An event that is refused again and again, while later ones are acknowledged, is
dead-lettered: kept in the journal, so that it no longer delays the others. The position moves by compare-and-set: of
two processes that publish to one publisher, the one that was overtaken stops, and leaves nothing behind but events
that are sent twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Protocol

import structlog

from headrace.buses.event_types import TYPES
from headrace.buses.port import BusUnavailable, Publication, PublicationRefused, Publisher
from headrace.clock import Clock
from headrace.errors import Deposed, Unavailable
from headrace.events.outbox import publication
from headrace.journal.port import Journal, Required, Unit, sweep
from headrace.journal.records import OutboxEvent
from headrace.journal.retention_writes import TrimOutbox
from headrace.journal.transfer import SKIP
from headrace.journal.writes import (
    AddDeadLetter,
    ConfirmPosition,
    MovePosition,
    WantType,
)

log = structlog.get_logger("headrace.events")

RETRY_S = 0.5
RETRY_CAP_S = 30.0
MAX_IN_A_ROW = 10
"""With more events refused one after the other the publisher is at fault, and events wait."""
CONFIRMATIONS = 6
"""Attempts, over half a minute, at each refused event once another is acknowledged: the publisher may be recovering."""
LOOK_PAGE = 500
LOOK_AT_ONCE = 20_000
"""Rows of one search for an event that the publisher takes."""


class RelayMeter(Protocol):
    def published(self, publisher: str, count: int) -> None: ...

    def publications_waiting(self, publisher: str, count: int) -> None: ...

    def publication_set_aside(self, publisher: str) -> None: ...

    def publications_dropped(self, publisher: str, count: int) -> None: ...


class Relay:
    """Publishes the outbox to one publisher.

    `announces`: at its beginning the types that the publisher takes become wanted; false for the server's own triggers,
    each of which wants its type from its creation. `max_refusals`: how often one event may be refused before the relay
    finds out whether others are acknowledged.
    """

    def __init__(
        self,
        publisher: Publisher,
        journal: Journal,
        clock: Clock,
        meter: RelayMeter,
        *,
        announces: bool = True,
        max_refusals: int = 10,
    ) -> None:
        self._publisher = publisher
        self._journal = journal
        self._clock = clock
        self._meter = meter
        self._announces = announces
        self._max_refusals = max_refusals
        self._is_deposed = False
        self._failures = 0
        self._refusals: tuple[str, int] = ("", 0)
        """The id of the event that was refused last, and the number of its refusals in a row."""
        self._unwanted_to = 0
        self.position: int | None = None
        """The last event that was acknowledged, as far as this process knows; None until it begins."""

    @property
    def publisher(self) -> str:
        return self._publisher.name

    @property
    def name(self) -> str:
        """Under which its position is stored."""
        return f"to:{self._publisher.name}"

    async def run(self) -> None:
        """Run until cancelled, or until another process publishes in place of this one."""
        if self._is_deposed:
            return
        try:
            await self._run()
        except Deposed:
            self._is_deposed = True
            log.error(
                "another process publishes to this publisher; this one stops",
                publisher=self._publisher.name,
                position=self.position,
                stored_position=await self._journal.position(self.name),
            )
        finally:
            self._meter.publications_waiting(self._publisher.name, 0)  # of several servers, the one that publishes says

    async def _run(self) -> None:
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
        """Want the publisher's types, and read its position; that of a new publisher is the end of the outbox.

        To be awaited before instances start: their events are published from then on.
        """
        while self.position is None:
            try:
                await self._begin()
            except Unavailable as error:
                await self._pause(error)
            except Deposed:  # another process has begun at the same moment: its position is read
                continue

    async def _begin(self) -> None:
        unit = Unit()
        if self._announces:
            for kind in filter(self._publisher.wants, TYPES):
                unit.add(WantType(type=kind))
        stored = await self._journal.position(self.name)
        if stored is None:
            await self._move(await self._journal.outbox_end(), unit)
            return
        if unit:
            await self._journal.commit(unit)
        self.position = stored

    async def _next_page(self) -> list[OutboxEvent]:
        assert self.position is not None
        end = await self._journal.outbox_end()
        page = await self._journal.outbox(self.position, self._publisher.page)
        first = page[0].seq if page else end + 1
        if (count := first - self.position - 1) > 0:
            if self.position // SKIP == (first - 1) // SKIP:  # else a restore has skipped the numbers between
                log.error("published events expired unacknowledged", publisher=self._publisher.name, count=count)
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
                await self._move(seq - 1)  # the events before it were acknowledged
            await self._refused(origin, refusal)
            return
        await self._move(end)
        self._meter.published(self._publisher.name, len(wanted))

    def _wanted(self, origin: str, page: list[OutboxEvent]) -> list[tuple[int, Publication]]:
        return [(event.seq, publication(origin, event)) for event in page if self._publisher.wants(event.type)]

    async def _move(self, position: int, unit: Unit | None = None) -> None:
        unit = unit or Unit()
        move = MovePosition(source=self.name, position=position, expected=self.position)
        unit.add(Required(move, partial(Deposed, self.name)))
        await self._journal.commit(unit)
        self.position = position

    # refusals

    async def _refused(self, origin: str, refusal: PublicationRefused) -> None:
        """Dead-letter the event once others are acknowledged, which proves it at fault; till then raise it."""
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
        for each, reason in refused:
            log.error("event dead-lettered", publisher=self._publisher.name, event_id=each.id, reason=reason)
            self._meter.publication_set_aside(self._publisher.name)
        self._meter.published(self._publisher.name, count - len(refused))

    async def _first_taken(self, origin: str, refused: list[tuple[Publication, str]]) -> int | None:
        """The number of the first event that is acknowledged when sent alone; None if the next few are all refused."""
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
        """The events that are refused in some more attempts too: a publisher that recovers may refuse one of two."""
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

    # outages

    async def _pause(self, error: Exception) -> None:
        """Wait for the next attempt; the first one of an outage is logged."""
        if self._failures == 0:
            log.warning("publisher unavailable; its events wait", publisher=self._publisher.name, reason=str(error))
        await self._count_waiting()
        pause_s = min(RETRY_CAP_S, RETRY_S * 2**self._failures)
        self._failures = min(self._failures + 1, 10)
        await self._clock.sleep(pause_s)

    async def _went_well(self) -> None:
        if self._failures:
            log.info("publisher available again", publisher=self._publisher.name)
        self._failures = 0
        await self._count_waiting()

    async def _count_waiting(self) -> None:
        if self.position is not None:
            end = await self._journal.outbox_end()
            skipped_to = end // SKIP * SKIP
            is_before = self.position < skipped_to  # where one event at least is waiting
            self._meter.publications_waiting(self._publisher.name, end - max(self.position, skipped_to) + is_before)


async def trim_outbox(relays: Sequence[Relay], journal: Journal, before_s: int) -> None:
    """Remove events that every publisher has acknowledged, and those stored before this moment of time served.

    The positions are those that the journal holds. These relays confirm that their publishers are in use; one that no
    process has confirmed since that moment no longer keeps events.
    """
    unit = Unit()
    for relay in relays:
        unit.add(ConfirmPosition(source=relay.name))
    if unit:
        await journal.commit(unit)
    await sweep(journal, TrimOutbox(before_s=before_s))
