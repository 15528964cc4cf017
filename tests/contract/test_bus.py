"""What every bus must do, with a real broker. An adapter joins by a line in `HARNESSES`."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import Iterator, Sequence
from contextlib import suppress

import pytest

from headrace.buses.port import (
    DEPTH_HEADER,
    EVENT_HEADER,
    KEY_HEADER,
    REASON_HEADER,
    TOPIC_HEADER,
    BusUnavailable,
    Delivery,
    Publication,
    Publisher,
    Subscriber,
)
from tests.support.kafka import KafkaHarness
from tests.support.nats import BusHarness, NatsHarness

HARNESSES: list[type[BusHarness]] = [NatsHarness, KafkaHarness]

LIMIT_S = 60.0
QUIET_S = 4.0
"""Longer than the suite's buses keep a delivery back that was not acknowledged."""
SEED = 7


@pytest.fixture(scope="module", params=HARNESSES, ids=lambda kind: kind.name)
def harness(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BusHarness]:
    """One broker for all tests; each has topics of its own."""
    kind: type[BusHarness] = request.param
    if lack := kind.missing():
        pytest.skip(lack)
    harness = kind()
    harness.start_broker(tmp_path_factory.mktemp(kind.name))
    yield harness
    harness.end_broker()


@pytest.fixture
def topic() -> str:
    return f"suite-{uuid.uuid4().hex[:8]}-ledger"


def _publications(bodies: Sequence[bytes], name: str = "journal") -> list[Publication]:
    return [Publication(f"{name}:{number}", "STARTED_WORKFLOW", 1, body) for number, body in enumerate(bodies)]


def _numbered(first: int, count: int) -> list[Publication]:
    return [Publication(f"journal:{n}", "STARTED_WORKFLOW", 0, b'{"n":%d}' % n) for n in range(first, first + count)]


async def _publish(harness: BusHarness, topic: str, publications: Sequence[Publication]) -> None:
    publisher = await harness.publisher(topic)
    await publisher.publish(publications)
    await publisher.close()


async def _receive(subscriber: Subscriber) -> list[Delivery]:
    """However often the bus cannot be reached."""
    while True:
        try:
            return await subscriber.receive()
        except BusUnavailable:
            await asyncio.sleep(0.1)


async def _collect(
    subscriber: Subscriber, count: int, *, acknowledges: bool = True, lives_on: bool = True
) -> dict[str, Delivery]:
    """So many different ones, by key. Of a broker that does not live on, an acknowledgement may come to nothing."""
    seen: dict[str, Delivery] = {}
    async with asyncio.timeout(LIMIT_S):
        while len(seen) < count:
            deliveries = await _receive(subscriber)
            seen.update((delivery.key, delivery) for delivery in deliveries)
            if acknowledges:
                with suppress(*() if lives_on else (BusUnavailable,)):
                    await subscriber.acknowledge(deliveries)
    return seen


async def _nothing_comes(subscriber: Subscriber) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(QUIET_S):
            assert await _receive(subscriber) == [], "acknowledged, and delivered again"


async def test_bodies_and_headers_come_as_they_were_sent(harness: BusHarness, topic: str) -> None:
    bodies = [
        b'{"amount":1267650600228229401496703205376,"rate":1.50,"exp":1E5}',
        '{"name":"Crème brûlée 漢字 😀","escaped":"\\u00e9"}'.encode(),
        b'  { "spaces" :\t[ 1 ,2 ] }\r\n',
        b"\x00\xff\xfe not JSON \r\n\r\n",
        b"",
        b'{"pad":"' + b"x" * 500_000 + b'"}',
    ]
    await _publish(harness, topic, _publications(bodies))
    subscriber = await harness.subscriber(topic)
    seen = await _collect(subscriber, len(bodies))
    await subscriber.close()
    assert sorted(each.body for each in seen.values()) == sorted(bodies)
    by_id = {each.header(EVENT_HEADER): each for each in seen.values()}
    assert {name: each.body for name, each in by_id.items()} == {f"journal:{n}": b for n, b in enumerate(bodies)}
    assert {each.header(DEPTH_HEADER) for each in seen.values()} == {"1"}
    assert {each.topic for each in seen.values()} == {topic}


async def test_what_is_not_acknowledged_comes_again_under_its_key(harness: BusHarness, topic: str) -> None:
    await _publish(harness, topic, _numbered(0, 20))
    first = await harness.subscriber(topic)
    seen = await _collect(first, 20, acknowledges=False)
    await first.close()
    second = await harness.subscriber(topic)
    again = await _collect(second, 20)
    await second.close()
    assert {key: each.body for key, each in again.items()} == {key: each.body for key, each in seen.items()}


async def test_what_is_acknowledged_does_not_come_again(harness: BusHarness, topic: str) -> None:
    await _publish(harness, topic, _numbered(0, 20))
    first = await harness.subscriber(topic)
    await _collect(first, 20)
    await first.close()
    second = await harness.subscriber(topic)
    await _nothing_comes(second)
    await _publish(harness, topic, _numbered(20, 1))
    assert [each.body for each in (await _collect(second, 1)).values()] == [b'{"n":20}']
    await second.close()


