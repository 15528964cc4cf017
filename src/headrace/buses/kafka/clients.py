"""Adapter of Kafka's client library: its configuration and errors, topics and their ids, the producer."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from typing import Any, TypeVar

import structlog
from confluent_kafka import KafkaError, KafkaException, Message, Producer, TopicCollection
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from headrace.buses.kafka.options import KafkaOptions, Record, TooLong
from headrace.buses.port import BusUnavailable

log = structlog.get_logger("headrace.events")
T = TypeVar("T")

REQUEST_S = 5.0
LOOK_S = 0.5
MESSAGE_S = 8.0
FLUSH_S = 9.0
MAX_MESSAGE_BYTES = 64 << 20
"""Limit on this side. The broker's limit is the effective one."""
NO_TOPIC_ID = "A" * 22
"""Id that a broker without topic ids returns."""

CODES: Any = KafkaError
"""Error numbers of the library itself, not of the protocol; their names look private."""
NO_SUCH_TOPIC = (CODES.UNKNOWN_TOPIC_OR_PART, CODES.UNKNOWN_TOPIC_ID, CODES._UNKNOWN_TOPIC)
_REFUSALS = (CODES._AUTHENTICATION, CODES.SASL_AUTHENTICATION_FAILED)
_FORBIDDEN = (
    CODES.TOPIC_AUTHORIZATION_FAILED,
    CODES.GROUP_AUTHORIZATION_FAILED,
    CODES.CLUSTER_AUTHORIZATION_FAILED,
)
_SILENCE = (
    CODES._ALL_BROKERS_DOWN,
    CODES._TRANSPORT,
    CODES._TIMED_OUT,
    CODES._MSG_TIMED_OUT,
    CODES._RESOLVE,
    CODES._WAIT_COORD,
)
_CAUSES = (*_REFUSALS, CODES._SSL)
"""Errors that the library reports beside a request that only times out."""


def client_settings(options: KafkaOptions) -> dict[str, Any]:
    """Settings common to consumer, producer and admin client."""
    settings: dict[str, Any] = {
        "bootstrap.servers": ",".join(options.servers),
        "client.id": "headrace",
        "security.protocol": ("SASL_" if options.username else "") + ("SSL" if options.is_tls else "PLAINTEXT"),
        "socket.connection.setup.timeout.ms": 5_000,
        "socket.timeout.ms": 10_000,
        "socket.keepalive.enable": True,
        "reconnect.backoff.max.ms": 1_000,
        "log_level": 4,
        "log.connection.close": False,
    }
    if options.username:
        settings |= {
            "sasl.mechanism": options.sasl,
            "sasl.username": options.username,
            "sasl.password": options.password or "",
        }
    if options.is_tls and options.ca is not None:
        settings["ssl.ca.location"] = str(options.ca)
    return settings


def client_log() -> logging.Logger:
    """Logger of the library, without lines about failed connections, which are reported as errors instead."""
    lines = logging.getLogger("headrace.kafka")
    if _is_worth_a_line not in lines.filters:
        lines.addFilter(_is_worth_a_line)
    return lines


def _is_worth_a_line(line: logging.LogRecord) -> bool:
    return not line.getMessage().startswith(("FAIL ", "ERROR "))


def error_of(exception: KafkaException) -> KafkaError:
    error = exception.args[0] if exception.args else None
    return error if isinstance(error, KafkaError) else KafkaError(CODES._FAIL, str(exception))


def sentence(options: KafkaOptions, error: KafkaError) -> str:
    """Describe an error to an operator, without the password."""
    code = error.code()
    if code in _REFUSALS:
        return (
            f"{options.where} refuses user {options.username!r}: "
            "check HEADRACE_BROKER_USERNAME, HEADRACE_BROKER_PASSWORD and HEADRACE_KAFKA_SASL"
        )
    if code == CODES._SSL:
        return f"no TLS connection to {options.where}: {error.str()}"
    if code in _FORBIDDEN:
        return f"{options.where} denies user {options.username!r} a required permission: {error.str()}"
    if code in _SILENCE:
        return f"{options.where} does not answer: {error.str()}"
    return f"{options.where} answers: {error.str()}"


class Causes:
    """The reason that the library reported last, to explain the request that failed because of it."""

    def __init__(self) -> None:
        self._last: KafkaError | None = None

    def hear(self, error: KafkaError) -> None:
        if error.code() in _CAUSES:
            self._last = error

    @property
    def are_known(self) -> bool:
        return self._last is not None

    def of(self, error: KafkaError) -> KafkaError:
        cause, self._last = self._last, None
        return cause if cause is not None and error.code() in _SILENCE else error


