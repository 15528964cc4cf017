"""Our own events for our own triggers: a publisher that leads straight into the inbox, so that no bus is needed."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from headrace.buses.port import Publication
from headrace.events.envelope import envelope_of
from headrace.events.inbox import Arrival, Inbox


class OwnTriggers:
    """See `events.bus.Publisher`. Raises Unavailable where another would raise BusUnavailable."""

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
