"""How many items a batch may have, and how fast it starts them: in virtual time, so that no test waits."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from headrace.clock import RandomIds
from headrace.errors import InvalidValue, TooLarge
from headrace.journal.port import Unit
from headrace.journal.writes import AddInstance, AddWorkflow
from headrace.runner.policy import Policy
from headrace.usecases.batch_driver import STEP_S
from headrace.usecases.batch_requests import parse_batch
from headrace.usecases.batches import make_batch, start_batch
from headrace.usecases.idempotency import Caller
from headrace.usecases.ports import Ports
from tests.interleavings.life import quiet
from tests.interleavings.loop import VirtualLoop
from tests.interleavings.processes import Alone
from tests.interleavings.stores import the_journal
from tests.interleavings.world import World
from tests.support.in_process import FastClock
from tests.support.ports import instance_ports

ASKED: dict[str, Any] = {"reason": "the bank was down", "maxOpen": 10_000}
RUN: dict[str, Any] = {"workflowID": "w", "variables": {}}
JANE = Caller("jane", "createBatch")
ITEMS = 61


def beside_a_server(work: Callable[[World, Ports], Awaitable[None]]) -> None:
    """Do this beside a server without faults, which drives batches and holds a workflow `w` that takes five seconds."""

    async def life(world: World) -> None:
        unit = Unit()
        config = json.dumps({"stages": [{"delay": {"duration": "5s"}}]})
        unit.add(AddWorkflow(workflow_id="w", name="w", config=config, created_at=1, updated_at=1))
        await world.journal.commit(unit)
        servers = Alone(world, Policy(), drives_batches=True)
        await servers.start()
        await work(world, (await servers.process(0)).parts)
        assert servers.crashes == []

    loop = VirtualLoop()
    world = World(1, loop, 0, fault_rate=0.0, is_very_late=False)
    try:
        with quiet():
            loop.finish(life(world))
    finally:
        world.is_over = True
        world.close()


@pytest.mark.parametrize("rate", [1, 3, 20, 300])
def test_no_more_items_start_than_the_rate_says(rate: int) -> None:
    """Over any time: what was missed is made up for only as far as a step of the driver lasts."""
    starts_s: list[float] = []

    async def started(world: World, ports: Ports) -> None:
        wanted = {"kind": "run", "runs": [RUN] * ITEMS, "rate": rate, **ASKED}
        batch_id = (await make_batch(ports, JANE, wanted)).target
        while (batch := await world.journal.batch(batch_id)) is not None and batch.state != "ready":
            await ports.clock.sleep(1.0)
        assert batch is not None
        await start_batch(ports, JANE, batch_id, {"hash": batch.hash})
        while (batch := await world.journal.batch(batch_id)) is not None and batch.state != "done":
            await ports.clock.sleep(1.0)
        for commit in world.commits:
            starts_s.extend(commit.at_s for each in commit.writes if type(each).__name__ == "StartItem")

    beside_a_server(started)
    assert len(starts_s) == ITEMS
    slack_s = STEP_S + 0.05  # a commit may take some milliseconds longer than the one before it
    for first in range(0, ITEMS, 10):
        for last in range(first, ITEMS):
            assert starts_s[last] - starts_s[first] >= (last - first) / rate - slack_s, (first, last)
    assert starts_s[-1] - starts_s[0] <= 2 * ITEMS / rate + 2.0, "it is slower than it has to be"


def test_a_batch_has_up_to_10000_items() -> None:
    ids = [f"i{number}" for number in range(10_001)]
    assert len(parse_batch({"kind": "run", "runs": [RUN] * 10_000, **ASKED}).runs) == 10_000
    assert len(parse_batch({"kind": "undo", "instances": ids[:-1], **ASKED}).instances) == 10_000
    for kind, name, given in (("run", "runs", [RUN] * 10_001), ("undo", "instances", ids)):
        with pytest.raises(InvalidValue, match="must be a list of 1 to 10,000 items") as caught:
            parse_batch({"kind": kind, name: given, **ASKED})
        assert caught.value.field == name


async def test_a_filter_may_choose_up_to_10000_instances() -> None:
    wanted = {"kind": "undo", "filter": {"workflow": "w"}, **ASKED}
    absent: Any = None
    journal, clock = the_journal(), FastClock()
    journal.begin()
    try:
        ports = instance_ports(journal, absent, absent, clock, RandomIds())
        unit = Unit([AddWorkflow(workflow_id="w", name="w", config="{}", created_at=1, updated_at=1)])
        place: dict[str, Any] = {"workflow_id": "w", "config": "{}", "variables": "{}", "by_trigger": False}
        for number in range(10_000):
            unit.add(AddInstance(instance_id=f"i{number}", created_at=number, **place))
        await journal.commit(unit)
        made = (await make_batch(ports, JANE, wanted)).value
        assert made is not None and made.items == 10_000
        await journal.commit(Unit([AddInstance(instance_id="one more", created_at=10_000, **place)]))
        with pytest.raises(TooLarge, match="more than 10,000 instances fit: narrow it down"):
            await make_batch(ports, JANE, wanted)
        batches = journal.connection.execute("SELECT count(*) FROM batches").fetchone()
        assert batches == (1,), "nothing of the refused one is stored"
    finally:
        journal.roll_back()
