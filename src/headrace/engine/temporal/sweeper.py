"""Repeats nudges that no step has seen in time, and writes nudges where all of Temporal's data was lost."""

from __future__ import annotations

import asyncio

import structlog

from headrace.clock import Clock
from headrace.engine.temporal.nudger import Nudger, TemporalAway
from headrace.errors import Unavailable
from headrace.journal.port import Journal, Unit
from headrace.journal.records import StaleNudge
from headrace.journal.writes import AddNudge, PostponeNudges

log = structlog.get_logger("headrace.engine")

SWEEP_EVERY_S = 5.0
STALE_S = 10.0
PAGE = 1_000
AT_ONCE = 20
PER_S = 200.0
FIRST_AGAIN_S, LAST_AGAIN_S = 60.0, 3_600.0
"""A nudge that was repeated counts as overlooked again after a minute, then two, up to an hour."""
RESUMED_AT_ONCE = 200


class Sweeper:
    """Looks for overlooked nudges, the oldest first, and sends them again."""

    def __init__(self, journal: Journal, nudger: Nudger, clock: Clock) -> None:
        self._journal = journal
        self._nudger = nudger
        self._clock = clock

    async def run(self) -> None:
        while True:
            try:
                while await self.sweep():
                    pass
            except (TemporalAway, Unavailable):
                pass  # both are logged where they happen, or by whichever process writes
            await self._clock.sleep(SWEEP_EVERY_S)

    async def sweep(self) -> int:
        """Repeat up to a thousand nudges. Returns how many; raises TemporalAway or Unavailable at the first failure."""
        found = await self._journal.stale_nudges(self._clock.now_at() - int(STALE_S * 1e6), PAGE)
        for first in range(0, len(found), AT_ONCE):
            began_s = self._clock.monotonic_s()
            await self._repeat(found[first : first + AT_ONCE])
            left_s = AT_ONCE / PER_S - (self._clock.monotonic_s() - began_s)
            if left_s > 0:
                await self._clock.sleep(left_s)
        return len(found)

    async def _repeat(self, nudges: list[StaleNudge]) -> None:
        results = await asyncio.gather(
            *(self._nudger.call(nudge.instance_id, "resume") for nudge in nudges), return_exceptions=True
        )
        now_at = self._clock.now_at()
        unit = Unit()
        for nudge, result in zip(nudges, results, strict=True):
            if result is None:
                again_s = min(FIRST_AGAIN_S * 2 ** min(nudge.tries, 10), LAST_AGAIN_S)
                unit.add(PostponeNudges(at=now_at + int(again_s * 1e6), instance_id=nudge.instance_id, seq=nudge.seq))
        if unit:
            await self._journal.commit(unit)
        for result in results:
            if isinstance(result, BaseException):
                raise result


async def resume(journal: Journal, clock: Clock) -> int:
    """Nudge every instance that has something to do or to wait for, and return how many there are.

    For the day on which Temporal has lost its data, or an engine is changed: the sweeper of a running server then
    starts a workflow for each. It may be done again, and while instances run. Raises Unavailable.
    """
    count, last = 0, ""
    overlooked_at = clock.now_at() - int(STALE_S * 1e6) - 1
    while found := await journal.open_instances(last, RESUMED_AT_ONCE):
        unit = Unit()
        for instance_id in found:
            unit.add(AddNudge(instance_id=instance_id, why="resume", at=overlooked_at))
        await journal.commit(unit)
        count, last = count + len(found), found[-1]
    log.info("instances resume", instances=count)
    return count
