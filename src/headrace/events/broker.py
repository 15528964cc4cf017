"""What every broker is told: where it is, which topics are read and written, who we are there."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from headrace.errors import InvalidValue
from headrace.settings import Settings


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


def chosen(settings: Settings, port: int) -> dict[str, Any]:
    """The members of BrokerOptions, by name. Raises InvalidValue where a topic has no name."""
    return {
        "servers": hosts(settings.broker_url or "", port),
        "topics": settings.event_topics or (_topic(settings, "ledger"), _topic(settings, "payments")),
        "publish_topic": settings.publish_topic or _topic(settings, "orchestration"),
        "dead_letter_topic": settings.dead_letter_topic or _topic(settings, "dead-letter"),
        "group": settings.broker_group,
        "username": settings.broker_username,
        "password": settings.broker_password,
        "is_tls": settings.broker_tls,
        "ca": settings.broker_ca,
        "ack_wait_s": settings.broker_ack_wait_s,
    }


def hosts(url: str, port: int) -> tuple[str, ...]:
    """`nats://a:4222,b` as `("a:4222", "b:4222")`."""
    named = url.partition("://")[2].split(",")
    return tuple(host if urlsplit(f"//{host}").port else f"{host}:{port}" for host in named)


def _topic(settings: Settings, module: str) -> str:
    if settings.stack_name is None:
        raise InvalidValue("HEADRACE_STACK_NAME", "is needed with a broker, unless each of its topics is named")
    return f"{settings.stack_name}-{module}"
