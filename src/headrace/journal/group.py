"""Group commit: units that wait for a commit, and how they become batches. It knows no database.

While one commit is on its way, the units that arrive form the next batch. Where many instances are at work, a batch
waits a moment for its fellows, so that the database is asked less often; a lone unit never waits.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from headrace.errors import Unavailable
from headrace.journal.port import Results, Unit
from headrace.journal.writes import Published

Pending = tuple[Unit, "asyncio.Future[Results]", float]
"""A unit, its caller's future, and when it came (seconds of the loop's clock)."""


Outcome = Results | Exception | None
"""The results of a unit, or its error; None: it is not known whether it was committed."""


class CommitMeter(Protocol):
    def commit(self, seconds: float, units: int) -> None: ...


@dataclass(frozen=True, slots=True)
class WriterLimits:
    """Bounds of the queue; `gather_s`: how long a batch waits for its fellows; `give_up_s`: how long a unit queues."""

    max_batch: int = 256
    max_waiting: int = 20_000
    gather_s: float = 0.002
    give_up_s: float = 4.0


class GroupQueue:
    """The queue of one writer. All methods are called on the event loop.

    `flush` is called when a batch can begin: it calls `take`, carries the batch out, and then calls `finish`. Until
    then it is not called again. Where it cannot begin now, it calls `delay` instead of `take`.
    """

    def __init__(self, limits: WriterLimits, meter: CommitMeter | None, flush: Callable[[], None]) -> None:
        self._limits = limits
        self._meter = meter
        self._begin = flush
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[Pending] = deque()
        self._is_busy = False
        self._is_scheduled = False
        self._refusal: Callable[[], Unavailable] | None = None
        self._last_size = 0
        self._reason = ""
        self._sweeper: asyncio.Handle | None = None
        self._rest: asyncio.Future[None] | None = None
        self._publications = asyncio.Event()
        self._committed_s: float | None = None
        self.commits = 0
        """Batches since the start, also those that failed."""

    def has_committed_within(self, seconds: float) -> bool:
        """False also where a later commit has failed, or the next will."""
        if self._committed_s is None or self._refusal is not None:
            return False
        return self._loop.time() - self._committed_s < seconds

    def refuse(self, error: Callable[[], Unavailable]) -> None:
        """Take no unit any more: each is refused with such an error."""
        self._refusal = error

    @property
    def queued_units(self) -> int:
        return len(self._waiting)

    def commit(self, unit: Unit) -> asyncio.Future[Results]:
        """The result of the unit, once it is durable. Every error comes with the future."""
        future: asyncio.Future[Results] = self._loop.create_future()
        if self._refusal is not None:
            future.set_exception(self._refusal())
            return future
        if len(self._waiting) >= self._limits.max_waiting:
            future.set_exception(Unavailable("the journal has too much to write at the moment"))
            return future
        self._waiting.append((unit, future, self._loop.time()))
        if not self._is_busy and not self._is_scheduled:
            self._schedule()
        if self._sweeper is None:
            self._sweeper = self._loop.call_later(self._limits.give_up_s, self._sweep)
        return future

    async def publications(self) -> None:
        """Returns after the next commit that has put an event into the outbox."""
        await self._publications.wait()

    def announce(self) -> None:
        """There is news in the outbox."""
        self._publications.set()
        self._publications = asyncio.Event()

    def _sweep(self) -> None:
        """A unit that has waited too long leaves the queue; one whose commit is under way is awaited (decision W3)."""
        oldest_s = self._loop.time() - self._limits.give_up_s
        while self._waiting and self._waiting[0][2] <= oldest_s:
            _, future, _ = self._waiting.popleft()
            if not future.done():
                future.set_exception(Unavailable(f"the journal could not commit in time{self._reason}"))
        self._sweeper = None
        if self._waiting:
            wait_s = self._waiting[0][2] - oldest_s
            self._sweeper = self._loop.call_later(wait_s, self._sweep)
        self._may_rest()

    def _schedule(self) -> None:
        self._is_scheduled = True
        if self._last_size > 1 and len(self._waiting) < self._last_size:
            self._loop.call_later(self._limits.gather_s, self._flush)
        else:
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._is_scheduled = False
        if self._waiting:
            self._is_busy = True
            self._begin()

    # the writer

    def take(self) -> list[Pending]:
        """The next batch, which is not empty."""
        batch = [self._waiting.popleft() for _ in range(min(self._limits.max_batch, len(self._waiting)))]
        self._last_size = len(batch)
        return batch

    def take_all(self) -> list[Pending]:
        """All that waits: none of it can be written."""
        waiting, self._waiting = list(self._waiting), deque()
        return waiting

    def put_back(self, batch: list[Pending]) -> None:
        """Nothing of a batch was written; its units are in the queue again, as old as they are."""
        self._waiting.extendleft(reversed(batch))
        if self._sweeper is not None:
            self._sweeper.cancel()
        self._sweeper = self._loop.call_soon(self._sweep)
        self._committed_s = None
        self.delay(0.0)

    def explain(self, reason: str) -> None:
        """Why nothing is committed, for those that wait too long; until a batch is finished."""
        self._reason = f": {reason}"
        self._committed_s = None

    def delay(self, seconds: float) -> None:
        """Begin later. Meanwhile units stay in the queue and may grow too old there."""
        self._is_busy = False
        self._is_scheduled = True
        self._loop.call_later(seconds, self._flush)

    def finish(self, batch: list[Pending], results: Sequence[Outcome], seconds: float) -> None:
        """Answer the callers of a batch that was carried out within so many seconds.

        The caller of a unit without a result gets no answer, as none is known.
        """
        self._is_busy = False
        self._reason = ""
        self.commits += 1
        is_failure = any(isinstance(result, Unavailable) for result in results)
        self._committed_s = None if is_failure else self._loop.time()
        has_published = False
        for (_, future, _), result in zip(batch, results, strict=True):
            if result and not isinstance(result, Exception):
                has_published = has_published or any(isinstance(each, Published) for each in result)
            if future.done():
                continue  # the caller went away; what it asked for was done all the same
            if result is None:
                future.cancel()
            elif isinstance(result, Exception):
                future.set_exception(result)
            else:
                future.set_result(result)
        if has_published:
            self.announce()
        if self._waiting and not self._is_scheduled:
            self._schedule()
        self._may_rest()
        if self._meter is not None:
            self._meter.commit(seconds, len(batch))

    def _may_rest(self) -> None:
        if self._rest is not None and not self._waiting and not self._is_busy and not self._rest.done():
            self._rest.set_result(None)

    async def rest(self) -> None:
        """Take no unit any more, and wait until those that are here are answered."""
        if self._refusal is None:
            self._refusal = lambda: Unavailable("the journal is closed")
        if self._waiting or self._is_busy:
            self._rest = self._loop.create_future()
            await self._rest
        if self._sweeper is not None:
            self._sweeper.cancel()
