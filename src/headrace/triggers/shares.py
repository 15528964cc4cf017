"""How much of the dispatcher one trigger may have, so that one which takes long leaves room for others' events.

What comes for it beyond its share stays in the inbox; here its number is remembered.
"""

from __future__ import annotations

from collections import Counter, deque


class Shares:
    """`share`: events under way for one trigger; `max_parked`: numbers remembered, of all triggers together."""

    def __init__(self, share: int, max_parked: int) -> None:
        self._share = share
        self._max_parked = max_parked
        self._under_way: Counter[str] = Counter()
        self._waiting: dict[str, deque[int]] = {}
        self.parked = 0

    def is_parked(self, trigger_ids: list[str], seq: int) -> bool:
        """Whether the event has to wait; else it counts as under way for each of these."""
        full = next((each for each in trigger_ids if self._under_way[each] >= self._share), None)
        if full is not None and self.parked < self._max_parked:
            self._waiting.setdefault(full, deque()).append(seq)
            self.parked += 1
            return True
        self._under_way.update(trigger_ids)
        return False

    def give_back(self, trigger_ids: list[str]) -> None:
        self._under_way.subtract(trigger_ids)
        for each in trigger_ids:
            if not self._under_way[each]:
                del self._under_way[each]

    def next_parked(self, trigger_id: str) -> int | None:
        """The number of an event that waits for this trigger, if that has room."""
        waiting = self._waiting.get(trigger_id)
        if not waiting or self._under_way[trigger_id] >= self._share:
            return None
        seq = waiting.popleft()
        self.parked -= 1
        if not waiting:
            del self._waiting[trigger_id]
        return seq
