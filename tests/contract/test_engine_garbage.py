"""An instance that is over leaves no reference cycle: the collector would take a twentieth of the CPU to find them."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from tests.contract.test_engine import WAIT, Scripted
from tests.support.engines import every_engine
from tests.support.in_process import running

__all__ = ["every_engine"]  # a fixture

INSTANCES = 50
SEND: dict[str, Any] = {
    "send": {
        "source": {"account": {"id": "world", "ledger": "main"}},
        "destination": {"account": {"id": "bob", "ledger": "main"}},
        "amount": {"asset": "USD/2", "amount": 100},
    }
}


@pytest.fixture
def no_collections() -> Generator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.needs("is_one_process")
async def test_instances_that_are_over_are_freed_without_the_collector(tmp_path: Path, no_collections: None) -> None:
    services = Scripted()
    async with running(tmp_path / "j.db", services) as alive:
        workflow = await alive.workflow("w", [SEND, WAIT, SEND])

        async def one() -> None:
            instance = await alive.start(workflow, {})
            await alive.send_event(instance.id, "go")
            assert (await alive.ended(instance.id)).error is None

        await one()
        gc.collect()
        for _ in range(INSTANCES):
            await one()
        await asyncio.sleep(0)
        assert gc.collect() < INSTANCES
    await services.close()
