"""An HTTP proxy before the services that watches attempts: which keys are under way twice, and when each one came."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from types import TracebackType
from typing import Self

from aiohttp import ClientSession, TCPConnector, web

KEY = "Idempotency-Key"
PASSED_ON = ("Content-Type", KEY)


class WatchingProxy:
    """Passes every request on to `target`, from a thread of its own; `url` is its root.

    `overlapping`: keys of effects of which two attempts were under way at once. `came_s`: when the last attempt of each
    key came (seconds of `time.monotonic`). `posts`: attempts by key.
    """

    def __init__(self, target: str) -> None:
        self._target = target
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="watching-proxy", daemon=True)
        self._is_up = threading.Event()
        self._is_over = asyncio.Event()
        self._under_way: Counter[str] = Counter()
        self.overlapping: list[str] = []
        self.came_s: dict[str, float] = {}
        self.posts: Counter[str] = Counter()
        self.url = ""

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._is_up.wait(10), "the proxy does not listen"
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._loop.call_soon_threadsafe(self._is_over.set)
        self._thread.join(10)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._listen())

    async def _listen(self) -> None:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._pass_on)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        async with ClientSession(connector=TCPConnector(limit=0), auto_decompress=False) as self._http:
            self._is_up.set()
            await self._is_over.wait()
        await runner.cleanup()

    async def _pass_on(self, request: web.Request) -> web.Response:
        key = request.headers.get(KEY, "") if request.method == "POST" else ""
        if key:
            self.came_s[key] = time.monotonic()
            self.posts[key] += 1
            self._under_way[key] += 1
            if self._under_way[key] > 1:
                self.overlapping.append(key)
        try:
            headers = {name: request.headers[name] for name in PASSED_ON if name in request.headers}
            async with self._http.request(
                request.method, self._target + request.path_qs, data=await request.read(), headers=headers
            ) as answer:
                kept = {name: answer.headers[name] for name in ("Content-Type",) if name in answer.headers}
                return web.Response(status=answer.status, body=await answer.read(), headers=kept)
        finally:
            if key:
                self._under_way[key] -= 1
