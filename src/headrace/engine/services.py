"""The services as an engine asks them: admission up to an adaptive limit, and every answer read for what it proves."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial
from types import TracebackType
from typing import TypeVar, get_args

from headrace.clock import Clock
from headrace.effects.port import Downstream, LookUp, NoResponse, Outcome, Request, Response, Unknown
from headrace.effects.services import look_up, outcome
from headrace.engine.concurrency import AdaptiveLimit, Mark, Signal, signal_of
from headrace.engine.meter import Meter
from headrace.workflows.activities import Service

T = TypeVar("T")

SERVICES: tuple[Service, ...] = get_args(Service)

_SIGNALS = {
    "connection": Signal.OVERLOADED,
    "time-out": Signal.TIMED_OUT,
    "response": Signal.NEUTRAL,
    "unsent": Signal.NEUTRAL,
}


class Slots:
    """At most `limit` are held at once. Tasks that wait get one in the order in which they came.

    anyio's limiter and asyncio's semaphore do the same in six Python calls for each slot that is free; this takes two.
    """

    __slots__ = ("_waiting", "held", "limit")

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self.held = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def waiting(self) -> int:
        """Tasks that wait for a slot."""
        return len(self._waiting)

    def take_free(self) -> bool:
        """Take a slot unless all are held, or others wait for one."""
        if self.held >= self.limit or self._waiting:
            return False
        self.held += 1
        return True

    async def take(self) -> None:
        """Wait for a slot and take it. A task that is cancelled meanwhile holds none."""
        if self.take_free():
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except BaseException:
            if turn.done() and not turn.cancelled():  # the task was cancelled after it was given a slot
                self.release()
            elif turn in self._waiting:
                self._waiting.remove(turn)
            raise

    def release(self) -> None:
        """Give a slot back; the next task that waits takes it over."""
        self.held -= 1
        self.admit()

    def admit(self) -> None:
        """Give free slots to those that wait. Call it after a change of `limit`."""
        while self._waiting and self.held < self.limit:
            turn = self._waiting.popleft()
            if not turn.cancelled():
                self.held += 1
                turn.set_result(None)


class Gate:
    """Admission of requests to one service: first come, first served, up to an adaptive limit.

    `async with gate:` waits for a slot and holds it; within it, `send` makes one request. A slot that is released
    without a request teaches the limit nothing. A waiting task may be cancelled.
    """

    def __init__(
        self, service: Service, limit: AdaptiveLimit, downstream: Downstream, clock: Clock, meter: Meter
    ) -> None:
        self._service = service
        self._limit = limit
        self._downstream = downstream
        self._clock = clock
        self._meter = meter
        self._slots = Slots(limit.value)
        self.is_closed = False
        meter.concurrency_limit(service, limit.value)
        meter.watch_attempts(service, lambda: self._slots.held)

    async def __aenter__(self) -> None:
        if not self._slots.take_free():
            await self._slots.take()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._slots.release()

    async def send(self, request: Request, read: Callable[[Response], T]) -> T | Unknown:
        """Make one request and read its response; Unknown where there is none. The caller holds a slot."""
        mark, began_s = self._limit.begin(), self._clock.monotonic_s()
        try:
            response = await self._downstream.send(request)
        except NoResponse as failure:
            self._learn(mark, _SIGNALS[failure.kind])
            return Unknown(str(failure))
        result = read(response)
        self._learn(mark, signal_of(response.status, self._clock.monotonic_s() - began_s))
        return result

    @property
    def held_back(self) -> int:
        """Tasks that wait because the service is failing."""
        return self._slots.waiting if self._limit.is_failing else 0

    def close(self) -> None:
        """Release all waiting tasks, which must then begin nothing."""
        self.is_closed = True
        self._slots.limit = math.inf
        self._slots.admit()

    def _learn(self, mark: Mark, signal: Signal) -> None:
        before = self._limit.value
        self._limit.end(mark, signal, self._slots.held, self._clock.monotonic_s())
        if self._limit.value != before and not self.is_closed:
            self._slots.limit = self._limit.value
            self._slots.admit()
            self._meter.concurrency_limit(self._service, self._limit.value)


class Services:
    """`gates`: one for each service. Reads, look-ups and effects share its limit."""

    def __init__(self, downstream: Downstream, clock: Clock, meter: Meter, *, ceiling: int, start: int) -> None:
        self.gates = {
            name: Gate(name, AdaptiveLimit(ceiling, start=start), downstream, clock, meter) for name in SERVICES
        }

    def send(self, name: str, request: Request) -> Awaitable[Outcome]:
        """One attempt. The caller holds a slot."""
        return self.gates[request.service].send(request, partial(outcome, name, request))

    async def look_up(self, name: str, request: Request) -> LookUp:
        """Whether the effect with this stored request stands in the books."""
        gate = self.gates[request.service]
        search = look_up(name, request)
        question = next(search)
        while True:
            async with gate:
                if gate.is_closed:
                    return Unknown("the server is stopping")
                response = await gate.send(question, _unread)
            if isinstance(response, Unknown):
                return response
            try:
                question = search.send(response)
            except StopIteration as ended:
                return ended.value

    @property
    def held_back(self) -> int:
        """Tasks that wait for a slot because a service is failing."""
        return sum(gate.held_back for gate in self.gates.values())

    def close(self) -> None:
        """Release all tasks that wait for a slot. They must begin nothing."""
        for gate in self.gates.values():
            gate.close()


def _unread(response: Response) -> Response:
    return response
