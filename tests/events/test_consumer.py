"""From a delivery to its acknowledgement: after the commit, never before, and nothing is lost on the way.

The bus here is scripted; the contract suite of buses shows that real ones keep to the same port.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from headrace.buses.port import BusUnavailable, Delivery, Publication
from headrace.errors import Unavailable
from headrace.events.consumer import Consumer
from headrace.events.envelope import envelope_of
from headrace.events.inbox import Arrival, Inbox, Receipt
from headrace.events.relay import Relay, trim_outbox
from headrace.journal.port import Unit
from headrace.journal.records import InboxEvent
from headrace.journal.retention_writes import ServeTime
from headrace.journal.sqlite import SqliteJournal
from headrace.journal.writes import (
    AddTrigger,
    AddWorkflow,
    MovePosition,
    Publish,
    WantType,
    Write,
)
from headrace.telemetry import Telemetry
from tests.support.hostile import FRAGMENTS, LONG_INTEGERS
from tests.support.in_process import FastClock

REFUSED = [name for name in FRAGMENTS if name not in LONG_INTEGERS]


class ScriptedBus:
    """Delivers in the batches it is given; fails as often as it is told to."""

    def __init__(self, *batches: list[Delivery]) -> None:
        self.name = "scripted"
        self.page = 200
        self.batches = list(batches)
        self.log: list[tuple[str, Any]] = []
        self.outages: dict[str, int] = {}
        self.published: list[Publication] = []
        self.before_acknowledging: Callable[[], Any] = lambda: None

    async def receive(self) -> list[Delivery]:
        self._fail("receive")
        if not self.batches:
            await asyncio.Event().wait()
        return self.batches.pop(0)

    async def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        self._fail("acknowledge")
        self.log.append(("acknowledge", [each.key for each in deliveries]))
        self.before_acknowledging()

    async def dead_letter(self, delivery: Delivery, reason: str) -> None:
        self._fail("set_aside")
        self.log.append(("set_aside", (delivery.key, reason)))

    def wants(self, kind: str) -> bool:
        return True

    async def publish(self, publications: Sequence[Publication]) -> None:
        self._fail("publish")
        self.published += publications

    async def close(self) -> None: ...

    def _fail(self, what: str) -> None:
        if self.outages.get(what, 0) > 0:
            self.outages[what] -= 1
            raise BusUnavailable("the broker is away")


class Ending:
    """A journal that reads an event at a time and commits so often; then the process ends."""

    def __init__(self, journal: SqliteJournal, commits: int) -> None:
        self._journal = journal
        self._left = commits

    async def unidentified_events(self, after_seq: int, limit: int) -> list[InboxEvent]:
        return await self._journal.unidentified_events(after_seq, min(limit, 1))

    async def commit(self, unit: Unit) -> Any:
        if not self._left:
            raise Unavailable("the process ends here")
        self._left -= 1
        return await self._journal.commit(unit)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._journal, name)


class BrittleInbox(Inbox):
    """The journal cannot commit for a while, or an event is more than it can take."""

    outages = 0
    poison = "-"

    async def accept_wanted(self, arrivals: Sequence[Arrival], *, position: MovePosition | None = None) -> None:
        if self.outages:
            self.outages -= 1
            raise Unavailable("the disk is full")
        if any(arrival.key == self.poison for arrival in arrivals):
            raise RuntimeError("an error of ours")
        await super().accept_wanted(arrivals, position=position)


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[SqliteJournal]:
    opened = await SqliteJournal.open(tmp_path / "journal.db")
    unit = Unit()
    unit.add(AddWorkflow(workflow_id="w", name="w", config='{"stages":[]}', created_at=10, updated_at=10))
    unit.add(
        AddTrigger(
            trigger_id="t",
            name="n",
            event="E",
            event_name="e",
            workflow_id="w",
            version=None,
            filter=None,
            vars=None,
            created_at=20,
        )
    )
    await opened.commit(unit)
    yield opened
    await opened.close()


def delivery(key: str, body: Any = None, **headers: str) -> Delivery:
    content = body if isinstance(body, bytes) else json.dumps(body or {"type": "E", "payload": {}}).encode()
    return Delivery(key, "stack-ledger", content, {name.replace("_", "-"): value for name, value in headers.items()})


async def consume(bus: ScriptedBus, journal: SqliteJournal, **brittle: Any) -> Telemetry:
    """Until nothing is left and all has been answered."""
    clock = FastClock()
    telemetry = Telemetry(clock)
    inbox = BrittleInbox(journal, clock, telemetry, lambda: None)
    for name, value in brittle.items():
        setattr(inbox, name, value)
    batches = len(bus.batches)
    lost = bus.outages.get("acknowledge", 0)
    task = asyncio.ensure_future(Consumer(bus, journal, inbox, clock, telemetry, max_failures=3).run())
    try:
        while sum(what == "acknowledge" for what, _ in bus.log) < batches - lost:
            assert not task.done(), task.exception()
            await asyncio.sleep(0.002)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    return telemetry


async def inbox_keys(journal: SqliteJournal) -> list[str]:
    return [event.key for event in await journal.waiting_events(0, 1_000)]


async def test_a_delivery_is_in_the_inbox_when_it_is_acknowledged(journal: SqliteJournal) -> None:
    bus = ScriptedBus([delivery("k1"), delivery("k2")], [delivery("k1")])
    stored: list[list[str]] = []

    def look() -> None:
        rows = journal._rows("waiting_events", 0, 100)  # pyright: ignore[reportPrivateUsage]
        stored.append([row[1] for row in rows])

    bus.before_acknowledging = look
    await consume(bus, journal)
    assert stored == [["k1", "k2"], ["k1", "k2"]]
    assert bus.log == [("acknowledge", ["k1", "k2"]), ("acknowledge", ["k1"])]
    assert [event.repeats for event in await journal.waiting_events(0, 10)] == [1, 0]


async def test_an_event_that_nobody_waits_for_is_acknowledged_and_leaves_nothing(journal: SqliteJournal) -> None:
    bus = ScriptedBus([delivery("k1", {"type": "OTHER", "payload": {}})])
    await consume(bus, journal)
    assert (await inbox_keys(journal), bus.log) == ([], [("acknowledge", ["k1"])])


@pytest.mark.parametrize(
    "body",
    [
        b"", b"\xff\xfe", b"{", b"[]", b"null", b"[" * 100_000, b'{"type": "E"}', b'{"type": 1, "payload": {}}',
        b'{"payload": {}}', b'{"type": "E", "payload": []}', b'{"type":"E","payload":{},"app":7}', b"x" * (2 << 20),
        gzip.compress(b'{"type":"E","payload":{}}', mtime=0),
        *(b'{"type":"E","payload":{"a":%s}}' % FRAGMENTS[name][0] for name in REFUSED),
        *(b'{"specversion":"1.0","type":"E","source":"s","id":"1",' + rest for rest in (b'"data":[]}', b'"data":1}')),
    ],
    ids=[*range(12), "compressed", *REFUSED, "a CloudEvent of a list", "a CloudEvent of a number"],
)  # fmt: skip
async def test_what_is_no_event_is_set_aside_with_the_reason_and_holds_up_no_other(
    journal: SqliteJournal, body: bytes
) -> None:
    bus = ScriptedBus([delivery("k1"), delivery("bad", body or b" "), delivery("k2")])
    telemetry = await consume(bus, journal)
    assert await inbox_keys(journal) == ["k1", "k2"]
    (what, (key, reason)), acknowledged = bus.log
    assert (what, key) == ("set_aside", "bad") and reason and len(reason) <= 1_000
    assert acknowledged == ("acknowledge", ["k1", "bad", "k2"])
    assert b'headrace_deliveries_total{outcome="set_aside"} 1.0' in telemetry.render()


async def test_an_older_ledgers_message_is_an_event_of_the_ledger(journal: SqliteJournal) -> None:
    body = {"type": "E", "ledger": "main", "payload": {}, "date": "2022-01-01T00:00:00Z"}
    await consume(ScriptedBus([delivery("k1", body)]), journal)
    (event,) = await journal.waiting_events(0, 10)
    assert json.loads(event.envelope or "") == body


async def test_a_depth_comes_in_a_header_and_a_bad_one_is_no_event(journal: SqliteJournal) -> None:
    bus = ScriptedBus(
        [delivery("k1", None, headrace_depth="5"), delivery("k2", None, Headrace_Depth="-1"), delivery("k3")]
    )
    await consume(bus, journal)
    assert [(event.key, event.depth) for event in await journal.waiting_events(0, 10)] == [("k1", 5), ("k3", 0)]
    assert bus.log[0][1][0] == "k2" and "Headrace-Depth" in bus.log[0][1][1]


async def test_an_event_is_one_event_wherever_it_stands_on_the_bus(journal: SqliteJournal) -> None:
    """Published twice, it has two places; each of them may be delivered again."""
    for name in ("id", "idempotency_key"):
        body = {"type": "E", "app": "a", "payload": {"n": 1}, name: name}
        await consume(ScriptedBus([delivery(f"{name}1", body), delivery(f"{name}2", body)]), journal)
        await consume(ScriptedBus([delivery(f"{name}2", body)], [delivery(f"{name}1", body)]), journal)
    found = await journal.waiting_events(0, 10)
    assert [(event.key, event.repeats) for event in found] == [
        ('["event","a","E","","id"]', 3),
        ('["event","a","E","","idempotency_key"]', 3),
    ]


async def test_a_conflict_on_the_bus_is_one_conflict_and_loses_no_other(journal: SqliteJournal) -> None:
    first, other = ({"type": "E", "id": "1", "payload": {"n": n}} for n in (1, 2))
    new = {"type": "E", "id": "2", "payload": {}}
    bus = ScriptedBus([delivery("p1", first), delivery("p2", other), delivery("p3", new)], [delivery("p2", other)])
    telemetry = await consume(bus, journal)
    known, conflict, last = await journal.waiting_events(0, 10)
    assert (known.conflicts_with, conflict.conflicts_with, last.conflicts_with) == (None, known.seq, None)
    assert (known.repeats, conflict.repeats) == (0, 1)
    assert b"headrace_events_conflicting_total 1.0" in telemetry.render()
    assert [what for what, _ in bus.log] == ["acknowledge", "acknowledge"]


async def test_a_place_that_is_known_is_a_repeat_whatever_stands_there_now(journal: SqliteJournal) -> None:
    """The same message read by a later release, which may see another identity or another payload in it."""
    await consume(ScriptedBus([delivery("p1", {"type": "E", "id": "1", "payload": {"n": 1}})]), journal)
    await consume(ScriptedBus([delivery("p1", {"type": "E", "id": "2", "payload": {"n": 2}})]), journal)
    (event,) = await journal.waiting_events(0, 10)
    assert (event.repeats, event.conflicts_with) == (1, None)


async def test_an_event_that_came_over_http_and_over_the_bus_is_one(journal: SqliteJournal) -> None:
    body = {"type": "E", "app": "a", "version": "v3", "payload": {"n": 1}, "idempotency_key": "k"}
    inbox = Inbox(journal, FastClock(), Telemetry(FastClock()), lambda: None)
    assert await inbox.accept([Arrival.sent(envelope_of(body), "post:1", None)]) == [Receipt.NEW]
    await consume(ScriptedBus([delivery("p1", body)]), journal)
    assert await inbox.accept([Arrival.of("sandbox:s:1", envelope_of(body))]) == [Receipt.REPEATED]
    (event,) = await journal.waiting_events(0, 10)
    assert event.repeats == 2


CLOUD = {"specversion": "1.0", "type": "E", "source": "s", "id": "1", "data": {"n": 1}}


@pytest.mark.parametrize("separator", ["-", "_"])
async def test_a_cloud_event_on_the_bus_is_one_event_in_both_forms(journal: SqliteJournal, separator: str) -> None:
    structured = Delivery("p1", "t", json.dumps(CLOUD).encode())
    headers = {f"ce{separator}{name}": str(value) for name, value in CLOUD.items() if name != "data"}
    bus = ScriptedBus([structured, Delivery("p2", "t", json.dumps(CLOUD["data"]).encode(), headers)])
    await consume(bus, journal)
    (event,) = await journal.waiting_events(0, 10)
    assert (event.key, event.repeats) == ('["cloudevents","s","1"]', 1)


@pytest.mark.parametrize("name", sorted(LONG_INTEGERS))
async def test_an_event_is_read_past_its_long_integers(journal: SqliteJournal, name: str) -> None:
    body = b'{"type":"E","payload":{"amount":7,"volumes":%s}}' % FRAGMENTS[name][0]
    await consume(ScriptedBus([delivery("k1", body)]), journal)
    (event,) = await journal.waiting_events(0, 10)
    assert (event.envelope or "").encode() == body


# events that release 0.1.0 accepted


PAID = {"type": "SAVED_PAYMENT", "app": "payments", "version": "v3.0.0", "payload": {"amount": 10**30, "id": "p1"}}


async def receipts_after_an_upgrade(tmp_path: Path, *arrivals: Arrival) -> list[Receipt]:
    path = tmp_path / "journal.db"
    if not path.exists():
        connection = sqlite3.connect(path)
        connection.executescript((Path(__file__).parents[1] / "data/journal/0006.sql").read_text())
        connection.close()
    opened = await SqliteJournal.open(path)
    try:
        inbox = Inbox(opened, FastClock(), Telemetry(FastClock()), lambda: None)
        return await inbox.accept(arrivals)
    finally:
        await opened.close()


def sent(key: str | None = None, old_key: str | None = None, **members: Any) -> Arrival:
    return Arrival.sent(envelope_of({**PAID, **members}), key or "post:2", old_key)


async def test_what_an_older_release_accepted_is_known_after_the_upgrade(tmp_path: Path) -> None:
    new, repeated, conflicting = Receipt.NEW, Receipt.REPEATED, Receipt.CONFLICTING
    bus = envelope_of({**PAID, "idempotency_key": "bus"})
    known: list[tuple[Arrival, Receipt]] = [
        (sent(id="kept"), repeated),
        (sent(id="kept", payload={"amount": 1}), conflicting),
        (sent(id="kept", app="other"), new),
        (sent(id="kept", type="REFUND"), new),
        (sent(id="forgotten"), repeated),
        (sent(id="forgotten", type="REFUND"), new),
        (Arrival.of("nats:S:1:1", bus), repeated),
        (Arrival.of("nats:S:1:2", bus), repeated),
        (Arrival.of("nats:S:1:3", envelope_of({**PAID, "id": "unread"})), repeated),
        (Arrival.of("nats:S:1:9", bus), repeated),
        (sent(idempotency_key="bus"), repeated),
        (Arrival.of("sandbox:s:7", envelope_of(PAID)), repeated),
        (sent('["request","subject","anonymous","K"]', "key:K"), repeated),
        (sent('["request","subject","anonymous","K",0]', "key:K:0"), repeated),
        (sent('["request","client","b","K"]', "key:K", payload={"amount": 2}), new),
        (sent(), new),
    ]
    for number, (arrival, receipt) in enumerate(known):
        assert await receipts_after_an_upgrade(tmp_path, arrival) == [receipt], number


async def test_identifying_older_events_may_be_cut_off_and_goes_on(tmp_path: Path) -> None:
    """Until it is done nothing is accepted: an event that is not identified yet would be taken for a new one."""
    path = tmp_path / "journal.db"
    connection = sqlite3.connect(path)
    connection.executescript((Path(__file__).parents[1] / "data/journal/0006.sql").read_text())
    connection.close()
    opened = await SqliteJournal.open(path)
    try:
        left = await opened.unidentified_events(0, 100)
        assert [event.seq for event in left] == [1, 3, 4, 5, 6, 8, 9]
        kept = sent(id="kept")
        for done in range(1, len(left)):
            crashing: Any = Ending(opened, 1)
            inbox = Inbox(crashing, FastClock(), Telemetry(FastClock()), lambda: None)
            with pytest.raises(Unavailable):
                await inbox.accept([kept])
            assert [event.seq for event in await opened.unidentified_events(0, 100)] == [
                event.seq for event in left[done:]
            ]
        inbox = Inbox(opened, FastClock(), Telemetry(FastClock()), lambda: None)
        assert await inbox.accept([kept]) == [Receipt.REPEATED]
        assert await opened.unidentified_events(0, 100) == []
    finally:
        await opened.close()


async def test_our_own_events_come_back_and_start_nothing_twice(journal: SqliteJournal) -> None:
    own = await journal.identity()
    bus = ScriptedBus(
        [delivery("k1", None, Headrace_Event=f"{own}:17"), delivery("k2", None, Headrace_Event="another:17")]
    )
    await consume(bus, journal)
    assert await inbox_keys(journal) == ["k2"]
    assert bus.log == [("acknowledge", ["k1", "k2"])]


async def test_a_journal_that_cannot_commit_is_no_fault_of_the_delivery(journal: SqliteJournal) -> None:
    bus = ScriptedBus([delivery("k1")])
    await consume(bus, journal, outages=50)
    assert (await inbox_keys(journal), bus.log) == (["k1"], [("acknowledge", ["k1"])])


async def test_one_that_fails_for_its_own_reason_is_set_aside_after_a_few_times(journal: SqliteJournal) -> None:
    bus = ScriptedBus([delivery("k1"), delivery("bad"), delivery("k2")])
    metrics = (await consume(bus, journal, poison="bad")).render()
    assert b'headrace_deliveries_total{outcome="taken"} 2.0' in metrics
    assert b'headrace_deliveries_total{outcome="set_aside"} 1.0' in metrics
    assert sorted(await inbox_keys(journal)) == ["k1", "k2"]
    assert bus.log[0][0] == "set_aside" and "3 times" in bus.log[0][1][1]
    assert bus.log[1] == ("acknowledge", ["k1", "bad", "k2"])


async def test_a_bus_that_is_away_is_asked_again_and_bad_ones_are_not_acknowledged_unkept(
    journal: SqliteJournal,
) -> None:
    bus = ScriptedBus([delivery("bad", b"{")], [delivery("k1")])
    bus.outages = {"receive": 3, "set_aside": 4, "acknowledge": 1}
    await consume(bus, journal)
    assert await inbox_keys(journal) == ["k1"]
    assert [what for what, _ in bus.log] == ["set_aside", "acknowledge"]


# the relay


async def published(journal: SqliteJournal, count: int, kind: str = "STARTED_WORKFLOW") -> None:
    unit = Unit()
    unit.add(WantType(type=kind))
    for number in range(count):
        payload = json.dumps({"n": number})
        unit.add(Publish(type=kind, happened_at=50, payload=payload, instance_id=None, depth=None))
    await journal.commit(unit)


async def relayed(bus: ScriptedBus, journal: SqliteJournal, count: int) -> Relay:
    relay = Relay(bus, journal, FastClock(), Telemetry(FastClock()))
    task = asyncio.ensure_future(relay.run())
    try:
        while relay.position is None:
            await asyncio.sleep(0.002)
        await published(journal, count)
        while relay.position < await journal.outbox_end():
            assert not task.done(), task.exception()
            await asyncio.sleep(0.002)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    return relay


async def test_a_new_publisher_is_told_of_what_comes_from_now_on_in_order(journal: SqliteJournal) -> None:
    await published(journal, 3)
    bus = ScriptedBus()
    await relayed(bus, journal, 500)
    origin = await journal.identity()
    assert [each.id for each in bus.published] == [f"{origin}:{seq}" for seq in range(4, 504)]


async def test_what_happens_between_its_beginning_and_its_first_look_is_told(journal: SqliteJournal) -> None:
    """As at the first start on a journal with instances that go on: the engine may be faster than the relay's task."""
    bus = ScriptedBus()
    relay = Relay(bus, journal, FastClock(), Telemetry(FastClock()))
    await relay.begin()
    await published(journal, 2)
    task = asyncio.ensure_future(relay.run())
    while len(bus.published) < 2:
        assert not task.done()
        await asyncio.sleep(0.002)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_after_an_outage_and_a_restart_it_goes_on_where_it_stood(journal: SqliteJournal) -> None:
    bus = ScriptedBus()
    bus.outages = {"publish": 5}
    await relayed(bus, journal, 2)
    await published(journal, 1)
    await relayed(bus, journal, 1)
    origin = await journal.identity()
    assert [each.id for each in bus.published] == [f"{origin}:{seq}" for seq in (1, 2, 3, 4)]


async def test_the_outbox_keeps_what_one_publisher_has_not_taken(journal: SqliteJournal) -> None:
    """Whether or not this process has a relay for it, until nothing has confirmed it for as long as events are kept."""
    late = MovePosition(source="to:late", position=1, expected=None)
    await committed(journal, late)
    quick = await relayed(ScriptedBus(), journal, 3)
    await trim_outbox([quick], journal, 0)
    assert [event.seq for event in await journal.outbox(0, 10)] == [2, 3]
    await committed(journal, ServeTime(seconds=100))
    await relayed(ScriptedBus(), journal, 3)
    await trim_outbox([quick], journal, 100)
    assert await journal.outbox(0, 10) == [], "two grew too old, and the others were acknowledged by all that is in use"


async def committed(journal: SqliteJournal, *writes: Write) -> None:
    unit = Unit()
    for write in writes:
        unit.add(write)
    await journal.commit(unit)
