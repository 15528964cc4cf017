"""What is Kafka's own among the buses: whose topic an offset is of, how far a commit may go, who may come in."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from headrace.buses.kafka import clients as kafka_clients
from headrace.buses.kafka.bus import KafkaBus
from headrace.buses.kafka.options import KafkaOptions
from headrace.buses.port import KEY_HEADER, REASON_HEADER, BusUnavailable, Delivery, Publication, PublicationRefused
from headrace.clock import SystemClock
from headrace.composition.brokers import hosts, kafka_options
from headrace.errors import InvalidValue
from headrace.settings import Settings
from tests.support.kafka import PASSWORD, USER, KafkaHarness
from tests.support.server import free_port

LIMIT_S = 60.0
QUIET_S = 2.0


@pytest.fixture(scope="module")
def harness(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaHarness]:
    if lack := KafkaHarness.missing():
        pytest.skip(lack)
    harness = KafkaHarness()
    harness.start_broker(tmp_path_factory.mktemp("kafka"))
    yield harness
    harness.end_broker()


@pytest.fixture
def topic() -> str:
    return f"own-{uuid.uuid4().hex[:8]}-ledger"


@pytest.fixture
def admin(harness: KafkaHarness) -> Any:
    return AdminClient(_client(harness))


def _client(harness: KafkaHarness, **others: Any) -> dict[str, Any]:
    return {"bootstrap.servers": harness.broker.address, "log_level": 0, **others}


def _make(admin: Any, topic: str, partitions: int, **config: str) -> None:
    admin.create_topics([NewTopic(topic, partitions, -1, config=config)], operation_timeout=30)[topic].result(30)


def _send(harness: KafkaHarness, topic: str, bodies: Sequence[bytes], partition: int = 0, **others: Any) -> None:
    producer = Producer(_client(harness, acks="all"))
    for body in bodies:
        producer.produce(topic, body, partition=partition, **others)
    assert producer.flush(30) == 0


def _bodies(first: int, count: int) -> list[bytes]:
    return [b'{"n":%d}' % number for number in range(first, first + count)]


def _numbered(first: int, count: int) -> list[Publication]:
    return [Publication(f"journal:{n}", "STARTED_WORKFLOW", 0, b'{"n":%d}' % n) for n in range(first, first + count)]


def _bus(harness: KafkaHarness, *topics: str, **others: Any) -> KafkaBus:
    """The group is called as the first topic, so that no test meets another's."""
    chosen = {"ack_wait_s": 60.0, "group": topics[0] if topics else "nobody", **others}
    return KafkaBus(harness.options(*topics, **chosen), SystemClock())


def _raw_consumer(harness: KafkaHarness, group: str) -> Consumer:
    return Consumer(_client(harness) | {"group.id": group, "enable.auto.commit": False})


def _committed(harness: KafkaHarness, topic: str, partition: int = 0) -> int:
    consumer = _raw_consumer(harness, topic)
    [place] = consumer.committed([TopicPartition(topic, partition)], timeout=30)
    consumer.close()
    return place.offset


async def _collect(bus: KafkaBus, count: int, *, acknowledges: bool = True) -> dict[str, Delivery]:
    seen: dict[str, Delivery] = {}
    async with asyncio.timeout(LIMIT_S):
        while len(seen) < count:
            with suppress(BusUnavailable):
                deliveries = await bus.receive()
                seen.update((each.key, each) for each in deliveries)
                if acknowledges:
                    await bus.acknowledge(deliveries)
    return seen


async def _nothing_comes(bus: KafkaBus) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(QUIET_S):
            assert await bus.receive() == []


def _of(deliveries: dict[str, Delivery]) -> list[bytes]:
    return [each.body for each in deliveries.values()]


# offsets


async def test_a_commit_never_passes_what_is_not_acknowledged(harness: KafkaHarness, admin: Any, topic: str) -> None:
    _make(admin, topic, 1)
    _send(harness, topic, _bodies(0, 9))
    bus = _bus(harness, topic)
    deliveries = list((await _collect(bus, 9, acknowledges=False)).values())
    await bus.acknowledge(deliveries[:3])
    assert _committed(harness, topic) == 3
    await bus.acknowledge([*deliveries[4:6], deliveries[8]])
    assert _committed(harness, topic) == 3
    await bus.acknowledge([deliveries[3]])
    assert _committed(harness, topic) == 6
    await bus.acknowledge(deliveries[:3])  # once more
    await bus.acknowledge([deliveries[7], deliveries[6]])
    assert _committed(harness, topic) == 9
    await bus.close()


