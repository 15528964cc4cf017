"""The one writer of a process: it turns the units of a moment into one durable commit.

While its connection is lost, units stay in the queue and may grow too old there. A commit whose answer was lost is
settled before anything else: the database knows what became of the transaction.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Callable, Sequence

import psycopg
import structlog

from headrace.errors import InvalidValue, Unavailable
from headrace.journal.group import CommitMeter, GroupQueue, Outcome, WriterLimits
from headrace.journal.port import Unit
from headrace.journal.postgres.commit_marker import Mark
from headrace.journal.postgres.connections import Connection, connect_writer, has_failed, unavailable
from headrace.journal.postgres.notifications import News
from headrace.journal.postgres.owner import Owner
from headrace.journal.postgres.statements import WriteQuery
from headrace.journal.postgres.transaction import Failed, Stale, Transaction, Uncertain
from headrace.journal.writes import Write

RECONNECT_S, RECONNECT_CAP_S = 0.05, 2.0
MAX_GOES = 6
CLOSE_S = 10.0
"""How long a commit whose answer was lost is asked for while the journal closes."""
PLAN_S = 1.0
"""How long a plan is used. One that was made for a table of ten rows reads all of it, however long it has become."""
AGAIN = ("40P01", "40001")
"""Deadlock and failed serialization: another go succeeds."""

log = structlog.get_logger("headrace.journal")


class PostgresWriter:
    """Carries out one batch at a time. All methods are called on the event loop. `tell` is called after a commit."""

    def __init__(
        self,
        url: str,
        connection: Connection,
        queries: dict[type[Write], WriteQuery],
        statements: dict[str, str],
        limits: WriterLimits,
        meter: CommitMeter | None,
        tell: Callable[[News], None],
    ) -> None:
        self._url = url
        self._connection = connection
        self._queries = queries
        self._statements = statements
        self._tell = tell
        self.queue = GroupQueue(limits, meter, self._flush)
        self.owner = Owner(self._lent, self.queue.refuse)
        self._wanted: set[str] = set()
        """Types that are wanted for certain: a type stays wanted."""
        self._lane = asyncio.Lock()
        """Held by what uses the connection."""
        self._mark = Mark()
        self._loop = asyncio.get_running_loop()
        self._planned_s = 0.0
        self._failures = 0
        self._closing_s: float | None = None
        self._task: asyncio.Task[None] | None = None

    def _flush(self) -> None:
        self._task = asyncio.create_task(self._work())

    async def _work(self) -> None:
        async with self._lane:
            if has_failed(self._connection) and not await self._is_reconnected():
                self.queue.delay(self._pause_s())
                return
            if self.owner.lost.is_set():
                lost = self.queue.take_all()
                self.queue.finish(lost, [Unavailable("this server does not own the journal any more")] * len(lost), 0.0)
                return
            batch = self.queue.take()
            started = time.perf_counter()
            outcomes = await self._outcomes([unit for unit, _, _ in batch])
        if outcomes is None:
            self.queue.put_back(batch)
        else:
            self.queue.finish(batch, outcomes, time.perf_counter() - started)

    async def _outcomes(self, units: Sequence[Unit]) -> list[Outcome] | None:
        """Carry out a batch. None: nothing was written, and the units may be written later."""
        try:
            return await self._carry_out(units)
        except Uncertain as error:
            return await self._settled(error, len(units))
        except psycopg.Error as error:
            await self._roll_back()
            if error.sqlstate is None:  # not an answer of the server: the connection is in no known state
                await self._connection.close()
            if has_failed(self._connection):
                log.warning("the connection to the database is lost", reason=str(unavailable(error)))
                return None
            return [unavailable(error) for _ in units]
        except Unavailable as error:
            await self._roll_back()
            return [Unavailable(str(error)) for _ in units]

    async def _carry_out(self, units: Sequence[Unit]) -> list[Outcome]:
        """All in one go, as nearly always nothing is amiss; else again, each unit in a savepoint of its own."""
        await self._mark.make(self._connection)
        is_together = True
        for _ in range(MAX_GOES):
            plans_anew = self._loop.time() - self._planned_s > PLAN_S
            if plans_anew:
                self._planned_s = self._loop.time()
            go = Transaction(self._connection, self._queries, self._statements, self._mark, plans_anew=plans_anew)
            try:
                outcomes = await (go.together if is_together else go.one_by_one)(units, self._wanted)
                await go.commit(outcomes)
            except Stale as error:
                self._wanted |= error.wanted
            except (Failed, psycopg.errors.LockNotAvailable):
                is_together = False
            except psycopg.OperationalError as error:
                if error.sqlstate not in AGAIN:
                    raise
            except (psycopg.Error, InvalidValue, ValueError) as error:
                if not is_together or (isinstance(error, psycopg.Error) and error.sqlstate is None):
                    raise
                log.debug("a unit of a batch cannot be written", reason=str(error))
                is_together = False
            else:
                self._wanted |= go.news.wanted
                self._tell(go.news)
                return outcomes
            await self._roll_back()
        raise Unavailable("other servers write the same rows")

    async def _roll_back(self) -> None:
        with contextlib.suppress(psycopg.Error):
            await self._connection.execute("ROLLBACK")

    async def _settled(self, lost: Uncertain, units: int) -> list[Outcome] | None:
        """Ask what became of a commit until the database says it. Its callers wait: no answer would be true."""
        log.warning("the answer to a commit is lost; the database is asked for it", reason=str(lost.__cause__))
        await self._connection.close()
        while True:
            is_committed = await self._is_committed()
            if is_committed:
                self._wanted |= lost.news.wanted
                self._tell(lost.news)
                return lost.outcomes
            if is_committed is not None:
                return None
            if self._closing_s is not None and self._loop.time() - self._closing_s > CLOSE_S:
                log.error("the journal closes while it is not known whether a commit succeeded", units=units)
                return [None for _ in range(units)]
            await asyncio.sleep(self._pause_s())

    async def _is_committed(self) -> bool | None:
        """Whether the last commit succeeded; None: it is not known yet."""
        if has_failed(self._connection) and not await self._is_reconnected():
            return None
        try:
            return await self._mark.is_committed(self._connection)
        except psycopg.Error:
            return None

    # the connection

    async def _is_reconnected(self) -> bool:
        """Try once to connect again."""
        await self._connection.close()
        try:
            connection = await connect_writer(self._url)
            try:
                is_ready = await self.owner.renew(connection)
            except BaseException:
                await connection.close()
                raise
        except (psycopg.Error, OSError) as error:
            self.queue.explain("the database cannot be reached")
            if not self._failures:
                log.warning("the database cannot be reached", reason=str(unavailable(error)))
            self._failures += 1
            return False
        if not is_ready:
            self.queue.explain("the database does not give the lock of the journal's owner")
            await connection.close()
            self._failures += 1
            return False
        self._connection = connection
        self._failures = 0
        return True

    def _pause_s(self) -> float:
        return min(RECONNECT_S * 2 ** min(self._failures, 10), RECONNECT_CAP_S)

    @contextlib.asynccontextmanager
    async def _lent(self) -> AsyncGenerator[Connection]:
        async with self._lane:
            if has_failed(self._connection) and not await self._is_reconnected():
                raise Unavailable("the database cannot be reached")
            try:
                yield self._connection
            except psycopg.Error as error:
                raise unavailable(error) from error

    async def close(self) -> None:
        """Commit what is waiting, then close the connection."""
        self._closing_s = self._loop.time()
        await self.queue.rest()
        if self._task is not None:
            await self._task
        await self._connection.close()
