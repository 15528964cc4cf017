"""Duties move between servers that share a journal, also without a word to the server that had them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from headrace.engine.port import Engine
from headrace.events.duties import Duties, SoleProcess
from headrace.journal.port import Results, Unit
from headrace.journal.sqlite import SqliteJournal
from headrace.journal.writes import AddOccurrence
from tests.contract.test_engine import Scripted
from tests.support.in_process import FastClock
from tests.support.leaders import Election, Member, member

LIMIT_S = 60.0
DUTIES = 4
"""Triggers, retention, gauges, and the publisher to the own triggers."""
STEP_S = 0.01


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[SqliteJournal]:
    opened = await SqliteJournal.open(tmp_path / "journal.db")
    yield opened
    await opened.close()


# one duty


async def test_work_stops_with_the_loss_of_its_duty_and_begins_anew_with_it() -> None:
    election, begun = Election(), asyncio.Semaphore(0)
    stopped: list[str] = []

    async def work(server: str) -> None:
        begun.release()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            stopped.append(server)

    clock = FastClock()
    servers = [
        asyncio.ensure_future(Duties(election.candidate(name), clock).run("d", lambda name=name: work(name)))
        for name in ("a", "b")
    ]
    try:
        async with asyncio.timeout(LIMIT_S):
            await begun.acquire()
            assert election.taken == [("a", "d")]
            election.depose("a")
            await begun.acquire()
            assert election.taken == [("a", "d"), ("b", "d")]
            assert stopped == ["a"]
            election.admit("a")
            election.depose("b")
            await begun.acquire()
            assert election.taken[-1] == ("a", "d")
            assert stopped == ["a", "b"]
    finally:
        for server in servers:
            server.cancel()
        await asyncio.gather(*servers, return_exceptions=True)
    assert stopped == ["a", "b", "a"]
    assert election.holders == {}, "a server that stops gives its duties back"


async def test_work_that_fails_or_ends_gives_its_duty_back() -> None:
    election = Election()
    duties = Duties(election.candidate("a"), FastClock())

    async def fails() -> None:
        assert election.holders == {"d": "a"}
        raise ValueError("unexpected")

    with pytest.raises(ValueError, match="unexpected"):
        await duties.run("d", fails)
    assert election.holders == {}

    ended = asyncio.Semaphore(0)

    async def ends() -> None:
        ended.release()

    running = asyncio.ensure_future(duties.run("d", ends))
    async with asyncio.timeout(LIMIT_S):
        await ended.acquire()
        await ended.acquire()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert election.taken.count(("a", "d")) >= 3


async def test_the_sole_process_of_a_journal_has_every_duty_at_once() -> None:
    begun = asyncio.Event()

    async def work() -> None:
        begun.set()
        await asyncio.Event().wait()

    running = [asyncio.ensure_future(Duties(SoleProcess(), FastClock()).run(duty, work)) for duty in ("d", "e")]
    async with asyncio.timeout(LIMIT_S):
        await begun.wait()
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)


# servers on one journal

SHORT: dict[str, Any] = {"stages": [{"delay": {"duration": "1ms"}}]}


async def two_servers(stack: AsyncExitStack, journal: SqliteJournal, election: Election) -> tuple[Member, Member]:
    """The first one drives the instances of both."""
    services, clock = Scripted(), FastClock()
    stack.push_async_callback(services.close)
    a = await stack.enter_async_context(member("a", journal, services, election, clock))
    b = await stack.enter_async_context(
        member("b", journal, services, election, clock, driving=cast(Engine, a.composition.engine))
    )
    return a, b


async def on(server: Member, event: str, filter_: str | None = None) -> str:
    workflow = await server.post("/v2/workflows", SHORT)
    body = {"event": event, "workflowID": workflow["id"], **({"filter": filter_} if filter_ else {})}
    return (await server.post("/v2/triggers", body))["id"]


def event(type_: str, number: int) -> dict[str, Any]:
    return {
        "date": "2026-01-01T00:00:00Z",
        "app": "shop",
        "version": "v1",
        "type": type_,
        "payload": {"number": number},
        "idempotency_key": f"{type_}-{number}",
    }


async def fired(journal: SqliteJournal, trigger_id: str) -> list[Any]:
    found = [row async for page in journal.occurrences(trigger_id) for row in page]
    assert all(row.error is None for row in found), found
    return found


async def until_fired(journal: SqliteJournal, trigger_id: str, count: int) -> None:
    while len(await fired(journal, trigger_id)) < count:
        await asyncio.sleep(STEP_S)


async def until_processed(journal: SqliteJournal) -> None:
    while await journal.waiting_events(0, 1):
        await asyncio.sleep(STEP_S)


async def test_a_trigger_made_at_one_server_fires_for_events_at_the_other(journal: SqliteJournal) -> None:
    election = Election()
    async with AsyncExitStack() as stack, asyncio.timeout(LIMIT_S):
        a, b = await two_servers(stack, journal, election)
        await election.until_led_by("a", DUTIES)
        at_a, at_b = await on(a, "ORDER"), await on(b, "REFUND")
        await a.post("/ext/events", event("REFUND", 1))
        await b.post("/ext/events", event("ORDER", 1))
        for trigger_id in (at_a, at_b):
            await until_fired(journal, trigger_id, 1)
            (occurrence,) = await fired(journal, trigger_id)
            assert occurrence.instance is not None
        answer = await b.http.post(f"/workflows/{occurrence.instance.workflow_id}/instances?wait=true", json={})
        assert answer.json()["data"]["terminated"], "an instance that the other server has ended"


async def test_every_event_starts_one_instance_while_duties_move(journal: SqliteJournal) -> None:
    """Also those that this journal publishes: each has a second trigger, on the end of the first one's instance."""
    election, count = Election(), 40
    async with AsyncExitStack() as stack, asyncio.timeout(LIMIT_S):
        a, b = await two_servers(stack, journal, election)
        first = await on(a, "ORDER")
        workflow_id = (await journal.trigger(first)).workflow_id  # type: ignore[union-attr]
        second = await on(b, "SUCCEEDED_WORKFLOW", f'event.id == "{workflow_id}"')

        async def move() -> None:
            names = ("a", "b")
            while True:
                for leader, deposed in (names, names[::-1]):
                    election.admit(leader)
                    election.depose(deposed)
                    await election.until_led_by(leader, DUTIES)
                    await asyncio.sleep(STEP_S)

        moving = asyncio.ensure_future(move())
        for number in range(count):
            server = (a, b)[number % 2]
            await server.post("/ext/events", event("ORDER", number))
            await server.post("/ext/events", event("ORDER", number // 2))  # a repeat, at another server at times
        await until_fired(journal, first, count)
        await until_fired(journal, second, count)
        moving.cancel()
        await asyncio.gather(moving, return_exceptions=True)
        await until_processed(journal)
    assert len(election.taken) > 4 * DUTIES, "the duties have moved"
    for trigger_id in (first, second):
        found = await fired(journal, trigger_id)
        assert len(found) == len({row.event_key for row in found}) == count
    events = [row async for page in journal.events() for row in page]
    own = [row for row in events if row.type == "SUCCEEDED_WORKFLOW"]
    assert len({row.key for row in own}) == len(own) >= count


class Held:
    """A journal that keeps occurrences waiting until `gate` is set."""

    def __init__(self, journal: SqliteJournal) -> None:
        self._journal = journal
        self.gate = asyncio.Event()
        self.asked = asyncio.Semaphore(0)

    async def commit(self, unit: Unit) -> Results:
        if any(isinstance(write, AddOccurrence) for write in unit.writes):
            self.asked.release()
            await self.gate.wait()
        return await self._journal.commit(unit)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._journal, name)


async def test_an_event_under_way_is_fired_by_the_next_time_of_the_duty(journal: SqliteJournal) -> None:
    """Also where the same server has the duty next."""
    election = Election()
    held: Any = Held(journal)
    async with AsyncExitStack() as stack, asyncio.timeout(LIMIT_S):
        a, _ = await two_servers(stack, held, election)
        trigger_id = await on(a, "ORDER")
        for number in range(3):
            await a.post("/ext/events", event("ORDER", number))
            await held.asked.acquire()
        election.depose("a")
        await election.until_led_by("b", DUTIES)
        election.admit("a")
        election.depose("b")
        await election.until_led_by("a", DUTIES)
        held.gate.set()
        await until_fired(journal, trigger_id, 3)
        await until_processed(journal)
        assert len(await fired(journal, trigger_id)) == 3


async def test_a_server_that_goes_on_with_lost_duties_does_no_harm(journal: SqliteJournal) -> None:
    """As one that was paused: it finds every event fired, and its publisher stops at the first position it moves."""
    election, count = Election(), 30
    with capture_logs() as logs:
        async with AsyncExitStack() as stack, asyncio.timeout(LIMIT_S):
            a, b = await two_servers(stack, journal, election)
            await election.until_led_by("a", DUTIES)
            first = await on(a, "ORDER")
            workflow_id = (await journal.trigger(first)).workflow_id  # type: ignore[union-attr]
            second = await on(b, "SUCCEEDED_WORKFLOW", f'event.id == "{workflow_id}"')
            election.usurp("a")
            await election.until_led_by("b", DUTIES)
            await asyncio.gather(
                *((a, b)[number % 2].post("/ext/events", event("ORDER", number)) for number in range(count))
            )
            await until_fired(journal, first, count)
            await until_fired(journal, second, count)
            await until_processed(journal)
            for server in ("a", "b"):
                election.depose(server)
            election.admit("a")
            await election.until_led_by("a", DUTIES)
            await b.post("/ext/events", event("ORDER", count))
            await until_fired(journal, second, count + 1)
            await until_processed(journal)
    for trigger_id in (first, second):
        found = await fired(journal, trigger_id)
        assert len(found) == len({row.event_key for row in found}) == count + 1
    assert [line["event"] for line in logs if "publishes to this publisher" in line["event"]], "one was overtaken"


async def test_the_leader_alone_reports_what_the_journal_holds(journal: SqliteJournal) -> None:
    election = Election()

    def running(server: Member) -> str | None:
        found = re.search(rb"^headrace_instances_running (\S+)$", server.telemetry.render(), re.MULTILINE)
        return found and found[1].decode()

    async with AsyncExitStack() as stack, asyncio.timeout(LIMIT_S):
        a, b = await two_servers(stack, journal, election)
        await election.until_led_by("a", DUTIES)
        workflow = await b.post("/v2/workflows", {"stages": [{"wait_event": {"event": "go"}}]})
        await b.post(f"/v2/workflows/{workflow['id']}/instances", {})
        while running(a) != "1.0":
            await asyncio.sleep(STEP_S)
        assert running(b) is None
        election.depose("a")
        while running(b) != "1.0":
            await asyncio.sleep(STEP_S)
        assert running(a) is None
        assert b"\nheadrace_instances_started_total 0.0\n" in b.telemetry.render(), "counters are those of the process"
