"""Retention: callers' keys, envelopes and published events are kept for their time, then removed.

Their age is counted in *time served*: seconds by the monotonic clock in which a server ran, added up in the journal.
The wall clock takes no part (decision C2): a clock that steps removes nothing, and a server that runs for a minute a
day removes nothing a caller or broker may still repeat. Time that is not counted (`kill -9`) keeps rows longer.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from headrace.clock import Clock
from headrace.errors import Unavailable
from headrace.journal.port import Journal, Unit, sweep
from headrace.journal.retention_writes import ForgetDeadLetters, ForgetEnvelopes, ForgetKeys, ServeTime, TimeServed

COUNT_EVERY_S = 60.0
MAX_STEP_S = 120
"""Counted at once at most: a process that was paused or a machine that slept did not serve meanwhile."""


@dataclass(frozen=True, slots=True)
class Keep:
    """How long rows are kept, in time served. `events_s`: envelopes and events that a publisher refused."""

    keys_s: int
    events_s: int
    outbox_s: int


class Retention:
    """`trim_outbox` removes published events, and those stored before a moment of time served."""

    def __init__(
        self, journal: Journal, clock: Clock, keep: Keep, trim_outbox: Callable[[int], Awaitable[None]]
    ) -> None:
        self._journal = journal
        self._clock = clock
        self._keep = keep
        self._trim_outbox = trim_outbox
        self._counted_s = clock.monotonic_s()

    async def run(self) -> None:
        """Run until cancelled. At the end the last seconds are counted, if the journal can."""
        try:
            while True:
                with contextlib.suppress(Unavailable):
                    await self.sweep()
                await self._clock.sleep(COUNT_EVERY_S)
        finally:
            await self.stop()

    async def sweep(self) -> None:
        """Count the time served, and remove what has been kept for its time. Raises Unavailable.

        A row carries the count that was last committed, which the next one exceeds by MAX_STEP_S at most.
        """
        served_s = await self.count() - MAX_STEP_S
        await sweep(self._journal, ForgetKeys(before_s=served_s - self._keep.keys_s))
        await sweep(self._journal, ForgetEnvelopes(before_s=served_s - self._keep.events_s))
        await sweep(self._journal, ForgetDeadLetters(before_s=served_s - self._keep.events_s))
        await self._trim_outbox(served_s - self._keep.outbox_s)

    async def count(self) -> int:
        """Add the whole seconds since the last count; returns the sum over all servers. Raises Unavailable."""
        passed_s = int(self._clock.monotonic_s() - self._counted_s)
        unit = Unit()
        unit.add(ServeTime(seconds=min(max(passed_s, 0), MAX_STEP_S)))
        (served,) = await self._journal.commit(unit)
        self._counted_s += passed_s
        assert isinstance(served, TimeServed)
        return served.seconds

    async def stop(self) -> None:
        """Count the last seconds, if the journal can."""
        with contextlib.suppress(Unavailable):
            await self.count()
