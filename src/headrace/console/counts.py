"""How many runs a list has, and what they move: counted at most every few seconds, for every visitor together."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from msgspec import structs

from headrace.clock import Clock
from headrace.journal.lists import STATUSES, InstanceSearch
from headrace.journal.port import Journal
from headrace.usecases.searching import count_and_sum

LIMIT = 10_000
"""Beyond it a list is said to have more, and nothing is added up."""
KEPT_S = 5.0
MAX_KEPT = 200


@dataclass(frozen=True, slots=True)
class Count:
    """How many runs, and the sum of what their first effects move, by asset. `is_more`: there are more than LIMIT."""

    runs: int
    sums: Mapping[str, int]
    is_more: bool = False


class Counts:
    """The counts of one server. Each is kept for KEPT_S, and asked for once at a time."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._kept: dict[InstanceSearch, tuple[float, Count]] = {}
        self._lock = asyncio.Lock()

    async def of(self, journal: Journal, rows: InstanceSearch) -> Count:
        """The count of a search without a text. Raises Unavailable."""
        async with self._lock:
            now_s = self._clock.monotonic_s()
            self._kept = {key: kept for key, kept in self._kept.items() if now_s - kept[0] < KEPT_S}
            if rows not in self._kept:
                found, sums = await count_and_sum(journal, rows, LIMIT + 1)
                count = Count(min(found, LIMIT), sums, is_more=found > LIMIT)
                if len(self._kept) >= MAX_KEPT:
                    return count
                self._kept[rows] = now_s, count
            return self._kept[rows][1]

    async def by_status(self, journal: Journal, rows: InstanceSearch) -> dict[str, Count]:
        """The count of each status, with the other filters of the search."""
        return {status: await self.of(journal, structs.replace(rows, status=status)) for status in STATUSES}
