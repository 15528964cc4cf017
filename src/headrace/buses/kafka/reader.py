"""The thread that owns the consumer of Kafka's topics. Other threads hand their requests to it.

A delivery's key contains topic id, partition and offset, and the id must be right: a topic that is created again has
the old name and the old offsets. Therefore the ids are read *after* a batch and before it is handed over. If one
changed, the batch is dropped, and the topic is read from its own commits or from its beginning. A commit carries the
topic's id for that.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from operator import methodcaller
from queue import Empty, SimpleQueue

import structlog
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition

from headrace.buses.kafka.clients import (
    CODES,
    NO_SUCH_TOPIC,
    REQUEST_S,
    Causes,
    Topics,
    client_log,
    client_settings,
    error_of,
    made,
    sentence,
)
from headrace.buses.kafka.options import BATCH, KafkaOptions
from headrace.buses.port import BusUnavailable, Delivery
from headrace.clock import Clock

log = structlog.get_logger("headrace.events")

POLL_S = 0.05
RETRY_S = 1.0
SESSION_MS = 6_000
"""Seconds after which the broker gives a dead process's partitions to another; Kafka's default is 45 s."""

_Place = tuple[str, int]
_Headers = list[tuple[str, str | bytes | None]]
_headers_of: Callable[[Message], _Headers | None] = methodcaller("headers")
_IDLE = (CODES._PARTITION_EOF, CODES._TRANSPORT, CODES._TIMED_OUT)
_Order = tuple[list["Receipt"], "asyncio.Future[None]"]


@dataclass(slots=True, eq=False)
class Partition:
    """A partition assigned to this consumer. `end` is the offset after the last one handed over."""

    topic: str
    number: int
    topic_id: str
    end: int = -1
    committed: int = -1
    outstanding: dict[int, Delivery] = field(default_factory=dict[int, Delivery])
    """Receipts by offset, ascending."""
    size: int = 0
    is_ours: bool = True

    @property
    def position(self) -> int:
        """Offset below which everything is acknowledged."""
        return next(iter(self.outstanding), self.end)

    @property
    def is_behind(self) -> bool:
        return self.position != self.committed

    def take(self, offset: int, delivery: Delivery) -> None:
        if offset < self.end:  # the log begins again: it was truncated, or read from its beginning
            self.outstanding.clear()
            self.size = 0
        if self.committed < 0:
            self.committed = offset  # no earlier delivery
        self.outstanding[offset] = delivery
        self.size += len(delivery.body)
        self.end = offset + 1

    def acknowledge(self, offset: int) -> None:
        delivery = self.outstanding.pop(offset, None)
        self.size -= len(delivery.body) if delivery is not None else 0

    def at(self, offset: int) -> TopicPartition:
        return TopicPartition(self.topic, self.number, offset, metadata=self.topic_id)


@dataclass(slots=True, eq=False)
class Receipt:
    partition: Partition
    offset: int
    taken_at_s: float | None = None
    """Time of the last hand-over; None before the first."""
    is_acknowledged: bool = False

    @property
    def is_wanted(self) -> bool:
        return self.partition.is_ours and not self.is_acknowledged


class Reader:
    """Belongs to the event loop that creates it: call `acknowledge` there; `give` and `complain` run there."""

    def __init__(
        self,
        options: KafkaOptions,
        topics: Topics,
        clock: Clock,
        give: Callable[[list[Delivery]], None],
        complain: Callable[[str], None],
    ) -> None:
        self._options = options
        self._topics = topics
        self._clock = clock
        self._give = give
        self._complain = complain
        self._loop = asyncio.get_running_loop()
        self._orders: SimpleQueue[_Order] = SimpleQueue()
        self._stopping = threading.Event()
        self._causes = Causes()
        self._unconfirmed: set[asyncio.Future[None]] = set()
        self._thread = threading.Thread(target=self._work, name="headrace-kafka-in", daemon=True)
        self._begin()

    def start(self) -> None:
        self._thread.start()

    def take(self, arrived: deque[Delivery], count: int) -> list[Delivery]:
        """Take the next deliveries for `receive`, except acknowledged ones and those of lost partitions."""
        now_s = self._clock.monotonic_s()
        deliveries: list[Delivery] = []
        while arrived and len(deliveries) < count:
            delivery = arrived.popleft()
            receipt = receipt_of(delivery)
            if receipt.is_wanted:
                receipt.taken_at_s = now_s
                deliveries.append(delivery)
        return deliveries

    async def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        receipts = [receipt for each in deliveries if isinstance(receipt := each.receipt, Receipt)]
        for receipt in receipts:
            receipt.is_acknowledged = True
        confirmation: asyncio.Future[None] = self._loop.create_future()
        self._unconfirmed.add(confirmation)
        self._orders.put((receipts, confirmation))
        try:
            await confirmation
        finally:
            self._unconfirmed.discard(confirmation)

    async def stop(self, timeout_s: float) -> bool:
        """Stop the thread. Returns False if it still waits for the broker and is left behind."""
        self._stopping.set()
        await asyncio.to_thread(self._thread.join, timeout_s)
        _settle_futures(list(self._unconfirmed), f"not acknowledged: {self._options.where} does not answer")
        return not self._thread.is_alive()

    # the thread

    def _begin(self) -> None:
        """Reset the state of one consumer."""
        self._consumer: Consumer | None = None
        self._partitions: dict[_Place, Partition] = {}
        self._unknown: set[_Place] = set()
        """Assigned partitions that are not read yet, because their topic's id must be read first."""
        self._read: list[tuple[Message, Partition]] = []
        self._waiting: list[asyncio.Future[None]] = []
        self._missing: dict[str, float] = {}
        """Missing topics, with the time when they were noticed."""
        self._is_paused = False
        self._commit_at_s = self._adopt_at_s = self._check_at_s = self._remind_at_s = 0.0

    def _work(self) -> None:
        while not self._stopping.is_set():
            try:
                self._begin()
                consumer = self._consumer = self._subscribed()
                while not self._stopping.is_set():
                    self._step(consumer)
            except BusUnavailable as error:
                self._report(str(error))
            except KafkaException as exception:
                self._report(sentence(self._options, self._causes.of(error_of(exception))))
            except Exception as error:  # noqa: BLE001  # a new consumer resumes at the same position
                log.error("reading Kafka failed; restarting the consumer", reason=repr(error))
                self._report(f"reading {self._options.where} failed: {error!r}")

            # Close the consumer: the next one reads again what was not acknowledged.
            consumer, self._consumer = self._consumer, None
            try:
                if consumer is not None:
                    self._settle(consumer)
                    consumer.close()
            except (KafkaException, RuntimeError) as error:
                log.warning("the consumer was not closed cleanly", broker=self._options.where, reason=repr(error))
            self._forget(list(self._partitions))
            self._take_orders()
            self._confirm(f"reading {self._options.where} has ended")
            if not self._stopping.is_set():
                self._stopping.wait(RETRY_S)

    def _subscribed(self) -> Consumer:
        settings = {
            **client_settings(self._options),
            "group.id": self._options.group,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "partition.assignment.strategy": "cooperative-sticky",
            "session.timeout.ms": SESSION_MS,
            "heartbeat.interval.ms": SESSION_MS // 3,
            "topic.metadata.refresh.interval.ms": 30_000,
            "error_cb": self._on_error,
        }
        consumer = made(self._options, lambda: Consumer(settings, logger=client_log()))
        consumer.subscribe(
            list(self._options.topics), on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost
        )
        return consumer

    def _step(self, consumer: Consumer) -> None:
        self._settle(consumer)

        # Reading rests while too much is outstanding. Polling does not: the group would take us for dead.
        partitions = list(self._partitions.values())
        count = sum(len(partition.outstanding) for partition in partitions)
        fullness = max(
            count / self._options.max_outstanding,
            sum(partition.size for partition in partitions) / self._options.max_outstanding_bytes,
        )
        places = [TopicPartition(partition.topic, partition.number) for partition in partitions]
        if not self._is_paused and fullness >= 1:
            self._is_paused = True
            consumer.pause(places)
        elif self._is_paused and fullness <= 0.5:
            self._is_paused = False
            consumer.resume(places)

        if not self._is_paused:
            self._adopt(consumer)
        if not self._read:
            self._read = self._poll(consumer)
        if self._read or self._clock.monotonic_s() >= self._check_at_s:
            self._check(consumer)

        # What was not acknowledged for long is handed over again: the recipient may have lost it.
        now_s = self._clock.monotonic_s()
        if now_s >= self._remind_at_s:
            self._remind_at_s = now_s + RETRY_S
            forgotten: list[Delivery] = []
            for partition in self._partitions.values():
                for delivery in partition.outstanding.values():
                    receipt = receipt_of(delivery)
                    if receipt.taken_at_s is not None and now_s - receipt.taken_at_s >= self._options.ack_wait_s:
                        receipt.taken_at_s = None
                        forgotten.append(delivery)
            if forgotten:
                self._call(self._give, forgotten)

    # acknowledgements

    def _settle(self, consumer: Consumer) -> None:
        self._take_orders()
        behind = [partition for partition in self._partitions.values() if partition.is_behind]
        if not behind:
            self._confirm(None)
        elif self._waiting or self._clock.monotonic_s() >= self._commit_at_s:
            self._commit(consumer, behind)

    def _take_orders(self) -> None:
        with contextlib.suppress(Empty):
            while True:
                receipts, confirmation = self._orders.get_nowait()
                for receipt in receipts:
                    receipt.partition.acknowledge(receipt.offset)
                self._waiting.append(confirmation)

    def _commit(self, consumer: Consumer, behind: list[Partition]) -> None:
        """Commit offsets. A failed commit is repeated later, whether or not a caller waits."""
        places = [partition.at(partition.position) for partition in behind]
        try:
            done = consumer.commit(offsets=places, asynchronous=False)
            errors = [place.error for place in done or [] if place.error is not None]
        except KafkaException as exception:
            errors = [error_of(exception)]
        if errors:
            self._commit_at_s = self._clock.monotonic_s() + RETRY_S
            self._check_at_s = 0.0
            self._confirm(f"not acknowledged: {sentence(self._options, self._causes.of(errors[0]))}")
            return
        for partition, place in zip(behind, places, strict=True):
            partition.committed = place.offset
        self._confirm(None)

    def _confirm(self, trouble: str | None) -> None:
        waiting, self._waiting = self._waiting, []
        if waiting:
            self._call(_settle_futures, waiting, trouble)

    # assignment

    def _on_assign(self, consumer: Consumer, places: list[TopicPartition]) -> None:
        self._unknown |= {(place.topic, place.partition) for place in places}
        consumer.incremental_assign([])  # not yet: see _adopt

    def _on_revoke(self, consumer: Consumer, places: list[TopicPartition]) -> None:
        if self._clock.monotonic_s() >= self._commit_at_s:
            self._settle(consumer)
        self._on_lost(consumer, places)

    def _on_lost(self, consumer: Consumer, places: list[TopicPartition]) -> None:
        """Drop lost partitions. Unacknowledged deliveries come again, to the new owner of the partition."""
        wanted = [(place.topic, place.partition) for place in places]
        self._unknown -= set(wanted)
        self._drop(consumer, wanted)

    def _drop(self, consumer: Consumer, places: Iterable[_Place]) -> None:
        consumer.incremental_unassign([TopicPartition(*place) for place in self._forget(places)])

    def _forget(self, places: Iterable[_Place]) -> list[_Place]:
        """Remove partitions, and return those that were known."""
        known = [place for place in places if place in self._partitions]
        for place in known:
            self._partitions.pop(place).is_ours = False
        return known

    def _adopt(self, consumer: Consumer) -> None:
        """Begin to read assigned partitions: from the group's position if it belongs to this very topic."""
        if not self._unknown or self._clock.monotonic_s() < self._adopt_at_s:
            return
        self._adopt_at_s = self._clock.monotonic_s() + RETRY_S
        try:
            ids = self._topics.ids(topic for topic, _ in self._unknown)
            places = [TopicPartition(*place) for place in sorted(self._unknown) if place[0] in ids]
            stands = consumer.committed(places, timeout=REQUEST_S) if places else []
        except BusUnavailable as error:
            self._report(str(error))
            return
        except KafkaException as exception:
            self._report(sentence(self._options, self._causes.of(error_of(exception))))
            return
        for topic in {topic for topic, _ in self._unknown} - set(ids):
            self._report(f"{self._options.where} no longer has topic {topic}")
        self._assign(consumer, [stand for stand in stands if stand.error is None], ids)

    def _assign(self, consumer: Consumer, stands: list[TopicPartition], ids: dict[str, str]) -> None:
        starts: list[TopicPartition] = []
        for stand in stands:
            partition = Partition(stand.topic, stand.partition, ids[stand.topic])
            is_of_this_topic = stand.offset >= 0 and stand.metadata in (None, "", partition.topic_id)
            if is_of_this_topic:  # an operator may have moved it by hand, without an id
                partition.end = partition.committed = stand.offset
            starts.append(partition.at(stand.offset if is_of_this_topic else OFFSET_BEGINNING))
            self._partitions[stand.topic, stand.partition] = partition
            self._unknown.discard((stand.topic, stand.partition))
        if starts:
            consumer.incremental_assign(starts)

    # deliveries

    def _poll(self, consumer: Consumer) -> list[tuple[Message, Partition]]:
        """Poll everything available, at most a batch; otherwise wait briefly for the next record."""
        read: list[tuple[Message, Partition]] = []
        wait_s = POLL_S
        capacity = self._options.max_outstanding_bytes // 8
        while len(read) < BATCH and capacity > 0 and (message := consumer.poll(wait_s)) is not None:
            wait_s = 0
            partition = self._partitions.get((message.topic() or "", message.partition() or 0))
            error = message.error()
            if error is not None:
                if error.fatal():
                    raise KafkaException(error)
                if error.code() in NO_SUCH_TOPIC:
                    self._check_at_s = 0.0
                if error.code() not in _IDLE:
                    self._report(sentence(self._options, error))
            elif partition is not None:
                read.append((message, partition))
                capacity -= len(message)
        return read

    def _check(self, consumer: Consumer) -> None:
        """Hand over the records read, if their topics have the same ids as before."""
        try:
            ids = self._topics.ids(self._options.topics)
            self._make_again(topic for topic in self._options.topics if topic not in ids)
        except BusUnavailable as error:  # the records are kept
            self._report(str(error))
            self._stopping.wait(POLL_S)
            return
        self._check_at_s = self._clock.monotonic_s() + self._options.check_s
        others = [place for place, known in self._partitions.items() if ids.get(place[0]) != known.topic_id]
        if others:
            log.warning("topics were replaced", topics=sorted({topic for topic, _ in others}))
            self._drop(consumer, others)
            self._unknown |= set(others)
        read, self._read = self._read, []
        deliveries = [_delivery(message, partition) for message, partition in read if partition.is_ours]
        if deliveries:
            self._call(self._give, deliveries)

    def _make_again(self, missing: Iterable[str]) -> None:
        """Create topics that are still missing. Without permission, the other topics are read anyway."""
        now_s = self._clock.monotonic_s()
        self._missing = {topic: self._missing.get(topic, now_s) for topic in missing}
        gone = [topic for topic, since_s in self._missing.items() if now_s - since_s >= self._options.remake_s]
        if gone:
            self._missing |= dict.fromkeys(gone, now_s)
            try:
                self._topics.ensure(gone)
            except BusUnavailable as error:
                self._report(str(error))

    # trouble

    def _on_error(self, error: KafkaError) -> None:
        """Record an error. The library retries by itself."""
        self._causes.hear(error)
        if error.code() == CODES._ALL_BROKERS_DOWN:
            self._report(sentence(self._options, self._causes.of(error)))

    def _report(self, trouble: str) -> None:
        self._call(self._complain, trouble)

    def _call(self, callback: Callable[..., None], *arguments: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: no caller waits any more
            self._loop.call_soon_threadsafe(callback, *arguments)


def _settle_futures(waiting: list[asyncio.Future[None]], trouble: str | None) -> None:
    for confirmation in waiting:
        if not confirmation.done():
            if trouble is None:
                confirmation.set_result(None)
            else:
                confirmation.set_exception(BusUnavailable(trouble))


def _delivery(message: Message, partition: Partition) -> Delivery:
    offset = message.offset()
    assert offset is not None
    body = message.value() or b""
    key = f"kafka:{partition.topic_id}:{partition.number}:{offset}"
    delivery = Delivery(key, partition.topic, body, _headers(message), Receipt(partition, offset))
    partition.take(offset, delivery)
    return delivery


def _headers(message: Message) -> dict[str, str]:
    """Return the headers; none if a name is not UTF-8, over which the library fails. Headrace's events have no such
    name.

    The library then returns a broken result beside its error. The interpreter's fast path for method calls does not
    check that result, and the process ends; `methodcaller` always checks.
    """
    try:
        return {
            name: (value.decode(errors="replace") if isinstance(value, bytes) else value or "")
            for name, value in _headers_of(message) or []
        }
    except (SystemError, UnicodeDecodeError):
        return {}


def receipt_of(delivery: Delivery) -> Receipt:
    assert isinstance(delivery.receipt, Receipt), "a delivery of another bus"
    return delivery.receipt
