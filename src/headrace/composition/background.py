"""The work of a server beside its requests and its engine: events in and out, retention, gauges.

Consumers of a broker run in every server, as the broker spreads the deliveries. All else is a duty: one of the servers
that share a journal does it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from functools import partial

from headrace.background import in_background
from headrace.buses.port import Publisher
from headrace.clock import Clock
from headrace.composition.brokers import Buses
from headrace.errors import Unavailable
from headrace.events.consumer import Consumer
from headrace.events.duties import Duties, Work
from headrace.events.feed import EventSource, Feed
from headrace.events.loopback import LoopbackPublisher
from headrace.events.relay import Relay, trim_outbox
from headrace.journal.port import Journal
from headrace.journal.retention import Keep, Retention
from headrace.settings import Settings
from headrace.telemetry import Telemetry
from headrace.triggers.dispatcher import Dispatcher, DispatcherLimits
from headrace.usecases.batch_driver import BatchDriver
from headrace.usecases.ports import Ports

FLUSH_LOG_EVERY_S = 5.0
COUNT_EVERY_S = 15.0
DAY_S = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Background:
    """`journal`: the one without traces. `woken`: set when the inbox has new events. `source`: that of the sandbox.

    `duties` None: another process has them.
    """

    settings: Settings
    journal: Journal
    duties: Duties | None
    ports: Ports
    woken: asyncio.Event
    buses: Buses
    source: EventSource | None
    telemetry: Telemetry
    clock: Clock

    async def begin(self) -> None:
        """Store what every publisher wants and where it begins; awaited before the engine starts.

        Events of instances are published from then on.
        """
        for relay in self._relays():
            self.telemetry.expect_publisher(relay.publisher)
            await relay.begin()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Do all of it until the block ends."""
        works = [self._flush_log]
        if (subscriber := self.buses.subscriber) is not None:
            consumer = Consumer(
                subscriber,
                self.journal,
                self.ports.inbox,
                self.clock,
                self.telemetry,
                max_failures=self.settings.max_deliveries,
                max_body_bytes=self.settings.max_body_bytes,
            )
            works.append(consumer.run)
        if self.duties is not None:
            works += [partial(self.duties.run, duty, work) for duty, work in self.work_of_duties().items()]
        async with contextlib.AsyncExitStack() as stack:
            stack.callback(self.telemetry.flush_log)
            for work in works:
                await stack.enter_async_context(in_background(work, self.clock))
            yield

    def work_of_duties(self) -> dict[str, Work]:
        """The work of each duty by the duty's name; its memory is new whenever this process takes the duty."""
        works: dict[str, Work] = {
            **self.ports.engine.duties,
            "triggers": self._fire_triggers,
            "batches": lambda: BatchDriver(self.ports).run(),
            "retention": self._retain,
            "gauges": self._count,
        }
        for publisher in self._publishers():
            works[f"publish to {publisher.name}"] = partial(self._publish, publisher)
        if (source := self.source) is not None:
            works["feed"] = lambda: Feed(source, self.journal, self.ports.inbox, self.clock).run()
        return works

    async def _fire_triggers(self) -> None:
        ports = self.ports
        limits = DispatcherLimits(events=self.settings.events_at_once)
        dispatcher = Dispatcher(
            ports.journal,
            ports.engine,
            ports.runners,
            ports.evaluator,
            self.clock,
            ports.ids,
            self.telemetry,
            limits,
            ports.outbox,
            self.woken,
        )
        await dispatcher.run()

    async def _retain(self) -> None:
        keep = Keep(
            keys_s=self.settings.remember_days * DAY_S,
            events_s=self.settings.keep_events_days * DAY_S,
            outbox_s=self.settings.keep_outbox_days * DAY_S,
        )
        await Retention(self.journal, self.clock, keep, partial(trim_outbox, self._relays(), self.journal)).run()

    async def _count(self) -> None:
        """Report what the journal holds, which no server alone knows."""
        try:
            while True:
                with contextlib.suppress(Unavailable):
                    self.telemetry.journal_counts(await self.journal.counts())
                await self.clock.sleep(COUNT_EVERY_S)
        finally:
            self.telemetry.journal_counts(None)

    async def _publish(self, publisher: Publisher) -> None:
        await self._relay(publisher).run()

    def _relays(self) -> list[Relay]:
        return [self._relay(publisher) for publisher in self._publishers()]

    def _relay(self, publisher: Publisher) -> Relay:
        announces = not isinstance(publisher, LoopbackPublisher)
        return Relay(publisher, self.journal, self.clock, self.telemetry, announces=announces)

    def _publishers(self) -> tuple[Publisher, ...]:
        return (LoopbackPublisher(self.ports.inbox), *self.buses.publishers)

    async def _flush_log(self) -> None:
        while True:
            await self.clock.sleep(FLUSH_LOG_EVERY_S)
            self.telemetry.flush_log()
