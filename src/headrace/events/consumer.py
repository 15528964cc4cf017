"""Takes what a bus delivers into the inbox; a delivery is acknowledged after the commit, never before.

A delivery that is no event, or that fails again and again for a reason of its own, is set aside in the dead-letter
topic. A journal that cannot commit is nobody's fault: then deliveries wait, however long.
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
        """`outcome`: taken or set_aside."""
        ...


class Consumer:
    """`max_failures`: how often a delivery may fail for a reason of its own."""

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
        """For ever."""
        origin = await self._journal.identity()
        while True:
            deliveries = await self._surely(self._subscriber.receive)
            await self._take(origin, deliveries)
            try:
                await self._subscriber.acknowledge(deliveries)
            except BusUnavailable as error:
                log.warning("deliveries are not acknowledged; they come again", reason=str(error))

    async def _take(self, origin: str, deliveries: Sequence[Delivery]) -> None:
        """All of them are in the inbox on return, or set aside."""
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
                await self._set_aside(delivery, str(error))
        try:
            await self._accept([arrival for _, arrival in arrivals])
        except Exception as error:  # noqa: BLE001  # one of them, or an error of ours: the others must not suffer
            log.warning("deliveries cannot be taken together", reason=repr(error))
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
            except Exception as error:  # noqa: BLE001  # whatever it is, it is this delivery's
                failure = repr(error)
                await self._clock.sleep(RETRY_S)
            else:
                self._meter.deliveries("taken", 1)
                return
        await self._set_aside(delivery, f"failed {self._max_failures} times: {failure}")

    async def _set_aside(self, delivery: Delivery, reason: str) -> None:
        log.error("a delivery is set aside", key=delivery.key, topic=delivery.topic, reason=reason[:400])
        await self._surely(lambda: self._subscriber.set_aside(delivery, reason[:1_000]))
        self._meter.deliveries("set_aside", 1)

    async def _surely(self, ask: Callable[[], Awaitable[_T]]) -> _T:
        """However long the bus is away; said once for each outage."""
        is_said = False
        while True:
            try:
                return await ask()
            except BusUnavailable as error:
                if not is_said:
                    log.warning("the bus cannot be reached; trying again", reason=str(error))
                is_said = True
                await self._clock.sleep(RETRY_S)
