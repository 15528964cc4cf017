"""The one writer: it turns the units of a moment into one durable commit.

The statements of a batch run on the event loop (microseconds each, into the page cache); a thread waits for the
disk. Running them on the thread was slower by half: the interpreter's lock changed hands at every statement.
While a commit is on its way to the disk, the units that arrive form the next batch. Where many instances are at
work, a batch waits a moment for its fellows, so that the disk is asked less often; a lone unit never waits.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
import time
from collections import deque
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Protocol

import structlog
from msgspec.structs import astuple

from headrace.errors import Damaged, RepeatedKey, Unavailable
from headrace.journal.port import Later, Required, Results, Unit
from headrace.journal.sqlite.faults import damaged, is_damage
from headrace.journal.sqlite.statements import WriteQuery
from headrace.journal.writes import Published, RememberKey, Result, WantType, Write

BUSY_RETRY_S = 0.01

log = structlog.get_logger("headrace.journal")

_Pending = tuple[Unit, "asyncio.Future[Results]", float]


class CommitMeter(Protocol):
    def commit(self, seconds: float, units: int) -> None: ...


@dataclass(frozen=True, slots=True)
class WriterLimits:
    """Bounds of the queue; `gather_s`: how long a batch waits for its fellows; `give_up_s`: how long a unit queues."""

    max_batch: int = 256
    max_waiting: int = 20_000
    gather_s: float = 0.002
    give_up_s: float = 4.0


class GroupWriter:
    """Hands batches of units to its thread. All methods are called on the event loop."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        queries: dict[type[Write], WriteQuery],
        statements: dict[str, str],
        limits: WriterLimits,
        meter: CommitMeter | None,
    ) -> None:
        self._connection = connection
        self._queries = queries
        self._read_wanted, self._move_outbox_end = statements["wanted"], statements["move_outbox_end"]
        self._wanted: set[str] | None = None
        """Types of events that are wanted, as this transaction sees them; None: not read yet."""
        self._limits = limits
        self._meter = meter
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[_Pending] = deque()
        self._batches: SimpleQueue[tuple[list[_Pending], list[Results | Exception]] | None] = SimpleQueue()
        self._is_busy = False
        self._is_scheduled = False
        self._is_closed = False
        self._damage: Damaged | None = None
        self._last_size = 0
        self._sweeper: asyncio.TimerHandle | None = None
        self._rest: asyncio.Future[None] | None = None
        self._publications = asyncio.Event()
        self.commits = 0
        self._committed_s: float | None = None
        self._thread = threading.Thread(target=self._work, name="headrace-journal", daemon=True)
        self._thread.start()

    def has_committed_within(self, seconds: float) -> bool:
        """False also where a later commit has failed, or the next will."""
        if self._committed_s is None or self._damage is not None:
            return False
        return self._loop.time() - self._committed_s < seconds

    def refuse(self, damage: Damaged) -> Damaged:
        """Commit nothing more to a file that is damaged: a write could destroy what is left."""
        if self._damage is None:
            log.error("the journal is damaged; nothing is written to it any more", reason=str(damage))
            self._damage = damage
        return self._damage

    @property
    def queued_units(self) -> int:
        return len(self._waiting)

    def commit(self, unit: Unit) -> asyncio.Future[Results]:
        """The result of the unit, once it is durable. Raises Unavailable at once where it cannot be queued."""
        if self._is_closed:
            raise Unavailable("the journal is closed")
        if self._damage is not None:
            raise Damaged(str(self._damage))
        if len(self._waiting) >= self._limits.max_waiting:
            raise Unavailable("the journal has too much to write at the moment")
        future: asyncio.Future[Results] = self._loop.create_future()
        self._waiting.append((unit, future, self._loop.time()))
        if not self._is_busy and not self._is_scheduled:
            self._schedule()
        if self._sweeper is None:
            self._sweeper = self._loop.call_later(self._limits.give_up_s, self._sweep)
        return future

    async def publications(self) -> None:
        """Returns after the next commit that has put an event into the outbox."""
        await self._publications.wait()

    def _sweep(self) -> None:
        """A unit that has waited too long leaves the queue; one whose commit is under way is awaited (decision W3)."""
        oldest_s = self._loop.time() - self._limits.give_up_s
        while self._waiting and self._waiting[0][2] <= oldest_s:
            _, future, _ = self._waiting.popleft()
            if not future.done():
                future.set_exception(Unavailable("the journal could not commit in time"))
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
        if not self._waiting:
            return
        self._is_busy = True
        self._roll_back()  # where that failed before
        try:
            self._connection.execute("BEGIN IMMEDIATE")
        except (sqlite3.Error, MemoryError) as error:
            self._cannot_begin(error)
            return
        batch = [self._waiting.popleft() for _ in range(min(self._limits.max_batch, len(self._waiting)))]
        self._last_size = len(batch)
        try:
            results = self._carry_out(batch)
            self._end_in_order(results)
        except (sqlite3.Error, MemoryError) as error:
            self._roll_back()
            self._finished(batch, self._unavailable(batch, error), 0.0)
            return
        self._batches.put((batch, results))

    def _cannot_begin(self, error: Exception) -> None:
        """While another program writes to the file, units stay in the queue and may grow too old there (`_sweep`)."""
        self._is_busy = False
        self._is_scheduled = True
        self._loop.call_later(BUSY_RETRY_S, self._flush)
        if getattr(error, "sqlite_errorcode", 0) & 0xFF != sqlite3.SQLITE_BUSY:
            waiting, self._waiting = list(self._waiting), deque()
            self._finished(waiting, self._unavailable(waiting, error), 0.0)

    def _roll_back(self) -> None:
        """End the transaction. If that fails too, it stays open and uncommitted, and no other begins."""
        if self._connection.in_transaction:
            with contextlib.suppress(sqlite3.Error, MemoryError):
                self._connection.execute("ROLLBACK")

    def _finished(self, batch: list[_Pending], results: list[Results | Exception], seconds: float) -> None:
        self._is_busy = False
        self.commits += 1
        is_failure = any(isinstance(result, Unavailable) for result in results)
        self._committed_s = None if is_failure else self._loop.time()
        has_published = False
        for (_, future, _), result in zip(batch, results, strict=True):
            if result and not isinstance(result, Exception):
                has_published = has_published or any(isinstance(each, Published) for each in result)
            if future.done():
                continue  # the caller went away; what it asked for was done all the same
            if isinstance(result, Exception):
                future.set_exception(result)
            else:
                future.set_result(result)
        if has_published:
            self._publications.set()
            self._publications = asyncio.Event()
        if self._meter is not None:
            self._meter.commit(seconds, len(batch))
        if self._waiting and not self._is_scheduled:
            self._schedule()
        self._may_rest()

    def _may_rest(self) -> None:
        if self._rest is not None and not self._waiting and not self._is_busy and not self._rest.done():
            self._rest.set_result(None)

    # on the thread

    def _work(self) -> None:
        while (job := self._batches.get()) is not None:
            batch, results = job
            started = time.perf_counter()
            try:
                self._connection.execute("COMMIT")
            except (sqlite3.Error, MemoryError) as error:
                self._roll_back()
                results = self._unavailable(batch, error)
            self._loop.call_soon_threadsafe(self._finished, batch, results, time.perf_counter() - started)

    # the units of a batch

    def _end_in_order(self, results: list[Results | Exception]) -> None:
        """The ordered section of a commit: what must be written in the order in which commits become visible."""
        published = [
            each.seq
            for unit in results
            if unit and not isinstance(unit, Exception)
            for each in unit
            if isinstance(each, Published)
        ]
        if published:
            self._connection.execute(self._move_outbox_end, (max(published),))

    def _carry_out(self, batch: list[_Pending]) -> list[Results | Exception]:
        """All in one go, as nearly always nothing is amiss; else again, each unit in a savepoint of its own."""
        self._wanted = None
        try:
            return [self._write(unit) for unit, _, _ in batch]
        except (sqlite3.OperationalError, MemoryError):
            raise
        except Exception as error:  # whatever it is, the second go finds out whose it is
            if is_damage(error):
                raise
            self._roll_back()
            self._connection.execute("BEGIN IMMEDIATE")
            self._wanted = None
            return [self._carry_out_alone(unit) for unit, _, _ in batch]

    def _carry_out_alone(self, unit: Unit) -> Results | Exception:
        """If it fails, its neighbours do not (decision E2)."""
        self._connection.execute("SAVEPOINT unit")
        try:
            results = self._write(unit)
        except (sqlite3.OperationalError, MemoryError):
            raise
        except Exception as error:  # whatever it is, it is this unit's, and its caller hears of it
            if is_damage(error):
                raise
            self._wanted = None
            self._connection.execute("ROLLBACK TO unit")
            self._connection.execute("RELEASE unit")
            return error
        self._connection.execute("RELEASE unit")
        return results

    def _write(self, unit: Unit) -> Results:
        results: list[Result] = []
        execute, queries = self._connection.execute, self._queries
        for entry in unit:
            if isinstance(entry, Write):
                write = entry
            elif isinstance(entry, Required):
                write = entry.write
            elif isinstance(entry, Later):
                write = entry.make(results)
            elif entry.type in (self._wanted_types() if self._wanted is None else self._wanted):
                write = entry.make()
            else:
                continue
            query = queries[type(write)]
            try:
                cursor = execute(query.sql, astuple(write))
            except sqlite3.IntegrityError:
                if isinstance(write, RememberKey):
                    raise RepeatedKey(write.key) from None
                raise
            if isinstance(entry, Required) and cursor.rowcount == 0:
                raise entry.error()
            if isinstance(write, WantType):
                self._wanted = None
            if query.result is not None and (row := cursor.fetchone()) is not None:
                results.append(query.result(*row))
        return results

    def _wanted_types(self) -> set[str]:
        """Read in this transaction, so that a type counts from the commit in which any process wanted it."""
        if self._wanted is None:
            self._wanted = {row[0] for row in self._connection.execute(self._read_wanted)}
        return self._wanted

    async def close(self) -> None:
        """Commit what is waiting, then end the thread."""
        self._is_closed = True
        if self._waiting or self._is_busy:
            self._rest = self._loop.create_future()
            await self._rest
        if self._sweeper is not None:
            self._sweeper.cancel()
        self._batches.put(None)
        await asyncio.to_thread(self._thread.join)
        self._connection.close()

    def _unavailable(self, batch: list[_Pending], error: Exception) -> list[Results | Exception]:
        if is_damage(error):
            reason = str(self.refuse(damaged(error)))
            return [Damaged(reason) for _ in batch]
        return [Unavailable(f"the journal cannot write: {error}") for _ in batch]
