"""What happens to an event of ours that is not taken: it is never lost silently, and no other is lost with it."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from headrace.buses.event_types import STARTED_WORKFLOW, SUCCEEDED_WORKFLOW
from headrace.buses.port import Publication, PublicationRefused
from headrace.errors import Deposed
from headrace.events.feed import Feed
from headrace.events.inbox import Inbox
from headrace.events.outbox import Outbox
from headrace.events.relay import MAX_IN_A_ROW, Relay, trim_outbox
from headrace.journal.port import Required, Results, Unit, WhenWanted
from headrace.journal.sqlite import SqliteJournal
from headrace.journal.sqlite.resting import RestingSqliteJournal
from headrace.journal.transfer import SKIP, Operator, restored
from headrace.journal.writes import MovePosition, Publish, WantType
from headrace.telemetry import Telemetry
from tests.support.in_process import FastClock
from tests.support.publishers import Picky

LIMIT_S = 20.0


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[SqliteJournal]:
    opened = await SqliteJournal.open(tmp_path / "journal.db")
    yield opened
    await opened.close()


async def told(journal: SqliteJournal, count: int, kind: str = "STARTED_WORKFLOW", at: int = 50) -> None:
    unit = Unit()
    unit.add(WantType(type=kind))
    for number in range(count):
        unit.add(Publish(type=kind, happened_at=at, payload=json.dumps({"n": number}), instance_id=None, depth=None))
    await journal.commit(unit)


@asynccontextmanager
async def relaying(publisher: Picky, journal: SqliteJournal) -> AsyncIterator[tuple[Relay, Telemetry]]:
    clock = FastClock()
    telemetry = Telemetry(clock)
    relay = Relay(publisher, journal, clock, telemetry, max_refusals=3)
    await relay.begin()
    task = asyncio.ensure_future(relay.run())
    try:
        yield relay, telemetry
        assert not task.done(), task.exception()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until_done(relay: Relay, journal: SqliteJournal) -> None:
    async with asyncio.timeout(LIMIT_S):
        while relay.position != await journal.outbox_end():
            await asyncio.sleep(0.002)


async def test_one_that_is_refused_again_and_again_is_set_aside_and_the_others_go_on(journal: SqliteJournal) -> None:
    publisher = Picky(3, 4, 9)
    async with relaying(publisher, journal) as (relay, telemetry):
        await told(journal, 10)
        await until_done(relay, journal)
        assert publisher.taken == [1, 2, 5, 6, 7, 8, 10]
        assert publisher.attempts.count(3) >= 3, "not at the first refusal"
        metrics = telemetry.render()
        assert b'headrace_events_set_aside_total{publisher="picky"} 3.0' in metrics
        assert b'headrace_events_waiting{publisher="picky"} 0.0' in metrics
    origin = await journal.identity()
    kept = {row.event_id: row for row in await journal.set_aside(10)}
    assert kept.keys() == {f"{origin}:{number}" for number in (3, 4, 9)}
    row = kept[f"{origin}:3"]
    assert (row.publisher, row.type, row.reason) == ("picky", "STARTED_WORKFLOW", "3 is not to my taste")
    assert json.loads(row.body)["payload"] == {"n": 2}


async def test_one_that_is_refused_at_a_bad_moment_only_is_not_set_aside(journal: SqliteJournal) -> None:
    """Behind one that is refused for ever, and once."""

    class Shaky(Picky):
        async def publish(self, publications: Sequence[Publication]) -> None:
            try:
                await super().publish(publications)
            finally:
                if 2 in self.attempts:
                    self.refuses.discard(2)

    publisher = Shaky(1, 2)
    async with relaying(publisher, journal) as (relay, telemetry):
        await told(journal, 4)
        await until_done(relay, journal)
        assert publisher.taken == [3, 2, 4]
        assert b'headrace_events_published_total{publisher="picky"} 3.0' in telemetry.render()
    assert [row.event_id.rpartition(":")[2] for row in await journal.set_aside(9)] == ["1"]


async def test_none_is_set_aside_by_one_that_comes_back_while_others_are_tried(journal: SqliteJournal) -> None:
    """Behind a load balancer: it refuses everything for minutes, then a part of it takes what comes."""

    class Returning(Picky):
        async def publish(self, publications: Sequence[Publication]) -> None:
            if len(publications) == 1 and publications[0].id.endswith(":2"):
                self.refuses.discard(2)
            await super().publish(publications)
            self.refuses.clear()

    publisher = Returning(*range(1, 9))
    async with relaying(publisher, journal) as (relay, _):
        await told(journal, 8)
        await until_done(relay, journal)
        assert publisher.taken == [2, 1, 3, 4, 5, 6, 7, 8]
    assert await journal.set_aside(9) == []


async def test_those_behind_one_that_is_refused_are_not_sent_again_with_each_attempt(journal: SqliteJournal) -> None:
    """A bus may have taken those behind it, and tell of the one only."""

    class Batching(Picky):
        async def publish(self, publications: Sequence[Publication]) -> None:
            refused = [each for each in publications if int(each.id.rpartition(":")[2]) in self.refuses]
            self.attempts += [int(each.id.rpartition(":")[2]) for each in publications]
            if refused:
                raise PublicationRefused(refused[0].id, "too long")

    publisher = Batching(1)
    async with relaying(publisher, journal) as (relay, _):
        await told(journal, 5)
        await until_done(relay, journal)
    assert publisher.attempts.count(1) >= 3
    assert publisher.attempts.count(5) == 2, "beside it, and after it"


async def test_the_last_one_waits_while_nobody_is_behind_it(journal: SqliteJournal) -> None:
    """It is in nobody's way, and there is nothing that would show whether it alone is at fault."""
    publisher = Picky(2)
    async with relaying(publisher, journal) as (relay, _):
        await told(journal, 2)
        while publisher.attempts.count(2) < 12:
            await asyncio.sleep(0.002)
        assert relay.position == 1 and await journal.set_aside(1) == []
        await told(journal, 1)
        await until_done(relay, journal)
        assert publisher.taken == [1, 3]