async def test_an_acknowledgement_is_for_its_delivery_only(harness: BusHarness, topic: str) -> None:
    await _publish(harness, topic, _numbered(0, 9))
    first = await harness.subscriber(topic)
    deliveries = list((await _collect(first, 9, acknowledges=False)).values())
    middle = [each for each in deliveries if each.body == b'{"n":4}']
    await first.acknowledge(middle)
    await first.close()
    second = await harness.subscriber(topic)
    again = await _collect(second, 8 if harness.acknowledges_singly else 9)
    await second.close()
    assert {each.key for each in deliveries if each not in middle} <= again.keys()


async def test_equal_bodies_are_two_events(harness: BusHarness, topic: str) -> None:
    await _publish(harness, topic, _publications([b'{"same":1}', b'{"same":1}']))
    subscriber = await harness.subscriber(topic)
    assert len(await _collect(subscriber, 2)) == 2
    await subscriber.close()


async def test_two_groups_each_get_everything(harness: BusHarness, topic: str) -> None:
    await _publish(harness, topic, _numbered(0, 5))
    keys: list[set[str]] = []
    for group in ("one", "two"):
        subscriber = await harness.subscriber(topic, group=group)
        keys.append(set(await _collect(subscriber, 5)))
        await subscriber.close()
    assert keys[0] == keys[1]


async def test_one_subscriber_reads_several_topics(harness: BusHarness, topic: str) -> None:
    other = topic.replace("ledger", "payments")
    await _publish(harness, topic, _numbered(0, 300))
    await _publish(harness, other, _numbered(300, 5))
    subscriber = await harness.subscriber(topic, other)
    seen = await _collect(subscriber, 305)
    await subscriber.close()
    assert sum(each.topic == other for each in seen.values()) == 5
    assert all((int(each.body[5:-1]) >= 300) == (each.topic == other) for each in seen.values())


async def test_what_we_publish_keeps_its_order(harness: BusHarness, topic: str) -> None:
    publisher = await harness.publisher(topic)
    for first in range(0, 1_000, 200):
        await publisher.publish(_numbered(first, 200))
    await publisher.close()
    subscriber = await harness.subscriber(topic)
    seen = await _collect(subscriber, 1_000)
    await subscriber.close()
    assert [each.body for each in seen.values()] == [each.body for each in _numbered(0, 1_000)]


async def test_an_id_may_be_published_twice(harness: BusHarness, topic: str) -> None:
    publisher = await harness.publisher(topic)
    for _ in range(2):
        await publisher.publish(_numbered(0, 3))
    await publisher.publish(_numbered(3, 1))
    await publisher.close()
    count = 4 if harness.drops_repeated_ids else 7
    subscriber = await harness.subscriber(topic)
    seen = await _collect(subscriber, count)
    await subscriber.close()
    assert len(seen) == count
    assert {each.header(EVENT_HEADER) for each in seen.values()} == {f"journal:{n}" for n in range(4)}


@pytest.mark.parametrize(
    "reason", ["no JSON", "tab\tline\r\nnext: é漢字😀", "long " * 200], ids=["plain", "odd", "long"]
)
async def test_what_is_set_aside_lies_in_the_dead_letter_topic(harness: BusHarness, topic: str, reason: str) -> None:
    dead = f"{topic}-dead"
    await _publish(harness, topic, _publications([b"\xff no event"]))
    subscriber = await harness.subscriber(topic, dead_letter_topic=dead)
    [delivery] = (await _collect(subscriber, 1, acknowledges=False)).values()
    await subscriber.dead_letter(delivery, reason)
    await subscriber.close()
    reader = await harness.subscriber(dead)
    [letter] = (await _collect(reader, 1)).values()
    await reader.close()
    assert letter.body == b"\xff no event"
    assert letter.header(KEY_HEADER) == delivery.key
    assert letter.header(TOPIC_HEADER) == topic
    assert letter.header(REASON_HEADER).split() == reason.split()
    assert letter.header(EVENT_HEADER) == "journal:0"
    again = await harness.subscriber(topic)
    assert set(await _collect(again, 1)) == {delivery.key}, "set aside is not yet acknowledged"
    await again.close()


async def test_receive_outlives_the_broker(harness: BusHarness, topic: str) -> None:
    await _publish(harness, topic, _numbered(0, 40))
    subscriber = await harness.subscriber(topic)
    held = await _collect(subscriber, 1, acknowledges=False)
    harness.kill_broker()
    waiting = asyncio.create_task(_collect(subscriber, 80, lives_on=False))
    await asyncio.sleep(0.5)
    harness.restart_broker()
    await _publish_when_possible(await harness.publisher(topic), _numbered(40, 40))
    seen = await waiting
    await subscriber.close()
    assert {each.body for each in seen.values()} == {each.body for each in _numbered(0, 80)}
    assert all(seen[key].body == each.body for key, each in held.items()), "keys outlive the broker too"


