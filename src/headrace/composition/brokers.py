"""The broker and the webhooks as the settings name them. Importing this loads no broker's client library."""

from __future__ import annotations

import importlib.util
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from headrace.buses.port import Publisher, Subscriber
from headrace.clock import Clock
from headrace.composition.startup import webhook_endpoints
from headrace.errors import InvalidValue
from headrace.settings import Settings

if TYPE_CHECKING:
    from headrace.buses.kafka.options import KafkaOptions
    from headrace.buses.nats.options import NatsOptions


@dataclass(frozen=True, slots=True)
class Buses:
    """Sources of events and destinations of published events, besides HTTP and the sandbox."""

    subscriber: Subscriber | None
    publishers: tuple[Publisher, ...]

    async def close(self) -> None:
        for publisher in self.publishers:
            await publisher.close()


def buses_of(settings: Settings, clock: Clock) -> Buses:
    """Create the buses without connecting: a broker that is down delays no start. Raises InvalidValue."""
    if settings.webhooks is None:
        webhooks = ()
    else:
        from headrace.buses.webhooks.publisher import Webhook

        webhooks = tuple(Webhook(endpoint, clock) for endpoint in webhook_endpoints(settings.webhooks, os.environ))
    if settings.broker_url is None:
        return Buses(None, webhooks)
    if settings.broker_url.startswith("kafka:"):
        _require("confluent_kafka", "kafka")
        from headrace.buses.kafka.bus import KafkaBus

        kafka = KafkaBus(kafka_options(settings), clock)
        return Buses(kafka, (kafka, *webhooks))
    _require("nats", "nats")
    from headrace.buses.nats.bus import NatsBus

    nats = NatsBus(nats_options(settings))
    return Buses(nats, (nats, *webhooks))


def kafka_options(settings: Settings) -> KafkaOptions:
    """Collect the options of Kafka. Raises InvalidValue if a topic has no name."""
    from headrace.buses.kafka.options import PORT, KafkaOptions

    return KafkaOptions(**_options(settings, PORT), sasl=settings.kafka_sasl)


def nats_options(settings: Settings) -> NatsOptions:
    """Collect the options of NATS. Raises InvalidValue if a topic has no name."""
    from headrace.buses.nats.options import PORT, NatsOptions

    return NatsOptions(**_options(settings, PORT))


def _options(settings: Settings, port: int) -> dict[str, Any]:
    """The members of BrokerOptions, by name."""
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


def _require(module: str, extra: str) -> None:
    """Check that a broker's client library is installed. Raises InvalidValue naming the extra that brings it."""
    if importlib.util.find_spec(module) is None:
        raise InvalidValue("HEADRACE_BROKER_URL", f"needs the {extra} extra: pip install 'headrace[{extra}]'")
