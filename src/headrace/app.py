"""The composition root: builds every room and opens the front door. Imported by the CLI only."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import socket
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import structlog
import uvicorn
from starlette.routing import Mount

from headrace.api import create_api
from headrace.api.protocol import BoundedProtocol
from headrace.auth.assembly import open_door
from headrace.clock import Clock, RandomIds, SystemClock
from headrace.effects.port import Downstream
from headrace.engine.embedded import EmbeddedEngine
from headrace.engine.limits import EngineLimits
from headrace.engine.run import Rules
from headrace.errors import InvalidValue, Unavailable
from headrace.events.bus import Publisher, Subscriber
from headrace.events.consumer import Consumer
from headrace.events.feed import EventSource, Feed
from headrace.events.inbox import Inbox
from headrace.events.outbox import Outbox
from headrace.events.own import OwnTriggers
from headrace.events.relay import Relay, trim_outbox
from headrace.journal.port import sweep
from headrace.journal.sqlite import SqliteJournal
from headrace.journal.writer import WriterLimits
from headrace.runtime import tune_collector
from headrace.settings import Settings
from headrace.telemetry import Telemetry, configure_logging
from headrace.triggers.dispatcher import Dispatcher, DispatcherLimits
from headrace.triggers.expressions import Evaluator, Fetch, no_links

if TYPE_CHECKING:
    from headrace.effects.oauth import ClientCredentials

JOURNAL_FILE = "journal.db"
SANDBOX_FILE = "sandbox.db"
FORGET_EVERY_S = 60.0
AGAIN_S = 5.0
DAY = 86_400_000_000

log = structlog.get_logger("headrace")


@dataclass(frozen=True, slots=True)
class House:
    """A running server without its door."""

    app: Any
    journal: SqliteJournal
    engine: EmbeddedEngine
    downstream: Downstream


@contextlib.asynccontextmanager
async def house(
    settings: Settings,
    *,
    data: Path,
    sandbox: bool = False,
    faults: Sequence[str] = (),
    url: str = "http://127.0.0.1:8484",
) -> AsyncGenerator[House]:
    """Open the journal in `data`, start the engine, and close everything in order at the end.

    `url` is where the door will be. Raises AlreadyOwned when another server has the folder, InvalidValue for a bad
    fault, address or file.
    """
    clock, ids = SystemClock(), RandomIds()
    telemetry = Telemetry(clock)
    async with contextlib.AsyncExitStack() as stack:
        downstream, routes, source = _downstream(settings, data, sandbox=sandbox, faults=faults)
        stack.push_async_callback(downstream.close)
        journal = await SqliteJournal.open(data / JOURNAL_FILE, limits=_writer_limits(settings), meter=telemetry)
        stack.push_async_callback(journal.close)
        door = open_door(settings, data, url, clock, ids)
        stack.push_async_callback(door.close)
        running, attention = await journal.counts()
        telemetry.instances_recovered(running)
        telemetry.needs_attention(attention)
        outbox = Outbox()
        engine = EmbeddedEngine(
            journal,
            downstream,
            clock,
            ids,
            _engine_limits(settings),
            meter=telemetry,
            jitter=random.random,
            outbox=outbox,
        )
        evaluator = Evaluator(clock, _links(settings, downstream))
        stack.callback(evaluator.close)
        limits = DispatcherLimits(events=settings.events_at_once)
        dispatcher = Dispatcher(journal, engine, evaluator, clock, ids, telemetry, limits, outbox)
        inbox = Inbox(journal, clock, telemetry, dispatcher.wake)
        buses = _buses(settings, clock)
        if buses.publishers:
            outbox.want_all()
        await outbox.want_what_triggers_want(journal)
        app = create_api(
            journal=journal,
            engine=engine,
            clock=clock,
            ids=ids,
            settings=settings,
            telemetry=telemetry,
            inbox=inbox,
            evaluator=evaluator,
            outbox=outbox,
            door=door,
            extra_routes=routes,
        )
        stack.push_async_callback(buses.close)
        publishers = (OwnTriggers(inbox), *buses.publishers)
        relays = [Relay(publisher, journal, clock, telemetry) for publisher in publishers]
        for relay in relays:
            await relay.begin()
        await engine.start()
        stack.push_async_callback(engine.stop)
        await dispatcher.start()
        stack.push_async_callback(dispatcher.stop)
        for relay in relays:
            stack.enter_context(_in_background(relay.run, clock))
        if source is not None:
            stack.enter_context(_in_background(Feed(source, journal, inbox, clock).run, clock))
        if buses.subscriber is not None:
            consumer = Consumer(
                buses.subscriber,
                journal,
                inbox,
                clock,
                telemetry,
                max_failures=settings.max_deliveries,
                max_body_bytes=settings.max_body_bytes,
            )
            stack.enter_context(_in_background(consumer.run, clock))
        stack.enter_context(_in_background(lambda: _forget(journal, clock, settings, relays), clock))
        yield House(app, journal, engine, downstream)


def serve(
    settings: Settings,
    *,
    host: str,
    port: int,
    data: Path | None,
    sandbox: bool,
    faults: Sequence[str],
    on_ready: Callable[[str], None],
    prepare: Callable[[Path], None] | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM; `data` None: in a temporary folder that goes with the process.

    `prepare` sees that folder before anything is opened in it.
    """
    configure_logging(settings.log_format, settings.log_level)
    tune_collector()
    with contextlib.ExitStack() as stack:
        folder = data if data is not None else Path(stack.enter_context(TemporaryDirectory(prefix="headrace-")))
        door = stack.enter_context(_listen(host, port))
        if prepare is not None:
            prepare(folder)
        with contextlib.suppress(KeyboardInterrupt), asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(_serve(settings, door, folder, sandbox, faults, on_ready))


