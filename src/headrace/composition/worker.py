"""A worker of the Temporal engine: the journal, the services and the steps, behind probes and metrics."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator, Callable, Sequence
from pathlib import Path

import structlog
from starlette.types import ASGIApp, Receive, Scope, Send

from headrace import telemetry
from headrace.api.errors import error_response
from headrace.api.probes import HEALTH_TIMEOUT_S, LIVE
from headrace.api.responses import Response
from headrace.clock import Ids, RandomIds, SystemClock
from headrace.composition.assembly import Composition, runners_of
from headrace.composition.engines import Surroundings, steps_of, temporal_options
from headrace.composition.services import real_services
from headrace.composition.stores import open_store
from headrace.errors import NotFound, Unavailable
from headrace.events.outbox import Outbox
from headrace.journal.port import Journal
from headrace.settings import Settings
from headrace.telemetry import Telemetry
from headrace.telemetry.tracing import open_tracing

log = structlog.get_logger("headrace")


@contextlib.asynccontextmanager
async def compose_worker(
    settings: Settings,
    *,
    data: Path,
    sandbox: bool,
    faults: Sequence[str],
    url: str,
    on_wait: Callable[[str], None],
) -> AsyncGenerator[Composition]:
    """Open the journal, take steps until the block ends, then let attempts under way end, for a bounded time.

    The parameters are those of `compose`; a worker has no sandbox. While Temporal is away it waits, with the reason
    to `on_wait`. Raises Unusable where the journal or this machine's clock needs a person, Unavailable where another
    attempt may succeed, InvalidValue for a setting.
    """
    assert not sandbox and not faults, f"a worker at {url} has no sandbox"
    options = temporal_options(settings)
    from headrace.engine.temporal.worker import check_clock, connected, taking_steps

    clock, ids = SystemClock(), RandomIds()
    meter = Telemetry(clock, instances_per_s=settings.log_instances_per_s, is_journal_shared=True)
    async with contextlib.AsyncExitStack() as stack:
        tracing = open_tracing(settings, os.environ, clock)
        if tracing is not None:
            stack.push_async_callback(tracing.close)
        store = await stack.enter_async_context(open_store(settings, data, meter, clock, on_wait))
        await store.journal.check()
        await check_clock(store.journal, clock)
        services = real_services(settings, clock)
        stack.push_async_callback(services.downstream.close)
        journal = store.journal if tracing is None else tracing.journal(store.journal)
        downstream = services.downstream if tracing is None else tracing.downstream(services.downstream)
        runners = runners_of(settings, clock, ids, Outbox())
        steps = steps_of(Surroundings(settings, journal, downstream, clock, runners, meter))
        on_wait("Temporal does not answer yet")
        client = await connected(options, clock)
        taking = taking_steps(
            client,
            steps,
            options,
            at_once=settings.steps_at_once,
            cached_workflows=settings.cached_workflows,
            stop_s=settings.stop_s,
        )
        await stack.enter_async_context(taking)
        yield Composition(_app(store.journal, meter, ids), store.journal, steps, services.downstream, store.lost)


def _app(journal: Journal, meter: Telemetry, ids: Ids) -> ASGIApp:
    """Answers `/livez`, `/readyz` and `/metrics`."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path")
        response = error_response(NotFound("page", str(path)), ids)
        if path == "/livez":
            response = LIVE
        elif path == "/metrics":
            response = Response(200, meter.render(), ((b"content-type", telemetry.CONTENT_TYPE),))
        elif path == "/readyz":
            try:
                await asyncio.wait_for(journal.check(), HEALTH_TIMEOUT_S)
                response = LIVE
            except (TimeoutError, Unavailable) as error:
                response = error_response(Unavailable(str(error) or "the journal does not answer"), ids)
        await response.send(send)

    return app
