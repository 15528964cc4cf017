"""Admission to a service: in order, safe under cancellation, within a limit that changes meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from headrace.effects.port import NoResponse, Request, Response
from headrace.engine.concurrency import AdaptiveLimit
from headrace.engine.meter import NoMeter
from headrace.engine.services import Gate

REQUEST = Request("ledger", "POST", "/v2/main/transactions", b"{}", "k")


class FixedClock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def now_at(self) -> int:
        return 0

    def monotonic_s(self) -> float:
        return self.now_s

    async def sleep(self, seconds: float) -> None:
        raise NotImplementedError


class Answers:
    """Answers each request with the next of `script`; raises those that are errors."""

    def __init__(self, *script: Any) -> None:
        self.script = list(script)

    async def send(self, request: Request) -> Response:
        answer = self.script.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def close(self) -> None: ...


class Seen(NoMeter):
    def __init__(self) -> None:
        super().__init__()
        self.limits: list[int] = []
        self.in_flight: Callable[[], int] = lambda: -1

    def concurrency_limit(self, service: str, limit: int) -> None:
        self.limits.append(limit)

    def watch_attempts(self, service: str, in_flight: Callable[[], int]) -> None:
        self.in_flight = in_flight


class Visitors:
    """Tasks that each hold a slot until they are let go."""

    def __init__(self, gate: Gate) -> None:
        self.gate = gate
        self.entered: list[int] = []
        self.tasks: dict[int, asyncio.Task[None]] = {}
        self.leave: dict[int, asyncio.Event] = {}

    async def come(self, *numbers: int) -> None:
        for number in numbers:
            self.leave[number] = asyncio.Event()
            self.tasks[number] = asyncio.ensure_future(self._visit(number))
        await settle()

    async def go(self, *numbers: int) -> None:
        for number in numbers:
            self.leave[number].set()
        await settle()

    async def _visit(self, number: int) -> None:
        async with self.gate:
            self.entered.append(number)
            await self.leave[number].wait()


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def gate_of(limit: int, *script: Any, ceiling: int = 64, meter: Seen | None = None) -> Gate:
    limits = AdaptiveLimit(ceiling, start=limit)
    return Gate("ledger", limits, Answers(*script), FixedClock(), meter or Seen())


async def send(gate: Gate) -> None:
    async with gate:
        await gate.send(REQUEST, lambda response: response)


async def test_waiting_tasks_enter_in_the_order_in_which_they_came() -> None:
    visitors = Visitors(gate_of(2))
    await visitors.come(1, 2, 3, 4, 5)
    assert visitors.entered == [1, 2]
    await visitors.go(2)
    await visitors.come(6)
    await visitors.go(1, 3, 4, 5, 6)
    assert visitors.entered == [1, 2, 3, 4, 5, 6]


async def test_a_waiting_task_may_be_cancelled_before_and_after_it_was_given_a_slot() -> None:
    gate = gate_of(1)
    visitors = Visitors(gate)
    leave = asyncio.Event()

    async def first() -> None:
        async with gate:
            await leave.wait()
        visitors.tasks[3].cancel()  # the slot was handed to it just now, and it has not run since

    leaving = asyncio.ensure_future(first())
    await settle()
    await visitors.come(2, 3, 4)
    visitors.tasks[2].cancel()
    await settle()
    leave.set()
    await leaving
    await settle()
    assert visitors.tasks[3].cancelled()
    assert visitors.entered == [4], "no slot is lost"
    await visitors.go(4)


async def test_a_limit_that_falls_admits_no_task_until_enough_have_left() -> None:
    gate = gate_of(4, Response(504))
    visitors = Visitors(gate)
    await visitors.come(1, 2, 3)
    await send(gate)
    await visitors.come(4)
    assert visitors.entered == [1, 2, 3], "three are in, two may be"
    await visitors.go(1)
    assert visitors.entered == [1, 2, 3]
    await visitors.go(2)
    assert visitors.entered == [1, 2, 3, 4]
    await visitors.go(3, 4)


async def test_a_limit_that_rises_admits_the_next_in_line_at_once() -> None:
    gate = gate_of(1, Response(200))
    visitors = Visitors(gate)
    sending = asyncio.ensure_future(send(gate))
    await visitors.come(1, 2, 3)
    await sending
    assert visitors.entered == [1, 2]
    await visitors.go(1, 2, 3)


@pytest.mark.parametrize(
    ("end", "limit"),
    [
        (Response(200), 5),
        (Response(400, b"{}"), 5),
        (Response(500), 4),
        (Response(429), 3),
        (Response(503), 3),
        (Response(504), 2),
        (NoResponse("cannot connect"), 3),
        (NoResponse("no answer within 30 s", kind="time-out"), 2),
        (NoResponse("an answer that broke off", kind="response"), 4),
        (NoResponse("no access token", kind="unsent"), 4),
    ],
    ids=lambda end: str(end.status if isinstance(end, Response) else end),
)
async def test_how_a_request_ends_moves_the_limit(end: Any, limit: int) -> None:
    meter = Seen()
    gate = gate_of(4, *[end] * 4, meter=meter)
    visitors = Visitors(gate)
    await visitors.come(1, 2, 3)  # with them, each request meets a gate that is full
    assert meter.in_flight() == 3
    for _ in range(4):
        await send(gate)
        if meter.limits[-1] != 4:
            break
    assert meter.limits[-1] == limit
    await visitors.go(1, 2, 3)
    assert meter.in_flight() == 0


async def test_a_slot_that_is_released_without_a_request_teaches_nothing() -> None:
    meter = Seen()
    gate = gate_of(1, meter=meter)
    for _ in range(20):
        async with gate:
            pass
    assert meter.limits == [1]


async def test_closing_releases_all_who_wait() -> None:
    gate = gate_of(1)
    visitors = Visitors(gate)
    await visitors.come(1, 2, 3)
    gate.close()
    await settle()
    assert gate.is_closed and visitors.entered == [1, 2, 3]
    await visitors.go(1, 2, 3)


async def test_tasks_are_held_back_only_while_the_service_fails() -> None:
    gate = gate_of(1, NoResponse("cannot connect"), Response(200))
    visitors = Visitors(gate)
    await visitors.come(1, 2, 3)
    assert gate.held_back == 0, "they wait for their turn on a service that answers"
    await visitors.go(1, 2, 3)
    await send(gate)
    await visitors.come(4, 5, 6)
    assert gate.held_back == 2
    await visitors.go(4, 5, 6)
    await send(gate)
    assert gate.held_back == 0
