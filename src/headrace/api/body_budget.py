"""Room for large bodies: how much of them is held in memory, and how many are worked on at once.

A megabyte of JSON takes a tenth of a second to read and thirty megabytes as objects. One is nothing; a hundred at
once must neither fill the memory nor hold up those who ask for something small.
"""

from __future__ import annotations

import asyncio

from headrace.api.errors import TooManyBodies

SMALL_BYTES = 64 << 10
"""Up to here a body is always taken."""
MAX_HELD_BYTES = 32 << 20
LARGE_AT_ONCE = 2


class BodyBudget:
    """`few`: for work of some tenths of a second, on a thread or over a large value. `trials`: where links may hang."""

    def __init__(self) -> None:
        self.few = asyncio.Semaphore(LARGE_AT_ONCE)
        self.trials = asyncio.Semaphore(LARGE_AT_ONCE)
        self._held_bytes = 0
        self._turnstile = asyncio.Lock()

    def take(self, length: int) -> None:
        """Raises TooManyBodies."""
        if self._held_bytes + length > MAX_HELD_BYTES:
            raise TooManyBodies
        self._held_bytes += length

    def give_back(self, length: int) -> None:
        self._held_bytes -= length

    async def turn(self) -> None:
        """One large body after the other: in between everybody else gets on."""
        async with self._turnstile:
            await asyncio.sleep(0)
