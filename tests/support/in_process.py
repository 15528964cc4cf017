"""The product's own packages, assembled in this process: journal, engine and sandbox, with time running fast.

`CrashPoint` ends the "process" at a chosen moment of its talk with journal and services: from then on nothing of it
moves any more, as after `kill -9`. What the journal and the sandbox had committed by then stays.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx2
import yaml

from headrace.buses.event_types import TYPES
from headrace.clock import RandomIds, SystemClock
from headrace.demo.examples import Example
from headrace.demo.stack import Stack
from headrace.effects.port import Downstream, Request, Response
from headrace.engine.limits import EngineLimits
from headrace.errors import AlreadyEnded
from headrace.events.envelope import envelope_of
from headrace.events.feed import EventSource, Feed
from headrace.events.inbox import Arrival, Inbox
from headrace.events.loopback import LoopbackPublisher
from headrace.events.outbox import Outbox
from headrace.events.relay import Relay
from headrace.journal.port import Entry, Required, Results, Unit
from headrace.journal.records import Instance, Workflow
from headrace.journal.sqlite import SqliteJournal
from headrace.journal.writes import AddTrigger, AddWorkflow, WantType
from headrace.runner.policy import Policy
from headrace.runner.runners import Runners
from headrace.sandbox import Sandbox
from headrace.telemetry import Telemetry
from headrace.triggers.dispatcher import Dispatcher, DispatcherLimits
from headrace.triggers.expressions import Evaluator, Fetch, no_links
from headrace.usecases.idempotency import Caller, CallerKey
from headrace.usecases.instances import abort_instance, send_event, start_instance
from headrace.usecases.ports import Ports
from tests.support.certificate_keys import keys_of_test
from tests.support.engine_processes import TEMPORAL_SPEED, open_engine
from tests.support.journals import adapter
from tests.support.ports import start

SPEED = 200
journal_name = "sqlite"
"""The adapter of the journals that are opened here; `tests/support/journals.py` lists them all."""
engine_kind = "embedded"
"""The engine that is opened here; `tests/support/engine_processes.py` lists them all."""
TIMES = ("settle_s", "retry_base_s", "retry_cap_s")
OURS = tuple(
    f"<coroutine object {owner}."
    for owner in ("EmbeddedEngine", "Dispatcher", "FastClock", "Event", "abort_instance", "send_event")
)


class FastClock:
    """A second passes in 5 ms."""

    def __init__(self) -> None:
        self._start_ns = time.time_ns()
        self._start_s = time.monotonic()

    def now_at(self) -> int:
        return (self._start_ns + (time.time_ns() - self._start_ns) * SPEED) // 1_000

    def monotonic_s(self) -> float:
        return (time.monotonic() - self._start_s) * SPEED

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / SPEED)


class CrashPoint:
    """Ends the process at interaction `at`, before or after it is carried out; None: never. It logs all of them."""

    def __init__(self, at: int | None = None, *, after: bool = False) -> None:
        self._at = at
        self._after = after
        self.seen: list[str] = []
        self.has_struck = asyncio.Event()
        self.struck_at: int | None = None

    async def over(self, living: Coroutine[Any, Any, Any]) -> None:
        """Lives until it is done, or struck. What an interaction commits may be seen before it is over."""
        work = asyncio.ensure_future(living)
        struck = asyncio.ensure_future(self.has_struck.wait())
        await asyncio.wait((work, struck), return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            work.result()
        if self._at is not None and len(self.seen) > self._at:
            await struck
        for task in (work, struck):
            task.cancel()
        await asyncio.gather(work, struck, return_exceptions=True)

    async def before(self, what: str) -> int:
        number = len(self.seen)
        self.seen.append(what)
        if self.has_struck.is_set() or (number == self._at and not self._after):
            await self._strike(number)
        return number

    async def after(self, number: int) -> None:
        if self.has_struck.is_set() or (number == self._at and self._after):
            await self._strike(number)

    async def _strike(self, number: int) -> None:
        if not self.has_struck.is_set():
            self.struck_at = number
        self.has_struck.set()
        await asyncio.Event().wait()  # nothing moves any more


def _name(entry: Entry) -> str:
    return type(entry.write if isinstance(entry, Required) else entry).__name__


class CrashingJournal:
    """A journal whose process may end around a commit."""

    def __init__(self, journal: SqliteJournal, crash_point: CrashPoint) -> None:
        self._journal = journal
        self._fate = crash_point

    async def commit(self, unit: Unit) -> Results:
        number = await self._fate.before("commit " + "+".join(_name(entry) for entry in unit))
        results = await self._journal.commit(unit)
        await self._fate.after(number)
        return results

    def __getattr__(self, name: str) -> Any:
        return getattr(self._journal, name)


class CrashingDownstream:
    """Services whose caller may end before it sends, or before it hears the answer."""

    def __init__(self, downstream: Downstream, crash_point: CrashPoint) -> None:
        self._downstream = downstream
        self._fate = crash_point

    async def send(self, request: Request) -> Response:
        number = await self._fate.before(f"{request.method} {request.path}")
        response = await self._downstream.send(request)
        await self._fate.after(number)
        return response

    async def close(self) -> None: ...


class _SandboxTransport(httpx2.BaseTransport):
    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        _, _, service, path = request.url.raw_path.decode().split("/", 3)
        key = request.headers.get("Idempotency-Key", "")
        body = request.read()
        response = self._sandbox.handle(Request(service, request.method, f"/{path}", body or None, key))  # pyright: ignore[reportArgumentType]
        return httpx2.Response(response.status, headers=response.headers, content=response.body)


class SandboxStack(Stack):
    """Seeds and reads a sandbox in this process."""

    def __init__(self, sandbox: Sandbox) -> None:
        super().__init__("http://sandbox")
        self._http.close()
        self._http = httpx2.Client(base_url="http://sandbox", transport=_SandboxTransport(sandbox))


class InProcess:
    """One process of the server, until it ends or crashes."""

    def __init__(
        self,
        journal: SqliteJournal,
        engine: Any,
        downstream: Downstream,
        crash_point: CrashPoint,
        inbox: Inbox,
        dispatcher: Dispatcher,
        telemetry: Telemetry,
        ports: Ports,
    ) -> None:
        self.journal = journal
        self.engine = engine
        self.downstream = downstream
        """The services themselves, which outlive the process."""
        self.crash_point = crash_point
        self.inbox = inbox
        self.dispatcher = dispatcher
        self.telemetry = telemetry
        self.ports = ports

    async def deliver(self, key: str, envelope: dict[str, Any]) -> None:
        await self.inbox.accept([Arrival.of(key, envelope_of(envelope))])

    async def trigger(self, trigger_id: str, event: str, workflow_id: str, **members: Any) -> None:
        """Stored once, whatever happened before."""
        if await self.journal.trigger(trigger_id) is not None:
            return
        variables = json.dumps(members["vars"]) if "vars" in members else None
        unit = Unit()
        unit.add(
            AddTrigger(
                trigger_id=trigger_id,
                name="",
                event=event,
                event_name=event.lower(),
                workflow_id=workflow_id,
                version=None,
                filter=members.get("filter"),
                vars=variables,
                created_at=1,
            )
        )
        Outbox().want(unit, event)
        await self.journal.commit(unit)

    async def workflow(self, workflow_id: str, stages: list[dict[str, Any]]) -> Workflow:
        if await self.journal.workflow(workflow_id) is None:
            unit = Unit()
            unit.add(
                AddWorkflow(
                    workflow_id=workflow_id,
                    name=workflow_id,
                    config=json.dumps({"stages": stages}),
                    created_at=1,
                    updated_at=1,
                )
            )
            await self.journal.commit(unit)
        stored = await self.journal.workflow(workflow_id)
        assert stored is not None
        return stored

    async def run_once(self, workflow: Workflow, variables: dict[str, str], key: str = "run") -> str:
        """As a careful caller: with a key, and again until answered. Gives the instance's id."""
        caller = Caller("test", "runWorkflow", key=CallerKey(key, hashlib.sha256(key.encode()).digest()))
        return (await start_instance(self.ports, caller, workflow.id, variables)).target

    async def send_event_once(self, instance_id: str, name: str, key: str) -> None:
        with suppress(AlreadyEnded):
            caller = Caller("test", "sendEvent", key=CallerKey(key, b""))
            await send_event(self.ports, caller, instance_id, {"name": name})

    async def start(self, workflow: Workflow, variables: dict[str, str]) -> Instance:
        return await start(self.ports, workflow, variables)

    async def send_event(self, instance_id: str, name: str) -> None:
        await send_event(self.ports, None, instance_id, {"name": name})

    async def abort(self, instance_id: str) -> None:
        await abort_instance(self.ports, None, instance_id)

    async def ended(self, instance_id: str, timeout_s: float = 20.0) -> Instance:
        await self.engine.ended(instance_id, timeout_s)
        instance = await self.journal.instance(instance_id)
        assert instance is not None
        return instance


