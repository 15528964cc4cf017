"""One trigger that takes long leaves room for the events of others (INV-12), and loses none of its own."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from headrace.journal.records import Trigger
from headrace.sandbox import Sandbox
from headrace.triggers.dispatcher import LARGE_AT_ONCE, LARGE_CHARACTERS, DispatcherLimits
from headrace.triggers.expressions import EvaluationFailed, Evaluator, no_links
from headrace.triggers.fair_queue import FairQueue
from headrace.triggers.firing import may_take_long
from tests.support.in_process import FastClock, InProcess, new_sandbox, running

WAITING: list[dict[str, Any]] = [{"wait_event": {"event": "go"}}]
LINK = 'link(event, "account").ok == true'
LINKS = [{"name": "account", "uri": "http://slow.example.com/"}]
LARGE = {"links": [{"name": "account", "uri": "http://slow.example.com/large"}], "padding": "x" * LARGE_CHARACTERS}
LIMIT_S = 30.0


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    made = new_sandbox()
    yield made
    await made.close()


class Slow:
    """What a link leads to: nothing comes before `opens`."""

    def __init__(self) -> None:
        self.opens = asyncio.Event()
        self.asked = 0
        self.at_once = 0
        self.most = 0

    async def __call__(self, uri: str, /) -> Any:
        self.asked += 1
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        try:
            await self.opens.wait()
        finally:
            self.at_once -= 1
        return {"ok": True}


async def count(alive: InProcess, trigger_id: str) -> int:
    return sum([len(page) async for page in alive.journal.occurrences(trigger_id)])


async def deliver(alive: InProcess, kind: str, number: int) -> None:
    for n in range(number):
        await alive.deliver(f"{kind}-{n}", {"type": kind, "payload": {"links": LINKS}})


async def test_a_trigger_whose_links_hang_leaves_room_for_the_others(tmp_path: Path, sandbox: Sandbox) -> None:
    slow = Slow()
    async with running(tmp_path / "j.db", sandbox, fetch=slow, events=DispatcherLimits(events=20)) as alive:
        await alive.workflow("w", WAITING)
        await alive.trigger("bad", "BAD", "w", filter=LINK)
        await alive.trigger("good", "GOOD", "w")
        await deliver(alive, "BAD", 50)
        await deliver(alive, "GOOD", 30)
        async with asyncio.timeout(LIMIT_S):
            while await count(alive, "good") < 30:
                await asyncio.sleep(0.005)
            assert (slow.asked, await count(alive, "bad")) == (10, 0)
            slow.opens.set()
            await alive.dispatcher.idle()
        assert (await count(alive, "bad"), slow.most) == (50, 10)
        assert await alive.journal.waiting_events(0, 10) == []


async def test_who_may_take_long() -> None:
    """Who follows links, and who was seen to take more than a moment: from the moment that it is seen."""
    evaluator = Evaluator(FastClock(), no_links)
    busy = "all(1..300, all(1..300, true))"
    triggers = {
        name: Trigger("t", "", "E", "w", None, source, variables, 1)
        for name, source, variables in (
            ("plain", "event.n > 1", '{"n":"event.n"}'),
            ("link", LINK, None),
            ("link in vars", None, f'{{"n":{json.dumps(LINK)}}}'),
            ("busy", busy, None),
            ("busy in vars", None, f'{{"n":"{busy}"}}'),
            ("bare", None, None),
        )
    }

    def long() -> list[str]:
        return [name for name, trigger in triggers.items() if may_take_long(trigger, evaluator)]

    assert long() == ["link", "link in vars"]
    with pytest.raises(EvaluationFailed):
        await evaluator.over({}).value(busy)
    await evaluator.over({"n": 2}).value("event.n > 1")
    assert long() == ["link", "link in vars", "busy", "busy in vars"]
    evaluator.close()


async def test_events_of_several_such_triggers_are_all_taken_to_each(tmp_path: Path, sandbox: Sandbox) -> None:
    slow = Slow()
    async with running(tmp_path / "j.db", sandbox, fetch=slow, events=DispatcherLimits(events=6)) as alive:
        await alive.workflow("w", WAITING)
        for trigger_id, event in (("a", "A"), ("b", "B"), ("both-1", "AB"), ("both-2", "AB")):
            await alive.trigger(trigger_id, event, "w", filter=LINK)
        for number in range(20):
            for kind in ("A", "AB", "B"):
                await alive.deliver(f"{kind}-{number}", {"type": kind, "payload": {"links": LINKS}})
        await asyncio.sleep(0.05)
        slow.opens.set()
        async with asyncio.timeout(LIMIT_S):
            await alive.dispatcher.idle()
        assert [await count(alive, each) for each in ("a", "b", "both-1", "both-2")] == [20] * 4


async def test_what_is_parked_at_the_end_of_a_process_is_taken_up_by_the_next(tmp_path: Path, sandbox: Sandbox) -> None:
    slow = Slow()
    async with running(tmp_path / "j.db", sandbox, fetch=slow, events=DispatcherLimits(events=4)) as alive:
        await alive.workflow("w", WAITING)
        await alive.trigger("bad", "BAD", "w", filter=LINK)
        await deliver(alive, "BAD", 9)
        while slow.asked < 2:
            await asyncio.sleep(0.005)
    slow.opens.set()
    async with running(tmp_path / "j.db", sandbox, fetch=slow, events=DispatcherLimits(events=4)) as again:
        async with asyncio.timeout(LIMIT_S):
            await again.dispatcher.idle()
        assert await count(again, "bad") == 9


async def test_large_ones_whose_links_hang_take_no_slots(tmp_path: Path, sandbox: Sandbox) -> None:
    slow = Slow()
    async with running(tmp_path / "j.db", sandbox, fetch=slow, events=DispatcherLimits(events=4)) as alive:
        await alive.workflow("w", WAITING)
        await alive.trigger("bad", "BAD", "w", filter=LINK)
        await alive.trigger("good", "GOOD", "w")
        for number in range(10):
            await alive.deliver(f"bad-{number}", {"type": "BAD", "payload": LARGE})
        await deliver(alive, "GOOD", 5)
        async with asyncio.timeout(LIMIT_S):
            while await count(alive, "good") < 5:
                await asyncio.sleep(0.005)
            assert await count(alive, "bad") == 0
            slow.opens.set()
            await alive.dispatcher.idle()
        assert (await count(alive, "bad"), slow.most) == (10, LARGE_AT_ONCE)


async def test_large_ones_that_were_parked_are_in_memory_few_at_once(tmp_path: Path, sandbox: Sandbox) -> None:
    small, large = Slow(), Slow()

    async def fetch(uri: str, /) -> Any:
        return await (large if uri.endswith("large") else small)(uri)

    async with running(tmp_path / "j.db", sandbox, fetch=fetch, events=DispatcherLimits(events=20)) as alive:
        await alive.workflow("w", WAITING)
        await alive.trigger("bad", "BAD", "w", filter=LINK)
        await deliver(alive, "BAD", 10)
        for number in range(20):
            await alive.deliver(f"large-{number}", {"type": "BAD", "payload": LARGE})
        async with asyncio.timeout(LIMIT_S):
            while small.asked < 10 or large.asked:
                await asyncio.sleep(0.005)
            small.opens.set()
            while await count(alive, "bad") < 10 or large.at_once < LARGE_AT_ONCE:
                await asyncio.sleep(0.005)
            await asyncio.sleep(0.05)
            assert large.at_once == LARGE_AT_ONCE
            large.opens.set()
            await alive.dispatcher.idle()
        assert (await count(alive, "bad"), large.most) == (30, LARGE_AT_ONCE)


def test_fair_queue() -> None:
    shares = FairQueue(share=2, max_parked=2)
    assert [shares.is_parked(["a"], seq) for seq in (1, 2, 3, 4)] == [False, False, True, True]
    assert shares.is_parked(["a"], 5) is False, "no more are remembered: it takes a slot as all did before"
    assert [shares.is_parked(["b"], 6), shares.is_parked([], 7)] == [False, False]
    assert shares.next_parked("a") is None
    shares.give_back(["a"])
    assert shares.next_parked("a") is None
    shares.give_back(["a"])
    assert (shares.next_parked("a"), shares.next_parked("a")) == (3, None), "as many are called as there is room for"
    assert shares.is_parked(["a"], 8), "the place is kept"
    shares.arrive("a")
    assert not shares.is_parked(["a"], 3)
    shares.give_back(["a", "a"])
    assert (shares.next_parked("a"), shares.next_parked("a"), shares.next_parked("a")) == (4, 8, None)
    assert shares.parked == 0
