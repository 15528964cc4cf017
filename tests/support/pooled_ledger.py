"""A ledger with a connection pool, as an HTTP server of 127.0.0.1: each write needs a second connection to finish.

With as many open writes as connections, each holds one and waits for another: the ledger stands still until a caller
hangs up, or until its own time-out answers 500. That is how a 2.4 ledger behaves with its default pool of 20.

    async with PooledLedger() as ledger:
        ...  # HEADRACE_LEDGER_URL=ledger.url
"""

from __future__ import annotations

import asyncio
import json
from types import TracebackType
from typing import Any, Self

from aiohttp import web


class PooledLedger:
    def __init__(self, *, pool: int = 20, work_s: float = 0.005, own_timeout_s: float | None = None) -> None:
        """`work_s`: how long a write works on its first connection before it needs the second."""
        self.booked: dict[str, dict[str, Any]] = {}
        """By idempotency key."""
        self.requests = 0
        self.repeated = 0
        """Writes whose key was booked already."""
        self.abandoned = 0
        """Writes whose caller hung up."""
        self.most_open = 0
        self.may_work = asyncio.Event()
        """Cleared: writes stay on their first connection, however long they have worked."""
        self.may_work.set()
        self._open = 0
        self._work_s = work_s
        self._own_timeout_s = own_timeout_s
        self._pool = asyncio.Semaphore(pool)
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        assert self._runner is not None
        return f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_get("/_info", self._info)
        app.router.add_post("/v2/{ledger}/transactions", self._write)
        app.router.add_get("/v2/{ledger}/transactions", self._read)
        # With `handler_cancellation`, a client that disconnects cancels its handler, which frees its connections.
        self._runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    async def _info(self, _: web.Request) -> web.Response:
        return web.json_response({"server": "ledger", "version": "v2.4.12"})

    async def _write(self, request: web.Request) -> web.Response:
        self.requests += 1
        body = await request.json()
        self._open += 1
        self.most_open = max(self.most_open, self._open)
        try:
            async with asyncio.timeout(self._own_timeout_s):
                return await self._transaction(request.headers["Idempotency-Key"], body)
        except TimeoutError:
            return web.json_response({"errorCode": "INTERNAL", "errorMessage": "context deadline exceeded"}, status=500)
        except asyncio.CancelledError:
            self.abandoned += 1
            raise
        finally:
            self._open -= 1

    async def _transaction(self, key: str, body: dict[str, Any]) -> web.Response:
        async with self._pool:
            await asyncio.sleep(self._work_s)
            await self.may_work.wait()
            async with self._pool:
                if key in self.booked:
                    self.repeated += 1
                    return web.json_response({"data": self.booked[key]}, headers={"Idempotency-Hit": "true"})
                at = "2026-01-01T00:00:00Z"
                times = {"timestamp": at, "insertedAt": at, "updatedAt": at}
                self.booked[key] = {**body, **times, "id": len(self.booked) + 1, "reverted": False}
                return web.json_response({"data": self.booked[key]})

    async def _read(self, request: web.Request) -> web.Response:
        """Transactions by reference. A read needs one connection."""
        async with self._pool:
            reference = json.loads(request.query["query"])["$match"]["reference"]
            found = [booked for booked in self.booked.values() if booked.get("reference") == reference]
            return web.json_response({"cursor": {"pageSize": 15, "hasMore": False, "data": found}})
