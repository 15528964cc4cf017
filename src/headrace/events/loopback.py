"""Loopback of published events: a publisher that leads into the inbox, so that triggers work without a bus."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from headrace.buses.port import Publication
from headrace.events.envelope import envelope_of
from headrace.events.inbox import Arrival, Inbox


class LoopbackPublisher:
    """Implements `buses.port.Publisher`. Raises Unavailable where other publishers raise BusUnavailable."""

    name = "own"
    page = 200

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox

    def wants(self, kind: str) -> bool:
        return True

    async def publish(self, publications: Sequence[Publication]) -> None:
        await self._inbox.accept_wanted(
            [
                Arrival.of(f"own:{each.id}", envelope_of(msgspec.json.decode(each.body)), each.depth)
                for each in publications
            ]
        )

    async def close(self) -> None: ...
