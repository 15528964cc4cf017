"""The composition root: builds every room and opens the front door. Imported by the CLI only."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import importlib.util
import os
import random
import socket
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import structlog
import uvicorn
from starlette.routing import Mount

from headrace.api import create_api
from headrace.api.protocol import BoundedProtocol
from headrace.api.startup import StartupGate
from headrace.auth.assembly import open_door
from headrace.clock import Clock, RandomIds, SystemClock
from headrace.doctor import warn_of_services
from headrace.downstream import downstream_of
from headrace.effects.port import Downstream
from headrace.engine.embedded import EmbeddedEngine
from headrace.engine.limits import EngineLimits
from headrace.engine.run import Rules
from headrace.errors import Damaged, InvalidValue, Unavailable
from headrace.events.bus import Publisher, Subscriber
from headrace.events.consumer import Consumer
from headrace.events.feed import EventSource, Feed
from headrace.events.inbox import Inbox
from headrace.events.outbox import Outbox
from headrace.events.own import OwnTriggers
from headrace.events.relay import Relay, trim_outbox
from headrace.journal.faults import fault_of, opening
from headrace.journal.retention import Keep, Retention
from headrace.journal.sqlite import SqliteJournal
from headrace.journal.writer import WriterLimits
from headrace.runtime import tune_collector
from headrace.settings import Settings
from headrace.startup import log_start, webhook_endpoints
from headrace.telemetry import Telemetry, configure_logging
from headrace.tracing import is_wanted, open_tracing, outgoing_headers
from headrace.triggers.dispatcher import Dispatcher, DispatcherLimits
from headrace.triggers.expressions import Evaluator, Fetch, no_links
from headrace.triggers.own_links import OwnLinks

JOURNAL_FILE = "journal.db"
SANDBOX_FILE = "sandbox.db"
FLUSH_LOG_EVERY_S = 5.0
AGAIN_S = 5.0
START_AGAIN_S = 1.0
DAY_S = 86_400

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

    `url` is the server's address. Raises AlreadyOwned when another server has the folder, Unusable or Damaged when the
    journal needs a person, Unavailable when another attempt may succeed, InvalidValue for a bad fault, address or file.
    """
    clock, ids = SystemClock(), RandomIds()
    telemetry = Telemetry(clock, instances_per_s=settings.log_instances_per_s)
    async with contextlib.AsyncExitStack() as stack:
        tracing = open_tracing(settings, os.environ, clock)
        if tracing is not None:
            stack.push_async_callback(tracing.close)
        journal = await SqliteJournal.open(data / JOURNAL_FILE, limits=_writer_limits(settings), meter=telemetry)
        stack.push_async_callback(journal.close)
        await journal.check()
        own_url = url if sandbox else None
        downstream, routes, source = _downstream(settings, data, sandbox_url=own_url, faults=faults)
        stack.push_async_callback(downstream.close)
        door = open_door(settings, data, url, clock, ids)
        stack.push_async_callback(door.close)
        running, attention = await journal.counts()
        telemetry.instances_recovered(running)
        telemetry.needs_attention(attention)
        log.info("recovered", instances_running=running, activities_needing_attention=attention)
        outbox = Outbox()
        engine = EmbeddedEngine(
            journal if tracing is None else tracing.journal(journal),
            downstream if tracing is None else tracing.downstream(downstream),
            clock,
            ids,
            _engine_limits(settings),
            meter=telemetry,
            jitter=random.random,
            outbox=outbox,
        )
        evaluator = Evaluator(clock, _links(settings, downstream, own_url))
        stack.callback(evaluator.close)
        limits = DispatcherLimits(events=settings.events_at_once)
        dispatcher = Dispatcher(journal, engine, evaluator, clock, ids, telemetry, limits, outbox)
        inbox = Inbox(journal, clock, telemetry, dispatcher.wake)
        with contextlib.suppress(Unavailable):  # then it is done when the first event arrives
            await inbox.identify()
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
        for publisher in publishers:
            telemetry.expect_publisher(publisher.name)
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
        retention = Retention(journal, clock, _keep(settings), partial(trim_outbox, relays, journal))
        stack.push_async_callback(retention.stop)
        stack.enter_context(_in_background(retention.run, clock))
        stack.callback(telemetry.flush_log)
        stack.enter_context(_in_background(lambda: _flush_log(telemetry, clock), clock))
        yield House(app if tracing is None else tracing.app(app), journal, engine, downstream)


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
    configure_logging(SystemClock(), settings.log_format, settings.log_level)
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


def _keep(settings: Settings) -> Keep:
    return Keep(
        keys_s=settings.remember_days * DAY_S,
        events_s=settings.keep_events_days * DAY_S,
        outbox_s=settings.keep_outbox_days * DAY_S,
    )


async def _flush_log(telemetry: Telemetry, clock: Clock) -> None:
    while True:
        await clock.sleep(FLUSH_LOG_EVERY_S)
        telemetry.flush_log()


