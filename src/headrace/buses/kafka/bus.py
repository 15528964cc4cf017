"""Kafka as a bus: a consumer group for the topics read, and an idempotent producer for publications.

The client library is synchronous and runs in two threads: one owns the consumer (`reader.py`), one the producer
(`clients.py`). Their results come back to the event loop here.
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
    """Implements Subscriber and Publisher of `buses.port`. It contacts the broker on first use."""

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
        """Cancellation loses nothing: arrived deliveries wait for the next call."""
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
        """Commit each partition up to the first unacknowledged delivery; skip partitions assigned to another process.

        Raises BusUnavailable. The acknowledgement is then repeated when possible, or the deliveries come again.
        """
        self._require_open()
        if self._reader is not None and deliveries:
            await self._reader.acknowledge(deliveries)

    async def dead_letter(self, delivery: Delivery, reason: str) -> None:
        added = {KEY_HEADER: delivery.key, TOPIC_HEADER: delivery.topic, REASON_HEADER: reason}
        record = Record(self._options.dead_letter_topic, delivery.key, delivery.body, {**delivery.headers, **added})
        with suppress(TooLong):
            await self._write([record])
            return
        added[REASON_HEADER] = f"{reason} (its {len(delivery.body)} bytes exceed the limit of this topic)"
        await self._write([Record(record.topic, record.key, b"", added)])

    # publications

    def wants(self, kind: str) -> bool:
        return True

    async def publish(self, publications: Sequence[Publication]) -> None:
        """Publish under the journal's id as key: records with one key share a partition, which keeps their order."""
        topic = self._options.publish_topic
        records = [Record(topic, each.id.rpartition(":")[0], each.body, each.headers) for each in publications]
        try:
            if records:
                await self._write(records)
        except TooLong as error:
            refused = publications[records.index(error.record)]
            raise PublicationRefused(refused.id, f"event {refused.id}: {error}") from None

    async def close(self) -> None:
        """Close within a time limit: threads that wait for a silent broker are left behind."""
        self._is_closed = True
        self._changed.set()
        if self._reader is not None and not await self._reader.stop(CLOSE_S):
            log.warning("the consumer was not closed in time", broker=self._options.where)
        self._writer.abandon()
        self._out.shutdown(wait=False, cancel_futures=True)

    # inside

    def _require_open(self) -> None:
        if self._is_closed:
            raise BusUnavailable("the connection to Kafka was closed")

    async def _open(self) -> None:
        """Create missing topics, once."""
        async with self._opening:
            self._require_open()
            if not self._is_open:
                await asyncio.to_thread(self._topics.ensure, self._options.all_topics)
                self._is_open = True

    async def _write(self, records: list[Record]) -> None:
        """Write one list after another, even after a caller stopped waiting."""
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
