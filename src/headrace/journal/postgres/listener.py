"""A connection that listens to the commits of other processes. What it hears is a hint; it also looks by itself."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import psycopg
import structlog

from headrace.journal.postgres.connections import Connection, connect, unavailable
from headrace.journal.postgres.notifications import CHANNEL, News, news_of

LOOK_S = 1.0
"""How often the listener looks by itself."""
RECONNECT_CAP_S = 5.0

log = structlog.get_logger("headrace.journal")


class Listener:
    """`tell` is called with what another process did; `look` now and then, and after a connection was lost."""

    def __init__(self, url: str, tell: Callable[[News], None], look: Callable[[], Awaitable[None]]) -> None:
        self._url = url
        self._tell = tell
        self._look = look
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        failures = 0
        while True:
            try:
                connection = await connect(self._url, "listener")
                try:
                    failures = 0
                    await self._listen(connection)
                finally:
                    await connection.close()
            except (psycopg.Error, OSError) as error:
                failures += 1
                log.info("the database is not listened to", reason=str(unavailable(error)))
            await asyncio.sleep(min(0.1 * 2 ** min(failures, 10), RECONNECT_CAP_S))

    async def _listen(self, connection: Connection) -> None:
        await connection.execute(f"LISTEN {CHANNEL}")
        own = connection.info.backend_pid
        while True:
            await self._look()
            async for heard in connection.notifies(timeout=LOOK_S):
                if heard.pid != own:
                    self._tell(news_of(heard.payload))

    async def close(self) -> None:
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