@asynccontextmanager
async def running(
    journal_file: Path,
    downstream: Downstream,
    crash_point: CrashPoint | None = None,
    *,
    source: EventSource | None = None,
    publishes: bool = False,
    fetch: Fetch = no_links,
    events: DispatcherLimits | None = None,
    policy: Policy | None = None,
    **limits: Any,
) -> AsyncIterator[InProcess]:
    """A server process from its start to its end, which is sudden: no graceful stop.

    `publishes`: all eight events go into the outbox, and from there to the triggers. `fetch`: what follows links.
    """
    crash_point = crash_point or CrashPoint()
    opened = AsyncExitStack()
    journal = await opened.enter_async_context(adapter(journal_name).open(journal_file))
    crashing: Any = CrashingJournal(journal, crash_point)
    is_temporal = engine_kind != "embedded"
    clock = SystemClock() if is_temporal else FastClock()
    outbox = Outbox()
    if publishes:
        unit = Unit()
        for kind in TYPES:
            unit.add(WantType(type=kind))
        await journal.commit(unit)
    chosen = {"settle_s": 5.0, "retry_base_s": 0.5, **limits}
    if is_temporal:
        chosen |= {name: chosen[name] / TEMPORAL_SPEED for name in TIMES if name in chosen}
    settings = EngineLimits(**chosen)
    meter = Telemetry(clock)
    _, attention = await journal.counts()
    meter.needs_attention(attention)
    ids = RandomIds()
    runners = Runners(clock.now_at, ids.new, outbox.announce, policy or Policy())
    crashing, engine = await opened.enter_async_context(
        open_engine(
            engine_kind,
            crashing,
            CrashingDownstream(downstream, crash_point),
            clock,
            runners,
            settings,
            meter,
            store=str(journal_file),
        )
    )
    evaluator = Evaluator(clock, fetch)
    dispatcher = Dispatcher(crashing, engine, runners, evaluator, clock, ids, meter, events, outbox)
    inbox = Inbox(crashing, clock, meter, dispatcher.wake)
    readers = [asyncio.ensure_future(dispatcher.run())]
    if source is not None:
        readers.append(asyncio.ensure_future(Feed(source, crashing, inbox, clock).run()))
    if publishes:
        readers.append(
            asyncio.ensure_future(Relay(LoopbackPublisher(inbox), crashing, clock, meter, announces=False).run())
        )
    ports = Ports(
        journal=crashing,
        engine=engine,
        runners=runners,
        clock=clock,
        ids=ids,
        inbox=inbox,
        outbox=outbox,
        evaluator=evaluator,
        downstream=CrashingDownstream(downstream, crash_point),
        max_triggers=1_000,
        patience_s=settings.abort_s,
        certificate_keys=keys_of_test(clock, ids),
        release="0.0.0",
    )
    try:
        yield InProcess(crashing, engine, downstream, crash_point, inbox, dispatcher, meter, ports)
    finally:
        crash_point.has_struck.set()
        for reader in readers:
            reader.cancel()
        await asyncio.gather(*readers, return_exceptions=True)
        await _end_tasks()
        evaluator.close()
        await opened.aclose()


async def _end_tasks() -> None:
    """Only those that are cancelled here: a step that Temporal has cancelled goes on until its worker ends."""
    tasks = [task for task in asyncio.all_tasks() if str(task.get_coro()).startswith(OURS)]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def new_sandbox(**options: Any) -> Sandbox:
    return Sandbox(None, clock=FastClock(), ids=RandomIds(), **options)


def stages_of(example: Example) -> list[dict[str, Any]]:
    return yaml.safe_load(example.definition_file.read_text("utf-8"))["stages"]