class Topics:
    """Ids of topics, and creation of missing ones. Methods block; any thread may call them."""

    def __init__(self, options: KafkaOptions) -> None:
        self._options = options
        self._causes = Causes()
        self._making = threading.Lock()
        self._client: Any = None  # the library is typed in parts only

    def ids(self, names: Iterable[str]) -> dict[str, str]:
        """Return ids in the form of Kafka's tools, without missing topics. Raises BusUnavailable."""
        wanted = sorted(set(names))
        if not wanted:
            return {}
        client = self._opened()
        try:
            answers = client.describe_topics(TopicCollection(wanted), request_timeout=REQUEST_S)
            found = {name: self._id(name, answer) for name, answer in answers.items()}
        finally:
            client.poll(0)  # delivers its log lines
        return {name: topic_id for name, topic_id in found.items() if topic_id is not None}

    def ensure(self, names: Sequence[str]) -> None:
        """Create missing topics with the broker's defaults. Raises BusUnavailable."""
        there = self.ids(names)
        missing = [NewTopic(name, -1, -1) for name in names if name not in there]
        if not missing:
            return
        answers = self._opened().create_topics(missing, operation_timeout=REQUEST_S, request_timeout=REQUEST_S)
        for name, answer in answers.items():
            error = self._failure(answer)
            if error is None:
                log.info("created a topic", broker=self._options.where, topic=name)
            elif error.code() != CODES.TOPIC_ALREADY_EXISTS:
                raise BusUnavailable(f"cannot create topic {name}: {self._sentence(error)}")

    def _id(self, name: str, answer: Future[Any]) -> str | None:
        error = self._failure(answer)
        if error is not None and error.code() in NO_SUCH_TOPIC:
            return None
        if error is not None:
            raise BusUnavailable(self._sentence(error))
        topic_id = str(answer.result().topic_id).replace("+", "-").replace("/", "_")
        if topic_id == NO_TOPIC_ID:
            raise BusUnavailable(f"{self._options.where} is too old: version 2.8 gives topic {name} an id")
        return topic_id

    def _failure(self, answer: Future[Any]) -> KafkaError | None:
        """Wait for a response, but only until the library has reported why there will be none."""
        client = self._opened()
        for _ in range(int(2 * REQUEST_S / LOOK_S)):
            try:
                answer.result(LOOK_S)
            except KafkaException as exception:
                return error_of(exception)
            except TimeoutError:
                client.poll(0)
                if self._causes.are_known:
                    break
            else:
                return None
        return KafkaError(CODES._TIMED_OUT)

    def _sentence(self, error: KafkaError) -> str:
        self._opened().poll(0)
        return sentence(self._options, self._causes.of(error))

    def _opened(self) -> Any:
        with self._making:
            if self._client is None:
                settings: dict[str, Any] = {**client_settings(self._options), "error_cb": self._causes.hear}
                self._client = made(self._options, lambda: AdminClient(settings, logger=client_log()))
            return self._client


class Writer:
    """The producer. Methods block and belong to one thread, except `abandon`."""

    def __init__(self, options: KafkaOptions, topics: Topics) -> None:
        self._options = options
        self._topics = topics
        self._causes = Causes()
        self._producer: Producer | None = None
        self._doubtful: set[str] = set()
        """Topics that existed and rejected the last record: they may have been deleted."""

    def write(self, records: Sequence[Record]) -> None:
        """Write records in order; all are durable on return.

        Raises BusUnavailable, or TooLong after earlier ones succeeded.
        """
        topics = {record.topic for record in records}
        if topics & self._doubtful:
            self._topics.ensure(sorted(topics))
            self._doubtful -= topics
        errors = self._deliver(records)
        if not errors:
            return
        error = self._causes.of(errors[0])
        if error.code() != CODES.MSG_SIZE_TOO_LARGE:
            self._doubtful |= topics
            raise BusUnavailable(f"not published: {sentence(self._options, error)}")
        if len(records) == 1:
            raise TooLong(records[0], f"not published: {sentence(self._options, error)}")
        for record in records:  # the batch as a whole may be too long
            self.write([record])

    def abandon(self) -> None:
        """Fail every caller that waits for a confirmation."""
        if self._producer is not None:
            self._producer.purge(blocking=False)

    def _deliver(self, records: Sequence[Record]) -> list[KafkaError]:
        producer = self._opened()
        errors: list[KafkaError] = []

        def report(error: KafkaError | None, _: Message) -> None:
            if error is not None:
                errors.append(error)

        try:
            for record in records:
                headers: list[tuple[str, str | bytes | None]] = list(record.headers.items())
                producer.produce(record.topic, record.body, record.key, headers=headers, on_delivery=report)
        except KafkaException as exception:
            errors.append(error_of(exception))
        except BufferError:
            errors.append(KafkaError(CODES._QUEUE_FULL))
        if producer.flush(FLUSH_S):
            producer.purge()
            producer.flush(REQUEST_S)
            errors.append(KafkaError(CODES._MSG_TIMED_OUT))

        # Some errors end an idempotent producer: it could no longer keep the order. The next one starts afresh.
        if any(error.fatal() or error.code() == CODES._FATAL for error in errors):
            self._producer = None
        return errors

    def _opened(self) -> Producer:
        if self._producer is None:
            settings = {
                **client_settings(self._options),
                "enable.idempotence": True,
                "acks": "all",
                "message.timeout.ms": int(MESSAGE_S * 1_000),
                "message.max.bytes": MAX_MESSAGE_BYTES,
                "linger.ms": 5,
                "error_cb": self._causes.hear,
            }
            self._producer = made(self._options, lambda: Producer(settings, logger=client_log()))
        return self._producer


def made(options: KafkaOptions, make: Callable[[], T]) -> T:
    """Create a client. A configuration that the library rejects becomes an error with a reason."""
    if options.is_tls and options.ca is not None and not options.ca.is_file():
        raise BusUnavailable(f"the connection to {options.where} cannot be set up: missing file {options.ca}")
    try:
        return make()
    except KafkaException as exception:
        raise BusUnavailable(
            f"the connection to {options.where} cannot be set up: {error_of(exception).str()}"
        ) from None