async def test_reading_rests_while_much_is_outstanding(harness: KafkaHarness, admin: Any, topic: str) -> None:
    _make(admin, topic, 1)
    _send(harness, topic, _bodies(0, 800))
    bus = _bus(harness, topic, max_outstanding=100)
    held = await _collect(bus, 100, acknowledges=False)
    with suppress(TimeoutError):
        async with asyncio.timeout(QUIET_S):
            while True:
                held.update((each.key, each) for each in await bus.receive())
    assert 100 <= len(held) <= 100 + 256
    await bus.acknowledge(list(held.values()))
    rest = await _collect(bus, 800 - len(held))
    await bus.close()
    assert _of(held) + _of(rest) == _bodies(0, 800)


async def test_many_bytes_are_much_too(harness: KafkaHarness, admin: Any, topic: str) -> None:
    _make(admin, topic, 1)
    _send(harness, topic, [b"x" * 100_000] * 60)
    bus = _bus(harness, topic, max_outstanding_bytes=1_000_000)
    held: dict[str, Delivery] = {}
    with suppress(TimeoutError):
        async with asyncio.timeout(QUIET_S):
            while True:
                held.update((each.key, each) for each in await bus.receive())
    assert 10 <= len(held) <= 12
    await bus.acknowledge(list(held.values()))
    await _collect(bus, 60 - len(held))
    await bus.close()


async def test_what_was_forgotten_is_delivered_again_and_only_that(
    harness: KafkaHarness, admin: Any, topic: str
) -> None:
    _make(admin, topic, 1)
    _send(harness, topic, _bodies(0, 4))
    bus = _bus(harness, topic, ack_wait_s=1.0)
    first = list((await _collect(bus, 4, acknowledges=False)).values())
    await bus.acknowledge([first[0], first[2]])
    assert set(await _collect(bus, 2, acknowledges=False)) == {first[1].key, first[3].key}
    await bus.acknowledge([first[1], first[3]])
    await _nothing_comes(bus)
    assert _committed(harness, topic) == 4
    await bus.close()


async def test_headers_that_are_no_text_do_no_harm(harness: KafkaHarness, admin: Any, topic: str) -> None:
    _make(admin, topic, 1)
    headers = [("plain", b"text"), ("none", None), ("odd", b"\xff\xfe"), ("twice", b"1"), ("twice", b"2")]
    _send(harness, topic, [b"{}"], headers=headers)
    producer = Producer(_client(harness))
    producer.produce(topic, None, partition=0)  # a tombstone
    producer.flush(30)
    bus = _bus(harness, topic)
    [delivery, tombstone] = (await _collect(bus, 2)).values()
    await bus.close()
    assert delivery.headers == {"plain": "text", "none": "", "odd": "��", "twice": "2"}
    assert tombstone.body == b""


# topics


async def test_the_key_is_topic_id_partition_and_offset(harness: KafkaHarness, topic: str) -> None:
    bus = _bus(harness, topic, publish_topic=topic)
    await bus.publish(_numbered(0, 2))
    keys = [key.split(":") for key in await _collect(bus, 2)]
    await bus.close()
    [topic_id] = {key[1] for key in keys}
    assert [key[0] for key in keys] == ["kafka", "kafka"]
    assert len(topic_id) == 22 and not set(topic_id) & set("+/=:")
    assert len({key[2] for key in keys}) == 1, "one journal, one partition"
    assert [key[3] for key in keys] == ["0", "1"]


@pytest.mark.parametrize("count", [3, 5, 8], ids=["fewer", "as many", "more"])
async def test_a_topic_made_anew_is_read_from_its_beginning(
    harness: KafkaHarness, admin: Any, topic: str, count: int
) -> None:
    """As many, or more: the broker sees nothing wrong with going on at the old offset."""
    _make(admin, topic, 1)
    _send(harness, topic, _bodies(0, 5))
    bus = _bus(harness, topic)
    old = await _collect(bus, 5)
    await harness.make_anew(topic)
    _send(harness, topic, _bodies(100, count))
    new = await _collect(bus, count)
    await _nothing_comes(bus)
    await bus.close()
    assert _of(new) == _bodies(100, count)
    assert not old.keys() & new.keys()
    assert _committed(harness, topic) == count


async def test_a_late_acknowledgement_moves_nothing_in_the_new_topic(
    harness: KafkaHarness, admin: Any, topic: str
) -> None:
    _make(admin, topic, 1)
    _send(harness, topic, _bodies(0, 5))
    bus = _bus(harness, topic, check_s=600.0)  # it notices by what it reads alone
    old = await _collect(bus, 5, acknowledges=False)
    await harness.make_anew(topic)
    with suppress(BusUnavailable):
        await bus.acknowledge(list(old.values()))
    await bus.close()
    _send(harness, topic, _bodies(100, 8))
    again = _bus(harness, topic)
    assert _of(await _collect(again, 8)) == _bodies(100, 8)
    await again.close()


