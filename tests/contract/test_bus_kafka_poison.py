"""A record that Kafka's client library cannot read holds up no other. Only a library in C lets one write it."""

from __future__ import annotations

import asyncio
import ctypes
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.buses.kafka.bus import KafkaBus
from headrace.buses.port import Delivery, Publication
from headrace.clock import SystemClock
from tests.support.kafka import KafkaHarness

LIMIT_S = 60.0
_END, _TOPIC, _PARTITION, _VALUE, _FLAGS, _HEADERS = 0, 1, 3, 4, 7, 10
_COPY = 2


@pytest.fixture(scope="module")
def harness(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaHarness]:
    if lack := KafkaHarness.missing():
        pytest.skip(lack)
    harness = KafkaHarness()
    harness.start_broker(tmp_path_factory.mktemp("kafka"))
    yield harness
    harness.end_broker()


def _send(harness: KafkaHarness, topic: str, body: bytes, header: bytes) -> None:
    """With a header of this name, whatever bytes it has."""
    mapped = (line.split()[-1] for line in Path("/proc/self/maps").read_text().splitlines() if "librdkafka" in line)
    library = ctypes.CDLL(next(mapped))
    for function in ("rd_kafka_conf_new", "rd_kafka_new", "rd_kafka_headers_new"):
        getattr(library, function).restype = ctypes.c_void_p
    problem, size = ctypes.create_string_buffer(512), ctypes.c_size_t(512)
    settings = ctypes.c_void_p(library.rd_kafka_conf_new())
    for name, value in ((b"bootstrap.servers", harness.broker.address.encode()), (b"log_level", b"0")):
        assert library.rd_kafka_conf_set(settings, name, value, problem, size) == 0, problem.value
    producer = ctypes.c_void_p(library.rd_kafka_new(0, settings, problem, size))
    headers = ctypes.c_void_p(library.rd_kafka_headers_new(ctypes.c_size_t(1)))
    length = ctypes.c_ssize_t(len(header))
    assert library.rd_kafka_header_add(headers, header, length, b"v", ctypes.c_ssize_t(1)) == 0
    where = (_TOPIC, ctypes.c_char_p(topic.encode()), _PARTITION, ctypes.c_int32(0))
    what = (_VALUE, ctypes.c_char_p(body), ctypes.c_size_t(len(body)), _FLAGS, ctypes.c_int(_COPY), _HEADERS, headers)
    assert library.rd_kafka_producev(producer, *where, *what, _END) == 0
    assert library.rd_kafka_flush(producer, 30_000) == 0
    library.rd_kafka_destroy(producer)


async def test_a_header_whose_name_is_no_text_does_no_harm(harness: KafkaHarness) -> None:
    topic = f"poison-{uuid.uuid4().hex[:8]}"
    bus = KafkaBus(harness.options(topic, group=topic, publish_topic=topic), SystemClock())
    good = [Publication(f"journal:{number}", "T", 0, b'{"n":0,"number":%d}' % number) for number in range(200)]
    await bus.publish(good)  # so many that the interpreter has taken its short cuts when the bad one comes
    await asyncio.to_thread(_send, harness, topic, b'{"n":1}', b"\xff\xfe")
    await asyncio.to_thread(_send, harness, topic, b'{"n":2}', b"name")
    seen: dict[bytes, Delivery] = {}
    async with asyncio.timeout(LIMIT_S):
        while len(seen) < len(good) + 2:
            deliveries = await bus.receive()
            seen.update((each.body, each) for each in deliveries)
            await bus.acknowledge(deliveries)
    await bus.close()
    assert {body: dict(each.headers) for body, each in seen.items() if b'"n":0' not in body} == {
        b'{"n":1}': {},
        b'{"n":2}': {"name": "v"},
    }
