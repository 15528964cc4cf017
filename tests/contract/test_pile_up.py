"""INV-19: a ledger that stands still at N open writes recovers while Headrace has work for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from headrace.clock import RandomIds, SystemClock
from headrace.effects.transport import HttpDownstream, ServiceAddresses
from headrace.engine.embedded import EmbeddedEngine
from headrace.engine.limits import EngineLimits
from headrace.engine.meter import NoMeter
from headrace.events.outbox import Outbox
from headrace.journal.port import Unit
from headrace.journal.records import Workflow
from headrace.journal.sqlite import SqliteJournal
from headrace.journal.writes import AddWorkflow
from headrace.runner.policy import Policy
from headrace.runner.runners import Runners
from tests.support.pooled_ledger import PooledLedger
from tests.support.ports import instance_ports, start

SEND: dict[str, Any] = {
    "send": {
        "source": {"account": {"id": "world", "ledger": "main"}},
        "destination": {"account": {"id": "bob", "ledger": "main"}},
        "amount": {"asset": "USD/2", "amount": 100},
    }
}
RUNS = 600


class LimitsSeen(NoMeter):
    """The values of the ledger's limit, in order, and the most requests it had under way."""

    def __init__(self) -> None:
        super().__init__()
        self.limits: list[int] = []
        self.most_in_flight = 0

    def concurrency_limit(self, service: str, limit: int) -> None:
        if service == "ledger":
            self.limits.append(limit)

    def attempts_in_flight(self, service: str, count: int) -> None:
        if service == "ledger":
            self.most_in_flight = max(self.most_in_flight, count)


@asynccontextmanager
async def running(folder: Path, ledger: PooledLedger, meter: LimitsSeen, timeout_s: float) -> AsyncIterator[Any]:
    """An engine with default limits but for its times, on a real journal and over HTTP."""
    clock = SystemClock()
    journal = await SqliteJournal.open(folder / "j.db")
    downstream = HttpDownstream(
        ServiceAddresses.of(ledger_url=ledger.url), credentials=None, timeout_s=timeout_s, clock=clock
    )
    limits = EngineLimits(retry_base_s=0.05, retry_cap_s=0.5)
    ids = RandomIds()
    runners = Runners(clock.now_at, ids.new, Outbox().announce, Policy())
    engine = EmbeddedEngine(journal, downstream, clock, runners, limits, meter=meter, jitter=lambda: 0.5)
    config = msgspec.json.encode({"stages": [SEND]}).decode()
    unit = Unit()
    unit.add(AddWorkflow(workflow_id="w", name="w", config=config, created_at=1, updated_at=1))
    await journal.commit(unit)
    await engine.start()
    try:
        yield instance_ports(journal, engine, runners, clock, ids), journal, Workflow("w", "w", config, 1, 1)
    finally:
        await engine.stop()
        await downstream.close()
        await journal.close()


async def test_the_stand_in_stands_still_at_twenty_open_writes_until_a_caller_hangs_up() -> None:
    async with PooledLedger() as ledger, aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def post(number: int) -> int:
            headers = {"Idempotency-Key": f"k{number}"}
            async with session.post(f"{ledger.url}/v2/main/transactions", json={}, headers=headers) as response:
                return response.status

        assert await asyncio.gather(*(post(number) for number in range(19))) == [200] * 19
        ledger.may_work.clear()  # else the first may have ended before the last one comes
        posts = [asyncio.ensure_future(post(number)) for number in range(100, 120)]
        while ledger.most_open < 20:
            await asyncio.sleep(0.005)
        ledger.may_work.set()
        done, _ = await asyncio.wait(posts, timeout=0.3)
        assert not done, "twenty open writes do not get anywhere"
        posts[0].cancel()
        assert await asyncio.gather(*posts[1:]) == [200] * 19
        assert ledger.abandoned == 1


@pytest.mark.parametrize("own_timeout_s", [None, 5.5], ids=["our time-out", "the ledger's own"])
async def test_runs_on_a_ledger_that_stands_still_at_twenty_open_writes_all_end(
    own_timeout_s: float | None, tmp_path: Path
) -> None:
    meter = LimitsSeen()
    timeout_s = 2.0 if own_timeout_s is None else 30.0
    async with PooledLedger(own_timeout_s=own_timeout_s) as ledger:
        async with running(tmp_path, ledger, meter, timeout_s) as (ports, journal, workflow):
            started = await asyncio.gather(*(start(ports, workflow, {}) for _ in range(RUNS)))
            await asyncio.gather(*(ports.engine.ended(instance.id, 60) for instance in started))
            ended = [await journal.instance(instance.id) for instance in started]
        assert all(instance.is_terminal and instance.error is None for instance in ended)
        assert len(ledger.booked) == RUNS, "each paid once"
        assert ledger.requests < 3 * RUNS, f"{ledger.requests} requests"
    steps = [after - before for before, after in zip(meter.limits, meter.limits[1:], strict=False)]
    falls = [number for number, step in enumerate(steps) if step < 0]
    assert meter.limits[0] == 8 and meter.most_in_flight <= max(meter.limits)
    assert falls and max(steps[: falls[0]]) > 0, (
        f"the limit rose until the ledger stood still, and fell: {meter.limits}"
    )
    assert max(steps[falls[0] :]) > 0, f"and rose again: {meter.limits}"
