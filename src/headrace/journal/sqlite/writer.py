"""The one writer: it turns the units of a moment into one durable commit.

The statements of a batch run on the event loop (microseconds each, into the page cache); a thread waits for the
disk. Running them on the thread was slower by half: the interpreter's lock changed hands at every statement.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable
from operator import itemgetter
from queue import SimpleQueue

import structlog
from msgspec.structs import astuple

from headrace.errors import Damaged, RepeatedKey, Unavailable
from headrace.journal.group import CommitMeter, GroupQueue, Pending, WriterLimits
from headrace.journal.port import Later, Required, Results, Unit, WhenWanted
from headrace.journal.sqlite.faults import damaged, is_damage
from headrace.journal.sqlite.statements import WriteQuery
from headrace.journal.writes import AddLookups, Published, RememberKey, Result, WantType, Write

BUSY_RETRY_S = 0.01

log = structlog.get_logger("headrace.journal")


class UnitWriter:
    """Writes the units of one transaction, which the caller begins and commits.

    `wanted`: types of events that are wanted, as this transaction sees them; None: not read yet. `terms`: what makes
    instances findable; those of all units are stored in order at the end, which takes half the time.
    """

    def __init__(
        self, connection: sqlite3.Connection, queries: dict[type[Write], WriteQuery], statements: dict[str, str]
    ) -> None:
        self._connection = connection
        self._queries = queries
        self._read_wanted, self._move_outbox_end = statements["wanted"], statements["move_outbox_end"]
        self._add_term = queries[AddLookups].sql
        self.wanted: set[str] | None = None
        self.terms: list[tuple[int, str, str]] = []

    def begin(self) -> None:
        """A transaction begins."""
        self.wanted = None
        self.terms.clear()

    def write(self, unit: Unit) -> Results:
        """Make the writes of one unit, in their order. Raises the error of a `Required` write that changes nothing."""
        results: list[Result] = []
        execute, queries = self._connection.execute, self._queries
        for entry in unit:
            if type(entry) is WhenWanted:
                if entry.type not in (self._wanted_types() if self.wanted is None else self.wanted):
                    continue
                write = entry.make()
            elif type(entry) is Required:
                write = entry.write
            elif type(entry) is Later:
                write = entry.make(results)
            else:
                write = entry
            if type(write) is AddLookups:
                self.terms += [(write.created_at, write.instance_id, term) for term in write.terms]
                continue
            query = queries[type(write)]
            try:
                cursor = execute(query.sql, astuple(write))
            except sqlite3.IntegrityError:
                if isinstance(write, RememberKey):
                    raise RepeatedKey(write.key) from None
                raise
            if type(entry) is Required and cursor.rowcount == 0:
                raise entry.error()
            if type(write) is WantType:
                self.wanted = None
            if query.result is not None and (row := cursor.fetchone()) is not None:
                results.append(query.result(*row))
        return results

    def _wanted_types(self) -> set[str]:
        """Read in this transaction, so that a type counts from the commit in which any process wanted it."""
        if self.wanted is None:
            self.wanted = {row[0] for row in self._connection.execute(self._read_wanted)}
        return self.wanted

    def end_in_order(self, results: Iterable[Results | Exception]) -> None:
        """The ordered section of a commit: what must be written in the order in which commits become visible."""
        if self.terms:
            self.terms.sort(key=itemgetter(2))
            self._connection.executemany(self._add_term, self.terms)
        published = [
            each.seq
            for unit in results
            if unit and not isinstance(unit, Exception)
            for each in unit
            if isinstance(each, Published)
        ]
        if published:
            self._connection.execute(self._move_outbox_end, (max(published),))


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
        self._units = UnitWriter(connection, queries, statements)
        self._loop = asyncio.get_running_loop()
        self.queue = GroupQueue(limits, meter, self._flush)
        self._batches: SimpleQueue[tuple[list[Pending], list[Results | Exception]] | None] = SimpleQueue()
        self._damage: Damaged | None = None
        self._thread = threading.Thread(target=self._work, name="headrace-journal", daemon=True)
        self._thread.start()

    def refuse(self, damage: Damaged) -> Damaged:
        """Commit nothing more to a file that is damaged: a write could destroy what is left."""
        if self._damage is None:
            log.error("the journal is damaged; nothing is written to it any more", reason=str(damage))
            self._damage = damage
            self.queue.refuse(lambda: Damaged(str(damage)))
        return self._damage

    def _flush(self) -> None:
        self._roll_back()  # where that failed before
        try:
            self._connection.execute("BEGIN IMMEDIATE")
        except (sqlite3.Error, MemoryError) as error:
            self._cannot_begin(error)
            return
        batch = self.queue.take()
        try:
            results = self._carry_out(batch)
            self._units.end_in_order(results)
        except (sqlite3.Error, MemoryError) as error:
            self._roll_back()
            self.queue.finish(batch, self._unavailable(batch, error), 0.0)
            return
        self._batches.put((batch, results))

    def _cannot_begin(self, error: Exception) -> None:
        """While another program writes to the file, units stay in the queue and may grow too old there."""
        self.queue.delay(BUSY_RETRY_S)
        if getattr(error, "sqlite_errorcode", 0) & 0xFF != sqlite3.SQLITE_BUSY:
            waiting = self.queue.take_all()
            self.queue.finish(waiting, self._unavailable(waiting, error), 0.0)

    def _roll_back(self) -> None:
        """End the transaction. If that fails too, it stays open and uncommitted, and no other begins."""
        if self._connection.in_transaction:
            with contextlib.suppress(sqlite3.Error, MemoryError):
                self._connection.execute("ROLLBACK")

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
            self._loop.call_soon_threadsafe(self.queue.finish, batch, results, time.perf_counter() - started)

    # the units of a batch

    def _carry_out(self, batch: list[Pending]) -> list[Results | Exception]:
        """All in one go, as nearly always nothing is amiss; else again, each unit in a savepoint of its own."""
        self._units.begin()
        try:
            return [self._units.write(unit) for unit, _, _ in batch]
        except (sqlite3.OperationalError, MemoryError):
            raise
        except Exception as error:  # whatever it is, the second go finds out whose it is
            if is_damage(error):
                raise
            self._roll_back()
            self._connection.execute("BEGIN IMMEDIATE")
            self._units.begin()
            return [self._carry_out_alone(unit) for unit, _, _ in batch]

    def _carry_out_alone(self, unit: Unit) -> Results | Exception:
        """If it fails, its neighbours do not (decision E2)."""
        self._connection.execute("SAVEPOINT unit")
        terms = len(self._units.terms)
        try:
            results = self._units.write(unit)
        except (sqlite3.OperationalError, MemoryError):
            raise
        except Exception as error:  # whatever it is, it is this unit's, and its caller hears of it
            if is_damage(error):
                raise
            self._units.wanted = None
            del self._units.terms[terms:]
            self._connection.execute("ROLLBACK TO unit")
            self._connection.execute("RELEASE unit")
            return error
        self._connection.execute("RELEASE unit")
        return results

    async def close(self) -> None:
        """Commit what is waiting, then end the thread."""
        await self.queue.rest()
        self._batches.put(None)
        await asyncio.to_thread(self._thread.join)
        self._connection.close()

    def _unavailable(self, batch: list[Pending], error: Exception) -> list[Results | Exception]:
        if is_damage(error):
            reason = str(self.refuse(damaged(error)))
            return [Damaged(reason) for _ in batch]
        return [Unavailable(f"the journal cannot write: {error}") for _ in batch]


async def in_thread(work: Callable[[str], None], path: str) -> None:
    """Wait for its end even when cancelled: the file is not given away while a thread still writes to it."""
    running = asyncio.ensure_future(asyncio.to_thread(work, path))
    try:
        await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait((running,))
        raise
