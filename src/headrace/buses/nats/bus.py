"""NATS JetStream as a bus: a durable pull consumer per topic, explicit acknowledgement, confirmed publications."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Sequence
from contextlib import suppress
from typing import TypeVar

import structlog

from headrace.buses.nats.connection import BATCH, Connection, Inflow, Receipt, Source, dial
from headrace.buses.nats.options import NatsOptions
from headrace.buses.port import (
    KEY_HEADER,
    REASON_HEADER,
    TOPIC_HEADER,
    BusUnavailable,
    Delivery,
    Publication,
    PublicationRefused,
)

__all__ = ["NatsBus", "NatsOptions"]

log = structlog.get_logger("headrace.events")

TICK_S = 1.0

_T = TypeVar("_T")
_MESSAGE_ID = "Nats-Msg-Id"
_TOO_LONG = (10054, 10097)
"""Error of a stream for a message or headers that exceed its limit."""
_HEADER_NAME = re.compile(r"[!-9;-~]+")


class _TooLong(BusUnavailable):
    """One of the messages exceeds the limit of its stream."""


class NatsBus:
    """Implements Subscriber and Publisher of `buses.port`, over one connection that is opened on first use."""

    page = 200

    def __init__(self, options: NatsOptions) -> None:
        self._options = options
        self._inflow = Inflow()
        self._connection: Connection | None = None
        self._dialling = asyncio.Lock()
        self._is_closed = False
        self._is_said = False
        logging.getLogger("nats").setLevel(logging.CRITICAL)  # it prints tracebacks of errors that are reported below

    @property
    def name(self) -> str:
        return f"nats:{self._options.publish_topic}"

    # deliveries

    async def receive(self) -> list[Delivery]:
        """Cancellation loses nothing: arrived deliveries wait for the next call."""
        while True:
            self._inflow.arrived.clear()
            try:
                await self._top_up()
            except BusUnavailable:
                if not self._inflow.waiting:
                    raise
            if self._inflow.waiting:
                return self._inflow.take(BATCH)
            with suppress(TimeoutError):
                async with asyncio.timeout(TICK_S):
                    await self._inflow.arrived.wait()

    async def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        """Acknowledge; the server has recorded it on return. Deliveries of a deleted stream are skipped."""
        if not deliveries:
            return
        connection = await self._connected()
        for topic in {delivery.topic for delivery in deliveries}:
            source = await self._source(connection, topic)
            replies = [
                receipt.reply
                for delivery in deliveries
                if delivery.topic == topic
                and isinstance(receipt := delivery.receipt, Receipt)
                and receipt.stream == source.stream
            ]
            await self._ask(connection, f"the acknowledgement of deliveries of {topic}", source.acknowledge(replies))

    async def dead_letter(self, delivery: Delivery, reason: str) -> None:
        added = {
            _MESSAGE_ID: f"DLQ-{delivery.key}",
            KEY_HEADER: delivery.key,
            TOPIC_HEADER: delivery.topic,
            REASON_HEADER: reason,
        }
        headers = {name: value for name, value in delivery.headers.items() if _may_be_sent_on(name)} | added
        connection = await self._connected()
        body = delivery.body
        lacks_body = {REASON_HEADER: f"{reason} (its {len(body)} bytes do not fit beside these headers)"}
        lacks_all = {REASON_HEADER: f"{reason} (it does not fit, and neither do its headers)"}
        letters = [(body, headers), (b"", {**headers, **lacks_body}), (b"", {**added, **lacks_all})]
        for letter in letters[:-1]:
            if connection.takes(*letter):
                with suppress(_TooLong):
                    await self._send(connection, self._options.dead_letter_topic, [letter])
                    return
        await self._send(connection, self._options.dead_letter_topic, letters[-1:])

    # publications

    def wants(self, kind: str) -> bool:
        return True

    async def publish(self, publications: Sequence[Publication]) -> None:
        if not publications:
            return
        connection = await self._connected()
        topic = self._options.publish_topic
        letters = [(each.body, {**each.headers, _MESSAGE_ID: each.id}) for each in publications]
        with suppress(_TooLong):
            if all(connection.takes(*letter) for letter in letters):
                await self._send(connection, topic, letters)
                return
        for publication, letter in zip(publications, letters, strict=True):  # find the one that is too long
            await self._publish_alone(connection, publication, letter)

    async def _publish_alone(
        self, connection: Connection, publication: Publication, letter: tuple[bytes, dict[str, str]]
    ) -> None:
        limit = "its max_payload"
        if connection.takes(*letter):
            try:
                await self._send(connection, self._options.publish_topic, [letter])
            except _TooLong:
                limit = "the stream's max_msg_size"
            else:
                return
        raise PublicationRefused(
            publication.id,
            f"event {publication.id} has {len(publication.body)} bytes: more than the NATS server at "
            f"{connection.where} accepts ({limit})",
        )

    async def close(self) -> None:
        self._is_closed = True
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close(gives_back=True)

    # the connection

    async def _connected(self) -> Connection:
        async with self._dialling:
            if self._is_closed:
                raise BusUnavailable("the connection to NATS was closed")
            if self._connection is not None and self._connection.is_alive:
                return self._connection
            if self._connection is not None:
                await self._lose(self._connection, "the server ended it")
            try:
                self._connection = await dial(self._options, self._inflow)
            except BusUnavailable as error:
                self._say(str(error))
                raise
            self._is_said = False
            log.info("connected to NATS", server=self._connection.where)
            return self._connection

    async def _lose(self, connection: Connection, reason: str) -> None:
        if self._connection is connection:
            self._connection = None
            self._say(f"the connection to NATS at {connection.where} is lost: {connection.last_error or reason}")
        await connection.close()

    def _say(self, reason: str) -> None:
        """Log the reason once per outage."""
        if not self._is_said:
            log.warning("NATS is unavailable; retrying", reason=reason)
        self._is_said = True

    async def _ask(self, connection: Connection, what: str, answer: Awaitable[_T]) -> _T:
        """Await a response. A failure becomes BusUnavailable with a reason; a silent connection is not used again."""
        from nats.errors import Error, NoRespondersError
        from nats.js.errors import APIError, NoStreamResponseError, ServiceUnavailableError

        try:
            return await connection.while_open(answer)
        except (NoRespondersError, ServiceUnavailableError):
            reason = f"JetStream is not enabled at {connection.where}, or not for this user"
        except NoStreamResponseError:
            reason = f"no stream at {connection.where} accepts it"
            connection.forget_topics()
        except APIError as error:
            if error.err_code in _TOO_LONG:
                raise _TooLong(f"{what} failed: {error.description}") from None
            reason = f"NATS at {connection.where} refuses: {error.description or error.code}"
        except (Error, OSError, TimeoutError) as error:
            said = connection.last_error or str(error) or "no answer in time"
            reason = f"NATS at {connection.where} does not answer: {said}"
            await self._lose(connection, said)
        raise BusUnavailable(f"{what} failed: {reason}")

    # streams and consumers

    async def _top_up(self) -> None:
        """Ensure that each topic has its consumer and, if there is capacity, an open pull."""
        connection = await self._connected()
        failures: list[BusUnavailable] = []
        for topic in self._options.topics:
            try:
                source = await self._source(connection, topic)
                if self._inflow.has_capacity and not source.is_pulling:
                    await self._ask(connection, f"reading {topic}", source.pull())
            except BusUnavailable as error:  # the other topics are still read
                failures.append(error)
        if failures:
            self._say(str(failures[0]))
            raise failures[0]
        self._is_said = False

    async def _source(self, connection: Connection, topic: str) -> Source:
        source = connection.sources.get(topic)
        if source is not None and not source.has_ended:
            return source
        if source is not None:
            del connection.sources[topic]
            await self._ask(connection, f"reading {topic}", source.stop())
            if not source.was_of_use:
                raise BusUnavailable(f"reading {topic} failed: NATS at {connection.where} says {source.ending}")
        source = await self._ask(connection, f"creating the consumer of {topic}", connection.open_source(topic))
        connection.sources[topic] = source
        return source

    async def _send(self, connection: Connection, topic: str, letters: list[tuple[bytes, dict[str, str]]]) -> None:
        await self._ask(connection, f"creating the stream of {topic}", connection.stream_of(topic))
        await self._ask(connection, f"publishing to {topic}", connection.send(topic, letters))


def _may_be_sent_on(name: str) -> bool:
    """True for a header that may be forwarded: `Nats-` headers are instructions, such as to drop a known message."""
    return bool(_HEADER_NAME.fullmatch(name)) and not name.lower().startswith("nats-")
