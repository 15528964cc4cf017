"""The world of one life: a journal and services that outlive every process, and everything that reaches them.

What reaches them is noted in the order in which it happened: each commit with its writes, each request and its answer.
The oracles read these notes, and the rows and books that are left; a process that is killed moves nothing any more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any, Literal

from headrace.effects.port import NoResponse, Request, Response
from headrace.journal.port import Required, Results, Unit
from headrace.journal.write import Write
from headrace.journal.writes import EndInstance
from headrace.testing.virtual import START_AT, SeededIds, microseconds
from tests.interleavings.loop import VirtualLoop
from tests.interleavings.stores import the_journal, the_sandbox
from tests.interleavings.v1_answers import shown

FaultKind = Literal["lose", "drop", "500", "429", "late", "very late"]
FAULTS: tuple[FaultKind, ...] = ("lose", "drop", "500", "429", "late")
SETTLE_S = 30.0
_JSON = {"content-type": "application/json"}
_NO = {
    "500": Response(500, b'{"errorCode":"INTERNAL","errorMessage":"no"}', _JSON),
    "429": Response(429, b"", {"retry-after": "1"}),
}


class Clock:
    """Implements `clock.Clock` in the time of the loop. `step_us`: by how much the wall clock was set."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self.step_us = 0

    def now_at(self) -> int:
        return START_AT + microseconds(self._loop.now_s) + self.step_us

    def monotonic_s(self) -> float:
        return self._loop.now_s

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


@dataclass(slots=True)
class Commit:
    """A unit that was committed. `number`: its place among all that was noted. `writes`: those known before it."""

    number: int
    at_s: float
    process: int
    writes: list[Write]


@dataclass(slots=True)
class Attempt:
    """A write that was sent to a service. `answer`: its status; None: there was none. `ended`: the number of that."""

    number: int
    at_s: float
    process: int
    request: Request
    answer: int | None = None
    ended: int | None = None


@dataclass(frozen=True, slots=True)
class Lost:
    """There is no answer to a request, which may have been carried out."""

    is_carried_out: bool


@dataclass(slots=True)
class Doom:
    """A process ends around its next interaction. `is_after`: once that is carried out. `down_s`: until the next."""

    is_after: bool
    down_s: float


@dataclass(slots=True)
class Process:
    """A server from its start to its end. `tasks`: all that move in it."""

    number: int
    server: int
    tasks: set[asyncio.Task[Any]] = field(default_factory=set[asyncio.Task[Any]])
    doom: Doom | None = None
    is_dead: bool = False
    parts: Any = None
    """What the process is built of: see `processes`."""


class World:
    """See the module."""

    def __init__(self, seed: int, loop: VirtualLoop, books: int, *, fault_rate: float, is_very_late: bool) -> None:
        self.loop = loop
        self.clock = Clock(loop)
        self.ids = SeededIds(seed)
        self.draw = Random(f"world:{seed}")
        self.journal, self.sandbox = the_journal(), the_sandbox(books)
        self.journal.begin()
        self.sandbox.begin(self.clock, self.ids)
        self.commits: list[Commit] = []
        self.attempts: list[Attempt] = []
        self.planned_writes: list[Request] = []
        """Requests other than GET that a use case has sent: there must be none."""
        self.ends: dict[str, bytes] = {}
        """What V1 answers about each instance right after its end."""
        self.fault_rate = fault_rate
        self.kinds: tuple[FaultKind, ...] = (*FAULTS, "very late") if is_very_late else FAULTS
        self.is_over = False
        self.trouble: Callable[[Request], Response | Lost | None] = lambda _: None
        """What a service does instead of what it should do; None: that."""
        self.noted = 0
        self.on_kill: Callable[[Process, float], None] = lambda _process, _down_s: None

    def close(self) -> None:
        """Leave journal and services as they were before the life."""
        self.journal.roll_back()
        self.sandbox.roll_back()

    def note(self) -> int:
        self.noted += 1
        return self.noted

    # interactions

    async def pause(self, process: Process) -> None:
        """Let others run for up to some milliseconds, rarely for longer: a process may stand still."""
        chance = self.draw.random()
        if chance < 0.4:
            await asyncio.sleep(0)
        else:
            await asyncio.sleep(self.draw.uniform(0, 0.004) if chance < 0.995 else self.draw.uniform(0, 1.5))
        self.require_alive(process)

    def require_alive(self, process: Process) -> None:
        if process.is_dead or self.is_over:
            raise asyncio.CancelledError

    def strike(self, process: Process, *, is_after: bool) -> None:
        """Kill the process if it is doomed to end here."""
        doom = process.doom
        if doom is not None and doom.is_after == is_after:
            self.kill(process, doom.down_s)
            raise asyncio.CancelledError

    def kill(self, process: Process, down_s: float) -> None:
        """From here on nothing of the process reaches journal or services."""
        if process.is_dead:
            return
        process.is_dead = True
        for task in list(process.tasks):
            task.cancel()
        self.on_kill(process, down_s)


