"""Two API servers of one journal are killed while a broker repeats itself. Full size by hand: see `two_servers.py`."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

import pytest

from tests.crash.deliveries import Count
from tests.crash.two_servers import run
from tests.support.nats import NatsHarness
from tests.support.postgres import MISSING, programs


@pytest.mark.timeout(400)
@pytest.mark.skipif(programs() is None, reason=MISSING)
def test_each_event_starts_one_instance_whichever_server_it_came_to() -> None:
    if lack := NatsHarness.missing():
        pytest.skip(lack)
    count = Count("nats", events=200, rounds=2, seed=3)
    with tempfile.TemporaryDirectory(prefix="hr-", dir="/tmp") as folder:
        Path(folder).chmod(0o755)  # PostgreSQL's own user must get in
        kills = asyncio.run(run(Path(folder), "nats", count, 3))
    assert kills.with_duties
    assert (count.occurrences, count.instances, count.transactions) == (200, 200, 200)
