"""One connection to NATS with its state: streams, and the consumers that are read.

A lost connection is replaced, never repaired: streams and consumers are looked up again, as at the start. So
start and recovery are one path, and nothing that the library buffered goes to a wrong stream.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections import deque
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar, cast

import msgspec
import structlog

from headrace.buses.nats.options import NatsOptions
from headrace.buses.port import BusUnavailable, Delivery

log = structlog.get_logger("headrace.events")

BATCH = 256
PREFETCH = 512
"""Maximum deliveries that wait for `receive` before pulls stop."""
CLOSE_S = 2.0
DUPLICATES_S = 600.0
"""Seconds for which a stream created here remembers the ids of publications, to drop duplicates."""

_T = TypeVar("_T")
_NANOSECONDS = 1_000_000_000
_ACKNOWLEDGE = "$JS.ACK."
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_-]")
_TIME = re.compile(r"(.+?)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)")


@dataclass(frozen=True, slots=True)
class Stream:
    """One incarnation of a stream: one that is deleted and created again is another."""

    name: str
    created_ns: int


@dataclass(frozen=True, slots=True)
class Receipt:
    stream: Stream
    reply: str


class Inflow:
    """Deliveries that wait for `receive`. They outlive the connection that they came by."""

    def __init__(self) -> None:
        self.arrived = asyncio.Event()
        self.waiting: deque[Delivery] = deque()

    @property
    def has_capacity(self) -> bool:
        return len(self.waiting) < PREFETCH

    def put(self, delivery: Delivery) -> None:
        self.waiting.append(delivery)
        self.arrived.set()

    def take(self, count: int) -> list[Delivery]:
        return [self.waiting.popleft() for _ in range(min(count, len(self.waiting)))]

    def give_back(self) -> list[str]:
        """Return the reply subjects of deliveries that were not handed over."""
        replies = [each.receipt.reply for each in self.waiting if isinstance(each.receipt, Receipt)]
        self.waiting.clear()
        return replies


class Connection:
    """One connection with its streams and sources."""

    def __init__(self, options: NatsOptions, inflow: Inflow) -> None:
        from nats.aio.client import Client
        from nats.js import JetStreamContext

        self.options = options
        self._inflow = inflow
        self._streams: dict[str, Stream] = {}
        self._closed = asyncio.Event()
        self.sources: dict[str, Source] = {}
        client = Client()
        self.client = cast("Any", client)  # the library is typed in parts only
        self.jetstream = cast("Any", JetStreamContext(client, timeout=options.answer_s))
        self.where = ", ".join(options.servers)
        self.last_error = ""
        self._refusal: asyncio.Future[None] | None = None

    @property
    def is_alive(self) -> bool:
        return self.client.is_connected and not self._closed.is_set()

    async def connect(self) -> None:
        """Connect. The library's own reconnection stays off, for the reason in the module's docstring."""
        choices: dict[str, Any] = {
            "servers": [f"nats://{server}" for server in self.options.servers],
            "name": "headrace",
            "allow_reconnect": False,
            "max_reconnect_attempts": 1,
            "reconnect_time_wait": 0.01,
            "connect_timeout": self.options.answer_s,
            "ping_interval": 5,
            "max_outstanding_pings": 2,
            "error_cb": self._note,
            "closed_cb": self._on_closed,
            **self._credentials(),
        }
        if self.options.is_tls:
            try:
                choices["tls"] = ssl.create_default_context(cafile=self.options.ca)
            except OSError as error:
                reason = f"HEADRACE_BROKER_CA names a file without certificates, or an unreadable one: {error}"
                raise BusUnavailable(reason) from error
        async with asyncio.timeout(self.options.answer_s):
            await self.client.connect(**choices)
        self._require_tls()
        url = self.client.connected_url
        self.where = url.netloc.rpartition("@")[2] if url else self.where

    def _credentials(self) -> dict[str, Any]:
        """Credentials as functions, which the library calls after the greeting, so that no secret leaves before TLS."""
        username, password = self.options.username, self.options.password

        def secret() -> str:
            self._require_tls()
            return password or ""

        if username is not None:
            return {"user": username, "password": secret}
        return {} if password is None else {"token": secret}

    def _require_tls(self) -> None:
        """Refuse a server without TLS: the library uses TLS only where the server asks for it."""
        from nats.errors import SecureConnWantedError

        if self.options.is_tls and not self.client._server_info.get("tls_required"):
            raise SecureConnWantedError

    async def _note(self, error: Exception) -> None:
        """Record an error.

        It may be a stream's response to one of many messages, which the library reports only here.
        """
        from nats.js.errors import APIError

        if isinstance(error, APIError) and self._refusal is not None and not self._refusal.done():
            self._refusal.set_exception(error)
        self.last_error = str(error).removeprefix("nats: ") or type(error).__name__

    async def _on_closed(self) -> None:
        self._closed.set()
        self._inflow.arrived.set()

    async def while_open(self, answer: Awaitable[_T]) -> _T:
        """Await a response, or fail when the connection ends: the library would wait without a limit."""
        from nats.errors import ConnectionClosedError

        self.last_error = ""
        asked = asyncio.ensure_future(answer)
        closed = asyncio.ensure_future(self._closed.wait())
        limit_s = 2 * self.options.answer_s  # a request of several steps has their limits too
        try:
            await asyncio.wait({asked, closed}, timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
            if asked.done():
                return asked.result()
            raise ConnectionClosedError if closed.done() else TimeoutError
        finally:
            closed.cancel()
            if not asked.cancel() and not asked.cancelled():
                asked.exception()  # reported already, or superseded by another error

    # streams

    def forget_topics(self) -> None:
        self._streams.clear()

    async def stream_of(self, topic: str) -> Stream:
        """Return the stream that holds this topic; create it if it is missing."""
        known = self._streams.get(topic)
        if known is None:
            known = self._streams[topic] = await self._look_up(topic)
        return known

    async def _look_up(self, topic: str) -> Stream:
        from nats.js.api import StorageType
        from nats.js.errors import NotFoundError

        try:
            name = await self.jetstream.find_stream_name_by_subject(topic)
        except NotFoundError:
            name = _NOT_IN_NAMES.sub("_", topic)
            await self.jetstream.add_stream(
                name=name, subjects=[topic], storage=StorageType.FILE, duplicate_window=DUPLICATES_S
            )
            log.info("created a stream", stream=name, subject=topic)

        # The time of creation is requested by hand: the library rounds it to microseconds.
        from nats.js.errors import APIError

        answer = await self.client.request(f"$JS.API.STREAM.INFO.{name}", b"", timeout=self.options.answer_s)
        info: dict[str, Any] = msgspec.json.decode(answer.data)
        if "error" in info:
            raise APIError.from_error(info["error"])
        return Stream(name, nanoseconds(info["created"]))

    async def open_source(self, topic: str) -> Source:
        """Open a source. The stream is read before and after, because it may have been replaced in between."""
        from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

        while True:
            stream = await self._look_up(topic)
            # A consumer that exists is brought up to date.
            consumer = _NOT_IN_NAMES.sub("_", f"{self.options.group}-{topic}")
            config = ConsumerConfig(
                name=consumer,
                durable_name=consumer,
                deliver_policy=DeliverPolicy.ALL,
                ack_policy=AckPolicy.EXPLICIT,
                ack_wait=self.options.ack_wait_s,
                max_deliver=-1,
                max_ack_pending=self.options.max_outstanding,
                filter_subject=topic,
            )
            await self.jetstream.add_consumer(stream.name, config)
            if await self._look_up(topic) == stream:
                break
        source = Source(self, self._inflow, topic, stream, consumer)
        await source.start()
        return source

    # publications

    def takes(self, body: bytes, headers: Mapping[str, str]) -> bool:
        """True if the server accepts a message of this size; it would close the connection of a larger one."""
        size = len(body) + 32 + sum(len(name) + len(value.encode()) + 4 for name, value in headers.items())
        return size <= self.client.max_payload

    async def send(self, topic: str, letters: list[tuple[bytes, dict[str, str]]]) -> None:
        """Publish in this order; the stream confirms each message. A rejection may concern any of them."""
        if len(letters) == 1:
            body, headers = letters[0]
            await self.jetstream.publish(topic, body, headers=headers)
            return
        self._refusal = asyncio.get_running_loop().create_future()
        confirmations: list[asyncio.Future[Any]] = []
        try:
            for body, headers in letters:
                confirmations.append(await self.jetstream.publish_async(topic, body, headers=headers))
            together = asyncio.gather(*confirmations)
            await asyncio.wait({self._refusal, together}, return_when=asyncio.FIRST_COMPLETED)
            await (self._refusal if self._refusal.done() else together)
        finally:
            for confirmation in (self._refusal, *confirmations):
                confirmation.cancel()

    async def close(self, *, gives_back: bool = False) -> None:
        """Close within a time limit: a frozen server is left behind."""
        self._closed.set()
        try:
            async with asyncio.timeout(CLOSE_S):
                if gives_back and self.client.is_connected:
                    # Deliveries that were not handed over go to another process; reading ends before.
                    for source in self.sources.values():
                        await source.drain()
                    for reply in self._inflow.give_back():
                        await self.client.publish(reply, b"-NAK")
                await self.client.close()
        except Exception as error:  # noqa: BLE001  # the connection is not used any more
            log.debug("a connection was not closed cleanly", server=self.where, reason=repr(error))
        finally:
            writer = getattr(self.client._transport, "_io_writer", None)
            if writer is not None:
                writer.transport.abort()


class Source:
    """A topic's consumer on one connection. It ends with the connection, the consumer or the stream.

    One pull is open at a time: the server sends deliveries as they arrive until it has sent the requested number,
    or ends the pull with a status.
    """

    def __init__(self, connection: Connection, inflow: Inflow, topic: str, stream: Stream, consumer: str) -> None:
        self._connection = connection
        self._inflow = inflow
        self._topic = topic
        self._next = f"$JS.API.CONSUMER.MSG.NEXT.{stream.name}.{consumer}"
        self._inbox = connection.client.new_inbox()
        self._pulls = 0
        self._remaining = 0
        self._deadline_s = 0.0
        self._subscription: Any = None
        self.stream = stream
        self.ending = ""
        self.was_of_use = False

    @property
    def is_pulling(self) -> bool:
        return self._remaining > 0

    @property
    def has_ended(self) -> bool:
        if not self.ending and self.is_pulling and asyncio.get_running_loop().time() > self._deadline_s:
            self.ending = "nothing"
        return bool(self.ending)

    async def start(self) -> None:
        self._subscription = await self._connection.client.subscribe(f"{self._inbox}.*", cb=self._on_message)

    async def stop(self) -> None:
        await self._subscription.unsubscribe()

    async def drain(self) -> None:
        """Wait until no delivery is in transit."""
        self.ending = "goodbye"
        await self._subscription.drain()

    async def pull(self) -> None:
        self._pulls += 1
        self._remaining = BATCH
        options = self._connection.options
        self._deadline_s = asyncio.get_running_loop().time() + options.pull_s + options.answer_s
        wanted = {"batch": BATCH, "expires": int(options.pull_s * _NANOSECONDS)}
        reply = f"{self._inbox}.{self._pulls}"
        await self._connection.client.publish(self._next, msgspec.json.encode(wanted), reply)

    async def acknowledge(self, replies: Sequence[str]) -> None:
        """Acknowledge. A server records acknowledgements in order, so its response to the last covers all."""
        from nats.errors import NoRespondersError

        if not replies:
            return
        for reply in replies[:-1]:
            await self._connection.client.publish(reply)
        try:
            await self._connection.client.request(replies[-1], timeout=self._connection.options.answer_s)
        except NoRespondersError:
            self.ending = "that the consumer was deleted"

    async def _on_message(self, message: Any) -> None:
        if message.reply.startswith(_ACKNOWLEDGE):
            self.was_of_use = True
            self._remaining -= 1
            sequence = message.metadata.sequence.stream
            key = f"nats:{self.stream.name}:{self.stream.created_ns}:{sequence}"
            receipt = Receipt(self.stream, message.reply)
            self._inflow.put(Delivery(key, self._topic, message.data, dict(message.headers or {}), receipt))
        elif message.subject == f"{self._inbox}.{self._pulls}":
            # 408 is the planned end of a pull; any other status may have ended the consumer too.
            headers: Mapping[str, str] = message.headers or {}
            self._remaining = 0
            if headers.get("Status") == "408":
                self.was_of_use = True
            else:
                self.ending = (
                    f"{headers.get('Status', '')} {headers.get('Description', '')}".strip() or "an empty status"
                )
                self._inflow.arrived.set()
        if not self.ending and self._remaining <= 0 and self._inflow.has_capacity:
            await self.pull()


async def dial(options: NatsOptions, inflow: Inflow) -> Connection:
    """Open a connection. Raises BusUnavailable with the reason."""
    from nats.errors import Error, SecureConnWantedError

    connection = Connection(options, inflow)
    try:
        await connection.connect()
    except SecureConnWantedError:
        reason = f"the NATS server at {connection.where} does not use TLS, which HEADRACE_BROKER_TLS requires"
    except (Error, OSError, TimeoutError) as error:
        said = connection.last_error or str(error).removeprefix("nats: ") or "no answer in time"
        if "authorization" in said.lower() or "authentication" in said.lower():
            user = f"user {options.username!r}" if options.username else "a client without a user"
            reason = (
                f"the NATS server at {connection.where} refuses {user}: check HEADRACE_BROKER_USERNAME and _PASSWORD"
            )
        else:
            reason = f"the NATS server at {connection.where} cannot be used: {said}"
    except asyncio.CancelledError:
        await connection.close()
        raise
    else:
        return connection
    await connection.close()
    raise BusUnavailable(reason)


def nanoseconds(time: str) -> int:
    """Convert RFC 3339 to nanoseconds since 1970, exactly."""
    match = _TIME.fullmatch(time)
    if match is None:
        raise BusUnavailable(f"NATS returned an invalid time: {time[:40]!r}")
    second, fraction, zone = match.groups()
    moment = datetime.fromisoformat(second + zone.replace("Z", "+00:00")).astimezone(UTC)
    return int(moment.timestamp()) * _NANOSECONDS + int((fraction or "").ljust(9, "0"))
