"""An abort while an attempt waits for its turn: none begins after the answer (decision E6, INV-7).

All attempts that a service may have under way are taken and held; the instance under test waits behind them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from headrace.effects.port import Request
from tests.contract.test_engine import SEND, Scripted, _settled, _until  # pyright: ignore[reportPrivateUsage]
from tests.contract.test_engine_edges import Gate
from tests.support.engines import every_engine
from tests.support.in_process import CrashPoint, InProcess, running

__all__ = ["every_engine"]  # a fixture

PAYOUT: dict[str, Any] = {
    "send": {
        "source": {"account": {"id": "alice", "ledger": "main"}},
        "destination": {"account": {"id": "carol", "ledger": "main"}},
        "amount": {"asset": "USD/2", "amount": 7},
    }
}
STAGES = [PAYOUT] * 4


class Crowded(Scripted):
    """Holds every attempt that is not of the instance under test."""

    def __init__(self) -> None:
        super().__init__(lambda request, _: None if b"carol" in (request.body or b"") else "hold")

    @property
    def payouts(self) -> list[Request]:
        return [request for request in self.writes if b"carol" in (request.body or b"")]


@asynccontextmanager
async def crowded(path: Path, crash_point: CrashPoint | None = None) -> AsyncIterator[tuple[InProcess, Crowded, str]]:
    """The only turn is taken, and an instance of four effects waits for it."""
    services = Crowded()
    async with running(path, services, crash_point, concurrency=1) as alive:
        first = await alive.start(await alive.workflow("first", [SEND]), {})
        await _until(lambda: len(services.sent) == 1)
        second = await alive.start(await alive.workflow("second", STAGES), {})
        await asyncio.sleep(0.02)
        assert services.payouts == [], "it does not wait for its turn"
        yield alive, services, second.id
        assert (await alive.ended(first.id)).error is None
    await services.close()


async def test_an_attempt_that_waited_for_its_turn_begins_not_after_an_abort(tmp_path: Path) -> None:
    async with crowded(tmp_path / "j.db") as (alive, services, instance_id):
        await alive.abort(instance_id)
        services.gate.set()
        instance = await _settled(alive, instance_id)
        await asyncio.sleep(0.1)
        assert services.payouts == [], f"{len(services.payouts)} effects after the abort was answered"
        assert len(services.sent) == 1, "what was not sent needs no look-up"
        assert instance.error == "canceled"
        (activity,) = await alive.journal.activities(instance_id, 0)
        assert (activity.error, activity.output) == ("canceled", None)


@pytest.mark.needs("is_one_process")
async def test_an_attempt_whose_turn_comes_while_an_abort_commits_waits_for_that(tmp_path: Path) -> None:
    gate = Gate("EndInstance")
    gate.opens.set()
    async with crowded(tmp_path / "j.db", gate) as (alive, services, instance_id):
        gate.opens.clear()
        gate.is_reached.clear()
        aborting = asyncio.ensure_future(alive.abort(instance_id))
        await gate.is_reached.wait()
        services.gate.set()  # the other's commit is held too; its attempt is over, and the turn is free
        await asyncio.sleep(0.1)
        assert services.payouts == [], "it began before the abort was on the disk or had failed"
        gate.opens.set()
        await aborting
        await _settled(alive, instance_id)
        await asyncio.sleep(0.05)
        assert services.payouts == []


async def test_without_an_abort_its_turn_comes(tmp_path: Path) -> None:
    async with crowded(tmp_path / "j.db") as (alive, services, instance_id):
        services.gate.set()
        assert (await alive.ended(instance_id)).error is None
        assert len(services.payouts) == 4


@pytest.mark.parametrize("refuses", [1])
async def test_an_abort_that_fails_lets_it_begin(refuses: int, tmp_path: Path) -> None:
    gate = Gate("EndInstance")
    gate.opens.set()
    async with crowded(tmp_path / "j.db", gate) as (alive, services, instance_id):
        gate.refuses = refuses
        with pytest.raises(Exception, match="refused by the test"):
            await alive.abort(instance_id)
        services.gate.set()
        assert (await alive.ended(instance_id)).error is None
        assert len(services.payouts) == 4
        assert len(services.sent) == 1 + 4, "nothing was looked up as after an abort"