@pytest.mark.parametrize(("metadata", "first"), [("another-topic-id", 0), ("", 3)], ids=["other topic", "by hand"])
async def test_a_commit_counts_for_the_topic_it_was_made_for(
    harness: KafkaHarness, admin: Any, topic: str, metadata: str, first: int
) -> None:
    _make(admin, topic, 1)
    _send(harness, topic, _bodies(0, 5))
    consumer = _raw_consumer(harness, topic)
    consumer.commit(offsets=[TopicPartition(topic, 0, 3, metadata=metadata)], asynchronous=False)
    consumer.close()
    bus = _bus(harness, topic)
    assert _of(await _collect(bus, 5 - first)) == _bodies(first, 5 - first)
    await bus.close()


async def test_topics_that_are_there_are_used_as_they_are(harness: KafkaHarness, admin: Any, topic: str) -> None:
    _make(admin, topic, 2)
    bus = _bus(harness, topic, publish_topic=f"{topic}-out", dead_letter_topic=f"{topic}-dead")
    await bus.publish(_numbered(0, 1))
    await bus.close()
    made = admin.list_topics(timeout=30).topics
    assert {name: len(made[name].partitions) for name in made if name.startswith(topic)} == {
        topic: 2,
        f"{topic}-out": 3,  # as the broker is configured
        f"{topic}-dead": 3,
    }


@pytest.mark.timeout(300)
async def test_a_topic_deleted_while_it_is_read_is_made_again_in_time(
    harness: KafkaHarness, admin: Any, topic: str
) -> None:
    """Else whoever publishes there finds none until we are restarted."""
    bus = _bus(harness, topic, f"{topic}-quiet", remake_s=2.0)
    _make(admin, topic, 1)
    _send(harness, topic, _bodies(0, 1))
    await _collect(bus, 1)
    receiving = asyncio.create_task(_collect(bus, 2))
    admin.delete_topics([topic], operation_timeout=30)[topic].result(30)
    async with asyncio.timeout(LIMIT_S):
        while topic not in await asyncio.to_thread(lambda: admin.list_topics(timeout=30).topics):
            await asyncio.sleep(0.1)
    for number in (0, 1):
        _send(harness, topic, _bodies(7 + number, 1), number)
    assert sorted(_of(await receiving)) == sorted(_bodies(7, 2))
    await bus.close()


@pytest.mark.timeout(300)
async def test_publishing_outlives_its_topic(harness: KafkaHarness, admin: Any, topic: str) -> None:
    bus = _bus(harness, publish_topic=topic)
    await bus.publish(_numbered(0, 3))
    await harness.make_anew(topic)
    await _publish(bus, _numbered(3, 3))
    admin.delete_topics([topic], operation_timeout=30)[topic].result(30)
    await _publish(bus, _numbered(6, 3))
    await bus.close()
    reader = _bus(harness, topic)
    assert set(_of(await _collect(reader, 3))) == set(_bodies(6, 3))
    await reader.close()


async def _publish(bus: KafkaBus, publications: list[Publication]) -> None:
    """A producer may need some 25 s, and on a busy machine more, to learn that its topic is another."""
    async with asyncio.timeout(2 * LIMIT_S):
        while True:
            with suppress(BusUnavailable):
                await bus.publish(publications)
                return


async def test_a_dead_letter_too_long_for_its_topic_is_kept_without_its_body(
    harness: KafkaHarness, admin: Any, topic: str
) -> None:
    dead = f"{topic}-dead"
    _make(admin, topic, 1)
    _make(admin, dead, 1, **{"max.message.bytes": "2000"})
    _send(harness, topic, [b"x" * 5_000], headers={"odd": "x" * 5_000})
    bus = _bus(harness, topic, dead_letter_topic=dead)
    [delivery] = (await _collect(bus, 1)).values()
    await bus.dead_letter(delivery, "no event")
    await bus.close()
    reader = _bus(harness, dead)
    [letter] = (await _collect(reader, 1)).values()
    await reader.close()
    assert letter.body == b""
    assert letter.header(KEY_HEADER) == delivery.key
    assert letter.header(REASON_HEADER).startswith("no event") and "5000 bytes" in letter.header(REASON_HEADER)


