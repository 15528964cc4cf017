"""Virtual time, ids that a seed determines, and coroutines that never wait."""

from __future__ import annotations

from collections.abc import Awaitable
from hashlib import sha256
from typing import TypeVar

T = TypeVar("T")

START_AT = 1_714_557_600_000_000
"""When every run begins: 2024-05-01T10:00:00Z, in microseconds."""


class VirtualClock:
    """Implements `clock.Clock`. Time passes only where a caller sleeps, and then at once."""

    def __init__(self, at: int = START_AT) -> None:
        self._at = at

    def now_at(self) -> int:
        return self._at

    def monotonic_s(self) -> float:
        return (self._at - START_AT) / 1e6

    async def sleep(self, seconds: float) -> None:
        self.advance_to(self._at + microseconds(seconds))

    def advance_to(self, at: int) -> None:
        """Move on to a moment; one that has passed changes nothing."""
        self._at = max(self._at, at)


def microseconds(seconds: float) -> int:
    """Rounded up, so that a wait of this time is long enough."""
    return -int(-seconds * 1e6 // 1)


class SeededIds:
    """Implements `clock.Ids`: the same seed gives the same ids. `jitter` gives numbers from 0 to 1 in the same way."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._drawn = 0

    def new(self) -> str:
        text = self._draw().hex()
        return f"{text[:8]}-{text[8:12]}-7{text[13:16]}-8{text[17:20]}-{text[20:32]}"

    def jitter(self) -> float:
        return int.from_bytes(self._draw()[:4], "big") / 2**32

    def _draw(self) -> bytes:
        self._drawn += 1
        return sha256(f"{self._seed}:{self._drawn}".encode()).digest()


def finished(work: Awaitable[T]) -> T:
    """The result of a coroutine that never waits for anything outside: it runs here, without an event loop."""

    async def awaited() -> T:
        return await work

    steps = awaited()
    try:
        while steps.send(None) is None:  # `asyncio.sleep(0)`: others may run, and here are none
            pass
    except StopIteration as ended:
        return ended.value
    raise AssertionError("the coroutine waits for something that only an event loop can bring")
