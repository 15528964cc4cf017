"""A process with one server of several on one PostgreSQL database: `python -m tests.support.member_process api|driver`.

The engine that drives from several processes is another suite's matter. Here one process, the driver, has the embedded
engine and looks for what the others started; the others are API servers: they accept events, have the duties, and drive
nothing. All read the settings of `headrace serve` from the environment.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys

import uvicorn

from headrace.api.http_protocol import BoundedProtocol
from headrace.auth.authenticator import AnonymousAuthenticator
from headrace.auth.oauth import OpenAuthority
from headrace.background import in_background
from headrace.clock import RandomIds, SystemClock
from headrace.composition.assembly import Parts, assemble
from headrace.composition.engines import Surroundings, engine_of
from headrace.composition.services import real_services
from headrace.composition.stores import Store
from headrace.engine.port import Engine
from headrace.errors import Unavailable
from headrace.events.duties import SoleProcess
from headrace.journal.port import Journal
from headrace.journal.postgres import PostgresJournal
from headrace.journal.postgres.leadership import PostgresLeadership
from headrace.settings import Settings
from headrace.telemetry import Telemetry, configure_logging
from tests.support.certificate_keys import keys_of_test
from tests.support.leaders import RemoteEngine

LOOK_S = 0.1
ANY_ROW = 2**63 - 1


async def serve(role: str) -> None:
    clock, ids = SystemClock(), RandomIds()
    settings = Settings.from_env(os.environ)
    assert settings.database_url is not None
    configure_logging(clock, settings.log_format, settings.log_level)
    telemetry = Telemetry(clock, is_journal_shared=True)
    is_driver = role == "driver"

    driving: list[Engine] = []

    def make_engine(around: Surroundings) -> Engine:
        if not is_driver:
            return RemoteEngine(around.journal, None)
        driving.append(engine_of(around))
        return driving[0]

    async with contextlib.AsyncExitStack() as stack:
        journal = await PostgresJournal.open(settings.database_url, meter=telemetry)
        stack.push_async_callback(journal.close)
        leadership = PostgresLeadership(settings.database_url, clock)
        stack.push_async_callback(leadership.close)
        await stack.enter_async_context(in_background(leadership.run, clock))
        while is_driver and not await journal.owner.try_own():
            await asyncio.sleep(LOOK_S)
        services = real_services(settings, clock)
        stack.push_async_callback(services.downstream.close)
        parts = Parts(
            settings=settings,
            store=Store(journal, SoleProcess() if is_driver else leadership, journal.owner.lost, journal.watch_inbox),
            services=services,
            authenticator=AnonymousAuthenticator(OpenAuthority("http://localhost", ids)),
            certificate_keys=keys_of_test(clock, ids),
            telemetry=telemetry,
            tracing=None,
            clock=clock,
            ids=ids,
        )
        composition = await stack.enter_async_context(assemble(parts, make_engine))
        if is_driver:
            await stack.enter_async_context(in_background(lambda: _look(journal, driving[0]), clock))
        config = uvicorn.Config(
            composition.app,
            host="127.0.0.1",
            port=settings.port,
            log_config=None,
            log_level="warning",
            access_log=False,
            lifespan="off",
            ws="none",
            http=BoundedProtocol,
        )
        await uvicorn.Server(config).serve()


async def _look(journal: Journal, engine: Engine) -> None:
    """Drive what other processes have started."""
    while True:
        with contextlib.suppress(Unavailable):
            for due in await journal.due(-1, ANY_ROW, 0, 1_000):
                engine.wake(due.instance_id)
        await asyncio.sleep(LOOK_S)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    asyncio.run(serve(sys.argv[1]))
