"""The composition root: opens the journal, builds every part around it, and closes all in order."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from headrace.api import create_api
from headrace.api.version import VERSION
from headrace.auth.authenticator import AnonymousAuthenticator, Authenticator
from headrace.auth.certificate_keys import FILE as CERTIFICATE_KEYS
from headrace.auth.certificate_keys import CertificateKeys
from headrace.clock import Clock, Ids, RandomIds, SystemClock
from headrace.composition.approvals import read_rules
from headrace.composition.authentication import open_authenticator
from headrace.composition.background import Background
from headrace.composition.brokers import buses_of
from headrace.composition.engines import Surroundings, engine_of
from headrace.composition.services import Services, real_services, sandbox_services
from headrace.composition.stores import Store, open_store
from headrace.console import Console, Facts
from headrace.effects.port import Downstream
from headrace.engine.port import Engine
from headrace.errors import Damaged, Unavailable
from headrace.events.duties import Duties
from headrace.events.inbox import Inbox
from headrace.events.outbox import Outbox
from headrace.journal.port import Journal
from headrace.journal.sqlite.faults import fault_of
from headrace.runner.policy import Policy
from headrace.runner.runners import Runners
from headrace.settings import Settings
from headrace.telemetry import Telemetry
from headrace.telemetry.tracing import Tracing, open_tracing
from headrace.triggers.expressions import Evaluator
from headrace.usecases.ports import Ports

if TYPE_CHECKING:
    from headrace.engine.temporal.steps import Steps

log = structlog.get_logger("headrace")


@dataclass(frozen=True, slots=True)
class Composition:
    """Everything behind a running server's listener.

    `lost` is set when another server has taken over the journal: this process must end.
    """

    app: Any
    journal: Journal
    engine: Engine | Steps
    downstream: Downstream
    lost: asyncio.Event


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Parts that are open before the rest is built around them; `tracing` None: no traces."""

    settings: Settings
    store: Store
    services: Services
    authenticator: Authenticator
    certificate_keys: CertificateKeys
    telemetry: Telemetry
    tracing: Tracing | None
    clock: Clock
    ids: Ids


@contextlib.asynccontextmanager
async def compose(
    settings: Settings,
    *,
    data: Path,
    sandbox: bool = False,
    faults: Sequence[str] = (),
    url: str = "http://127.0.0.1:8484",
    on_wait: Callable[[str], None] = log.info,
) -> AsyncGenerator[Composition]:
    """Open the journal that the settings name, start the engine, and close everything in order at the end.

    `data` is the folder of all files. `url` is the server's address. `on_wait` is called with the reason while this
    server is a standby. Raises AlreadyOwned when another server has the journal, Unusable or Damaged when the journal
    needs a person, Unavailable when another attempt may succeed, InvalidValue for a bad fault, address or file.
    """
    clock, ids = SystemClock(), RandomIds()
    telemetry = Telemetry(
        clock,
        instances_per_s=settings.log_instances_per_s,
        is_journal_shared=settings.engine != "embedded",
    )
    async with contextlib.AsyncExitStack() as stack:
        tracing = open_tracing(settings, os.environ, clock)
        if tracing is not None:
            stack.push_async_callback(tracing.close)
        store = await stack.enter_async_context(open_store(settings, data, telemetry, clock, on_wait))
        await store.journal.check()
        if sandbox:
            services = sandbox_services(settings, clock, ids, data=data, url=url, faults=faults)
        else:
            services = real_services(settings, clock)
        stack.push_async_callback(services.downstream.close)
        authenticator = await stack.enter_async_context(open_authenticator(settings, data, url, clock, ids))
        parts = Parts(
            settings=settings,
            store=store,
            services=services,
            authenticator=authenticator,
            certificate_keys=CertificateKeys(data / CERTIFICATE_KEYS, clock.now_at, ids.new),
            telemetry=telemetry,
            tracing=tracing,
            clock=clock,
            ids=ids,
        )
        yield await stack.enter_async_context(assemble(parts))


