"""Kafka as a bus: one group of consumers over the topics read, an idempotent producer for what goes out.

The client is the synchronous one, in two threads: one owns the consumer (`reader.py`), one the producer
(`clients.py`). What they report comes back to the event loop here.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING

import structlog

from headrace.buses.kafka.options import BATCH, KafkaOptions, Record, TooLong
from headrace.buses.port import (
    KEY_HEADER,
    REASON_HEADER,
    TOPIC_HEADER,
    BusUnavailable,
    Delivery,
    Publication,
    PublicationRefused,
)
from headrace.clock import Clock

if TYPE_CHECKING:
    from headrace.buses.kafka.reader import Reader

log = structlog.get_logger("headrace.events")

CLOSE_S = 5.0


class KafkaBus:
    """Subscriber and Publisher of `buses.port`. The broker is first asked for something when something is wanted."""

    page = 200

    def __init__(self, options: KafkaOptions, clock: Clock) -> None:
        from headrace.buses.kafka.clients import Topics, Writer

        self._options = options
        self._clock = clock
        self._topics = Topics(options)
        self._writer = Writer(options, self._topics)
        self._out = ThreadPoolExecutor(1, "headrace-kafka-out")
        self._opening = asyncio.Lock()
        self._is_open = False
        self._is_closed = False
        self._reader: Reader | None = None
        self._arrived: deque[Delivery] = deque()
        self._trouble: str | None = None
        self._changed = asyncio.Event()

    @property
    def name(self) -> str:
        return f"kafka:{self._options.publish_topic}"

    # deliveries

    async def receive(self) -> list[Delivery]:
        """Cancelled at any moment it loses nothing: what has arrived waits for the next call."""
        await self._open()
        if self._reader is None:
            from headrace.buses.kafka.reader import Reader

            reader = Reader(self._options, self._topics, self._clock, self._on_deliveries, self._on_trouble)
            reader.start()
            self._reader = reader
        while not (deliveries := self._reader.take(self._arrived, BATCH)):
            self._require_open()
            if self._trouble is not None:
                trouble, self._trouble = self._trouble, None
                raise BusUnavailable(trouble)
            self._changed.clear()
            await self._changed.wait()
        return deliveries

    async def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        """Up to the first that is not acknowledged, in each partition; those of one that is not ours any more: nothing.

        Raises BusUnavailable: then they are acknowledged as soon as that is possible, or come again.
        """
        self._require_open()
        if self._reader is not None and deliveries:
            await self._reader.acknowledge(deliveries)

    async def set_aside(self, delivery: Delivery, reason: str) -> None:
        added = {KEY_HEADER: delivery.key, TOPIC_HEADER: delivery.topic, REASON_HEADER: reason}
        record = Record(self._options.dead_letter_topic, delivery.key, delivery.body, {**delivery.headers, **added})
        with suppress(TooLong):
            await self._write([record])
            return
        added[REASON_HEADER] = f"{reason} (its {len(delivery.body)} bytes are more than this topic takes)"
        await self._write([Record(record.topic, record.key, b"", added)])

    # publications

    def wants(self, kind: str) -> bool:
        return True

    async def publish(self, publications: Sequence[Publication]) -> None:
        """The key is the journal they come from: they share a partition, and their order holds."""
        topic = self._options.publish_topic
        records = [Record(topic, each.id.rpartition(":")[0], each.body, each.headers) for each in publications]
        try:
            if records:
                await self._write(records)
        except TooLong as error:
            refused = publications[records.index(error.record)]
            raise PublicationRefused(refused.id, f"event {refused.id}: {error}") from None

    async def close(self) -> None:
        """Bounded: threads that wait for a broker which does not answer are left behind."""
        self._is_closed = True
        self._changed.set()
        if self._reader is not None and not await self._reader.stop(CLOSE_S):
            log.warning("the consumer was not closed in time", broker=self._options.where)
        self._writer.abandon()
        self._out.shutdown(wait=False, cancel_futures=True)

    # inside

    def _require_open(self) -> None:
        if self._is_closed:
            raise BusUnavailable("the connection to Kafka was closed by us")

    async def _open(self) -> None:
        """Topics that are missing are made, once."""
        async with self._opening:
            self._require_open()
            if not self._is_open:
                await asyncio.to_thread(self._topics.ensure, self._options.all_topics)
                self._is_open = True

    async def _write(self, records: list[Record]) -> None:
        """One after the other, also when a caller gave up waiting."""
        await self._open()
        self._require_open()
        await asyncio.get_running_loop().run_in_executor(self._out, self._writer.write, records)

    def _on_deliveries(self, deliveries: list[Delivery]) -> None:
        self._trouble = None
        self._arrived.extend(deliveries)
        self._changed.set()

    def _on_trouble(self, sentence: str) -> None:
        self._trouble = sentence
        self._changed.set()
