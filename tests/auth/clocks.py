"""A clock that a test moves."""

from __future__ import annotations

NOW_S = 1_800_000_000


class Hands:
    """Wall clock and monotonic clock, moved together by `pass_`."""

    def __init__(self, now_s: float = NOW_S) -> None:
        self.wall_s = now_s
        self.mono_s = 1_000.0

    def now_at(self) -> int:
        return int(self.wall_s * 1_000_000)

    def monotonic_s(self) -> float:
        return self.mono_s

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("nothing here sleeps")

    def pass_(self, seconds: float) -> None:
        self.wall_s += seconds
        self.mono_s += seconds
