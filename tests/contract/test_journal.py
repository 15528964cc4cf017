"""What every journal must do. An adapter joins by a line in `JOURNALS`."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from headrace.errors import AlreadyEnded, NotFound, RepeatedKey, Unavailable
from headrace.journal.lock import AlreadyOwned
from headrace.journal.migrations import statements
from headrace.journal.port import Unit
from headrace.journal.sqlite import SqliteJournal
from headrace.journal.writer import WriterLimits
from headrace.journal.writes import (
    AddEvent,
    AddInstance,
    AddWorkflow,
    AmendStage,
    CloseStage,
    DeleteWorkflow,
    EndInstance,
    MoveInstance,
    OpenActivity,
    OpenStage,
    RememberKey,
    TakeEvent,
    WaitForEvent,
    WakeInstance,
)

JOURNALS = ["sqlite"]


@pytest.fixture(params=JOURNALS)
async def journal(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[SqliteJournal]:
    opened = await SqliteJournal.open(tmp_path / "journal.db")
    yield opened
    await opened.close()


def _workflow(unit: Unit, workflow_id: str = "w1", at: int = 10) -> None:
    unit.add(AddWorkflow(workflow_id=workflow_id, name="name", config='{"stages":[]}', created_at=at, updated_at=at))


def _instance(unit: Unit, instance_id: str, workflow_id: str = "w1", at: int = 20) -> None:
    write = AddInstance(
        instance_id=instance_id,
        workflow_id=workflow_id,
        config='{"stages":[]}',
        variables="{}",
        created_at=at,
        by_trigger=False,
    )
    unit.add(write, or_raise=NotFound("workflow", workflow_id))


async def _with_instance(journal: SqliteJournal, instance_id: str = "i1") -> None:
    unit = Unit()
    _workflow(unit)
    _instance(unit, instance_id)
    unit.add(OpenStage(instance_id=instance_id, number=0, keyword="wait_event", input='{"event":"go"}', started_at=20))
    await journal.commit(unit)


async def test_a_unit_that_fails_leaves_nothing_and_its_neighbours_stand(journal: SqliteJournal) -> None:
    good, bad, other = Unit(), Unit(), Unit()
    _workflow(good, "good")
    _workflow(bad, "bad")
    _instance(bad, "lost", workflow_id="nowhere")
    _workflow(other, "other")
    results = await asyncio.gather(*(journal.commit(unit) for unit in (good, bad, other)), return_exceptions=True)
    assert isinstance(results[1], NotFound)
    assert journal.commits == 1, "the three shared one commit"
    assert await journal.workflow("good") and await journal.workflow("other")
    assert await journal.workflow("bad") is None


async def test_a_caller_key_is_stored_once_with_its_write(journal: SqliteJournal) -> None:
    first, second = Unit(), Unit()
    for unit, workflow_id in ((first, "w1"), (second, "w2")):
        _workflow(unit, workflow_id)
        unit.add(
            RememberKey(
                owner="", key="key", fingerprint=b"hash", status=201, body=b"{}", operation="run", target="i1", at=5
            )
        )
    results = await asyncio.gather(journal.commit(first), journal.commit(second), return_exceptions=True)
    assert isinstance(results[1], RepeatedKey)
    assert await journal.workflow("w2") is None
    remembered = await journal.remembered("", "key")
    assert remembered is not None and (remembered.status, remembered.body) == (201, b"{}")


async def test_no_instance_of_a_deleted_workflow(journal: SqliteJournal) -> None:
    unit = Unit()
    _workflow(unit)
    unit.add(DeleteWorkflow(at=30, workflow_id="w1"), or_raise=NotFound("workflow", "w1"))
    await journal.commit(unit)
    late = Unit()
    _instance(late, "i1")
    with pytest.raises(NotFound):
        await journal.commit(late)
    deleted = await journal.workflow("w1")
    assert deleted is not None and deleted.deleted_at == 30
    assert [page async for page in journal.workflows()] == []


async def test_lists_are_newest_first_across_pages(journal: SqliteJournal) -> None:
    unit = Unit()
    _workflow(unit)
    for number in range(450):
        _instance(unit, f"i{number:03}", at=1000 + number // 3)  # three share each moment: the id decides
    await journal.commit(unit)
    listed = [instance.id async for page in journal.instances() for instance in page]
    assert listed == sorted(listed, key=lambda name: (1000 + int(name[1:]) // 3, name), reverse=True)
    assert len(listed) == 450
    assert [i.id async for page in journal.instances("other") for i in page] == []


async def test_an_event_is_taken_once_oldest_first_and_again_by_the_same_wait(journal: SqliteJournal) -> None:
    await _with_instance(journal)

    async def put(name: str) -> None:
        unit = Unit()
        unit.add(AddEvent(instance_id="i1", name=name, received_at=1), or_raise=AlreadyEnded("i1"))
        await journal.commit(unit)

    async def take(stage: int, name: str) -> object:
        unit = Unit()
        unit.add(TakeEvent(stage=stage, instance_id="i1", name=name))
        unit.add(WaitForEvent(at=30, instance_id="i1", stage=stage))
        return next(iter(await journal.commit(unit)), None)

    assert await take(0, "go") is None
    await put("go")
    await put("go")
    await put("other")
    first = await take(0, "go")
    assert first is not None
    assert await take(0, "go") == first, "a replay takes what it had taken"
    second = await take(1, "go")
    assert second is not None and second != first
    assert await take(2, "go") is None


async def test_what_is_due(journal: SqliteJournal) -> None:
    unit = Unit()
    _workflow(unit)
    for name in ("ready", "soon", "later", "waiting", "ended"):
        _instance(unit, name)
        unit.add(OpenStage(instance_id=name, number=0, keyword="delay", input='{"duration":"1s"}', started_at=20))
    unit.add(MoveInstance(at=21, next_at=100, instance_id="soon"))
    unit.add(MoveInstance(at=21, next_at=200, instance_id="later"))
    unit.add(WaitForEvent(at=21, instance_id="waiting", stage=0))
    unit.add(EndInstance(at=22, error=None, instance_id="ended", version=0))
    await journal.commit(unit)
    assert [due.instance_id for due in await journal.due(-1, 0, 0, 10)] == ["ready"]
    assert [(due.instance_id, due.next_at) for due in await journal.due(0, 2**62, 150, 10)] == [("soon", 100)]
    assert await journal.next_deadline(100) == 200
    woken = Unit()
    woken.add(AddEvent(instance_id="waiting", name="go", received_at=1), or_raise=AlreadyEnded("waiting"))
    woken.add(WakeInstance(instance_id="waiting"))
    await journal.commit(woken)
    assert [due.instance_id for due in await journal.due(-1, 0, 0, 10)] == ["ready", "waiting"]


async def test_closed_rows_never_change(journal: SqliteJournal) -> None:
    await _with_instance(journal)
    unit = Unit()
    unit.add(CloseStage(terminated_at=30, error=None, instance_id="i1", number=0))
    unit.add(CloseStage(terminated_at=40, error="late", instance_id="i1", number=0))
    unit.add(AmendStage(input='{"event":"late"}', instance_id="i1", number=0))
    unit.add(EndInstance(at=31, error=None, instance_id="i1", version=0))
    unit.add(MoveInstance(at=99, next_at=0, instance_id="i1"))
    await journal.commit(unit)
    instance = await journal.instance("i1")
    assert instance is not None and instance.updated_at == 31
    assert (instance.stages[0].terminated_at, instance.stages[0].error) == (30, None)
    assert instance.stages[0].input == '{"event":"go"}'
    again = Unit()
    again.add(EndInstance(at=50, error="late", instance_id="i1", version=1), or_raise=AlreadyEnded("i1"))
    with pytest.raises(AlreadyEnded):
        await journal.commit(again)


async def test_huge_integers_survive_as_text(journal: SqliteJournal) -> None:
    await _with_instance(journal)
    amount = 10**999
    unit = Unit()
    write = OpenActivity(
        instance_id="i1",
        stage=0,
        position=0,
        name="CreateTransaction",
        input=f'{{"amount":{amount}}}',
        started_at=1,
        attempt=1,
        key="k",
        request_method="POST",
        request_path="/v2/l/transactions",
        request_body=b"{}",
    )
    unit.add(write)
    await journal.commit(unit)
    (activity,) = await journal.activities("i1", 0)
    assert activity.input == f'{{"amount":{amount}}}'


async def test_everything_survives_a_reopening(tmp_path: Path) -> None:
    first = await SqliteJournal.open(tmp_path / "journal.db")
    await _with_instance(first)
    await first.close()
    second = await SqliteJournal.open(tmp_path / "journal.db")
    instance = await second.instance("i1")
    assert instance is not None and instance.stages[0].keyword == "wait_event"
    await second.close()


async def test_a_second_owner_is_refused_and_told_who_has_it(tmp_path: Path) -> None:
    first = await SqliteJournal.open(tmp_path / "journal.db")
    with pytest.raises(AlreadyOwned, match=r"in use by another Headrace server \(process \d+\)"):
        await SqliteJournal.open(tmp_path / "journal.db")
    await first.close()
    await (await SqliteJournal.open(tmp_path / "journal.db")).close()


async def test_a_blocked_database_refuses_and_the_write_never_happens_later(tmp_path: Path) -> None:
    journal = await SqliteJournal.open(tmp_path / "journal.db", limits=WriterLimits(give_up_s=0.05))
    thief = sqlite3.connect(tmp_path / "journal.db", isolation_level=None, check_same_thread=False)
    thief.execute("BEGIN IMMEDIATE")
    refused, later = Unit(), Unit()
    _workflow(refused, "refused")
    _workflow(later, "later")
    with pytest.raises(Unavailable, match="in time"):
        await journal.commit(refused)
    thief.execute("ROLLBACK")
    await journal.commit(later)
    assert await journal.workflow("later") is not None
    assert await journal.workflow("refused") is None
    thief.close()
    await journal.close()


async def test_a_process_that_ends_while_it_makes_the_schema_is_no_harm(tmp_path: Path) -> None:
    half = sqlite3.connect(tmp_path / "journal.db")
    for statement in statements("sqlite_0001.sql")[:4]:
        half.execute(statement)
    half.close()
    journal = await SqliteJournal.open(tmp_path / "journal.db")
    await _with_instance(journal)
    await journal.close()