async def test_one_that_refuses_everything_gets_everything_later(journal: SqliteJournal) -> None:
    """A wrong secret, say: all events wait until it is put right, in order."""
    publisher = Picky(*range(1, 100))
    async with relaying(publisher, journal) as (relay, _):
        await told(journal, 30)
        while publisher.attempts.count(1) < 12:
            await asyncio.sleep(0.002)
        assert max(publisher.attempts) <= MAX_IN_A_ROW + 2, "few are tried beside the first"
        publisher.refuses.clear()
        await until_done(relay, journal)
        assert publisher.taken == list(range(1, 31))
    assert await journal.set_aside(1) == []


async def test_one_that_goes_away_while_others_are_tried_is_waited_for(journal: SqliteJournal) -> None:
    publisher = Picky(1)
    async with relaying(publisher, journal) as (relay, _):
        await told(journal, 1)
        while publisher.attempts.count(1) < 6:
            await asyncio.sleep(0.002)
        publisher.is_away = True
        await told(journal, 1)
        await asyncio.sleep(0.3)
        assert (relay.position, publisher.taken, await journal.set_aside(1)) == (0, [], [])
        publisher.is_away = False
        await until_done(relay, journal)
        assert publisher.taken == [2]
    assert len(await journal.set_aside(9)) == 1


