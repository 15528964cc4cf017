"""Duties of servers that share a database: each under a session advisory lock, all on one connection of a server.

PostgreSQL frees the locks of a connection that ends, so a server that dies loses its duties at once, and one whose host
is gone after some 11 s. A server notices the loss of its connection within LOOK_EVERY_S and LOOK_TIMEOUT_S.
"""

from __future__ import annotations

import asyncio
import zlib

import psycopg
import structlog

from headrace.clock import Clock
from headrace.journal.postgres.connections import Connection, as_query, connect

log = structlog.get_logger("headrace")

LOCKS = 0x6872_6475
"""First half of the key of every duty's lock; the second half is a checksum of the duty's name."""
LOOK_EVERY_S = 2.0
LOOK_TIMEOUT_S = 5.0


class PostgresLeadership:
    """Implements `events.duties.Leadership`. `run` notices a lost connection and must run beside."""

    def __init__(self, url: str, clock: Clock) -> None:
        self._url = url
        self._clock = clock
        self._connection: Connection | None = None
        self._connecting = asyncio.Lock()
        self._held: dict[str, asyncio.Event] = {}

    async def take(self, duty: str) -> asyncio.Event | None:
        """As the port has it; None also while the database is not reachable."""
        if not await self._asked("SELECT pg_try_advisory_lock($1::int4, $2::int4)", duty):
            return None
        log.info("took a duty", duty=duty)
        self._held[duty] = asyncio.Event()
        return self._held[duty]

    async def give_back(self, duty: str) -> None:
        if self._held.pop(duty, None) is not None:
            await self._asked("SELECT pg_advisory_unlock($1::int4, $2::int4)", duty)

    async def run(self) -> None:
        """Look again and again whether the connection lives, until cancelled."""
        while True:
            await self._clock.sleep(LOOK_EVERY_S)
            if self._held:
                await self._asked("SELECT $1::int4 < $2::int4", "")

    async def close(self) -> None:
        """End the connection, and with it the duties of this process."""
        held, self._held = self._held, {}
        for lost in held.values():
            lost.set()
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def _asked(self, query: str, duty: str) -> bool:
        """Ask a question about a duty's lock. Without an answer every duty is lost; False."""
        connection: Connection | None = None
        try:
            async with asyncio.timeout(LOOK_TIMEOUT_S):
                async with self._connecting:
                    if self._connection is None:
                        self._connection = await connect(self._url, "duties")
                connection = self._connection
                key = zlib.crc32(duty.encode()) - (1 << 31)
                row = await (await connection.execute(as_query(query), (LOCKS, key))).fetchone()
                return row is not None and bool(row[0])
        except (psycopg.Error, OSError, TimeoutError) as error:
            if connection is self._connection:
                if self._held:
                    log.warning("lost the duties of this server", duties=sorted(self._held), reason=str(error))
                await self.close()
            return False
