"""What a bus offers: deliveries of other services' events, and a way out for ours. One contract suite for all.

A delivery may come any number of times, in any order; its key says which event it is. A publication may reach the
other side more than once as well; its id says which it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from headrace.errors import HeadraceError

EVENT_HEADER = "Headrace-Event"
"""The id of a publication: the journal it comes from, a colon, its number there."""
DEPTH_HEADER = "Headrace-Depth"
"""How many triggers led to it, one after the other (decision T6)."""

KEY_HEADER = "Headrace-Key"
TOPIC_HEADER = "Headrace-Topic"
REASON_HEADER = "Headrace-Reason"
"""What a delivery in the dead-letter topic was, where it came from, and why it lies there."""


class BusUnavailable(HeadraceError):
    """The bus cannot be reached, or does not confirm. What was asked of it is asked again later."""


class PublicationRefused(BusUnavailable):
    """This one is not taken, and the fault may be its own: others might be. Those before it have been taken."""

    def __init__(self, publication_id: str, reason: str) -> None:
        super().__init__(reason)
        self.publication_id = publication_id


@dataclass(frozen=True, slots=True)
class Delivery:
    """An event as a bus hands it over. `key` is its identity on that bus, for ever (decision T5)."""

    key: str
    topic: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    receipt: object = None
    """The adapter's own: how it finds the delivery again."""

    def header(self, name: str) -> str:
        """Empty when it is not there; the case of names does not count."""
        wanted = name.lower()
        return next((value for key, value in self.headers.items() if key.lower() == wanted), "")


@dataclass(frozen=True, slots=True)
class Publication:
    """An event of ours on its way out. `body` is the envelope's JSON, the same each time it is sent."""

    id: str
    type: str
    depth: int
    body: bytes

    @property
    def headers(self) -> dict[str, str]:
        return {EVENT_HEADER: self.id, DEPTH_HEADER: str(self.depth)}


class Subscriber(Protocol):
    async def receive(self) -> list[Delivery]:
        """The next deliveries, one at least: it waits for that, however long. Raises BusUnavailable.

        The bus keeps each until it is acknowledged, across the end of this process and its own.
        """
        ...

    async def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        """They are never delivered again, as far as the bus can promise that. Raises BusUnavailable."""
        ...

    async def set_aside(self, delivery: Delivery, reason: str) -> None:
        """Durable in the dead-letter topic on return, with the reason; not yet acknowledged. Raises BusUnavailable."""
        ...

    async def close(self) -> None: ...


class Publisher(Protocol):
    @property
    def name(self) -> str:
        """Where it publishes to, the same for ever: what it was given is remembered under this name."""
        ...

    @property
    def page(self) -> int:
        """How many it is handed at once."""
        ...

    def wants(self, kind: str) -> bool:
        """Whether events of this type go there."""
        ...

    async def publish(self, publications: Sequence[Publication]) -> None:
        """All are durable at the other side on return, in order.

        Raises BusUnavailable: then some may have arrived; PublicationRefused where it is one of them that fails.
        """
        ...

    async def close(self) -> None: ...
