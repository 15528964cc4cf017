"""How Kafka is reached, and what is written to it."""

from __future__ import annotations

from dataclasses import dataclass

from headrace.buses.options import BrokerOptions
from headrace.buses.port import BusUnavailable

PORT = 9092
BATCH = 256
"""Records read or written at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KafkaOptions(BrokerOptions):
    sasl: str = "PLAIN"
    max_outstanding_bytes: int = 64 << 20
    check_s: float = 5.0
    """How often the ids of the topics are asked for while nothing comes."""
    remake_s: float = 30.0
    """A topic that is deleted while it is read is made again after so long: until then somebody else may."""

    @property
    def where(self) -> str:
        return f"Kafka at {', '.join(self.servers)}"

    @property
    def all_topics(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self.topics, self.publish_topic, self.dead_letter_topic)))


@dataclass(frozen=True, slots=True)
class Record:
    """What is written to a topic. Records of one key keep their order."""

    topic: str
    key: str
    body: bytes
    headers: dict[str, str]


class TooLong(BusUnavailable):
    """This record is more than its topic takes."""

    def __init__(self, record: Record, reason: str) -> None:
        super().__init__(reason)
        self.record = record
