"""A broker that repeats itself to a server that is killed: one instance for each event. At full size by hand.

python -m tests.crash.deliveries --bus nats --events 10000 --rounds 10
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.crash.deliveries import Count, run
from tests.support.kafka import KafkaHarness
from tests.support.nats import NatsHarness

SIZES = {"nats": (400, 3, 3), "kafka": (200, 2, 2)}


@pytest.mark.timeout(400)
@pytest.mark.parametrize("harness", [NatsHarness, KafkaHarness], ids=lambda harness: harness.name)
def test_each_event_starts_one_instance(harness: type[NatsHarness | KafkaHarness], tmp_path: Path) -> None:
    if lack := harness.missing():
        pytest.skip(lack)
    events, rounds, kills = SIZES[harness.name]
    count = Count(harness.name, events, rounds, seed=3)
    asyncio.run(run(tmp_path, harness.name, count, kills))
    assert count.deliveries >= events * rounds
    assert (count.occurrences, count.instances, count.transactions) == (events, events, events)
