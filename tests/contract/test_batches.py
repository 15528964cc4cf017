"""Batches: a preview over one shadow, items that start once each, and what stops them, on every engine."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from headrace.usecases.batches import (
    cancel_batch,
    pause_batch,
    resume_batch,
    start_batch,
)
from headrace.usecases.undo import undo_instance
from tests.contract.test_engine import SEND, WAIT
from tests.contract.test_resolve import started
from tests.support.batches import (
    JOE,
    batch_in,
    begun,
    done,
    driving,
    items_of,
    previewed,
    runs,
    states_of,
    summary_of,
)
from tests.support.engines import every_engine
from tests.support.in_process import CrashPoint, InProcess, running
from tests.support.redrive import STAGES, Refusing, redrive

__all__ = ["every_engine"]  # a fixture


async def failures(alive: InProcess, services: Refusing, count: int, *stages: dict[str, Any]) -> list[str]:
    """Ids of instances that were refused; the services then refuse nothing more."""
    ids = [await started(alive, *stages) for _ in range(count)]
    for each in ids:
        assert (await alive.ended(each)).failure == "refused"
    services.refuses = False
    return ids


async def started_other(alive: InProcess, name: str, *stages: dict[str, Any]) -> str:
    return (await alive.start(await alive.workflow(name, list(stages)), {})).id


async def test_failed_instances_are_redriven_and_others_are_excluded(tmp_path: Path) -> None:
    services = Refusing((0, 0))
    async with running(tmp_path / "j.db", services) as alive, driving(alive):
        ids = await failures(alive, services, 3, *STAGES)
        continued = (await redrive(alive, ids[2])).target
        await alive.ended(continued)
        waiting = await started_other(alive, "wait", WAIT)
        wanted = [ids[0], continued, ids[2], waiting, "none", ids[1]]
        ready = await previewed(alive, "redrive", instances=wanted)
        items = await items_of(alive, ready.id)
        assert [(item.instance_id, item.state, item.code) for item in items] == [
            (ids[0], "pending", None),
            (continued, "excluded", "not_failed"),
            (ids[2], "excluded", "has_successor"),
            (waiting, "excluded", "running"),
            ("none", "excluded", "not_found"),
            (ids[1], "pending", None),
        ]
        assert summary_of(ready)["excluded"] == {"has_successor": 1, "not_failed": 1, "not_found": 1, "running": 1}
        await start_batch(alive.ports, JOE, ready.id, {"hash": ready.hash})
        ended = await batch_in(alive, ready.id, "done")
        items = await items_of(alive, ready.id)
        for item in (items[0], items[5]):
            assert item.state == "succeeded" and item.made_id is not None
            step = await alive.journal.successor(item.instance_id or "")
            assert step is not None and (step.kind, step.successor) == ("redrive", item.made_id)
            assert (step.principal, step.reason) == ("joe", "the bank was down")
            made = await alive.journal.instance(item.made_id)
            assert made is not None and made.plan_id is not None, "it may not leave the plan of the preview"
            plan = await alive.journal.plan(made.plan_id)
            assert plan is not None and (plan.state, plan.instance_id, plan.hash) == ("used", made.id, item.hash)
        assert (ended.open, ended.starter, ended.principal) == (0, "joe", "jane")
    keys = services.keys_in_books()
    assert len(keys) == len(set(keys))
    await services.close()


async def test_an_item_that_has_changed_since_is_skipped(tmp_path: Path) -> None:
    """One was redriven, one undone, one workflow deleted, and an instance has gone on to another stage."""
    services = Refusing((1, 0))
    async with running(tmp_path / "j.db", services) as alive, driving(alive):
        ids = await failures(alive, services, 3, *STAGES)
        waiting = [await started_other(alive, "wait", WAIT, {"wait_event": {"event": "more"}}) for _ in range(2)]
        ready = await previewed(alive, "redrive", instances=ids)
        aborts = await previewed(alive, "abort", instances=waiting)
        await alive.ended((await redrive(alive, ids[0])).target)
        await undo_instance(alive.ports, None, ids[1], {"reason": "r"})
        await alive.send_event(waiting[0], "go")
        async with asyncio.timeout(20):
            while len(await alive.journal.stages(waiting[0])) < 2:
                await asyncio.sleep(0.005)
        for batch in (ready, aborts):
            await start_batch(alive.ports, JOE, batch.id, {"hash": batch.hash})
            await batch_in(alive, batch.id, "done")
        items = [*await items_of(alive, ready.id), *await items_of(alive, aborts.id)]
        still = await alive.journal.instance(waiting[0])
    assert [(item.state, item.code) for item in items] == [
        ("skipped", "has_successor"),
        ("skipped", "has_successor"),
        ("succeeded", None),
        ("skipped", "changed"),
        ("succeeded", None),
    ]
    assert still is not None and not still.is_terminal
    await services.close()


async def test_a_redriven_item_has_the_plan_of_its_preview_also_where_effects_are_done(tmp_path: Path) -> None:
    """Its first effect is done, and fed; a further redrive of it keeps the plan."""
    services = Refusing((0, 1))
    async with running(tmp_path / "j.db", services) as alive, driving(alive):
        ids = await failures(alive, services, 1, *STAGES)
        ready = await previewed(alive, "redrive", instances=ids)
        services.place, services.refuses = (3, 0), True
        await start_batch(alive.ports, JOE, ready.id, {"hash": ready.hash})
        await batch_in(alive, ready.id, "done")
        (item,) = await items_of(alive, ready.id)
        assert (item.state, item.code) == ("failed", "INSUFFICIENT_FUND") and item.made_id is not None
        services.refuses = False
        last = await alive.ended((await redrive(alive, item.made_id)).target)
        made = await alive.journal.instance(item.made_id)
    assert last.error is None and made is not None and last.plan_id == made.plan_id is not None
    keys = services.keys_in_books()
    assert len(keys) == len(set(keys)) == 5
    await services.close()


async def test_two_drivers_start_no_item_twice(tmp_path: Path) -> None:
    services = Refusing()
    async with running(tmp_path / "j.db", services) as alive, driving(alive, drivers=2):
        await alive.workflow("w", [{"send": {**SEND["send"], "amount": {"asset": "USD/2", "amount": 1}}}])
        ended = await done(alive, "run", runs=runs("w", 30))
        items = await items_of(alive, ended.id)
        stored = [each.id async for page in alive.journal.instances() for each in page]
    assert {item.state for item in items} == {"succeeded"}
    assert sorted(stored) == sorted(item.made_id or "" for item in items)
    assert services.balance("bob") == 30
    await services.close()


async def test_no_more_than_max_open_items_are_open(tmp_path: Path) -> None:
    services = Refusing()
    async with running(tmp_path / "j.db", services) as alive, driving(alive, drivers=2):
        await alive.workflow("w", [WAIT])
        batch = await begun(alive, "run", runs=runs("w", 5), maxOpen=2)
        seen: set[str] = set()
        for _ in range(5):
            async with asyncio.timeout(30):
                while not (new := [i for i in await items_of(alive, batch.id) if i.made_id and i.made_id not in seen]):
                    await asyncio.sleep(0.005)
            await asyncio.sleep(0.02)
            states = await states_of(alive, batch.id)
            assert states.get("started", 0) <= 2, states
            seen.add(new[0].made_id or "")
            await alive.send_event(new[0].made_id or "", "go")
        await batch_in(alive, batch.id, "done")
    await services.close()


async def test_failures_in_a_row_pause_a_batch(tmp_path: Path) -> None:
    """A person corrects the cause and resumes it; the rest then succeeds."""
    services = Refusing((0, 0))
    async with running(tmp_path / "j.db", services) as alive, driving(alive):
        await alive.workflow("w", [SEND])
        batch = await begun(alive, "run", runs=runs("w", 9), stopAfter=3, maxOpen=1)
        paused = await batch_in(alive, batch.id, "paused")
        assert paused.why == "3 items in a row have failed, the last one with INSUFFICIENT_FUND"
        assert await states_of(alive, batch.id) == {"failed": 3, "pending": 6}
        services.refuses = False
        await resume_batch(alive.ports, JOE, batch.id)
        ended = await batch_in(alive, batch.id, "done")
        assert ended.why is None and await states_of(alive, batch.id) == {"failed": 3, "succeeded": 6}
    await services.close()


@pytest.mark.parametrize("verb", ["pause", "cancel"])
async def test_nothing_starts_after_a_pause_or_a_cancellation(tmp_path: Path, verb: str) -> None:
    """What has started goes on. A batch that is resumed starts the rest."""
    services = Refusing()
    async with running(tmp_path / "j.db", services) as alive, driving(alive, drivers=2):
        await alive.workflow("w", [{"send": {**SEND["send"], "amount": {"asset": "USD/2", "amount": 1}}}])
        batch = await begun(alive, "run", runs=runs("w", 40), maxOpen=2)
        async with asyncio.timeout(30):
            while not (await states_of(alive, batch.id)).get("succeeded"):
                await asyncio.sleep(0.002)
        await {"pause": pause_batch, "cancel": cancel_batch}[verb](alive.ports, JOE, batch.id)
        made = {item.made_id for item in await items_of(alive, batch.id)}
        async with asyncio.timeout(30):
            while (await states_of(alive, batch.id)).get("started"):
                await asyncio.sleep(0.005)
        await asyncio.sleep(0.05)
        assert {item.made_id for item in await items_of(alive, batch.id)} == made
        states = await states_of(alive, batch.id)
        if verb == "pause":
            assert set(states) <= {"succeeded", "pending"}
            await resume_batch(alive.ports, JOE, batch.id)
            await batch_in(alive, batch.id, "done")
            assert await states_of(alive, batch.id) == {"succeeded": 40}
        else:
            assert states["skipped"] + states["succeeded"] == 40
            found = await alive.journal.batch(batch.id)
            assert found is not None and (found.state, found.open) == ("canceled", 0)
    await services.close()


async def test_cases_are_undone(tmp_path: Path) -> None:
    """Bob has spent a part of it: the last undo lacks funds, and is excluded."""
    services = Refusing()
    async with running(tmp_path / "j.db", services) as alive, driving(alive):
        ids = [await started(alive, SEND) for _ in range(3)]
        for each in ids:
            await alive.ended(each)
        services.call(
            "ledger",
            "POST",
            "/v2/main/transactions",
            {
                "metadata": {},
                "postings": [{"source": "bob", "destination": "carol", "amount": 50, "asset": "USD/2"}],
            },
        )
        ready = await previewed(alive, "undo", instances=ids)
        summary = summary_of(ready)
        assert summary["totals"] == {"USD/2": {"reverted": 200}}
        assert summary["excluded"] == {"fails:INSUFFICIENT_FUND": 1} and summary["firstFailing"]["n"] == 3
        await start_batch(alive.ports, JOE, ready.id, {"hash": ready.hash})
        await batch_in(alive, ready.id, "done")
        items = await items_of(alive, ready.id)
        assert [item.state for item in items] == ["succeeded", "succeeded", "excluded"]
        step = await alive.journal.successor(ids[0])
        assert step is not None and (step.kind, step.principal) == ("undo", "joe")
        again = await previewed(alive, "undo", filter={"workflow": "w"})
        assert summary_of(again)["excluded"] == {"fails:INSUFFICIENT_FUND": 1, "has_successor": 2}
    assert services.balance("bob") == 50
    await services.close()


async def test_aborts_leave_what_may_have_been_sent_to_be_settled(tmp_path: Path) -> None:
    """An effect that was sent keeps its activity open (decision E6): the item is over when that is settled."""
    services = Refusing()
    is_lost = True
    services.plan = lambda *_: "drop" if is_lost else None
    async with running(tmp_path / "j.db", services, retry_cap_s=1.0) as alive, driving(alive):
        sent = await started(alive, SEND)
        async with asyncio.timeout(30):
            while not services.sent:
                await asyncio.sleep(0.005)
        waiting = await started_other(alive, "wait", WAIT)
        batch = await begun(alive, "abort", instances=[waiting, sent])
        async with asyncio.timeout(30):
            while (await states_of(alive, batch.id)) != {"succeeded": 1, "started": 1}:
                await asyncio.sleep(0.005)
        for each in (waiting, sent):
            instance = await alive.journal.instance(each)
            assert instance is not None and instance.failure == "canceled"
        is_lost = False
        ended = await batch_in(alive, batch.id, "done")
        assert await states_of(alive, batch.id) == {"succeeded": 2} and ended.open == 0
    await services.close()


@pytest.mark.parametrize("kind", ["run", "redrive", "undo", "abort"])
async def test_a_crash_anywhere_leaves_each_item_started_once_or_pending(tmp_path: Path, kind: str) -> None:
    """A life ends at each interaction with the journal, before or after it; the next one goes on."""
    for after in (False, True):
        at, has_struck = 0, True
        while has_struck:
            has_struck = await _one_life_and_the_next(tmp_path / f"{kind}-{after}-{at}.db", kind, at, after=after)
            at += 7


async def _one_life_and_the_next(path: Path, kind: str, at: int, *, after: bool) -> bool:
    """Whether the first life was struck at interaction `at` of its batch."""
    services = Refusing((0, 0) if kind == "redrive" else None)
    async with running(path, services) as alive:
        stages = [WAIT] if kind == "abort" else [SEND]
        if kind == "run":
            await alive.workflow("w", stages)
            wanted: dict[str, Any] = {"runs": runs("w", 3)}
        else:
            ids = [await started(alive, *stages) for _ in range(3)]
            for each in ids if kind != "abort" else []:
                await alive.ended(each)
            wanted = {"instances": ids}
        services.refuses = False
        async with driving(alive):
            batch = await begun(alive, kind, **wanted)
    crash_point = CrashPoint(at, after=after)
    async with running(path, services, crash_point) as alive:
        await alive.engine.start()
        async with driving(alive):  # it outlives what is seen, else the crash point of its last commit never strikes
            await crash_point.over(batch_in(alive, batch.id, "done"))
        has_struck = crash_point.struck_at is not None
    async with running(path, services) as alive:
        await alive.engine.start()
        async with driving(alive):
            ended = await batch_in(alive, batch.id, "done")
        items = await items_of(alive, batch.id)
        stored = {each.id for page in [page async for page in alive.journal.instances()] for each in page}
        assert [item.state for item in items] == ["succeeded"] * 3, (kind, at, after)
        made = [item.made_id for item in items if item.made_id is not None]
        assert len(set(made)) == (0 if kind == "abort" else 3) and ended.open == 0
        if kind == "run":
            assert stored == set(made)
    keys = services.keys_in_books()
    assert len(keys) == len(set(keys)), "nothing is booked twice"
    assert services.balance("bob") == {"run": 300, "redrive": 300, "undo": 0, "abort": 0}[kind]
    await services.close()
    return has_struck