class SeenJournal:
    """The journal as one process sees it: every read and commit takes its time, and is the last thing it may do."""

    def __init__(self, world: World, process: Process) -> None:
        self._world = world
        self._process = process

    async def commit(self, unit: Unit) -> Results:
        world, process = self._world, self._process
        await world.pause(process)
        world.strike(process, is_after=False)
        results = await world.journal.commit(unit)
        writes = [entry.write if isinstance(entry, Required) else entry for entry in unit]
        known = [each for each in writes if isinstance(each, Write)]
        world.commits.append(Commit(world.note(), world.loop.now_s, process.number, known))
        for each in known:
            if isinstance(each, EndInstance):
                world.ends[each.instance_id] = shown(world.journal, each.instance_id)
        world.strike(process, is_after=True)
        await world.pause(process)
        return results

    def watch_endings(self, callback: Any) -> None: ...

    def __getattr__(self, name: str) -> Any:
        found: Callable[..., Awaitable[Any]] = getattr(self._world.journal, name)

        async def read(*arguments: Any, **named: Any) -> Any:
            await self._world.pause(self._process)
            rows = await found(*arguments, **named)
            await self._world.pause(self._process)
            return rows

        return read


class Reads:
    """The services as use cases ask them: without faults, and never for a write."""

    def __init__(self, world: World, process: Process) -> None:
        self._world = world
        self._process = process

    async def send(self, request: Request) -> Response:
        await self._world.pause(self._process)
        if request.method != "GET":
            self._world.planned_writes.append(request)
        trouble = self._world.trouble(request)
        response = trouble if isinstance(trouble, Response) else self._world.sandbox.handle(request)
        await self._world.pause(self._process)
        return response

    async def close(self) -> None: ...


class Writes:
    """The services as an engine asks them: an answer may be lost, a request be late or carried out unseen."""

    def __init__(self, world: World, process: Process) -> None:
        self._world = world
        self._process = process

    async def send(self, request: Request) -> Response:
        world, process = self._world, self._process
        world.require_alive(process)
        is_write = request.method != "GET"
        attempt = Attempt(world.note(), world.loop.now_s, process.number, request)
        if is_write:
            world.attempts.append(attempt)
        world.strike(process, is_after=False)
        trouble = world.trouble(request)
        if isinstance(trouble, Lost):
            if trouble.is_carried_out:
                world.sandbox.handle(request)
            raise NoResponse("the answer was lost", kind="time-out")
        if trouble is not None:
            attempt.answer, attempt.ended = trouble.status, world.note()
            return trouble
        kind = world.draw.choice(world.kinds) if world.draw.random() < world.fault_rate else None
        if kind is None or kind == "drop":
            await asyncio.sleep(world.draw.uniform(0, 0.01))  # on its way, whatever becomes of its sender
            response = world.sandbox.handle(request)
            world.require_alive(process)
            if is_write:
                world.strike(process, is_after=True)
            if kind == "drop":
                raise NoResponse("the answer was lost", kind="time-out")
        elif kind in ("500", "429"):
            response = _NO[kind]
        else:
            if kind != "lose" and is_write:
                self._arrive_late(request, is_very_late=kind == "very late")
            await asyncio.sleep(world.draw.uniform(0, 2.0))
            world.require_alive(process)
            raise NoResponse("there is no answer", kind="time-out")
        await world.pause(process)
        attempt.answer, attempt.ended = response.status, world.note()
        return response

    def _arrive_late(self, request: Request, *, is_very_late: bool) -> None:
        """The request is carried out later: within the settle time, or, where the service knows keys, long after it."""
        world = self._world
        knows_keys = bool(request.key) and request.service != "payments"
        after_s = world.draw.uniform(40, 200) if is_very_late and knows_keys else world.draw.uniform(0, SETTLE_S - 5)
        world.loop.call_later(after_s, world.sandbox.handle, request)

    async def close(self) -> None: ...
