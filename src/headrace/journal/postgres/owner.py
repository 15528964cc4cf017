"""One owner per journal: a session lock of the database, on the very connection that writes.

The lock cannot outlive the ability to write, nor the other way round. Each owner raises the journal's generation: a
process that reconnects and finds another generation was not the owner meanwhile, and what it has in memory is out of
date.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import structlog

from headrace.errors import AlreadyOwned, Unavailable
from headrace.journal.postgres.connections import Connection, as_query

OWNER_LOCK = 0x6872_6F77_6E72

log = structlog.get_logger("headrace.journal")

_HOLDER = f"""
SELECT a.pid, a.application_name FROM pg_locks AS l JOIN pg_stat_activity AS a ON a.pid = l.pid
WHERE l.locktype = 'advisory' AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND l.classid = {OWNER_LOCK >> 32} AND l.objid = {OWNER_LOCK & 0xFFFF_FFFF} AND l.objsubid = 1 AND l.granted
"""


class Owner:
    """`use` lends the writer's connection; `refuse` ends writing: the journal belongs to another process."""

    def __init__(
        self,
        use: Callable[[], AbstractAsyncContextManager[Connection]],
        refuse: Callable[[Callable[[], Unavailable]], None],
    ) -> None:
        self._use = use
        self._refuse = refuse
        self.pid = 0
        """The database's process of the connection on which the lock was taken."""
        self.is_owner = False
        self.generation = -1
        self.lost = asyncio.Event()
        """Set when this process was the owner and is not any more: it must end."""

    async def try_own(self) -> bool:
        """Become the owner, unless another process is. Raises Unavailable."""
        if self.is_owner:
            return True
        async with self._use() as connection:
            if not await _locked(connection):
                return False
            cursor = await connection.execute(
                "UPDATE journal_state SET generation = generation + 1 RETURNING generation"
            )
            self.generation = (await cursor.fetchall())[0][0]
            self.pid = connection.info.backend_pid
            self.is_owner = True
        log.info("this process owns the journal", generation=self.generation)
        return True

    async def holder(self) -> str | None:
        """The process that owns the journal, as it names itself to the database. Raises Unavailable."""
        async with self._use() as connection:
            row = await (await connection.execute(as_query(_HOLDER))).fetchone()
        return None if row is None else str(row[1])

    async def renew(self, connection: Connection) -> bool:
        """Take the lock again on a new connection of the writer. False: the database may still give it later."""
        if not self.is_owner:
            return True
        if not await _locked(connection):
            row = await (await connection.execute(as_query(_HOLDER))).fetchone()
            if row is None:
                return False
            if row[0] == self.pid and row[1] == connection.info.get_parameters().get("application_name"):
                await connection.execute("SELECT pg_terminate_backend($1::int)", (row[0],))
                return False
            self._lose(f"{row[1]} owns the journal now")
            return True
        generation = (await (await connection.execute("SELECT generation FROM journal_state")).fetchall())[0][0]
        if generation != self.generation:
            self._lose("another process has owned the journal meanwhile")
        self.pid = connection.info.backend_pid
        return True

    def _lose(self, reason: str) -> None:
        log.error("this process does not own the journal any more", reason=reason)
        self.is_owner = False
        self._refuse(lambda: Unavailable(f"this server does not own the journal any more: {reason}"))
        self.lost.set()


async def _locked(connection: Connection) -> bool:
    cursor = await connection.execute("SELECT pg_try_advisory_lock($1)", (OWNER_LOCK,))
    return bool((await cursor.fetchall())[0][0])


def owned_by(holder: str | None) -> AlreadyOwned:
    return AlreadyOwned(f"the journal is in use by another Headrace server ({holder or 'unknown'}). Stop that one.")
