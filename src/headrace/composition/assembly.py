"""The composition root: opens the journal, builds every part around it, and closes all in order."""

from __future__ import annotations

import contextlib
import os
import random
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import structlog
from starlette.routing import Mount

from headrace.api import create_api
from headrace.background import in_background
from headrace.clock import Clock, RandomIds, SystemClock
from headrace.composition.authentication import build_authenticator
from headrace.composition.brokers import buses_of
from headrace.composition.services import downstream_of
from headrace.effects.port import Downstream
from headrace.engine.embedded import EmbeddedEngine
from headrace.engine.limits import EngineLimits
from headrace.errors import Damaged, Unavailable
from headrace.events.consumer import Consumer
from headrace.events.feed import EventSource, Feed
from headrace.events.inbox import Inbox
from headrace.events.loopback import LoopbackPublisher
from headrace.events.outbox import Outbox
from headrace.events.relay import Relay, trim_outbox
from headrace.journal.group import WriterLimits
from headrace.journal.retention import Keep, Retention
from headrace.journal.sqlite import SqliteJournal
from headrace.journal.sqlite.faults import fault_of, opening
from headrace.runner.policy import Policy
from headrace.runner.runners import Runners
from headrace.settings import Settings
from headrace.telemetry import Telemetry
from headrace.telemetry.tracing import is_wanted, open_tracing, outgoing_headers
from headrace.triggers.dispatcher import Dispatcher, DispatcherLimits
from headrace.triggers.expressions import Evaluator, Fetch, no_links
from headrace.triggers.loopback_links import LoopbackLinks
from headrace.usecases.ports import Ports

JOURNAL_FILE = "journal.db"
SANDBOX_FILE = "sandbox.db"
FLUSH_LOG_EVERY_S = 5.0
DAY_S = 86_400

log = structlog.get_logger("headrace")


@dataclass(frozen=True, slots=True)
class Composition:
    """Everything behind a running server's listener."""

    app: Any
    journal: SqliteJournal
    engine: EmbeddedEngine
    downstream: Downstream


@contextlib.asynccontextmanager
async def compose(
    settings: Settings,
    *,
    data: Path,
    sandbox: bool = False,
    faults: Sequence[str] = (),
    url: str = "http://127.0.0.1:8484",
) -> AsyncGenerator[Composition]:
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
        authenticator = build_authenticator(settings, data, url, clock, ids)
        stack.push_async_callback(authenticator.close)
        running, attention = await journal.counts()
        telemetry.instances_recovered(running)
        telemetry.needs_attention(attention)
        log.info("recovered", instances_running=running, activities_needing_attention=attention)
        outbox = Outbox()
        runners = Runners(clock.now_at, ids.new, outbox.announce, _policy(settings))
        traced = journal if tracing is None else tracing.journal(journal)
        engine = EmbeddedEngine(
            traced,
            downstream if tracing is None else tracing.downstream(downstream),
            clock,
            runners,
            _engine_limits(settings),
            meter=telemetry,
            jitter=random.random,
        )
        evaluator = Evaluator(clock, _links(settings, downstream, own_url))
        stack.callback(evaluator.close)
        limits = DispatcherLimits(events=settings.events_at_once)
        dispatcher = Dispatcher(traced, engine, runners, evaluator, clock, ids, telemetry, limits, outbox)
        inbox = Inbox(journal, clock, telemetry, dispatcher.wake)
        with contextlib.suppress(Unavailable):  # the first event repeats it
            await inbox.identify()
        buses = buses_of(settings, clock)
        ports = Ports(
            journal=traced,
            engine=engine,
            runners=runners,
            clock=clock,
            ids=ids,
            inbox=inbox,
            outbox=outbox,
            evaluator=evaluator,
            max_triggers=settings.max_triggers,
            patience_s=settings.commit_timeout_s,
        )
        app = create_api(
            ports=ports,
            settings=settings,
            telemetry=telemetry,
            authenticator=authenticator,
            extra_routes=routes,
        )
        stack.push_async_callback(buses.close)
        own = LoopbackPublisher(inbox)
        for publisher in (own, *buses.publishers):
            telemetry.expect_publisher(publisher.name)
        relays = [Relay(each, journal, clock, telemetry) for each in buses.publishers]
        relays.append(Relay(own, journal, clock, telemetry, announces=False))
        for relay in relays:
            await relay.begin()
        await engine.start()
        stack.push_async_callback(engine.stop)
        await dispatcher.start()
        stack.push_async_callback(dispatcher.stop)
        for relay in relays:
            stack.enter_context(in_background(relay.run, clock))
        if source is not None:
            stack.enter_context(in_background(Feed(source, journal, inbox, clock).run, clock))
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
            stack.enter_context(in_background(consumer.run, clock))
        retention = Retention(journal, clock, _keep(settings), partial(trim_outbox, relays, journal))
        stack.push_async_callback(retention.stop)
        stack.enter_context(in_background(retention.run, clock))
        stack.callback(telemetry.flush_log)
        stack.enter_context(in_background(lambda: _flush_log(telemetry, clock), clock))
        yield Composition(app if tracing is None else tracing.app(app), journal, engine, downstream)


def temporary_fault(error: Exception) -> Unavailable | None:
    """The fault behind an error of `compose` that may pass by itself, such as a full disk; None for any other."""
    fault = fault_of(error)
    return fault if isinstance(fault, Unavailable) and not isinstance(fault, Damaged) else None


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


def _links(settings: Settings, downstream: Downstream, sandbox_url: str | None) -> Fetch:
    """Build the fetcher of `link()`: for the sandbox, and for allowed origins outside."""
    outside = _links_outside(settings, downstream)
    return outside if sandbox_url is None else LoopbackLinks(sandbox_url, downstream, outside).fetch


def _links_outside(settings: Settings, downstream: Downstream) -> Fetch:
    """Allowed origins and the stack's own, which alone receives Headrace's token."""
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
    )


def _policy(settings: Settings) -> Policy:
    return Policy(settings.allow_world_from_trigger, settings.allow_world_from_caller, dict(settings.ledger_schemas))


def _writer_limits(settings: Settings) -> WriterLimits:
    return WriterLimits(
        max_batch=settings.batch_units, max_waiting=settings.queue_units, give_up_s=settings.commit_timeout_s
    )
