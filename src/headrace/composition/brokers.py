"""The broker and the webhooks as the settings name them. Importing this loads no broker's client library.

`BROKERS` says everything the server and the doctor must know of a kind of broker.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

from headrace.buses.port import Publisher, Subscriber
from headrace.clock import Clock
from headrace.composition.startup import webhook_endpoints
from headrace.errors import InvalidValue
from headrace.settings import BROKER_EXAMPLES, Settings

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


class Bus(Subscriber, Publisher, Protocol):
    """A broker's adapter: it receives from the topics and publishes to one."""


@dataclass(frozen=True, slots=True)
class Broker:
    """One kind of broker."""

    library: str
    """Module of the client library, which the extra named like the scheme installs."""
    bus: Callable[[Settings, Clock], Bus]
    """Create the adapter without connecting."""
    ask: Callable[[Settings], Awaitable[str]]
    """Connect once, change nothing, and return what was found. Raises BusUnavailable."""


def buses_of(settings: Settings, clock: Clock) -> Buses:
    """Create the buses without connecting: a broker that is down delays no start. Raises InvalidValue."""
    if settings.webhooks is None:
        webhooks = ()
    else:
        from headrace.buses.webhooks.publisher import Webhook

        webhooks = tuple(Webhook(endpoint, clock) for endpoint in webhook_endpoints(settings.webhooks, os.environ))
    if settings.broker_url is None:
        return Buses(None, webhooks)
    bus = broker_of(settings.broker_url).bus(settings, clock)
    return Buses(bus, (bus, *webhooks))


def broker_of(url: str) -> Broker:
    """Find the kind of broker by the URL's scheme.

    Raises InvalidValue for an unknown scheme, and if the broker's client library is not installed.
    """
    scheme = url.partition(":")[0]
    broker = BROKERS.get(scheme)
    if broker is None:
        raise InvalidValue("HEADRACE_BROKER_URL", f"the scheme {scheme} is not one of {', '.join(BROKERS)}")
    if importlib.util.find_spec(broker.library) is None:
        raise InvalidValue("HEADRACE_BROKER_URL", f"needs the {scheme} extra: pip install 'headrace[{scheme}]'")
    return broker


def _kafka_bus(settings: Settings, clock: Clock) -> Bus:
    from headrace.buses.kafka.bus import KafkaBus

    return KafkaBus(kafka_options(settings), clock)


async def _ask_kafka(settings: Settings) -> str:
    from headrace.buses.kafka.clients import Topics

    options = kafka_options(settings)
    found = await asyncio.to_thread(Topics(options).ids, options.all_topics)
    return f"{settings.broker_url} answers; it has {len(found)} of {len(options.all_topics)} topics"


def kafka_options(settings: Settings) -> KafkaOptions:
    """Collect the options of Kafka. Raises InvalidValue if a topic has no name."""
    from headrace.buses.kafka.options import PORT, KafkaOptions

    return KafkaOptions(**_options(settings, PORT), sasl=settings.kafka_sasl)


def _nats_bus(settings: Settings, clock: Clock) -> Bus:
    from headrace.buses.nats.bus import NatsBus

    return NatsBus(nats_options(settings))


async def _ask_nats(settings: Settings) -> str:
    from headrace.buses.nats.connection import Inflow, dial

    connection = await dial(nats_options(settings), Inflow())
    await connection.close()
    return f"{settings.broker_url} accepts the connection"


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


BROKERS = {
    "kafka": Broker("confluent_kafka", _kafka_bus, _ask_kafka),
    "nats": Broker("nats", _nats_bus, _ask_nats),
}
"""Kinds of broker by the scheme of their URL."""

if BROKERS.keys() != BROKER_EXAMPLES.keys():
    _schemes = ", ".join(sorted(BROKERS.keys() ^ BROKER_EXAMPLES.keys()))
    raise ImportError(f"{_schemes}: in only one of settings.BROKER_EXAMPLES and composition.brokers.BROKERS")
