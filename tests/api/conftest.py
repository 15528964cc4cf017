"""A whole server in the test's own event loop: real journal, real engine, the sandbox's ledger, real HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest
import pytest_asyncio
import uvicorn

from headrace.api import create_api
from headrace.api.http_protocol import BoundedProtocol
from headrace.auth.authenticator import Authenticator
from headrace.background import in_background
from headrace.buses.port import Publisher
from headrace.clock import RandomIds, SystemClock
from headrace.console import Console, Facts
from headrace.engine.embedded import EmbeddedEngine
from headrace.engine.limits import EngineLimits
from headrace.events.feed import Feed
from headrace.events.inbox import Inbox
from headrace.events.loopback import LoopbackPublisher
from headrace.events.outbox import Outbox
from headrace.events.relay import Relay
from headrace.journal.postgres import PostgresJournal
from headrace.journal.sqlite import SqliteJournal
from headrace.runner.policy import Policy
from headrace.runner.runners import Runners
from headrace.sandbox import Sandbox, sandbox_routes
from headrace.settings import Settings
from headrace.telemetry import Telemetry
from headrace.triggers.dispatcher import Dispatcher
from headrace.triggers.expressions import Evaluator, Fetch, no_links
from headrace.usecases.ports import Ports
from tests.conformance.wire import check, operation_of
from tests.support.certificate_keys import keys_of_test
from tests.support.journals import make_sqlite

PREFIX = "/api/orchestration"
WAITING: dict[str, Any] = {"name": "waiting", "stages": [{"wait_event": {"event": "go"}}]}
SHORT: dict[str, Any] = {"stages": [{"delay": {"duration": "1ms"}}]}


@dataclass
class Live:
    """A running API and a client of it. Responses to known operations are walked by the wire checker."""

    http: httpx2.AsyncClient
    journal: SqliteJournal | PostgresJournal
    engine: EmbeddedEngine
    dispatcher: Dispatcher
    telemetry: Telemetry
    app: Any
    port: int
    ports: Ports
    prefix: str = PREFIX
    seen: set[str] = field(default_factory=set)

    async def call(
        self, method: str, path: str, body: Any = None, *, headers: Mapping[str, str] | None = None, **options: Any
    ) -> httpx2.Response:
        if body is not None:
            options["json"] = body
        response = await self.http.request(method, self.prefix + path, headers=headers, **options)
        with contextlib.suppress(KeyError):
            operation_id = operation_of(method, path)
            check(operation_id, response.status_code, response.headers, response.content)
            self.seen.add(operation_id)
        return response

    async def created(self, definition: Any) -> str:
        response = await self.call("POST", "/workflows", definition)
        assert response.status_code == 201, response.text
        return response.json()["data"]["id"]

    async def started(self, workflow_id: str, body: Any = None, **options: Any) -> str:
        response = await self.call("POST", f"/workflows/{workflow_id}/instances", body, **options)
        assert response.status_code == 201, response.text
        return response.json()["data"]["id"]

    async def ended(self, instance_id: str) -> Any:
        await self.engine.ended(instance_id, 10)
        response = await self.call("GET", f"/instances/{instance_id}")
        assert response.json()["data"]["terminated"], response.text
        return response.json()["data"]


@contextlib.asynccontextmanager
async def served(
    folder: Path,
    *,
    authenticator: Authenticator | None = None,
    fetch: Fetch = no_links,
    database_url: str | None = None,
    policy: Policy | None = None,
    publishers: tuple[Publisher, ...] = (),
    **settings: Any,
) -> AsyncIterator[Live]:
    """`database_url`: of a PostgreSQL database for the journal; None: the journal is a file in the folder."""
    clock, ids = SystemClock(), RandomIds()
    telemetry = Telemetry(clock)
    async with contextlib.AsyncExitStack() as stack:
        sandbox = Sandbox(folder / "sandbox.db", faults=[], clock=clock, ids=ids)
        stack.push_async_callback(sandbox.close)
        journal = await _journal(folder, database_url, telemetry)
        stack.push_async_callback(journal.close)
        outbox = Outbox()
        runners = Runners(clock.now_at, ids.new, outbox.announce, policy or Policy())
        engine = EmbeddedEngine(journal, sandbox, clock, runners, EngineLimits(), meter=telemetry, jitter=lambda: 1.0)
        await engine.start()
        stack.push_async_callback(engine.stop)
        evaluator = Evaluator(clock, fetch)
        stack.callback(evaluator.close)
        dispatcher = Dispatcher(journal, engine, runners, evaluator, clock, ids, telemetry, outbox=outbox)
        await stack.enter_async_context(in_background(dispatcher.run, clock))
        inbox = Inbox(journal, clock, telemetry, dispatcher.wake)
        feed = asyncio.create_task(Feed(sandbox, journal, inbox, clock).run())
        stack.callback(feed.cancel)
        relay = asyncio.create_task(Relay(LoopbackPublisher(inbox), journal, clock, telemetry, announces=False).run())
        stack.callback(relay.cancel)
        chosen = Settings(**settings)
        ports = Ports(
            journal=journal,
            engine=engine,
            runners=runners,
            clock=clock,
            ids=ids,
            inbox=inbox,
            outbox=outbox,
            evaluator=evaluator,
            downstream=sandbox,
            max_triggers=chosen.max_triggers,
            patience_s=chosen.commit_timeout_s,
            certificate_keys=keys_of_test(clock, ids),
            release="0.0.0",
            publishers=publishers,
        )
        file = folder / "journal.db" if database_url is None else None
        facts = Facts(telemetry, "embedded", "SQLite" if file else "PostgreSQL", "", "this process", file)
        app = create_api(
            ports=ports,
            settings=chosen,
            telemetry=telemetry,
            authenticator=authenticator,
            extra_routes=sandbox_routes(sandbox),
            console=Console(ports, authenticator, is_sandbox=True, facts=facts),
        )
        if authenticator is not None:
            stack.push_async_callback(authenticator.close)
        port = await stack.enter_async_context(_listening(app))
        http = await stack.enter_async_context(httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30))
        yield Live(http, journal, engine, dispatcher, telemetry, app, port, ports)


async def _journal(folder: Path, database_url: str | None, meter: Telemetry) -> SqliteJournal | PostgresJournal:
    if database_url is not None:
        journal = await PostgresJournal.open(database_url, meter=meter)
        assert await journal.owner.try_own()
        return journal
    make_sqlite(folder / "journal.db")
    return await SqliteJournal.open(folder / "journal.db", meter=meter)


@contextlib.asynccontextmanager
async def _listening(app: Any) -> AsyncIterator[int]:
    listener = socket.socket(proto=socket.IPPROTO_TCP)  # said, so that asyncio sends small answers at once
    listener.bind(("127.0.0.1", 0))
    config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="on", ws="none", http=BoundedProtocol)
    server = _Server(config)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        await server.is_up.wait()
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        await task
        listener.close()


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.is_up = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Any:
        """Signals are the test runner's."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.is_up.set()


@pytest_asyncio.fixture
async def live(tmp_path: Path) -> AsyncIterator[Live]:
    async with served(tmp_path) as server:
        yield server


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Live]:
    """One server for all tests of a module that leave nothing behind."""
    async with served(tmp_path_factory.mktemp("shared")) as server:
        yield server