async def test_a_publication_too_long_for_its_topic_is_refused_alone(
    harness: KafkaHarness, admin: Any, topic: str
) -> None:
    _make(admin, topic, 1, **{"max.message.bytes": "2000"})
    first, second, third = _numbered(0, 3)
    second = Publication(second.id, second.type, 0, b"x" * 5_000)
    bus = _bus(harness, topic, publish_topic=topic)
    with pytest.raises(PublicationRefused, match=r"event journal:1: .*(?i:too large)") as caught:
        await bus.publish([first, second, third])
    assert caught.value.publication_id == second.id
    await bus.publish([third])
    seen = await _collect(bus, 2)
    await bus.close()
    assert _of(seen) == [first.body, third.body]


async def test_publications_that_are_too_long_together_go_one_by_one(
    harness: KafkaHarness, admin: Any, topic: str
) -> None:
    """The limit of a topic is for a batch; each of them fits."""
    _make(admin, topic, 1, **{"max.message.bytes": "2000"})
    bus = _bus(harness, topic, publish_topic=topic)
    await bus.publish(_numbered(0, 200))
    seen = await _collect(bus, 200)
    await bus.close()
    assert _of(seen) == _bodies(0, 200)


# several processes of one group


async def test_two_processes_share_the_partitions_and_nothing_is_lost(
    harness: KafkaHarness, admin: Any, topic: str
) -> None:
    _make(admin, topic, 2)
    for partition in (0, 1):
        _send(harness, topic, _bodies(100 * partition, 50), partition)
    first = _bus(harness, topic)
    held = await _collect(first, 100, acknowledges=False)
    second = _bus(harness, topic)
    moved = await _collect(second, 50, acknowledges=False)
    await first.acknowledge(list(held.values()))
    [partition] = {key.split(":")[2] for key in moved}
    assert moved.keys() == {key for key in held if key.split(":")[2] == partition}
    assert _committed(harness, topic, int(partition)) < 50, "it is the other's now"
    await second.acknowledge(list(moved.values()))
    assert [_committed(harness, topic, number) for number in (0, 1)] == [50, 50]
    await first.close()
    _send(harness, topic, _bodies(500, 1), 0)
    _send(harness, topic, _bodies(600, 1), 1)
    assert sorted(_of(await _collect(second, 2))) == [b'{"n":500}', b'{"n":600}']
    await second.close()


CHILD = """
import asyncio, sys
from headrace.clock import SystemClock
from headrace.buses.kafka.bus import KafkaBus
from headrace.buses.kafka.options import KafkaOptions

async def main() -> None:
    server, topic = sys.argv[1:]
    others = {"publish_topic": "out", "dead_letter_topic": "dead", "group": topic}
    options = KafkaOptions(servers=(server,), topics=(topic,), **others)
    await KafkaBus(options, SystemClock()).receive()
    sys.stdout.write("received\\n")
    sys.stdout.flush()
    await asyncio.sleep(600)

asyncio.run(main())
"""


async def test_a_process_that_was_killed_gives_its_partitions_back_soon(
    harness: KafkaHarness, admin: Any, topic: str
) -> None:
    _make(admin, topic, 1)
    _send(harness, topic, _bodies(0, 3))
    command = [sys.executable, "-c", CHILD, harness.broker.address, topic]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        lines = iter(child.stdout.readline, b"")
        assert await asyncio.to_thread(lambda: b"received\n" in lines)
        os.kill(child.pid, signal.SIGKILL)
    bus = _bus(harness, topic)
    assert _of(await _collect(bus, 3)) == _bodies(0, 3)
    await bus.close()


# the broker and who may come in


def _secure(harness: KafkaHarness, topic: str, **others: Any) -> KafkaBus:
    chosen = {"username": USER, "password": PASSWORD, "is_tls": True, "ca": harness.broker.certificate, **others}
    options = KafkaOptions(
        servers=(harness.broker.secure_address,),
        topics=(topic,),
        group=topic,
        publish_topic=topic,
        dead_letter_topic="suite-dead",
        **chosen,
    )
    return KafkaBus(options, SystemClock())


