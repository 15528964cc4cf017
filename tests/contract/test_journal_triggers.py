"""What every journal must do for triggers and events, and how one of an earlier release becomes one of this."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from headrace.errors import InvalidValue
from headrace.journal.port import Required, Unit
from headrace.journal.retention_writes import ForgetDeadLetters, ForgetEnvelopes, Removed, ServeTime, TrimOutbox
from headrace.journal.sqlite import SqliteJournal
from headrace.journal.sqlite.migrations import HEAD, statements
from headrace.journal.writes import (
    AcceptEvent,
    AddDeadLetter,
    AddInstance,
    AddOccurrence,
    AddTrigger,
    AddWorkflow,
    DeleteTrigger,
    DeleteWorkflow,
    DropDeadLetter,
    MovePosition,
    PlaceEvent,
    ProcessEvent,
    Publish,
    RepeatEvent,
    WantType,
    Write,
)
from tests.support.journals import JOURNALS, adapter

RELEASES = Path(__file__).parents[1] / "data/journal"
LONG_S = 20.0
WAITING = "00000000-0000-7000-8000-000000000001"


@pytest.fixture(params=JOURNALS)
async def journal(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Any]:
    async with adapter(request.param).open(tmp_path / "journal.db") as opened:
        unit = Unit()
        unit.add(AddWorkflow(workflow_id="w1", name="name", config='{"stages":[]}', created_at=10, updated_at=10))
        await opened.commit(unit)
        yield opened


async def commit(journal: SqliteJournal, *writes: Write, expects: Exception | None = None) -> Any:
    unit = Unit()
    for write in writes:
        unit.add(write if expects is None else Required(write, lambda: expects))
    return await journal.commit(unit)


def trigger(trigger_id: str, event: str = "E", workflow_id: str = "w1", at: int = 20) -> Write:
    return AddTrigger(
        trigger_id=trigger_id,
        name="n",
        event=event,
        event_name=event.lower(),
        workflow_id=workflow_id,
        version=None,
        filter=None,
        vars=None,
        created_at=at,
    )


def accepted(
    key: str, envelope: str, at: int, *, payload: bytes = b"", place: str | None = None, old_key: str | None = None
) -> Write:
    return AcceptEvent(
        key=key,
        type="E",
        envelope=envelope,
        received_at=at,
        depth=0,
        fingerprint=payload,
        place=place,
        conflict_key=f"conflict:{key}:{payload.decode()}",
        old_key=old_key,
    )


def occurrence(trigger_id: str, event_key: str, at: int = 30, instance_id: str | None = None) -> Write:
    return AddOccurrence(
        occurrence_id=f"o-{trigger_id}-{event_key}",
        trigger_id=trigger_id,
        event_key=event_key,
        event="{}",
        created_at=at,
        depth=1,
        instance_id=instance_id,
        error=None if instance_id else "no",
    )


async def test_a_trigger_needs_a_workflow_that_is_there(journal: SqliteJournal) -> None:
    unknown = InvalidValue("workflowID", "unknown")
    with pytest.raises(InvalidValue):
        await commit(journal, trigger("t1", workflow_id="nowhere"), expects=unknown)
    await commit(journal, DeleteWorkflow(at=15, workflow_id="w1"))
    with pytest.raises(InvalidValue):
        await commit(journal, trigger("t1"), expects=unknown)
    assert await journal.trigger("t1") is None


async def test_triggers_are_listed_newest_first_and_leave_when_deleted(journal: SqliteJournal) -> None:
    for number in range(250):
        await commit(journal, trigger(f"t{number:03}", at=1000 + number // 3))
    listed = [row.id async for page in journal.triggers() for row in page]
    assert listed == sorted(listed, key=lambda name: (int(name[1:]) // 3, name), reverse=True)
    await commit(journal, DeleteTrigger(at=9, trigger_id="t007"))
    assert await journal.trigger_count() == 249
    assert "t007" not in [row.id async for page in journal.triggers() for row in page]
    deleted = await journal.trigger("t007")
    assert deleted is not None and deleted.deleted_at == 9


async def test_a_trigger_is_on_later_events_only_whatever_the_clock_says(journal: SqliteJournal) -> None:
    await commit(journal, trigger("before", at=99))
    await commit(journal, accepted("k1", "{}", 50))
    await commit(journal, trigger("after", at=1))
    (event,) = await journal.waiting_events(0, 10)
    assert [row.id for row in await journal.triggers_on(("e", ""), event.seq)] == ["before"]
    await commit(journal, accepted("k2", "{}", 50))
    _, second = await journal.waiting_events(0, 10)
    assert [row.id for row in await journal.triggers_on(("other", "e"), second.seq)] == ["after", "before"]
    assert await journal.triggers_on(("other", ""), second.seq) == []


async def test_an_event_is_taken_once_and_its_repeats_are_counted(journal: SqliteJournal) -> None:
    first = await commit(journal, accepted("k1", '{"a":1}', 50))
    second = await commit(journal, accepted("k1", '{"a":2}', 60), accepted("k2", "{}", 60))
    assert [row.repeats for row in first + second] == [0, 1, 0]
    await commit(journal, RepeatEvent(at=70, key="k1", old_key=None))
    (repeated,) = [row async for page in journal.events(repeated=True) for row in page]
    assert (repeated.key, repeated.envelope, repeated.repeats) == ("k1", None, 2)
    assert [row.envelope for row in await journal.waiting_events(0, 10)] == ['{"a":1}', "{}"]
    assert (repeated.received_at, repeated.last_repeat_at) == (50, 70)
    assert [row.key async for page in journal.events() for row in page] == ["k2", "k1"]


async def outcomes(journal: SqliteJournal, *arrivals: Write) -> list[tuple[int, int, int | None]]:
    """(number, repeats, conflicts with) of each."""
    return [(each.seq, each.repeats, each.conflicts_with) for each in await commit(journal, *arrivals)]


async def test_a_known_identity_with_another_payload_is_a_conflict_each_counted_apart(journal: SqliteJournal) -> None:
    first, other, again, third, back = await outcomes(
        journal,
        accepted("k", "{}", 50, payload=b"a"),
        accepted("k", "{}", 51, payload=b"b"),
        accepted("k", "{}", 52, payload=b"b"),
        accepted("k", "{}", 53, payload=b"c"),
        accepted("k", "{}", 54, payload=b"a"),
    )
    assert (first, back) == ((1, 0, None), (1, 1, None))
    assert (other[1:], again, third[1:]) == ((0, 1), (other[0], 1, 1), (0, 1))
    assert [row.seq async for page in journal.events(conflicting=True) for row in page] == [third[0], other[0]]
    assert [row.conflicts_with for row in await journal.waiting_events(0, 10)] == [None, 1, 1]


async def test_a_known_place_is_a_repeat_of_whatever_it_was(journal: SqliteJournal) -> None:
    placed = accepted("own", "{}", 50, payload=b"a", place="bus:1")
    await commit(journal, placed, PlaceEvent(key="bus:1", seq=1), PlaceEvent(key="bus:1", seq=99))
    assert await outcomes(journal, accepted("own", "{}", 51, payload=b"b", place="bus:1")) == [(1, 1, None)]
    conflict = accepted("own", "{}", 52, payload=b"b", place="bus:2")
    ((number, *found),) = await outcomes(journal, conflict)
    assert found == [0, 1]
    await commit(journal, PlaceEvent(key="bus:2", seq=number))
    assert await outcomes(journal, accepted("own", "{}", 53, payload=b"z", place="bus:2")) == [(number, 1, 1)]
    unnamed = accepted("bus:3", "{}", 54, payload=b"a", place="bus:3")
    one, again = await outcomes(journal, unnamed, unnamed)
    assert (one[1:], again) == ((0, None), (one[0], 1, None))


async def test_processed_events_are_not_taken_up_again_but_stay_known(journal: SqliteJournal) -> None:
    await commit(journal, accepted("k1", "{}", 50), accepted("k2", "{}", 50))
    first, second = await journal.waiting_events(0, 10)
    await commit(journal, ProcessEvent(at=60, seq=first.seq))
    assert await journal.waiting_events(0, 10) == [second]
    assert await commit(journal, ForgetEnvelopes(before_s=0)) == []
    assert await commit(journal, ForgetEnvelopes(before_s=1)) == [Removed(first.seq)]
    assert await journal.waiting_events(0, 10) == [second]
    assert (await commit(journal, accepted("k1", "{}", 99)))[0].repeats == 1


async def test_one_occurrence_for_a_trigger_and_an_event(journal: SqliteJournal) -> None:
    await commit(journal, trigger("t1"), trigger("t2"))
    fired = InvalidValue("", "already")
    await commit(journal, occurrence("t1", "k1"), expects=fired)
    for again in (occurrence("t1", "k1", at=99), occurrence("unknown", "k1")):
        with pytest.raises(InvalidValue):
            await commit(journal, again, expects=fired)
    await commit(journal, occurrence("t2", "k1"), occurrence("t1", "k2", at=31), expects=fired)
    assert [row.event_key async for page in journal.occurrences("t1") for row in page] == ["k2", "k1"]
    await commit(journal, DeleteTrigger(at=40, trigger_id="t1"))
    with pytest.raises(InvalidValue):
        await commit(journal, occurrence("t1", "k3"), expects=fired)


async def test_an_occurrence_shows_its_instance_and_its_depth(journal: SqliteJournal) -> None:
    await commit(
        journal,
        trigger("t1"),
        AddInstance(
            instance_id="i1", workflow_id="w1", config='{"stages":[]}', variables="{}", created_at=20, by_trigger=True
        ),
        occurrence("t1", "k1", instance_id="i1"),
    )
    ((found,),) = [page async for page in journal.occurrences("t1")]
    assert found.instance is not None and found.instance.id == "i1" and found.instance.started_by_trigger
    assert (await journal.depth_of_instance("i1"), await journal.depth_of_instance("i2")) == (1, 0)


async def test_a_position_moves(journal: SqliteJournal) -> None:
    assert await journal.position("s") is None
    await commit(
        journal,
        MovePosition(source="s", position=7, expected=None),
        MovePosition(source="s", position=9, expected=7),
        MovePosition(source="other", position=1, expected=None),
    )
    assert await journal.position("s") == 9


# an earlier release's journal


def release(path: Path, version: str) -> None:
    connection = sqlite3.connect(path)
    connection.executescript((RELEASES / f"{version}.sql").read_text())
    connection.close()
    assert version_of(path) == version


def version_of(path: Path) -> str:
    connection = sqlite3.connect(path)
    version = connection.execute("SELECT version_num FROM alembic_version").fetchone()[0]
    connection.close()
    return version


async def test_a_journal_of_the_first_release_is_opened_and_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    release(path, "0001")
    opened = await SqliteJournal.open(path)
    try:
        waiting = await opened.instance(WAITING)
        assert waiting is not None and not waiting.is_terminal and len(waiting.stages) == 1
        await commit(opened, trigger("t1", workflow_id="w-old"), accepted("k", "{}", 1))
        assert len(await opened.waiting_events(0, 10)) == 1
    finally:
        await opened.close()
    assert version_of(path) == HEAD


async def test_an_event_that_the_second_release_accepted_is_still_there(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    release(path, "0002")
    opened = await SqliteJournal.open(path)
    try:
        (event,) = await opened.waiting_events(0, 10)
        assert (event.key, event.depth) == ("id:before", 0)
        assert [
            each.id for each in await opened.triggers_on(("saved_payment", "payments.saved_payment"), event.seq)
        ] == ["t-old"]
        assert len(await opened.identity()) == 32
        assert (await opened.outbox(0, 10), await opened.outbox_end()) == ([], 0)
    finally:
        await opened.close()
    assert version_of(path) == HEAD


CUTS = [
    *(("0001", "0002", done) for done in range(1, 12)),
    *(("0002", "0003", done) for done in range(1, 5)),
    *(("0003", "0004", done) for done in range(1, 6)),
    *(("0003", "0006", done) for done in range(1, 5)),
    *(("0006", "0007", done) for done in range(1, 6)),
    *(("0003", "0008", done) for done in range(1, 6)),
]


@pytest.mark.parametrize(("before", "after", "done"), CUTS)
async def test_a_migration_that_was_cut_off_is_carried_out_at_the_next_start(
    tmp_path: Path, before: str, after: str, done: int
) -> None:
    """Its statements are not one transaction: a kill may come after any of them."""
    path = tmp_path / "journal.db"
    release(path, before)
    made = statements(f"{after}.sql")
    if after == "0003":
        made.append("ALTER TABLE inbox ADD COLUMN depth INTEGER NOT NULL DEFAULT 0")
    if after == "0007":
        added = ("fingerprint BLOB", "conflicts_with INTEGER")
        made = [*(f"ALTER TABLE inbox ADD COLUMN {column}" for column in added), *made]
    assert len(made) == {"0002": 11, "0003": 4, "0004": 5, "0006": 4, "0007": 5, "0008": 5}[after]
    connection = sqlite3.connect(path, isolation_level=None)
    for statement in made[:done]:
        connection.execute(statement)
    connection.close()
    await (await SqliteJournal.open(path)).close()
    assert version_of(path) == HEAD


# what is published


async def published(journal: SqliteJournal, *events: tuple[str, str | None, int | None]) -> None:
    unit = Unit()
    for kind, instance_id, depth in events:
        unit.add(WantType(type=kind))
        unit.add(Publish(type=kind, happened_at=50, payload="{}", instance_id=instance_id, depth=depth))
    await journal.commit(unit)


async def test_the_outbox_keeps_its_order_and_the_numbers_never_come_again(journal: SqliteJournal) -> None:
    await published(journal, ("A", None, 3), ("B", None, None))
    assert [(each.seq, each.type, each.depth) for each in await journal.outbox(0, 10)] == [(1, "A", 3), (2, "B", 0)]
    assert [each.seq for each in await journal.outbox(1, 10)] == [2]
    await commit(journal, MovePosition(source="to:x", position=2, expected=None), TrimOutbox(before_s=0))
    assert (await journal.outbox(0, 10), await journal.outbox_end()) == ([], 2)
    await published(journal, ("C", None, None))
    assert [each.seq for each in await journal.outbox(0, 10)] == [3]


async def test_what_is_too_old_leaves_the_outbox_though_nobody_took_it(journal: SqliteJournal) -> None:
    await published(journal, ("A", None, None))
    await commit(journal, TrimOutbox(before_s=0))
    assert len(await journal.outbox(0, 10)) == 1
    await commit(journal, TrimOutbox(before_s=1))
    assert await journal.outbox(0, 10) == []


async def test_events_of_an_instance_are_as_deep_as_its_occurrence(journal: SqliteJournal) -> None:
    await commit(
        journal,
        trigger("t1"),
        AddInstance(
            instance_id="i1", workflow_id="w1", config='{"stages":[]}', variables="{}", created_at=20, by_trigger=True
        ),
        occurrence("t1", "k1", instance_id="i1"),
    )
    await published(journal, ("A", "i1", None), ("B", "i2", None))
    assert [each.depth for each in await journal.outbox(0, 10)] == [1, 0]


async def test_news_of_the_outbox_come_with_a_commit_that_has_some(journal: SqliteJournal) -> None:
    news = asyncio.ensure_future(journal.outbox_news())
    await commit(journal, MovePosition(source="s", position=7, expected=None))
    assert not news.done()
    await published(journal, ("A", None, None))
    await asyncio.wait_for(news, LONG_S)


async def test_what_was_set_aside_is_kept_once_for_each_publisher_and_forgotten_in_time(journal: Any) -> None:
    rows = [("to-a", "j:1", 10), ("to-b", "j:1", 20), ("to-a", "j:2", 30), ("to-a", "j:1", 40)]
    for publisher, event_id, at in rows:
        await commit(
            journal,
            AddDeadLetter(publisher=publisher, event_id=event_id, type="E", body="{}", reason="refused", at=at),
            ServeTime(seconds=10),
        )
    kept = await journal.set_aside(10)
    assert [(row.publisher, row.event_id, row.at) for row in kept] == [
        ("to-a", "j:2", 30),
        ("to-b", "j:1", 20),
        ("to-a", "j:1", 10),
    ]
    assert [row.at for row in await journal.set_aside(1)] == [30]
    await commit(journal, ForgetDeadLetters(before_s=11))
    assert [row.at for row in await journal.set_aside(10)] == [30]


async def test_dead_letters_of_a_publisher_come_in_the_order_of_their_events(journal: Any) -> None:
    rows = [("to-a", "j:10", 10), ("to-a", "j:9", 10), ("to-b", "j:1", 5), ("to-a", "j:11", 5)]
    for publisher, event_id, at in rows:
        await commit(
            journal, AddDeadLetter(publisher=publisher, event_id=event_id, type="E", body="{}", reason="refused", at=at)
        )
    assert [row.event_id for row in await journal.dead_letters_of("to-a", 10)] == ["j:11", "j:9", "j:10"]
    assert [row.event_id for row in await journal.dead_letters_of("to-a", 2)] == ["j:11", "j:9"]
    assert await journal.dead_letters_of("to-c", 10) == []
    (found,) = await journal.dead_letters_of("to-a", 10, "j:9")
    assert (found.publisher, found.event_id, found.at) == ("to-a", "j:9", 10)
    assert await journal.dead_letters_of("to-b", 10, "j:9") == []
    drop = DropDeadLetter(publisher="to-a", event_id="j:9")
    await commit(journal, drop)
    await commit(journal, drop)
    assert [row.event_id for row in await journal.dead_letters_of("to-a", 10)] == ["j:11", "j:10"]
    assert [row.event_id for row in await journal.set_aside(10)] == ["j:10", "j:11", "j:1"]