async def test_deliveries_of_before_an_outage_can_be_acknowledged(harness: BusHarness, topic: str) -> None:
    await _publish(harness, topic, _numbered(0, 10))
    subscriber = await harness.subscriber(topic)
    held = list((await _collect(subscriber, 10, acknowledges=False)).values())
    harness.kill_broker()
    harness.restart_broker()
    async with asyncio.timeout(LIMIT_S):
        while True:
            with suppress(BusUnavailable):
                await subscriber.acknowledge(held)
                break
            await asyncio.sleep(0.1)
    await _publish_when_possible(await harness.publisher(topic), _numbered(10, 1))
    await _collect(subscriber, 1)  # it may be an old one: acknowledging may mean nothing to a bus that was away
    await subscriber.close()


async def test_publishing_in_an_outage_says_so_and_works_again(harness: BusHarness, topic: str) -> None:
    publisher = await harness.publisher(topic)
    await publisher.publish(_numbered(0, 1))
    harness.kill_broker()
    async with asyncio.timeout(LIMIT_S):
        with pytest.raises(BusUnavailable, match=r"127\.0\.0\.1:\d+"):
            await publisher.publish(_numbered(1, 3))
    harness.restart_broker()
    await _publish_when_possible(publisher, _numbered(1, 3))
    subscriber = await harness.subscriber(topic)
    seen = await _collect(subscriber, 4)
    await subscriber.close()
    assert {each.body for each in seen.values()} == {each.body for each in _numbered(0, 4)}


async def _publish_when_possible(publisher: Publisher, publications: Sequence[Publication]) -> None:
    async with asyncio.timeout(LIMIT_S):
        while True:
            with suppress(BusUnavailable):
                await publisher.publish(publications)
                break
            await asyncio.sleep(0.1)
    await publisher.close()


async def test_nothing_is_lost_when_receive_is_cancelled(harness: BusHarness, topic: str) -> None:
    moments = random.Random(SEED)
    publisher, subscriber = await harness.publisher(topic), await harness.subscriber(topic)
    seen: dict[str, Delivery] = {}
    await publisher.publish(_numbered(0, 10))
    publishing = asyncio.create_task(_trickle(publisher))
    for _ in range(100):
        receiving = asyncio.create_task(subscriber.receive())
        await asyncio.sleep(moments.random() * moments.choice((0.0001, 0.003, 0.03)))
        receiving.cancel()
        with suppress(asyncio.CancelledError):
            seen.update((each.key, each) for each in await receiving)
    await publishing
    async with asyncio.timeout(LIMIT_S):
        while len(seen) < 1_000:
            seen.update((each.key, each) for each in await _receive(subscriber))
    await subscriber.close()
    assert {each.body for each in seen.values()} == {each.body for each in _numbered(0, 1_000)}


async def _trickle(publisher: Publisher) -> None:
    for first in range(10, 1_000, 10):
        await publisher.publish(_numbered(first, 10))
        await asyncio.sleep(0.005)
    await publisher.close()


async def test_a_topic_made_anew_holds_new_events(harness: BusHarness, topic: str) -> None:
    await _publish(harness, topic, _numbered(0, 5))
    subscriber = await harness.subscriber(topic)
    old = await _collect(subscriber, 5, acknowledges=False)
    await harness.make_anew(topic)
    await _publish(harness, topic, _numbered(0, 5))
    new: dict[str, Delivery] = {}
    async with asyncio.timeout(LIMIT_S):
        while len(new) < 5:
            new.update((each.key, each) for each in await _receive(subscriber) if each.key not in old)
    assert {each.body for each in new.values()} == {each.body for each in old.values()}
    with suppress(BusUnavailable):
        await subscriber.acknowledge(list(old.values()))
    await subscriber.close()
    after = await harness.subscriber(topic)
    assert set(await _collect(after, 5)) == set(new), "acknowledging the old ones says nothing about the new"
    await after.close()


async def test_a_closed_bus_says_so(harness: BusHarness, topic: str) -> None:
    subscriber, publisher = await harness.subscriber(topic), await harness.publisher(topic)
    await publisher.publish(_numbered(0, 1))
    await _collect(subscriber, 1)
    for bus in (subscriber, publisher, subscriber, publisher):
        await bus.close()
    with pytest.raises(BusUnavailable):
        await subscriber.receive()
    with pytest.raises(BusUnavailable):
        await publisher.publish(_numbered(1, 1))


async def test_a_publisher_has_a_name_for_ever(harness: BusHarness, topic: str) -> None:
    names: list[str] = []
    for each in (topic, topic, f"{topic}-other"):
        publisher = await harness.publisher(each)
        names.append(publisher.name)
        await publisher.close()
    assert names[0] == names[1] != names[2]
