"""A publisher in memory, for tests of what is published."""

from __future__ import annotations

from collections.abc import Sequence

from headrace.buses.event_types import TYPES
from headrace.buses.port import BusUnavailable, Publication, PublicationRefused


class Picky:
    """Refuses the events of some numbers; takes the others one after the other, as they come."""

    name = "picky"

    def __init__(self, *refuses: int, page: int = 20, wants: Sequence[str] = TYPES) -> None:
        self.refuses = set(refuses)
        self.is_away = False
        self.page = page
        self.attempts: list[int] = []
        self._wants = wants
        self.taken: list[int] = []
        self.bodies: list[bytes] = []
        self.depths: list[int] = []

    def wants(self, kind: str) -> bool:
        return kind in self._wants

    async def publish(self, publications: Sequence[Publication]) -> None:
        assert publications
        for each in publications:
            if self.is_away:
                raise BusUnavailable("away")
            number = int(each.id.rpartition(":")[2])
            self.attempts.append(number)
            if number in self.refuses:
                raise PublicationRefused(each.id, f"{number} is not to my taste")
            if number not in self.taken:
                self.taken.append(number)
                self.bodies.append(each.body)
                self.depths.append(each.depth)

    async def close(self) -> None: ...