async def _serve(
    settings: Settings,
    door: socket.socket,
    data: Path,
    sandbox: bool,
    faults: Sequence[str],
    on_ready: Callable[[str], None],
) -> None:
    """Answer at once: `/livez`, and 503 with the reason for all else until the journal is open."""
    address = door.getsockname()
    url = f"http://{_shown(address[0])}:{address[1]}"
    log_start(settings, os.environ, data=data, url=url, sandbox=sandbox)
    gate = StartupGate(RandomIds())
    config = uvicorn.Config(
        gate,
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
    server = _Server(config)

    async def live() -> None:
        make = partial(house, settings, data=data, sandbox=sandbox, faults=faults, url=url)
        async with contextlib.AsyncExitStack() as stack:
            rooms = await _opened(stack, make, gate, SystemClock())
            gate.open(rooms.app)
            await server.is_up.wait()
            on_ready(url)
            if not sandbox:
                checking = asyncio.create_task(warn_of_services(rooms.downstream, settings, SystemClock()))
                stack.callback(checking.cancel)
            await server.is_done.wait()
            log.info("stopping", instances_active=rooms.engine.active_instances)
        log.info("stopped")

    living = asyncio.create_task(live())
    living.add_done_callback(lambda _: server.end())
    await server.serve(sockets=[door])
    server.is_done.set()
    if gate.is_closed:
        living.cancel()  # it may wait for a disk
    with contextlib.suppress(asyncio.CancelledError):
        await living


async def _opened(
    stack: contextlib.AsyncExitStack,
    make: Callable[[], contextlib.AbstractAsyncContextManager[House]],
    gate: StartupGate,
    clock: Clock,
) -> House:
    """Open the journal and all else, again and again while what is wrong may pass by itself: a full disk, say.

    Raises what a person has to act on.
    """
    while True:
        try:
            return await stack.enter_async_context(make())
        except Exception as error:
            fault = fault_of(error)
            if not isinstance(fault, Unavailable) or isinstance(fault, Damaged):
                raise
            if gate.reason != str(fault):
                log.warning("the server cannot start; trying again", reason=str(fault))
            gate.reason = str(fault)
        await clock.sleep(START_AGAIN_S)


class _Server(uvicorn.Server):
    """`is_up`: it answers. `is_done`: it does not any more, and all else is to be closed."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.is_up = asyncio.Event()
        self.is_done = asyncio.Event()

    def end(self) -> None:
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.is_up.set()

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
        if error.errno == errno.EADDRINUSE:
            reason = f"another program listens at {host}:{port}; stop it, or choose another port (0: a free one)"
        else:
            reason = f"cannot listen at {host}:{port}: {error.strerror or error}"
        raise InvalidValue("port", reason) from error


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    import uvloop

    return uvloop.new_event_loop


def _downstream(
    settings: Settings, data: Path, *, sandbox_url: str | None, faults: Sequence[str]
) -> tuple[Downstream, list[Mount], EventSource | None]:
    """The services, the routes they add to the server, and the source of their events.

    `sandbox_url` is the address at which the sandbox is served; None: the services are real ones.
    """
    clock = SystemClock()
    if sandbox_url is not None:
        from headrace.sandbox import Releases, Sandbox, parse_fault, sandbox_routes

        parsed = [parse_fault(fault) for fault in faults]
        releases = Releases.of(settings.sandbox_ledger, settings.sandbox_events, sandbox_url)
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        with opening(data / SANDBOX_FILE):
            stand_in = Sandbox(data / SANDBOX_FILE, faults=parsed, clock=clock, ids=RandomIds(), releases=releases)
        return stand_in, sandbox_routes(stand_in), stand_in
    headers = outgoing_headers if is_wanted(settings, os.environ) else None
    return downstream_of(settings, clock, extra_headers=headers), [], None


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
        _require("confluent_kafka", "kafka")
        from headrace.events.kafka import KafkaBus, KafkaOptions

        kafka = KafkaBus(KafkaOptions.of(settings), clock)
        return _Buses(kafka, (kafka, *webhooks))
    _require("nats", "nats")
    from headrace.events.nats import NatsBus, NatsOptions

    nats = NatsBus(NatsOptions.of(settings))
    return _Buses(nats, (nats, *webhooks))


def _require(module: str, extra: str) -> None:
    """Check that a broker's client library is installed. Raises InvalidValue naming the extra that brings it."""
    if importlib.util.find_spec(module) is None:
        raise InvalidValue("HEADRACE_BROKER_URL", f"needs the {extra} extra: pip install 'headrace[{extra}]'")


def _webhooks(settings: Settings, clock: Clock) -> tuple[Publisher, ...]:
    if settings.webhooks is None:
        return ()
    from headrace.events.webhooks import Webhook

    return tuple(Webhook(endpoint, clock) for endpoint in webhook_endpoints(settings.webhooks, os.environ))


def _links(settings: Settings, downstream: Downstream, sandbox_url: str | None) -> Fetch:
    """Where `link()` may lead: to the sandbox, and outside."""
    outside = _links_outside(settings, downstream)
    return outside if sandbox_url is None else OwnLinks(sandbox_url, downstream, outside).fetch


def _links_outside(settings: Settings, downstream: Downstream) -> Fetch:
    """Listed origins and the stack's own, which alone gets our token."""
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


def _engine_limits(settings: Settings) -> EngineLimits:
    return EngineLimits(
        concurrency=settings.concurrency,
        settle_s=settings.settle_s,
        retry_base_s=settings.retry_base_s,
        retry_cap_s=settings.retry_cap_s,
        stop_s=settings.stop_s,
        abort_s=settings.commit_timeout_s,
        rules=Rules(settings.allow_world_from_trigger, settings.allow_world_from_caller, dict(settings.ledger_schemas)),
    )


def _writer_limits(settings: Settings) -> WriterLimits:
    return WriterLimits(
        max_batch=settings.batch_units, max_waiting=settings.queue_units, give_up_s=settings.commit_timeout_s
    )
