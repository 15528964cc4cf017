"""Several servers on one journal within this process, and a leadership that moves duties between them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx2

from headrace.auth.authenticator import AnonymousAuthenticator
from headrace.auth.oauth import OpenAuthority
from headrace.clock import Clock, RandomIds
from headrace.composition.assembly import Composition, Parts, assemble
from headrace.composition.engines import Surroundings, engine_of
from headrace.composition.services import Services
from headrace.composition.stores import Store
from headrace.effects.port import Downstream
from headrace.engine.port import Engine
from headrace.events.duties import Work
from headrace.events.feed import EventSource
from headrace.journal.port import Journal
from headrace.runner.instance import InstanceRunner
from headrace.settings import Settings
from headrace.telemetry import Telemetry
from headrace.triggers.expressions import no_links
from tests.support.certificate_keys import keys_of_test

LOOK_S = 0.01


class Election:
    """Which server has which duty. `usurp` gives a duty away without a word to the server that had it."""

    def __init__(self) -> None:
        self.holders: dict[str, str] = {}
        self.taken: list[tuple[str, str]] = []
        self._lost: dict[tuple[str, str], asyncio.Event] = {}
        self._barred: set[str] = set()

    def candidate(self, server: str) -> Candidate:
        return Candidate(self, server)

    def take(self, server: str, duty: str) -> asyncio.Event | None:
        if self.holders.get(duty) is not None or server in self._barred:
            return None
        self.holders[duty] = server
        self.taken.append((server, duty))
        self._lost[server, duty] = asyncio.Event()
        return self._lost[server, duty]

    def give_back(self, server: str, duty: str) -> None:
        if self.holders.get(duty) == server:
            del self.holders[duty]

    def depose(self, server: str) -> None:
        """The server loses its duties and hears of it; it gets none until it is `admit`ted."""
        self._barred.add(server)
        for (holder, duty), lost in self._lost.items():
            if holder == server:
                self.give_back(server, duty)
                lost.set()

    def usurp(self, server: str) -> None:
        """The server loses its duties and goes on as if it had them, like a process that was paused."""
        self._barred.add(server)
        for duty in [duty for duty, holder in self.holders.items() if holder == server]:
            del self.holders[duty]

    def admit(self, server: str) -> None:
        self._barred.discard(server)

    async def until_led_by(self, server: str, duties: int) -> None:
        while sum(holder == server for holder in self.holders.values()) < duties:
            await asyncio.sleep(LOOK_S)


class Candidate:
    """The leadership as one server sees it."""

    def __init__(self, election: Election, server: str) -> None:
        self._election = election
        self._server = server

    async def take(self, duty: str) -> asyncio.Event | None:
        return self._election.take(self._server, duty)

    async def give_back(self, duty: str) -> None:
        self._election.give_back(self._server, duty)


class RemoteEngine:
    """The engine of a server that drives nothing: another server of the journal does.

    `driving`: that server's engine, which hears of what happens here; None: it looks by itself.
    """

    active_instances = 0
    sends_at_once = False
    needs_nudges = False
    duties: Mapping[str, Work] = {}

    def __init__(self, journal: Journal, driving: Engine | None) -> None:
        self._journal = journal
        self._driving = driving

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    @contextlib.asynccontextmanager
    async def begin(self, runner: InstanceRunner) -> AsyncGenerator[None]:
        yield
        self.wake(runner.id)

    def wake(self, instance_id: str) -> None:
        if self._driving is not None:
            self._driving.wake(instance_id)

    def abort(self, instance_id: str) -> contextlib.AbstractAsyncContextManager[InstanceRunner]:
        assert self._driving is not None, "no test aborts at a server whose driver is another process"
        return self._driving.abort(instance_id)

    def resolve(self, instance_id: str) -> contextlib.AbstractAsyncContextManager[InstanceRunner]:
        assert self._driving is not None, "no test resolves at a server whose driver is another process"
        return self._driving.resolve(instance_id)

    async def ended(self, instance_id: str, timeout_s: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while (instance := await self._journal.instance(instance_id)) is None or not instance.is_terminal:
                    await asyncio.sleep(LOOK_S)


@dataclass
class Member:
    """One of the servers. `http`: its API."""

    name: str
    composition: Composition
    http: httpx2.AsyncClient
    telemetry: Telemetry

    async def post(self, path: str, body: Any) -> Any:
        answer = await self.http.post(path, json=body)
        assert answer.is_success, answer.text
        return answer.json().get("data") if answer.content else None


@contextlib.asynccontextmanager
async def member(
    name: str,
    journal: Journal,
    services: Downstream,
    election: Election,
    clock: Clock,
    *,
    source: EventSource | None = None,
    driving: Engine | None = None,
    **settings: Any,
) -> AsyncIterator[Member]:
    """Start a server on an open journal; `driving`: the engine of the server that drives, None: this one does."""
    telemetry = Telemetry(clock, is_journal_shared=True)
    ids = RandomIds()
    parts = Parts(
        settings=Settings(**settings),
        store=Store(journal, election.candidate(name), asyncio.Event()),
        services=Services(services, no_links, events=source),
        authenticator=AnonymousAuthenticator(OpenAuthority("http://localhost", ids)),
        certificate_keys=keys_of_test(clock, ids),
        telemetry=telemetry,
        tracing=None,
        clock=clock,
        ids=ids,
    )

    def make_engine(around: Surroundings) -> Engine:
        return engine_of(around) if driving is None else RemoteEngine(around.journal, driving)

    async with assemble(parts, make_engine) as composition:
        transport = httpx2.ASGITransport(app=composition.app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as http:
            yield Member(name, composition, http, telemetry)