async def test_what_is_not_wanted_is_no_proof_that_others_are_taken(
    journal: SqliteJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headrace.events.relay.LOOK_PAGE", 7)
    monkeypatch.setattr("headrace.events.relay.LOOK_AT_ONCE", 20)
    publisher = Picky(1, wants=["FAILED_WORKFLOW"], page=5)
    async with relaying(publisher, journal) as (relay, telemetry):
        await told(journal, 1, "FAILED_WORKFLOW")
        await told(journal, 60)
        while publisher.attempts.count(1) < 12:
            await asyncio.sleep(0.002)
        assert relay.position == 0
        await told(journal, 1, "FAILED_WORKFLOW")
        await until_done(relay, journal)
        assert publisher.taken == [62]
        assert b'headrace_events_published_total{publisher="picky"} 1.0' in telemetry.render()
    assert len(await journal.set_aside(9)) == 1


async def test_what_grows_too_old_before_it_is_taken_is_told(journal: SqliteJournal) -> None:
    publisher = Picky(*range(1, 6))
    async with relaying(publisher, journal) as (relay, telemetry):
        await told(journal, 5)
        await trim_outbox([relay], journal, 1)
        publisher.refuses.clear()
        await until_done(relay, journal)
        assert publisher.taken == []
        metrics = telemetry.render()
        assert b'headrace_events_dropped_total{publisher="picky"} 5.0' in metrics
        assert b'headrace_events_waiting{publisher="picky"} 0.0' in metrics
        await told(journal, 1)
        await until_done(relay, journal)
        assert publisher.taken == [6]


class Overtaken:
    """A journal into which an event comes while a position is moved."""

    def __init__(self, journal: SqliteJournal) -> None:
        self._journal = journal
        self.is_next = False

    async def commit(self, unit: Unit) -> Results:
        if self.is_next:
            self.is_next = False
            await told(self._journal, 1)
        return await self._journal.commit(unit)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._journal, name)


async def test_what_comes_while_the_old_are_passed_over_is_not_left_waiting(journal: SqliteJournal) -> None:
    publisher, overtaken = Picky(), Overtaken(journal)
    publisher.is_away = True
    as_journal: Any = overtaken
    async with relaying(publisher, as_journal) as (relay, _):
        await told(journal, 5)
        overtaken.is_next = True  # the relay's next commit: it may move past the old as soon as they are trimmed
        await trim_outbox([relay], journal, 1)
        publisher.is_away = False
        async with asyncio.timeout(LIMIT_S):
            while publisher.taken != [6]:
                await asyncio.sleep(0.002)


async def test_trimming_keeps_up_with_any_number(journal: SqliteJournal) -> None:
    relay = Relay(Picky(), journal, FastClock(), Telemetry(FastClock()))
    await relay.begin()
    for _ in range(3):
        await told(journal, 900)
    unit = Unit()
    unit.add(MovePosition(source=relay.name, position=2_650, expected=0))
    await journal.commit(unit)
    await trim_outbox([relay], journal, 0)
    assert [event.seq for event in await journal.outbox(0, 100)] == list(range(2_651, 2_701))


# several processes


async def test_a_type_that_another_process_wants_is_published_from_its_commit_on(
    journal: SqliteJournal, tmp_path: Path
) -> None:
    """As where the trigger was created at another server: nothing but the table says so."""
    outbox = Outbox()

    async def happened(at: int) -> None:
        unit = Unit()
        for type_ in (STARTED_WORKFLOW, SUCCEEDED_WORKFLOW):
            unit.add(WhenWanted(type_, partial(outbox.announce, type_, at, "w1", "i1", None, None)))
        await journal.commit(unit)

    await happened(1)
    with closing(sqlite3.connect(tmp_path / "journal.db")) as other:
        other.execute("INSERT INTO wanted (type) VALUES ('STARTED_WORKFLOW')")
        other.commit()
    await happened(2)
    assert [(event.type, event.happened_at) for event in await journal.outbox(0, 9)] == [("STARTED_WORKFLOW", 2)]


async def test_the_types_that_a_publisher_takes_are_wanted_once_it_has_begun(journal: SqliteJournal) -> None:
    outbox = Outbox()
    relay = Relay(Picky(wants=["STARTED_WORKFLOW"]), journal, FastClock(), Telemetry(FastClock()))
    await relay.begin()
    own = Relay(Picky(), journal, FastClock(), Telemetry(FastClock()), announces=False)
    await own.begin()
    unit = Unit()
    for type_ in (STARTED_WORKFLOW, SUCCEEDED_WORKFLOW):
        unit.add(WhenWanted(type_, partial(outbox.announce, type_, 1, "w1", "i1", None, None)))
    await journal.commit(unit)
    assert [event.type for event in await journal.outbox(0, 9)] == ["STARTED_WORKFLOW"]


