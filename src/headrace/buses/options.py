"""What every broker needs to know: its servers, the topics that are read and written, the credentials."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerOptions:
    servers: tuple[str, ...]
    """`host:port` each: one cluster."""
    topics: tuple[str, ...]
    """Those that are read. What is missing is made."""
    publish_topic: str
    dead_letter_topic: str
    group: str = "headrace"
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    is_tls: bool = False
    ca: Path | None = None
    ack_wait_s: float = 30.0
    """After so long what was not acknowledged is delivered again."""
    max_outstanding: int = 2_048
    """Deliveries that may wait for their acknowledgement, of one topic or in all."""
