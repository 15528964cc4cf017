"""Slots are given in order, never more than there are, and none is lost when a task is cancelled."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from headrace.engine.slots import Slots

ACTIONS = st.lists(
    st.tuples(st.sampled_from(["come", "leave", "cancel", "limit", "turn"]), st.integers(0, 5)), max_size=40
)


class Visitors:
    """Tasks that take a slot each, and give it back when they are told to."""

    def __init__(self, limit: int) -> None:
        self.slots = Slots(limit)
        self.tasks: list[asyncio.Task[None]] = []
        self.leave: list[asyncio.Event] = []
        self.entered: list[int] = []
        self.waited: set[int] = set()
        self.inside: set[int] = set()

    def come(self) -> None:
        number = len(self.tasks)
        self.leave.append(asyncio.Event())
        self.tasks.append(asyncio.ensure_future(self._visit(number)))

    async def _visit(self, number: int) -> None:
        if not self.slots.take_free():
            self.waited.add(number)
            await self.slots.take()
        self.entered.append(number)
        self.inside.add(number)
        try:
            await self.leave[number].wait()
        finally:
            self.inside.discard(number)
            self.slots.release()


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


@given(st.integers(1, 3), ACTIONS)
@settings(max_examples=5 * settings().max_examples)
@example(1, [("come", 0), ("come", 0), ("turn", 0), ("leave", 0), ("turn", 0), ("cancel", 1), ("come", 0)])
@example(1, [("come", 0), ("come", 0), ("turn", 0), ("cancel", 1), ("limit", 2), ("come", 0)])
@example(1, [("come", 0), ("come", 0), ("turn", 0), ("limit", 3), ("come", 0)])
def test_no_slot_is_lost_and_none_given_twice(limit: int, actions: list[tuple[str, int]]) -> None:
    async def visits() -> None:
        visitors = Visitors(limit)
        most = limit
        for action, number in actions:
            known = number % len(visitors.tasks) if visitors.tasks else None
            if action == "come":
                visitors.come()
            elif action == "limit":
                visitors.slots.limit, most = max(1, number), max(most, number)
                visitors.slots.admit()
            elif action == "turn":
                await asyncio.sleep(0)
            elif known is not None and action == "leave":
                visitors.leave[known].set()
            elif known is not None:
                visitors.tasks[known].cancel()
            assert len(visitors.inside) <= visitors.slots.held <= most
        for event in visitors.leave:
            event.set()
        ends = await asyncio.wait_for(asyncio.gather(*visitors.tasks, return_exceptions=True), 10)
        assert all(end is None or isinstance(end, asyncio.CancelledError) for end in ends)
        assert (visitors.slots.held, visitors.slots.waiting) == (0, 0)
        # A task that was given a slot enters at its next turn; one that comes to a free slot meanwhile enters at once.
        for alike in (visitors.waited, set(range(len(visitors.tasks))) - visitors.waited):
            entered = [number for number in visitors.entered if number in alike]
            assert entered == sorted(entered)

    asyncio.run(visits())


async def test_a_slot_that_was_given_to_a_cancelled_task_goes_to_the_next() -> None:
    visitors = Visitors(1)
    for _ in range(3):
        visitors.come()
    await settle()
    visitors.leave[0].set()
    while visitors.slots.waiting == 2:
        await asyncio.sleep(0)
    visitors.tasks[1].cancel()  # it holds the slot already, and does not know
    await settle()
    assert visitors.entered == [0, 2]
    visitors.leave[2].set()
    await settle()
    assert visitors.slots.held == 0


async def test_one_that_comes_does_not_overtake_those_that_wait() -> None:
    visitors = Visitors(1)
    visitors.come()
    visitors.come()
    await settle()
    visitors.slots.limit = 2  # without `admit`: a slot is free, and one task waits for it
    assert not visitors.slots.take_free()
    visitors.slots.admit()
    for event in visitors.leave:
        event.set()
    await settle()
    assert visitors.entered == [0, 1]


async def test_a_wait_that_is_closed_takes_nothing() -> None:
    slots = Slots(1)
    assert slots.take_free()
    first, second = asyncio.ensure_future(slots.take()), slots.take()
    await settle()
    second.send(None)
    second.close()
    await settle()
    assert not first.done() and (slots.held, slots.waiting) == (1, 1)
    slots.release()
    await first


@pytest.mark.parametrize("limit", [1, 3])
async def test_as_many_are_held_as_there_are(limit: int) -> None:
    slots = Slots(limit)
    assert [slots.take_free() for _ in range(limit + 1)] == [True] * limit + [False]