@contextlib.contextmanager
def _in_background(work: Callable[[], Coroutine[None, None, None]], clock: Clock) -> Generator[None]:
    task = asyncio.create_task(_kept_up(work, clock))
    try:
        yield
    finally:
        task.cancel()


async def _kept_up(work: Callable[[], Coroutine[None, None, None]], clock: Clock) -> None:
    """An error of ours costs a pause and a line in the log; what the journal holds is gone on with."""
    while True:
        try:
            await work()
        except Exception:
            log.exception("work in the background stopped by an error of ours; it goes on in a moment")
        await clock.sleep(AGAIN_S)


async def _forget(journal: SqliteJournal, clock: Clock, settings: Settings, relays: list[Relay]) -> None:
    """Callers' keys, processed envelopes and events of ours are kept for their time, then dropped."""
    while True:
        now_at = clock.now_at()
        with contextlib.suppress(Unavailable):
            await sweep(journal, "forget_before", now_at - settings.remember_days * DAY)
            await sweep(journal, "forget_envelopes", now_at - settings.keep_events_days * DAY)
            await sweep(journal, "forget_set_aside", now_at - settings.keep_events_days * DAY)
            await trim_outbox(relays, journal, now_at - settings.keep_outbox_days * DAY)
        await clock.sleep(FORGET_EVERY_S)


async def _serve(
    settings: Settings,
    door: socket.socket,
    data: Path,
    sandbox: bool,
    faults: Sequence[str],
    on_ready: Callable[[str], None],
) -> None:
    address = door.getsockname()
    url = f"http://{_shown(address[0])}:{address[1]}"
    async with house(settings, data=data, sandbox=sandbox, faults=faults, url=url) as rooms:
        config = uvicorn.Config(
            rooms.app,
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            lifespan="off",
            http=BoundedProtocol,
            ws="none",
            timeout_graceful_shutdown=5,
            timeout_keep_alive=75,
        )
        await _Server(config, lambda: on_ready(url)).serve(sockets=[door])


