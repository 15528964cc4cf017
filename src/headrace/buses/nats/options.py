"""Connection settings of NATS."""

from __future__ import annotations

from dataclasses import dataclass

from headrace.buses.options import BrokerOptions

PORT = 4222


@dataclass(frozen=True, slots=True, kw_only=True)
class NatsOptions(BrokerOptions):
    """Settings of NATS. A topic is a subject; its stream is looked up, and created if it is missing."""

    answer_s: float = 5.0
    """Seconds after which a silent server counts as unreachable."""
    pull_s: float = 10.0
    """Seconds after which a server ends each pull; one that is silent `answer_s` longer has lost it."""
