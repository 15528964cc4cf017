"""A journal of the tests: every read suspends for 0 to 4 ms, as a network driver's do.

What is correct only while reads never yield is not correct.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

MAX_S = 0.004
AT_ONCE = {"commit", "close", "check", "outbox_news", "commits", "queued_units"}
"""What is no read."""
PAGES = {"workflows", "instances", "triggers", "occurrences", "events"}


class SlowReads:
    """Wraps a journal. A read suspends before it looks and after, each time for a part of its pause."""

    def __init__(self, journal: Any, seed: int = 0) -> None:
        self._journal = journal
        self._random = random.Random(seed)

    async def _suspend(self) -> None:
        await asyncio.sleep(self._random.uniform(0.0, MAX_S / 2))

    def __getattr__(self, name: str) -> Any:
        found: Any = getattr(self._journal, name)
        if name in AT_ONCE:
            return found
        if name == "lookups":
            return SlowReads(found)
        return self._pages(found) if name in PAGES else self._read(found)

    def _read(self, read: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def slow(*arguments: Any, **named: Any) -> Any:
            await self._suspend()
            rows = await read(*arguments, **named)
            await self._suspend()
            return rows

        return slow

    def _pages(self, read: Callable[..., AsyncIterator[Any]]) -> Callable[..., AsyncIterator[Any]]:
        async def slow(*arguments: Any, **named: Any) -> AsyncIterator[Any]:
            async for page in read(*arguments, **named):
                await self._suspend()
                yield page

        return slow
