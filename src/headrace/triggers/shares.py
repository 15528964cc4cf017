"""How much of the dispatcher one trigger may have, so that one which takes long leaves room for others' events.

What comes for it beyond its share stays in the inbox; here its number is remembered. Large events share likewise.
"""

from __future__ import annotations

from collections import Counter, deque


class Shares:
    """`share`: events under way for one key; `max_parked`: numbers remembered, of all keys together."""

    def __init__(self, share: int, max_parked: int) -> None:
        self._share = share
        self._max_parked = max_parked
        self._under_way: Counter[str] = Counter()
        """Those that were called, and have not arrived yet, among them."""
        self._waiting: dict[str, deque[int]] = {}
        self.parked = 0

    def is_parked(self, keys: list[str], seq: int) -> bool:
        """Whether the event has to wait; else it counts as under way for each of these."""
        full = next((each for each in keys if self._under_way[each] >= self._share), None)
        if full is not None and self.parked < self._max_parked:
            self._waiting.setdefault(full, deque()).append(seq)
            self.parked += 1
            return True
        self._under_way.update(keys)
        return False

    def give_back(self, keys: list[str]) -> None:
        self._under_way.subtract(keys)
        for each in keys:
            if not self._under_way[each]:
                del self._under_way[each]

    def next_parked(self, key: str) -> int | None:
        """Call the next event that waits for this key, if that has room: a place is kept for it until it arrives."""
        waiting = self._waiting.get(key)
        if not waiting or self._under_way[key] >= self._share:
            return None
        seq = waiting.popleft()
        self.parked -= 1
        if not waiting:
            del self._waiting[key]
        self._under_way[key] += 1
        return seq

    def arrive(self, key: str) -> None:
        """One that was called is here, and asks for its place itself."""
        self.give_back([key])
