"""The sandbox: a developer's stand-in for ledger, wallets and payments. It is no bank and no ledger product.

`handle` is the rules; `send` adds the faults and is what the engine talks to in `headrace dev`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from headrace.clock import Clock, Ids
from headrace.effects.port import NoResponse, Request, Response
from headrace.sandbox.events import events_after, source_of
from headrace.sandbox.faults import Fault, FaultPlan
from headrace.sandbox.releases import Releases
from headrace.sandbox.responses import error, is_done
from headrace.sandbox.store import Store

MAX_RACES = 10_000


class Sandbox:
    """Implements `effects.port.Downstream`. Without a path the books live in memory and end with it."""

    def __init__(
        self,
        path: Path | None,
        *,
        faults: Sequence[Fault] = (),
        clock: Clock,
        ids: Ids,
        seed: int | None = None,
        releases: Releases = Releases(),  # noqa: B008 # frozen
    ) -> None:
        self._store = Store(path, clock, ids, releases, on_events=self._tell_of_events)
        self._ids = ids
        self._listener: tuple[asyncio.AbstractEventLoop, asyncio.Event] | None = None
        self._plan = FaultPlan(faults, ids.new() if seed is None else str(seed))
        self._clock = clock
        # Requests carried out but never answered whose next attempt meets the race. A dict keeps their order.
        self._races: dict[tuple[str, str, str], None] = {}

    def handle(self, request: Request) -> Response:
        """The answer by the rules, without faults. Any thread may call it. Raises NoResponse once closed."""
        return self._store.submit(request).result()

    async def send(self, request: Request) -> Response:
        """The answer, or what a fault makes of it. Raises NoResponse."""
        name = (request.service, request.path, request.key)
        if request.method == "POST" and name in self._races:
            del self._races[name]
            # The answer to an attempt that read the key before the first one's commit, and the books after it.
            keyless = replace(request, key="")
            response = await asyncio.wrap_future(self._store.submit(keyless, is_rehearsal=True))
            if not is_done(response):
                return response
            if urlsplit(request.path).path.endswith(("/transactions", "/credit", "/debit")):
                return error(400, "INSUFFICIENT_FUND", "insufficient funds")
            return await self._perform(request)
        hits = self._plan.hits(request)
        response = await self._faulty(request, name, hits)
        for fault in hits:
            if fault.kind == "delay":
                await self._clock.sleep(fault.delay_s)
        return response

    # what it publishes

    async def event_source(self) -> str:
        """The name under which its events are known, for as long as its database lives."""
        new_id = self._ids.new()
        return await asyncio.wrap_future(self._store.ask(lambda connection: source_of(connection, new_id)))

    async def events_after(self, seq: int, limit: int) -> list[tuple[int, str]]:
        """The next events by their numbers, each an envelope's JSON."""
        if self._listener is None:
            self._listener = (asyncio.get_running_loop(), asyncio.Event())
        self._listener[1].clear()
        return await asyncio.wrap_future(self._store.ask(lambda connection: events_after(connection, seq, limit)))

    async def wait_for_events(self) -> None:
        """Returns when something was published since `events_after` was called last."""
        assert self._listener is not None, "events_after comes first"
        await self._listener[1].wait()

    def _tell_of_events(self) -> None:
        """On the store's thread."""
        if self._listener is not None and not self._listener[0].is_closed():
            loop, has_events = self._listener
            loop.call_soon_threadsafe(has_events.set)

    async def close(self) -> None:
        await asyncio.to_thread(self._store.close)

    async def _faulty(self, request: Request, name: tuple[str, str, str], hits: list[Fault]) -> Response:
        for fault in hits:
            if fault.kind == "status":
                return fault.response()
        response = await self._perform(request)
        kinds = {fault.kind for fault in hits}
        if "overlap" in kinds and is_done(response):
            if len(self._races) >= MAX_RACES:
                del self._races[next(iter(self._races))]
            self._races[name] = None
            raise NoResponse("the answer was dropped by the sandbox (overlap)")
        if "drop" in kinds:
            raise NoResponse("the answer was dropped by the sandbox (drop)")
        return response

    async def _perform(self, request: Request) -> Response:
        return await asyncio.wrap_future(self._store.submit(request))
