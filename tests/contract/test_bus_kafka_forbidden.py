"""What a Kafka user may not do holds up nothing else."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from headrace.buses.kafka import clients as kafka_clients
from headrace.buses.kafka.bus import KafkaBus
from headrace.buses.port import BusUnavailable, Publication
from headrace.clock import SystemClock
from tests.support.kafka import KafkaHarness

LIMIT_S = 60.0


class Forbidding(AdminClient):
    """What a broker answers to a user who may make no topics."""

    def create_topics(self, new_topics: Sequence[NewTopic], **_: Any) -> dict[str, Future[None]]:
        answers: dict[str, Future[None]] = {each.topic: Future() for each in new_topics}
        for answer in answers.values():
            answer.set_exception(KafkaException(KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED)))
        return answers


@pytest.fixture(scope="module")
def harness(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaHarness]:
    if lack := KafkaHarness.missing():
        pytest.skip(lack)
    harness = KafkaHarness()
    harness.start_broker(tmp_path_factory.mktemp("kafka"))
    yield harness
    harness.end_broker()


async def _comes(bus: KafkaBus) -> bytes:
    while True:
        try:
            [delivery] = await bus.receive()
        except BusUnavailable:
            continue
        await bus.acknowledge([delivery])
        return delivery.body


async def _complains(bus: KafkaBus, text: str) -> None:
    while True:
        try:
            await bus.receive()
        except BusUnavailable as error:
            if text in str(error):
                return


@pytest.mark.timeout(300)
async def test_a_topic_that_we_may_not_make_again_holds_up_no_other(
    harness: KafkaHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, gone = (f"{name}-{uuid.uuid4().hex[:8]}" for name in ("other", "gone"))
    admin: Any = AdminClient({"bootstrap.servers": harness.broker.address, "log_level": 0})
    for made in admin.create_topics([NewTopic(other, 1, -1), NewTopic(gone, 1, -1)], operation_timeout=30).values():
        made.result(30)
    monkeypatch.setattr(kafka_clients, "AdminClient", Forbidding)
    options = harness.options(other, gone, group=other, publish_topic=other, dead_letter_topic=other, remake_s=1.0)
    bus = KafkaBus(options, SystemClock())
    async with asyncio.timeout(LIMIT_S):
        await bus.publish([Publication("journal:1", "T", 0, b'{"n":1}')])
        assert await _comes(bus) == b'{"n":1}'
        admin.delete_topics([gone], operation_timeout=30)[gone].result(30)
        await _complains(bus, "cannot create")
        await bus.publish([Publication("journal:2", "T", 0, b'{"n":2}')])
        assert await _comes(bus) == b'{"n":2}'
    await bus.close()
