"""Settings common to brokers: servers, topics to read and write, credentials."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerOptions:
    """How to reach a broker, and what to read and write there. Lengths are seconds."""

    servers: tuple[str, ...]
    """Servers of one cluster, each `host:port`."""
    topics: tuple[str, ...]
    """Topics to read. Missing ones are created."""
    publish_topic: str
    dead_letter_topic: str
    group: str = "headrace"
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    is_tls: bool = False
    ca: Path | None = None
    ack_wait_s: float = 30.0
    """Seconds after which an unacknowledged delivery is delivered again."""
    max_outstanding: int = 2_048
    """Maximum unacknowledged deliveries, per topic or in total."""
