"""Drives batches: makes previews, starts items at their rate, stores how they end.

One server at a time has this duty, and nothing depends on that: what a driver does is guarded where it is stored.
"""

from __future__ import annotations

import asyncio
import contextlib

import structlog

from headrace.clock import Clock
from headrace.errors import Silent, Unavailable
from headrace.journal import batch_writes as writes
from headrace.journal.port import Unit
from headrace.journal.records import Batch, Decision
from headrace.usecases.batch_items import NotNow, end_item, start_item
from headrace.usecases.batch_preview import Replaced, preview
from headrace.usecases.batches import PREVIEWING, RUNNING
from headrace.usecases.plans import APPROVE
from headrace.usecases.ports import Ports

LOOK_EVERY_S = 1.0
"""Time between two looks for batches."""
STEP_S = 0.25
"""Time between two looks at the items of a batch that have ended."""
SILENT_S = 5.0
"""Pause where a service does not answer, or the journal is not available."""
REPLACED_S = 30.0
"""Time for which a driver leaves a preview to another one."""
PAGE = 100
AT_ONCE = 8
"""Items of one batch that are started at the same time."""

log = structlog.get_logger("headrace")


class BatchDriver:
    """Drives every batch of the journal that is under way, each in a task of its own."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        self._driving: dict[str, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Run until cancelled. What a batch raises unexpectedly is raised here."""
        try:
            while True:
                with contextlib.suppress(Unavailable):
                    for batch_id in await self._ports.journal.batches_under_way():
                        if batch_id not in self._driving:
                            self._driving[batch_id] = asyncio.create_task(self.drive(batch_id))
                for batch_id, task in list(self._driving.items()):
                    if task.done():
                        del self._driving[batch_id]
                        task.result()
                await self._ports.clock.sleep(LOOK_EVERY_S)
        finally:
            for task in self._driving.values():
                task.cancel()
            await asyncio.gather(*self._driving.values(), return_exceptions=True)

    async def drive(self, batch_id: str) -> None:
        """Drive a batch until it waits for a person, or nothing of it is left."""
        ports = self._ports
        pace = Pace(ports.clock)
        while True:
            try:
                batch = await ports.journal.batch(batch_id)
                if batch is None:
                    return
                if batch.state == PREVIEWING:
                    await preview(ports, batch)
                    return
                await self._end_items(batch)
                if batch.state != RUNNING and not batch.open:
                    return
                if batch.state == RUNNING:
                    await self._start_items(batch, pace)
                    await _finish(ports, batch)
                await ports.clock.sleep(STEP_S)
            except Replaced:
                await ports.clock.sleep(REPLACED_S)
            except (Silent, Unavailable) as error:
                log.warning("a batch waits", batch_id=batch_id, reason=str(error))
                await ports.clock.sleep(SILENT_S)

    async def _approvals(self, batch_id: str) -> list[Decision]:
        """The approvals of a batch that runs: they do not change any more."""
        return [each for each in await self._ports.journal.decisions(batch_id) if each.verdict == APPROVE]

    async def _end_items(self, batch: Batch) -> None:
        """Store how items have ended, in the order of these ends."""
        while page := await self._ports.journal.item_endings(batch.id, PAGE):
            for ending in page:
                try:
                    await end_item(self._ports, batch, ending)
                except NotNow:  # another driver is at it
                    return

    async def _start_items(self, batch: Batch, pace: Pace) -> None:
        """Start items at the rate of the batch, for about the time of a step, while it runs and more may be open.

        Some are started at once, so that they share commits.
        """
        ports, limit = self._ports, max(1, round(batch.rate * STEP_S))
        approvals = await self._approvals(batch.id)
        starting: set[asyncio.Task[bool]] = set()
        try:
            for item in await ports.journal.batch_items(batch.id, 0, limit, "pending"):
                await pace.wait(batch.rate)
                if len(starting) >= AT_ONCE:
                    done, starting = await asyncio.wait(starting, return_when=asyncio.FIRST_COMPLETED)
                    for task in done:
                        task.result()
                starting.add(asyncio.create_task(start_item(ports, batch, item.n, approvals)))
            over = await asyncio.gather(*starting, return_exceptions=True)
        except NotNow:
            over = await asyncio.gather(*starting, return_exceptions=True)
        finally:
            for task in starting:
                task.cancel()  # where this one was cancelled: what an item commits goes on to its end
        for error in over:
            if isinstance(error, BaseException) and not isinstance(error, NotNow):
                raise error


class Pace:
    """The rate of one batch in this process."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._next_s = clock.monotonic_s()

    async def wait(self, rate: int) -> None:
        """Wait until one more may start. What was missed is made up for only as far as a step lasts."""
        now_s = self._clock.monotonic_s()
        if now_s < self._next_s:
            await self._clock.sleep(self._next_s - now_s)
        self._next_s = max(self._next_s, self._clock.monotonic_s() - STEP_S) + 1 / rate


async def _finish(ports: Ports, batch: Batch) -> None:
    """Store that the batch is done, if it is."""
    unit = Unit()
    unit.add(writes.FinishBatch(batch_id=batch.id, at=ports.clock.now_at()))
    await ports.journal.commit(unit)
