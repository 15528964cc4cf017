"""Connection settings of Kafka, and the records written to it."""

from __future__ import annotations

from dataclasses import dataclass

from headrace.buses.options import BrokerOptions
from headrace.buses.port import BusUnavailable

PORT = 9092
BATCH = 256
"""Maximum records per read or write."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KafkaOptions(BrokerOptions):
    """Settings of Kafka. Lengths are seconds."""

    sasl: str = "PLAIN"
    max_outstanding_bytes: int = 64 << 20
    check_s: float = 5.0
    """Seconds between checks of the topics' ids while nothing arrives."""
    remake_s: float = 30.0
    """Seconds after which a deleted topic is created again, so that another program may do so first."""

    @property
    def where(self) -> str:
        return f"Kafka at {', '.join(self.servers)}"

    @property
    def all_topics(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self.topics, self.publish_topic, self.dead_letter_topic)))


@dataclass(frozen=True, slots=True)
class Record:
    """A record to write to a topic. Records with one key keep their order."""

    topic: str
    key: str
    body: bytes
    headers: dict[str, str]


class TooLong(BusUnavailable):
    """This record exceeds the limit of its topic."""

    def __init__(self, record: Record, reason: str) -> None:
        super().__init__(reason)
        self.record = record
