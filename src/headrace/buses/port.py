"""The port of a bus: deliveries of other services' events, and publication of Headrace's own. One contract suite.

A delivery may arrive any number of times, in any order; its key identifies the event. A publication may also arrive
more than once; its id identifies it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from headrace.errors import HeadraceError

EVENT_HEADER = "Headrace-Event"
"""Id of a publication: its journal, a colon, its number there."""
DEPTH_HEADER = "Headrace-Depth"
"""Header: the number of triggers in the chain that led to the event (decision T6)."""

KEY_HEADER = "Headrace-Key"
TOPIC_HEADER = "Headrace-Topic"
REASON_HEADER = "Headrace-Reason"
"""Headers of a dead letter: its origin, and the reason."""


class BusUnavailable(HeadraceError):
    """The bus is unreachable, or does not confirm. The caller repeats the operation later."""


class PublicationRefused(BusUnavailable):
    """The bus rejected this publication, perhaps because of its content. Earlier ones are published."""

    def __init__(self, publication_id: str, reason: str) -> None:
        super().__init__(reason)
        self.publication_id = publication_id


@dataclass(frozen=True, slots=True)
class Delivery:
    """An event from a bus. `key` is its permanent identity on that bus (decision T5)."""

    key: str
    topic: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    receipt: object = None
    """The adapter's own reference to the delivery."""

    def header(self, name: str) -> str:
        """Return a header, or an empty text. Names ignore case."""
        wanted = name.lower()
        return next((value for key, value in self.headers.items() if key.lower() == wanted), "")


@dataclass(frozen=True, slots=True)
class Publication:
    """An event of Headrace to publish. `body` is the envelope's JSON, the same at each attempt."""

    id: str
    type: str
    depth: int
    body: bytes

    @property
    def headers(self) -> dict[str, str]:
        return {EVENT_HEADER: self.id, DEPTH_HEADER: str(self.depth)}


class Subscriber(Protocol):
    """The receiving side of a bus."""

    async def receive(self) -> list[Delivery]:
        """Wait for the next deliveries, at least one, without a limit. Raises BusUnavailable.

        The bus keeps each until it is acknowledged, across restarts of this process and of the bus.
        """
        ...

    async def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        """Confirm deliveries, which are not delivered again, as far as the bus guarantees it. Raises BusUnavailable."""
        ...

    async def dead_letter(self, delivery: Delivery, reason: str) -> None:
        """Store a delivery in the dead-letter topic, with the reason.

        Does not acknowledge it. Raises BusUnavailable.
        """
        ...

    async def close(self) -> None: ...


class Publisher(Protocol):
    """One destination of published events."""

    @property
    def name(self) -> str:
        """Permanent name of the destination: publication progress is stored under it."""
        ...

    @property
    def page(self) -> int:
        """Maximum publications per call."""
        ...

    def wants(self, kind: str) -> bool:
        """True if the destination receives events of this type."""
        ...

    async def publish(self, publications: Sequence[Publication]) -> None:
        """Publish in order; all are durable at the destination on return.

        Raises BusUnavailable, after which some may have arrived, and PublicationRefused if one of them is rejected.
        """
        ...

    async def close(self) -> None: ...