async def moved(journal: SqliteJournal, position: int, expected: int | None) -> None:
    unit = Unit()
    move = MovePosition(source="to:picky", position=position, expected=expected)
    unit.add(Required(move, partial(Deposed, "to:picky")))
    await journal.commit(unit)


async def test_a_relay_that_was_overtaken_stops_and_stores_nothing(
    journal: SqliteJournal,
) -> None:
    publisher = Picky(1)
    relay = Relay(publisher, journal, FastClock(), Telemetry(FastClock()), max_refusals=1)
    await relay.begin()
    await told(journal, 3)
    await moved(journal, 3, 0)  # another process has published all of them
    with capture_logs() as logs:
        async with asyncio.timeout(LIMIT_S):
            await relay.run()
            await relay.run()  # the supervisor starts it once more
    (line,) = [line for line in logs if line["log_level"] == "error"]
    assert line["event"] == "another process publishes to this publisher; this one stops"
    assert (line["publisher"], line["position"], line["stored_position"]) == ("picky", 0, 3)
    assert await journal.position("to:picky") == 3
    assert await journal.set_aside(9) == [], "the other process decides about an event that is refused"
    assert publisher.attempts.count(2) == 1


async def test_two_relays_that_begin_at_once_begin_at_one_position(journal: SqliteJournal) -> None:
    await told(journal, 2)
    relays = [Relay(Picky(), journal, FastClock(), Telemetry(FastClock())) for _ in range(3)]
    async with asyncio.timeout(LIMIT_S):
        await asyncio.gather(*(relay.begin() for relay in relays))
    assert [relay.position for relay in relays] == [2, 2, 2]


class Numbered:
    """A source of events that does not end."""

    async def event_source(self) -> str:
        return "numbered"

    async def events_after(self, seq: int, limit: int) -> list[tuple[int, str]]:
        await asyncio.sleep(0)
        event = {"date": "2024-05-01T10:00:00Z", "app": "a", "version": "v1", "type": "E", "payload": {"n": seq}}
        return [(seq + 1, json.dumps(event))]

    async def wait_for_events(self) -> None: ...


async def test_a_feed_that_was_overtaken_stops(journal: SqliteJournal) -> None:
    clock = FastClock()
    inbox = Inbox(journal, clock, Telemetry(clock), lambda: None)
    feeds = [asyncio.ensure_future(Feed(Numbered(), journal, inbox, clock).run()) for _ in range(2)]
    try:
        async with asyncio.timeout(LIMIT_S):
            await asyncio.wait(feeds, return_when=asyncio.FIRST_COMPLETED)
            stopped = sum(feed.done() for feed in feeds)
            position = await journal.position("numbered")
            while await journal.position("numbered") == position:
                await asyncio.sleep(0)
    finally:
        for feed in feeds:
            feed.cancel()
        await asyncio.gather(*feeds, return_exceptions=True)
    assert stopped == 1


async def test_numbers_that_a_restore_has_skipped_are_no_expired_events(journal: SqliteJournal, tmp_path: Path) -> None:
    publisher = Picky(page=3)
    publisher.is_away = True
    async with relaying(publisher, journal):
        await told(journal, 3)
    await journal.close()
    with closing(RestingSqliteJournal.open(tmp_path / "journal.db")) as resting:
        restored(resting, Operator("operator", "", ""), FastClock())
    again = await SqliteJournal.open(tmp_path / "journal.db")
    with capture_logs() as lines:
        async with relaying(publisher, again) as (relay, telemetry):
            await until_waiting(telemetry, 1)
            await told(again, 2)
            await until_waiting(telemetry, 3)
            publisher.is_away = False
            await until_done(relay, again)
            metrics = telemetry.render()
    assert publisher.taken == [1, 2, 3, SKIP + 1, SKIP + 2]
    assert b"headrace_events_dropped_total{" not in metrics
    assert [line["event"] for line in lines if line["log_level"] == "error"] == []
    await again.close()


async def until_waiting(telemetry: Telemetry, count: int) -> None:
    async with asyncio.timeout(LIMIT_S):
        while f'headrace_events_waiting{{publisher="picky"}} {count}.0'.encode() not in telemetry.render():
            await asyncio.sleep(0.002)
