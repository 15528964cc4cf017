"""Admission of requests to one service: first come, first served, up to an adaptive limit."""

from __future__ import annotations

import math
from types import TracebackType

from headrace.clock import Clock
from headrace.effects.port import Downstream, NoReply, Reply, Request
from headrace.engine.concurrency import AdaptiveLimit, Mark, Signal, signal_of
from headrace.engine.meter import Meter
from headrace.slots import Slots
from headrace.workflows.activities import Service

_SIGNALS = {
    "connection": Signal.OVERLOADED,
    "time-out": Signal.TIMED_OUT,
    "response": Signal.NEUTRAL,
    "unsent": Signal.NEUTRAL,
}


class Gate:
    """`async with gate:` waits for a slot and holds it; within it, `send` makes one request.

    A slot that is released without a request teaches the limit nothing. A waiting task may be cancelled.
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

    async def send(self, request: Request) -> Reply:
        """Raises NoReply. The caller holds a slot."""
        mark, began_s = self._limit.begin(), self._clock.monotonic_s()
        try:
            reply = await self._downstream.send(request)
        except NoReply as failure:
            self._learn(mark, _SIGNALS[failure.kind])
            raise
        self._learn(mark, signal_of(reply.status, self._clock.monotonic_s() - began_s))
        return reply

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
