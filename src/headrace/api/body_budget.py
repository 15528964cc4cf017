"""The body budget: how much memory large bodies may take, and how many are processed at once.

A megabyte of JSON takes a tenth of a second to parse, and thirty megabytes as objects. One does no harm; a hundred at
once must neither fill the memory nor delay small requests.
"""

from __future__ import annotations

import asyncio

from headrace.api.errors import TooManyBodies

SMALL_BYTES = 64 << 10
"""A body of up to this size is always accepted."""
MAX_HELD_BYTES = 32 << 20
LARGE_AT_ONCE = 2


class BodyBudget:
    """Shared by all requests of a server.

    `parses` bounds parsing of tenths of a second, `trials` the tests of triggers, whose links may be slow.
    """

    def __init__(self) -> None:
        self.parses = asyncio.Semaphore(LARGE_AT_ONCE)
        self.trials = asyncio.Semaphore(LARGE_AT_ONCE)
        self._held_bytes = 0
        self._turnstile = asyncio.Lock()

    def reserve(self, length: int) -> None:
        """Raises TooManyBodies."""
        if self._held_bytes + length > MAX_HELD_BYTES:
            raise TooManyBodies
        self._held_bytes += length

    def release(self, length: int) -> None:
        self._held_bytes -= length

    async def wait_turn(self) -> None:
        """Let large bodies pass one at a time, with other requests in between."""
        async with self._turnstile:
            await asyncio.sleep(0)
