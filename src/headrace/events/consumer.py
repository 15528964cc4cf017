"""Moves deliveries of a bus into the inbox. A delivery is acknowledged after the commit, never before.

A malformed delivery, or one that fails repeatedly for a reason of its own, is dead-lettered. While the journal cannot
commit, deliveries wait without a limit.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeVar

import structlog

from headrace.buses.port import DEPTH_HEADER, EVENT_HEADER, BusUnavailable, Delivery, Subscriber
from headrace.clock import Clock
from headrace.errors import InvalidValue, Unavailable
from headrace.events.cloudevents import KAFKA_PREFIX, attributes_of, binary, event_of
from headrace.events.inbox import Arrival, Inbox
from headrace.events.outbox import depth_of, is_own
from headrace.journal.port import Journal
from headrace.json_text import decode_event

log = structlog.get_logger("headrace.events")

RETRY_S = 1.0
_T = TypeVar("_T")


class ConsumerMeter(Protocol):
    def deliveries(self, outcome: str, count: int) -> None:
        """Count deliveries. `outcome` is taken or set_aside."""
        ...


class Consumer:
    """Consumes one bus. `max_failures` is the number of failures after which a delivery is dead-lettered."""

    def __init__(
        self,
        subscriber: Subscriber,
        journal: Journal,
        inbox: Inbox,
        clock: Clock,
        meter: ConsumerMeter,
        *,
        max_failures: int = 5,
        max_body_bytes: int = 1 << 20,
    ) -> None:
        self._subscriber = subscriber
        self._journal = journal
        self._inbox = inbox
        self._clock = clock
        self._meter = meter
        self._max_failures = max_failures
        self._max_body_bytes = max_body_bytes

    async def run(self) -> None:
        """Run until cancelled."""
        origin = await self._journal.identity()
        while True:
            deliveries = await self._until_reachable(self._subscriber.receive)
            await self._take(origin, deliveries)
            try:
                await self._subscriber.acknowledge(deliveries)
            except BusUnavailable as error:
                log.warning("deliveries are not acknowledged and will be delivered again", reason=str(error))

    async def _take(self, origin: str, deliveries: Sequence[Delivery]) -> None:
        """Put all deliveries into the inbox, or dead-letter them."""
        arrivals: list[tuple[Delivery, Arrival]] = []
        for delivery in deliveries:
            if is_own(origin, delivery.header(EVENT_HEADER)):
                continue
            try:
                if len(delivery.body) > self._max_body_bytes:
                    raise InvalidValue("body", f"is longer than {self._max_body_bytes} bytes")
                # An envelope or a CloudEvent, read as strictly as over HTTP.
                value = decode_event(delivery.body)
                headers = delivery.headers.items()
                attributes = attributes_of(headers) or attributes_of(headers, KAFKA_PREFIX)
                envelope = binary(attributes, value) if attributes else event_of(value)
                arrival = Arrival.of(delivery.key, envelope, depth_of(delivery.header(DEPTH_HEADER)))
                arrivals.append((delivery, arrival))
            except (InvalidValue, ValueError, RecursionError) as error:
                await self._dead_letter(delivery, str(error))
        try:
            await self._accept([arrival for _, arrival in arrivals])
        except Exception as error:  # noqa: BLE001  # one of them may be the cause: retry each alone
            log.warning("cannot accept deliveries together; accepting them one by one", reason=repr(error))
            for delivery, arrival in arrivals:
                await self._take_alone(delivery, arrival)
        else:
            self._meter.deliveries("taken", len(arrivals))

    async def _accept(self, arrivals: list[Arrival]) -> None:
        while True:
            try:
                await self._inbox.accept_wanted(arrivals)
            except Unavailable as error:
                log.warning("the journal cannot commit; deliveries wait", reason=str(error))
                await self._clock.sleep(RETRY_S)
            else:
                return

    async def _take_alone(self, delivery: Delivery, arrival: Arrival) -> None:
        failure = ""
        for _ in range(self._max_failures):
            try:
                await self._accept([arrival])
            except Exception as error:  # noqa: BLE001  # the cause is this delivery
                failure = repr(error)
                await self._clock.sleep(RETRY_S)
            else:
                self._meter.deliveries("taken", 1)
                return
        await self._dead_letter(delivery, f"failed {self._max_failures} times: {failure}")

    async def _dead_letter(self, delivery: Delivery, reason: str) -> None:
        log.error("dead-lettered a delivery", key=delivery.key, topic=delivery.topic, reason=reason[:400])
        await self._until_reachable(lambda: self._subscriber.dead_letter(delivery, reason[:1_000]))
        self._meter.deliveries("set_aside", 1)

    async def _until_reachable(self, ask: Callable[[], Awaitable[_T]]) -> _T:
        """Repeat `ask` while the bus is unreachable. Logs each outage once."""
        is_said = False
        while True:
            try:
                return await ask()
            except BusUnavailable as error:
                if not is_said:
                    log.warning("the bus is unreachable; retrying", reason=str(error))
                is_said = True
                await self._clock.sleep(RETRY_S)
