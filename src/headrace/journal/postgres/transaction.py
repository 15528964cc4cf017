"""One transaction of the writer: the statements of a batch in one round trip, then its commit in another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg.types.json import Json

from headrace.errors import RepeatedKey, Unavailable
from headrace.journal.group import Outcome
from headrace.journal.port import Later, Required, Unit
from headrace.journal.postgres.batches import Plan, Step, plan
from headrace.journal.postgres.commit_marker import Mark
from headrace.journal.postgres.connections import Connection, as_query
from headrace.journal.postgres.encoding import encoded
from headrace.journal.postgres.notifications import CHANNEL, NEWSWORTHY, News
from headrace.journal.postgres.statements import WriteQuery
from headrace.journal.writes import RememberKey, Result, WantType, Write

ORDER_LOCK, WANTED_LOCK = 0x6872_6F72_6465, 0x6872_7761_6E74
"""Held to the end of a commit that numbers events; and while a commit reads, or adds to, the types that are wanted."""


class Failed(Exception):
    """A unit of the batch fails; which one is found out when each is written by itself."""


class Stale(Exception):
    """Types of events have become wanted that the plan did not know as wanted."""

    def __init__(self, wanted: set[str]) -> None:
        super().__init__()
        self.wanted = wanted


class Uncertain(Exception):
    """The connection was lost while the commit was on its way."""

    def __init__(self, outcomes: list[Outcome], news: News) -> None:
        super().__init__()
        self.outcomes = outcomes
        self.news = news


class Transaction:
    """On a connection that nothing else uses meanwhile. Raises psycopg.Error where the batch cannot be written.

    `plans_anew`: the database plans its statements again, by the size that tables have now.
    """

    def __init__(
        self,
        connection: Connection,
        queries: dict[type[Write], WriteQuery],
        statements: dict[str, str],
        mark: Mark,
        *,
        plans_anew: bool = False,
    ) -> None:
        self._connection = connection
        self._plans_anew = plans_anew
        self._queries = queries
        self._statements = statements
        self._mark = mark
        self.news = News()
        """News of the units that succeed, sent once they are committed."""

    async def together(self, units: Sequence[Unit], wanted: set[str]) -> list[Outcome]:
        """Write all units. Raises Failed or Stale where that does not succeed; nothing is committed yet."""
        made = plan(units, wanted)
        results: list[list[Result]] = [[] for _ in units]
        async with self._connection.pipeline():
            await self._begin()
            reading = await self._lock_wanted(made)
            written = [(step, await self._send(step)) for step in made.steps]
            if made.is_ordered:
                await self._execute(f"SELECT pg_advisory_xact_lock({ORDER_LOCK})")
            written += [(step, await self._send(step)) for step in made.ordered]
        if reading is not None:
            there = {row[0] for row in await reading.fetchall()}
            if not there.isdisjoint(made.asked - wanted):
                raise Stale(there)
        for step, cursor in written:
            await self._collect(step, cursor, results)
            if step.kind in NEWSWORTHY:
                for write in step.writes:
                    self.news.note(write)
        outcomes: list[Outcome] = list(results)
        for number in made.late:
            try:
                outcomes[number] = await self._write_late(units[number], wanted | made.wants)
            except psycopg.OperationalError:
                raise
            except Exception as error:
                raise Failed from error
        return outcomes

    async def one_by_one(self, units: Sequence[Unit], wanted: set[str]) -> list[Outcome]:
        """Write each unit in a savepoint of its own: where it fails, the others do not. Nothing is committed yet."""
        async with self._connection.pipeline():
            await self._begin()
            await self._execute(f"SELECT pg_advisory_xact_lock({WANTED_LOCK})")
            await self._execute(f"SELECT pg_advisory_xact_lock({ORDER_LOCK})")
            await self._execute("SET LOCAL lock_timeout = '300ms'")
            reading = await self._execute(self._statements["wanted"])
        known = wanted | {row[0] for row in await reading.fetchall()}
        return [await self._alone(unit, known) for unit in units]

    async def _alone(self, unit: Unit, known: set[str]) -> Outcome:
        await self._execute("SAVEPOINT unit")
        try:
            results = await self._write_late(unit, known | self.news.wanted)
        except Exception as error:  # whatever it is, it is this unit's, and its caller gets it
            is_locked = isinstance(error, psycopg.errors.LockNotAvailable)
            if isinstance(error, psycopg.OperationalError) and not is_locked:
                raise
            failure = Unavailable("another server writes the same row") if is_locked else error
        else:
            await self._execute("RELEASE unit")
            return results
        await self._execute("ROLLBACK TO unit")
        await self._execute("RELEASE unit")
        return failure

    async def commit(self, outcomes: list[Outcome]) -> None:
        """Commit. Raises Uncertain where anything but an answer comes, and Unavailable where the answer is a refusal.

        Also an error that the server sends proves nothing: one that ends the wait for a replica comes after the commit.
        """
        payload = self.news.payload()
        try:
            async with self._connection.pipeline():
                if self.news.published:
                    await self._execute(self._statements["move_outbox_end"])
                if payload:
                    await self._connection.execute("SELECT pg_notify($1, $2)", (CHANNEL, payload))
                done = await self._execute("COMMIT")
        except psycopg.Error as error:
            raise Uncertain(outcomes, self.news) from error
        if done.statusmessage != "COMMIT":
            raise Unavailable("the database has rolled back instead of committing")

    async def _execute(self, text: str) -> psycopg.AsyncCursor[tuple[Any, ...]]:
        return await self._connection.execute(as_query(text))

    async def _begin(self) -> None:
        if self._plans_anew:
            await self._execute("DISCARD PLANS")
        await self._mark.begin(self._connection)

    async def _lock_wanted(self, made: Plan) -> psycopg.AsyncCursor[tuple[Any, ...]] | None:
        """Types that become wanted in another process are seen, or that process waits for this commit."""
        if made.wants or made.late:
            await self._execute(f"SELECT pg_advisory_xact_lock({WANTED_LOCK})")
        elif made.asked:
            await self._execute(f"SELECT pg_advisory_xact_lock_shared({WANTED_LOCK})")
        return await self._execute(self._statements["wanted"]) if made.asked else None

    async def _send(self, step: Step) -> psycopg.AsyncCursor[tuple[Any, ...]]:
        query = as_query(self._queries[step.kind].sql)
        return await self._connection.execute(query, (Json(step.writes, dumps=encoded),))

    async def _collect(
        self, step: Step, cursor: psycopg.AsyncCursor[tuple[Any, ...]], results: list[list[Result]]
    ) -> None:
        """Sort the results of a statement by unit. Raises Failed where a write that must change something did not."""
        if step.is_required and cursor.rowcount < len(step.writes):
            raise Failed
        query = self._queries[step.kind]
        if query.result is None:
            return
        rows: list[tuple[Any, ...]] = await cursor.fetchall()
        if query.is_numbered:
            for number, *values in rows:
                position: int = number
                results[step.units[position - 1]].append(query.result(*values))
        elif len(rows) not in (0, len(step.writes)) and len(step.writes) > 1:
            raise Failed
        elif rows:
            for unit, row in zip(step.units, rows, strict=False):
                results[unit].append(query.result(*row))

    # a unit by itself

    async def _write_late(self, unit: Unit, known: set[str]) -> list[Result]:
        """A round trip for each write. Raises the unit's own error, and psycopg.Error."""
        results: list[Result] = []
        made: list[Write] = []
        for entry in unit:
            if isinstance(entry, Later):
                write: Write = entry.make(results)
            elif isinstance(entry, Write):
                write = entry
            elif isinstance(entry, Required):
                write = entry.write
            elif entry.type in known:
                write = entry.make()
            else:
                continue
            query = self._queries[type(write)]
            cursor = await self._connection.execute(as_query(query.sql), (Json([write], dumps=encoded),))
            if isinstance(write, RememberKey) and not cursor.rowcount:
                raise RepeatedKey(write.key)
            if isinstance(entry, Required) and not cursor.rowcount:
                raise entry.error()
            if isinstance(write, WantType):
                known = known | {write.type}
            if query.result is not None and (row := await cursor.fetchone()) is not None:
                results.append(query.result(*row[1 if query.is_numbered else 0 :]))
            made.append(write)
        for write in made:
            self.news.note(write)
        return results
