"""The services as an engine asks them: admission up to an adaptive limit, and every answer read for what it proves."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from functools import partial
from types import TracebackType
from typing import TypeVar, get_args

from headrace.clock import Clock
from headrace.effects.look_ups import look_up
from headrace.effects.port import Downstream, LookUp, NoReply, Outcome, Reply, Request, Unknown
from headrace.effects.replies import outcome
from headrace.engine.concurrency import AdaptiveLimit, Mark, Signal, signal_of
from headrace.engine.meter import Meter
from headrace.engine.slots import Slots
from headrace.workflows.activities import Service

T = TypeVar("T")

SERVICES: tuple[Service, ...] = get_args(Service)

_SIGNALS = {
    "connection": Signal.OVERLOADED,
    "time-out": Signal.TIMED_OUT,
    "response": Signal.NEUTRAL,
    "unsent": Signal.NEUTRAL,
}


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

    async def send(self, request: Request, read: Callable[[Reply], T]) -> T | Unknown:
        """Make one request and read its reply; Unknown where there is none. The caller holds a slot."""
        mark, began_s = self._limit.begin(), self._clock.monotonic_s()
        try:
            reply = await self._downstream.send(request)
        except NoReply as failure:
            self._learn(mark, _SIGNALS[failure.kind])
            return Unknown(str(failure))
        result = read(reply)
        self._learn(mark, signal_of(reply.status, self._clock.monotonic_s() - began_s))
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
                reply = await gate.send(question, _unread)
            if isinstance(reply, Unknown):
                return reply
            try:
                question = search.send(reply)
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


def _unread(reply: Reply) -> Reply:
    return reply