@pytest.mark.parametrize("sasl", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
async def test_a_user_comes_in_over_tls(harness: KafkaHarness, topic: str, sasl: str) -> None:
    bus = _secure(harness, topic, sasl=sasl)
    await bus.publish(_numbered(0, 1))
    assert _of(await _collect(bus, 1)) == _bodies(0, 1)
    await bus.close()


@pytest.mark.parametrize("sasl", ["PLAIN", "SCRAM-SHA-256"])
@pytest.mark.parametrize(
    ("username", "password"), [(USER, "wr0ng-s3cret"), ("nobody", PASSWORD)], ids=["password", "user"]
)
async def test_a_stranger_is_named_and_no_password_shown(
    harness: KafkaHarness,
    topic: str,
    sasl: str,
    username: str,
    password: str,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    bus = _secure(harness, topic, sasl=sasl, username=username, password=password)
    for ask in (bus.receive, lambda: bus.publish(_numbered(0, 1))):
        with pytest.raises(
            BusUnavailable, match=rf"{harness.broker.secure_address} refuses user '{username}'"
        ) as error:
            await ask()
        assert password not in str(error.value)
    await bus.close()
    output = capfd.readouterr()
    assert password not in caplog.text + output.out + output.err
    assert "rdkafka" not in output.err, "its lines go through logging"


async def test_a_certificate_that_nobody_vouches_for(harness: KafkaHarness, topic: str, tmp_path: Path) -> None:
    bus = _secure(harness, topic, ca=None)
    with pytest.raises(BusUnavailable, match=rf"no TLS connection to Kafka at {harness.broker.secure_address}"):
        await bus.receive()
    await bus.close()
    bus = _secure(harness, topic, ca=tmp_path / "missing.pem")
    with pytest.raises(BusUnavailable, match=r"cannot be set up: missing file .*missing\.pem"):
        await bus.receive()
    await bus.close()


async def test_nobody_there(harness: KafkaHarness) -> None:
    address = f"127.0.0.1:{free_port()}"
    options = KafkaOptions(servers=(address,), topics=("a",), publish_topic="b", dead_letter_topic="c")
    bus = KafkaBus(options, SystemClock())
    with pytest.raises(BusUnavailable, match=rf"Kafka at {address} does not answer"):
        await bus.publish(_numbered(0, 1))
    await bus.close()


async def test_a_producer_that_cannot_go_on_is_replaced(
    harness: KafkaHarness, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken:
        def __init__(self, *_: Any, **__: Any) -> None:
            self.reports: list[Any] = []

        def produce(self, *_: Any, on_delivery: Any, **__: Any) -> None:
            self.reports.append(on_delivery)

        def flush(self, _: float) -> int:
            error = KafkaError(KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER, "sequence lost", fatal=True)
            while self.reports:
                self.reports.pop()(error, None)
            return 0

    bus = _bus(harness, topic, publish_topic=topic)
    with monkeypatch.context() as patch:
        patch.setattr(kafka_clients, "Producer", Broken)
        with pytest.raises(BusUnavailable, match="sequence lost"):
            await bus.publish(_numbered(0, 1))
    await bus.publish(_numbered(0, 1))
    assert _of(await _collect(bus, 1)) == _bodies(0, 1)
    await bus.close()


async def test_close_waits_for_no_broker(harness: KafkaHarness, topic: str) -> None:
    bus = _bus(harness, topic, publish_topic=topic)
    await bus.publish(_numbered(0, 2))
    deliveries = list((await _collect(bus, 2, acknowledges=False)).values())
    harness.broker.freeze()
    try:
        tasks = [
            asyncio.create_task(bus.publish(_numbered(2, 1))),
            asyncio.create_task(bus.acknowledge(deliveries)),
            asyncio.create_task(bus.receive()),
        ]
        await asyncio.sleep(0.2)
        begin = time.monotonic()
        async with asyncio.timeout(LIMIT_S):
            await bus.close()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert time.monotonic() - begin < 20
        assert isinstance(outcomes[0], BusUnavailable) and isinstance(outcomes[2], BusUnavailable)
    finally:
        harness.broker.thaw()


# settings


def test_options_of_settings() -> None:
    settings = Settings(
        broker_url="kafka://one,two:9093",
        stack_name="formance-dev",
        broker_username="u",
        broker_password="hidden",
        kafka_sasl="SCRAM-SHA-512",
        broker_tls=True,
        broker_group="g",
    )
    options = kafka_options(settings)
    assert options.servers == ("one:9092", "two:9093")
    assert options.topics == ("formance-dev-ledger", "formance-dev-payments")
    assert options.publish_topic == "formance-dev-orchestration"
    assert options.dead_letter_topic == "formance-dev-dead-letter"
    assert (options.username, options.sasl, options.is_tls, options.group) == ("u", "SCRAM-SHA-512", True, "g")
    assert "hidden" not in repr(options)
    with pytest.raises(InvalidValue, match="HEADRACE_STACK_NAME"):
        kafka_options(Settings(broker_url="kafka://one"))


def test_hosts() -> None:
    assert hosts("kafka://[::1]:9000,b", 9092) == ("[::1]:9000", "b:9092")


def test_the_client_is_loaded_when_a_bus_is_made() -> None:
    code = "import sys, headrace.buses.kafka.bus; sys.exit('confluent_kafka' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
