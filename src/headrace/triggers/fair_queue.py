"""Fair queue of the dispatcher: it limits each trigger's events, so that a slow trigger does not delay the others.

Events beyond the limit stay in the inbox; the queue remembers their numbers. Large events share a limit likewise.
"""

from __future__ import annotations

from collections import Counter, deque


class FairQueue:
    """`share` is the maximum of running events per key, `max_parked` of remembered numbers for all keys."""

    def __init__(self, share: int, max_parked: int) -> None:
        self._share = share
        self._max_parked = max_parked
        self._under_way: Counter[str] = Counter()
        """Events that were called and have not arrived yet, among them."""
        self._waiting: dict[str, deque[int]] = {}
        self.parked = 0

    def is_parked(self, keys: list[str], seq: int) -> bool:
        """Return True if the event must wait; otherwise it counts as running for each key."""
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
        """Call the next event that waits for this key, if there is capacity, and reserve its place."""
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
        """Release the reservation of a called event, which then asks for its own place."""
        self.give_back([key])