class _Server(uvicorn.Server):
    """Says when it answers."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_ready()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """The library sends itself the signal again once the door is shut: it would end us with all else still open."""
        with super().capture_signals():
            yield
            self._captured_signals.clear()


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family)
    except OSError as error:
        raise InvalidValue("port", f"cannot listen at {host}:{port}: {error.strerror or error}") from error


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    import uvloop

    return uvloop.new_event_loop


def _downstream(
    settings: Settings, data: Path, *, sandbox: bool, faults: Sequence[str]
) -> tuple[Downstream, list[Mount], EventSource | None]:
    """The services, the routes they add to the door, and where their events can be read."""
    clock = SystemClock()
    if sandbox:
        from headrace.sandbox import Sandbox, parse_fault, sandbox_routes

        parsed = [parse_fault(fault) for fault in faults]
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        stand_in = Sandbox(data / SANDBOX_FILE, faults=parsed, clock=clock, ids=RandomIds())
        return stand_in, sandbox_routes(stand_in), stand_in
    from headrace.effects.transport import HttpDownstream, ServiceAddresses  # costs a quarter of the start

    addresses = ServiceAddresses.of(
        stack_url=settings.stack_url,
        ledger_url=settings.ledger_url,
        wallets_url=settings.wallets_url,
        payments_url=settings.payments_url,
    )
    services = HttpDownstream(
        addresses,
        credentials=_credentials(settings),
        timeout_s=settings.timeout_s,
        connections_per_service=settings.concurrency,
        clock=clock,
    )
    return services, [], None


@dataclass(frozen=True, slots=True)
class _Buses:
    """Where events come from and where ours go, beside HTTP and the sandbox."""

    subscriber: Subscriber | None
    publishers: tuple[Publisher, ...]

    async def close(self) -> None:
        for publisher in self.publishers:
            await publisher.close()


def _buses(settings: Settings, clock: Clock) -> _Buses:
    """Nothing is connected here: a broker that is away holds up no start."""
    webhooks = _webhooks(settings, clock)
    if settings.broker_url is None:
        return _Buses(None, webhooks)
    if settings.broker_url.startswith("kafka:"):
        from headrace.events.kafka import KafkaBus, KafkaOptions

        kafka = KafkaBus(KafkaOptions.of(settings), clock)
        return _Buses(kafka, (kafka, *webhooks))
    from headrace.events.nats import NatsBus, NatsOptions

    nats = NatsBus(NatsOptions.of(settings))
    return _Buses(nats, (nats, *webhooks))


def _webhooks(settings: Settings, clock: Clock) -> tuple[Publisher, ...]:
    if settings.webhooks is None:
        return ()
    from headrace.api import codec, yaml
    from headrace.events.webhooks import Webhook, read_endpoints

    def decode(body: bytes) -> object:
        return codec.decode(body) if body.lstrip().startswith(b"{") else yaml.decode(body).value

    return tuple(Webhook(endpoint, clock) for endpoint in read_endpoints(settings.webhooks, os.environ, decode))


def _links(settings: Settings, downstream: Downstream) -> Fetch:
    """What `link()` may ask: listed origins and the stack's own, which alone is shown our token."""
    if settings.stack_url is None and not settings.link_origins:
        return no_links
    from headrace.effects.transport import HttpDownstream
    from headrace.triggers.link import Linker, origins_of

    stack, authorize = None, None
    if settings.stack_url is not None:
        stack = next(iter(origins_of([settings.stack_url], "HEADRACE_STACK_URL")))
        authorize = downstream.authorization if isinstance(downstream, HttpDownstream) else None
    origins = origins_of(settings.link_origins, "HEADRACE_LINK_ORIGINS")
    return Linker(origins, stack=stack, authorize=authorize, may_be_private=settings.link_private).fetch


def _credentials(settings: Settings) -> ClientCredentials | None:
    from headrace.effects.oauth import ClientCredentials

    if settings.stack_client_id is None or settings.stack_client_secret is None:
        return None
    token_url = settings.stack_token_url
    if token_url is None:
        if settings.stack_url is None:
            raise InvalidValue(
                "HEADRACE_STACK_TOKEN_URL",
                "is needed with HEADRACE_STACK_CLIENT_ID when there is no HEADRACE_STACK_URL",
            )
        token_url = f"{settings.stack_url}/api/auth/oauth/token"
    return ClientCredentials(settings.stack_client_id, settings.stack_client_secret, token_url)


def _engine_limits(settings: Settings) -> EngineLimits:
    return EngineLimits(
        concurrency=settings.concurrency,
        settle_s=settings.settle_s,
        retry_base_s=settings.retry_base_s,
        retry_cap_s=settings.retry_cap_s,
        stop_s=settings.stop_s,
        abort_s=settings.commit_timeout_s,
        rules=Rules(settings.allow_world_from_trigger, settings.allow_world_from_caller),
    )


def _writer_limits(settings: Settings) -> WriterLimits:
    return WriterLimits(
        max_batch=settings.batch_units, max_waiting=settings.queue_units, give_up_s=settings.commit_timeout_s
    )
