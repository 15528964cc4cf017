"""Time and ids, injected everywhere so that tests control them.

Times are integers: microseconds since 1970-01-01 UTC (`*_at`). Lengths are seconds (`*_s`).
"""

from __future__ import annotations

import asyncio
import os
import time
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Protocol

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 (UTC throughout; an aware time would print its offset, not Z)


class Clock(Protocol):
    def now_at(self) -> int:
        """Wall clock, microseconds since the epoch."""
        ...

    def monotonic_s(self) -> float: ...

    async def sleep(self, seconds: float) -> None: ...


class Ids(Protocol):
    def new(self) -> str:
        """A fresh random id: URL-safe, never a sequence."""
        ...


class SystemClock:
    def now_at(self) -> int:
        return time.time_ns() // 1_000

    monotonic_s = staticmethod(time.monotonic)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class RandomIds:
    """UUIDv7: 48 bits of time, so that a journal appends; 74 random bits, so that ids cannot be guessed."""

    def __init__(self) -> None:
        self._random = b""

    def new(self) -> str:
        if len(self._random) < 10:
            self._random = os.urandom(1_000)  # one system call for a hundred ids
        drawn, self._random = self._random[:10], self._random[10:]
        text = f"{(time.time_ns() // 1_000_000) & 0xFFFFFFFFFFFF:012x}{drawn.hex()}"
        variant = "89ab"[int(text[16], 16) & 3]
        return f"{text[:8]}-{text[8:12]}-7{text[13:16]}-{variant}{text[17:20]}-{text[20:32]}"


def date_time(at: int) -> str:
    """Format microseconds since the epoch as RFC 3339: `2024-05-01T10:00:00.123456Z`."""
    second, microsecond = divmod(at, 1_000_000)
    return f"{_second(second)}.{microsecond:06d}Z"


@lru_cache(maxsize=256)
def _second(second: int) -> str:
    """Format a second. The cache serves the times of one response, and of responses of the same moment."""
    return (_EPOCH + timedelta(seconds=second)).isoformat()
