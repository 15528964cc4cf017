"""How NATS is reached."""

from __future__ import annotations

from dataclasses import dataclass

from headrace.buses.options import BrokerOptions

PORT = 4222


@dataclass(frozen=True, slots=True, kw_only=True)
class NatsOptions(BrokerOptions):
    """A topic is a subject. The stream that holds it is looked up, and made where there is none."""

    answer_s: float = 5.0
    """A server that takes longer for an answer is not there."""
    pull_s: float = 10.0
    """A server ends each pull after so long; one that says nothing `answer_s` later has forgotten it."""
