"""Batches of a server in this process: made, previewed, started and watched."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from headrace.journal.records import Batch, BatchItem
from headrace.usecases.batch_driver import BatchDriver
from headrace.usecases.batches import make_batch, start_batch
from headrace.usecases.idempotency import Caller
from tests.support.in_process import InProcess

JANE, JOE = Caller("jane", "createBatch"), Caller("joe", "startBatch")
LIMIT_S = 60.0


@asynccontextmanager
async def driving(alive: InProcess, drivers: int = 1) -> AsyncIterator[None]:
    """Drive the batches of a server, as its background tasks do; a driver that fails, fails the test."""
    tasks = [asyncio.create_task(BatchDriver(alive.ports).run()) for _ in range(drivers)]
    try:
        yield
        for task in tasks:
            if task.done():
                task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def batch_in(alive: InProcess, batch_id: str, *states: str) -> Batch:
    """The batch once it is in one of these states."""
    async with asyncio.timeout(LIMIT_S):
        while True:
            found = await alive.journal.batch(batch_id)
            assert found is not None
            if found.state in states:
                return found
            await asyncio.sleep(0.005)


async def previewed(alive: InProcess, kind: str, **wanted: Any) -> Batch:
    made = await make_batch(alive.ports, JANE, {"kind": kind, "reason": "the bank was down", "rate": 1_000, **wanted})
    return await batch_in(alive, made.target, "ready")


async def begun(alive: InProcess, kind: str, **wanted: Any) -> Batch:
    ready = await previewed(alive, kind, **wanted)
    answer = await start_batch(alive.ports, JOE, ready.id, {"hash": ready.hash})
    assert answer.value is not None
    return answer.value


async def done(alive: InProcess, kind: str, **wanted: Any) -> Batch:
    return await batch_in(alive, (await begun(alive, kind, **wanted)).id, "done")


async def items_of(alive: InProcess, batch_id: str) -> list[BatchItem]:
    found: list[BatchItem] = []
    while page := await alive.journal.batch_items(batch_id, found[-1].n if found else 0, 500):
        found += page
    return found


async def states_of(alive: InProcess, batch_id: str) -> dict[str, int]:
    return dict(Counter(item.state for item in await items_of(alive, batch_id)))


def summary_of(batch: Batch) -> dict[str, Any]:
    assert batch.summary is not None
    return msgspec.json.decode(batch.summary)


def runs(workflow_id: str, count: int) -> list[dict[str, Any]]:
    return [{"workflowID": workflow_id, "variables": {}} for _ in range(count)]