@contextlib.asynccontextmanager
async def assemble(
    parts: Parts, make_engine: Callable[[Surroundings], Engine] = engine_of
) -> AsyncGenerator[Composition]:
    """Build engine, events and API around what is open, and run them until the block ends."""
    settings, services, telemetry, clock = parts.settings, parts.services, parts.telemetry, parts.clock
    tracing, journal = parts.tracing, parts.store.journal
    async with contextlib.AsyncExitStack() as stack:
        running, attention = await journal.counts()
        telemetry.instances_recovered(running)
        telemetry.needs_attention(attention)
        log.info("recovered", instances_running=running, activities_needing_attention=attention)
        traced = journal if tracing is None else tracing.journal(journal)
        outbox, woken = Outbox(), asyncio.Event()
        if parts.store.watch_inbox is not None:
            parts.store.watch_inbox(woken.set)
        runners = runners_of(settings, clock, parts.ids, outbox)
        downstream = services.downstream if tracing is None else tracing.downstream(services.downstream)
        engine = make_engine(Surroundings(settings, traced, downstream, clock, runners, telemetry))

        inbox = Inbox(journal, clock, telemetry, woken.set)
        with contextlib.suppress(Unavailable):  # the first event repeats it
            await inbox.identify()
        evaluator = Evaluator(clock, services.fetch)
        stack.callback(evaluator.close)
        buses = buses_of(settings, clock)
        stack.push_async_callback(buses.close)
        ports = Ports(
            journal=traced,
            engine=engine,
            runners=runners,
            clock=clock,
            ids=parts.ids,
            inbox=inbox,
            outbox=outbox,
            evaluator=evaluator,
            downstream=downstream,
            max_triggers=settings.max_triggers,
            patience_s=settings.commit_timeout_s,
            certificate_keys=parts.certificate_keys,
            release=VERSION,
            publishers=buses.publishers,
        )
        app = create_api(
            ports=ports,
            settings=settings,
            telemetry=telemetry,
            authenticator=parts.authenticator,
            extra_routes=services.routes,
            console=Console(
                ports,
                None if isinstance(parts.authenticator, AnonymousAuthenticator) else parts.authenticator,
                is_sandbox=bool(services.routes),
                facts=facts_of(parts),
            ),
        )

        background = Background(
            settings=settings,
            journal=journal,
            duties=None if settings.duties is False else Duties(parts.store.leadership, clock),
            ports=ports,
            woken=woken,
            buses=buses,
            source=services.events,
            telemetry=telemetry,
            clock=clock,
        )
        await background.begin()
        await engine.start()
        stack.push_async_callback(engine.stop)
        await stack.enter_async_context(background.running())
        app = app if tracing is None else tracing.app(app)
        yield Composition(app, journal, engine, services.downstream, parts.store.lost)


def facts_of(parts: Parts) -> Facts:
    """Facts of this server for its console."""
    is_alone = parts.settings.engine == "embedded"
    owner = f"this process ({os.getpid()})" if is_alone else "all servers and workers on it together"
    store = parts.store
    return Facts(parts.telemetry, parts.settings.engine, store.kind, store.revision, owner, store.file)


def runners_of(settings: Settings, clock: Clock, ids: Ids, outbox: Outbox) -> Runners:
    """Makers of runners under the settings' policy. Raises InvalidValue for a bad file of approval rules."""
    policy = Policy(
        settings.allow_world_from_trigger,
        settings.allow_world_from_caller,
        dict(settings.ledger_schemas),
        read_rules(settings.approval_rules),
    )
    return Runners(clock.now_at, ids.new, outbox.announce, policy)


def temporary_fault(error: Exception) -> Unavailable | None:
    """The fault behind an error of `compose` that may pass by itself, such as a full disk; None for any other."""
    fault = fault_of(error)
    return fault if isinstance(fault, Unavailable) and not isinstance(fault, Damaged) else None
