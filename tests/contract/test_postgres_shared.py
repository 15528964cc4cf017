"""Several processes on one journal: each has a writer of its own, here several of them in one process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from functools import partial

import psycopg
import pytest

from headrace.errors import AlreadyEnded, Conflict, Unavailable
from headrace.journal.group import WriterLimits
from headrace.journal.plan_writes import AddPlan, UsePlan
from headrace.journal.port import Required, Unit, WhenWanted
from headrace.journal.postgres import PostgresJournal
from headrace.journal.postgres.transaction import WANTED_LOCK
from headrace.journal.successor_writes import AddContinuation, AddSuccessor
from headrace.journal.writes import (
    AcceptEvent,
    AddEvent,
    AddInstance,
    AddWorkflow,
    ClaimVersion,
    ConfirmPosition,
    EndInstance,
    MoveInstance,
    MovePosition,
    OpenStage,
    Publish,
    TakeEvent,
    WaitForEvent,
    WakeInstance,
    WantType,
    Write,
)
from tests.support import postgres

PATIENCE_S = 30.0
WRITERS = 4

pytestmark = pytest.mark.skipif(postgres.programs() is None, reason=postgres.MISSING)


@pytest.fixture
def url() -> str:
    return postgres.new_database()


@pytest.fixture
async def journals(url: str) -> AsyncIterator[list[PostgresJournal]]:
    async with AsyncExitStack() as stack:
        opened: list[PostgresJournal] = []
        for _ in range(WRITERS):
            opened.append(await PostgresJournal.open(url))
            stack.push_async_callback(opened[-1].close)
        yield opened


def unit_of(*writes: Write) -> Unit:
    unit = Unit()
    for write in writes:
        unit.add(write)
    return unit


def event(number: int) -> Publish:
    return Publish(type="E", happened_at=number, payload="{}", instance_id=None, depth=0)


def instance(instance_id: str) -> list[Write]:
    return [
        AddWorkflow(workflow_id=f"w-{instance_id}", name=None, config="{}", created_at=1, updated_at=1),
        AddInstance(
            instance_id=instance_id,
            workflow_id=f"w-{instance_id}",
            config="{}",
            variables="{}",
            created_at=1,
            by_trigger=False,
        ),
        OpenStage(instance_id=instance_id, number=0, keyword="wait_event", input="{}", started_at=1),
    ]


async def test_a_follower_of_the_outbox_passes_over_no_row(journals: list[PostgresJournal], url: str) -> None:
    """A number that is given first and committed later would be passed over."""
    await journals[0].commit(unit_of(WantType(type="E"), ConfirmPosition(source="x")))
    rows, batch = 1_500, 5
    seen: list[int] = []
    position = 0

    async def write(journal: PostgresJournal) -> None:
        for _ in range(rows // batch):
            await journal.commit(unit_of(*(event(number) for number in range(batch))))

    async def follow() -> None:
        nonlocal position
        while found := await journals[0].outbox(position, 500):
            seen.extend(row.seq for row in found)
            position = found[-1].seq

    async with asyncio.timeout(PATIENCE_S * 3):
        writing = asyncio.gather(*(write(journal) for journal in journals))
        while not writing.done():
            await follow()
            await asyncio.sleep(0)
        await writing
        await follow()
    with psycopg.connect(url) as connection:
        (stored,) = connection.execute("SELECT count(*) FROM outbox").fetchall()[0]
    assert stored == rows * WRITERS
    assert len(seen) == stored, f"{stored - len(seen)} of {stored} rows were passed over"
    assert await journals[0].outbox_end() == seen[-1]


async def test_of_several_servers_one_starts_the_instance_of_a_plan(journals: list[PostgresJournal]) -> None:
    names = {name: name for name in ("hash", "document", "subject", "requester")}
    for number in range(10):
        plan_id = f"p{number}"
        await journals[0].commit(unit_of(AddPlan(plan_id=plan_id, **names, created_at=1, expires_at=9)))
        units: list[Unit] = []
        for server in range(WRITERS):
            name = f"{plan_id}-{server}"
            unit = unit_of(*instance(name))
            unit.insert(0, Required(UsePlan(plan_id=plan_id, instance_id=name, at=2), partial(AlreadyEnded, name)))
            units.append(unit)
        results = await asyncio.gather(
            *(journal.commit(unit) for journal, unit in zip(journals, units, strict=True)), return_exceptions=True
        )
        assert sum(isinstance(each, AlreadyEnded) for each in results) == WRITERS - 1, results
        stored = [await journals[0].instance(f"{plan_id}-{server}") for server in range(WRITERS)]
        plan = await journals[0].plan(plan_id)
        assert plan is not None and [each.id for each in stored if each is not None] == [plan.instance_id]


async def test_a_type_that_another_process_wants_is_published_from_its_commit_on(
    journals: list[PostgresJournal],
) -> None:
    first, second = journals[:2]
    for number in range(20):
        kind = f"E{number}"

        def made(kind: str = kind) -> Publish:
            return Publish(type=kind, happened_at=1, payload="{}", instance_id=None, depth=0)

        unit = Unit()
        unit.add(WhenWanted(kind, made))
        assert await second.commit(unit) == []
        await first.commit(unit_of(WantType(type=kind)))
        assert len(await second.commit(unit)) == 1


async def test_a_commit_waits_for_one_that_lets_its_type_be_wanted(journals: list[PostgresJournal], url: str) -> None:
    """Else it would be later than that commit, and not publish."""
    with psycopg.connect(url) as other:
        other.execute("SELECT pg_advisory_xact_lock(%s)", (WANTED_LOCK,))
        other.execute("INSERT INTO wanted (type) VALUES ('E')")
        unit = Unit()
        unit.add(WhenWanted("E", lambda: event(1)))
        waiting = asyncio.ensure_future(journals[0].commit(unit))
        done, _ = await asyncio.wait((waiting,), timeout=0.3)
        assert not done
        other.commit()
        async with asyncio.timeout(PATIENCE_S):
            assert len(await waiting) == 1


async def test_batches_that_change_rows_in_another_order_are_all_committed(journals: list[PostgresJournal]) -> None:
    """One of two that wait for each other is rolled back by the database, and then committed."""
    for source in "ab":
        await journals[0].commit(unit_of(MovePosition(source=source, position=1, expected=None)))

    async def write(journal: PostgresJournal, sources: str) -> None:
        for _ in range(60):
            await journal.commit(unit_of(*(ConfirmPosition(source=source) for source in sources)))

    async with asyncio.timeout(PATIENCE_S * 3):
        await asyncio.gather(
            *(write(journal, sources) for journal, sources in zip(journals, ["ab", "ba"] * 2, strict=True))
        )


async def test_a_row_that_is_locked_elsewhere_holds_up_its_own_unit_only(
    journals: list[PostgresJournal], url: str
) -> None:
    journal = journals[0]
    await journal.commit(unit_of(*instance("free"), *instance("locked")))
    with psycopg.connect(url) as thief:
        thief.execute("SELECT 1 FROM instances WHERE id = 'locked' FOR UPDATE")
        moves = [unit_of(MoveInstance(at=5, next_at=7, instance_id=each)) for each in ("locked", "free")]
        async with asyncio.timeout(PATIENCE_S):
            answers = await asyncio.gather(*(journal.commit(unit) for unit in moves), return_exceptions=True)
        assert isinstance(answers[0], Unavailable) and "another server" in str(answers[0])
        assert answers[1] == []
    free, locked = await journal.instance("free"), await journal.instance("locked")
    assert free is not None and locked is not None
    assert (free.updated_at, locked.updated_at) == (5, 1)


async def test_of_processes_that_continue_one_instance_one_succeeds(journals: list[PostgresJournal]) -> None:
    """Each stores a continuation of its own in the unit of the successor: the units of the others leave nothing."""
    for number in range(10):
        before = f"i{number}"
        await journals[0].commit(unit_of(*instance(before)))
        await journals[0].commit(unit_of(EndInstance(at=2, error="no", instance_id=before, version=0)))

        async def continue_it(writer: int, before: str = before) -> str | None:
            name = f"{before}-{writer}"
            decided = AddSuccessor(predecessor=before, kind="redrive", successor=name, reason="r", principal="p", at=3)
            added = AddContinuation(instance_id=name, predecessor=before, created_at=3, root_id=before, from_stage=0)
            unit = unit_of(added, OpenStage(instance_id=name, number=0, keyword="send", input="{}", started_at=3))
            unit.insert(0, Required(decided, lambda: Conflict(before)))
            try:
                await journals[writer].commit(unit)
            except Conflict:
                return None
            return name

        async with asyncio.timeout(PATIENCE_S):
            made = [each for each in await asyncio.gather(*map(continue_it, range(WRITERS))) if each]
        assert len(made) == 1
        found = [await journals[1].instance(f"{before}-{writer}") for writer in range(WRITERS)]
        assert [each.id for each in found if each is not None] == made


async def test_an_event_and_a_wait_of_two_processes_do_not_miss_each_other(journals: list[PostgresJournal]) -> None:
    """Whichever comes first: the instance has taken the event, or the engine must look at it."""
    waiting, sending = journals[:2]
    for number in range(60):
        name = f"i{number}"
        await waiting.commit(unit_of(*instance(name)))
        wait, send = Unit(), Unit()
        wait.add(Required(ClaimVersion(instance_id=name, version=0), partial(AlreadyEnded, name)))
        wait.add(TakeEvent(stage=0, instance_id=name, name="go"))
        wait.add(WaitForEvent(at=2, instance_id=name, stage=0))
        send.add(Required(AddEvent(instance_id=name, name="go", received_at=1), partial(AlreadyEnded, name)))
        send.add(WakeInstance(instance_id=name))
        await asyncio.gather(waiting.commit(wait), sending.commit(send))
    due = {each.instance_id for each in await waiting.due(-1, 0, 0, 1_000)}
    assert due == {f"i{number}" for number in range(60)}


# what other processes hear


async def test_other_processes_hear_of_endings_of_the_inbox_and_of_the_outbox(journals: list[PostgresJournal]) -> None:
    writing, listening = journals[:2]
    ended: list[str] = []
    own: list[str] = []
    arrivals: list[int] = []
    listening.watch_endings(ended.extend)
    writing.watch_endings(own.extend)
    listening.watch_inbox(lambda: arrivals.append(1))
    await writing.commit(unit_of(WantType(type="E"), *instance("i1"), *instance("i2")))
    async with asyncio.timeout(PATIENCE_S):
        while not ended or not arrivals:  # what comes before a process listens is not heard
            news = asyncio.ensure_future(listening.outbox_news())
            await writing.commit(
                unit_of(
                    AcceptEvent(
                        key="k",
                        type="T",
                        envelope="{}",
                        received_at=1,
                        depth=0,
                        fingerprint=b"",
                        place=None,
                        conflict_key="c",
                        old_key=None,
                    )
                )
            )
            version = await writing.standing("i1")
            assert version is not None
            await writing.commit(
                unit_of(EndInstance(at=2, error=None, instance_id="i1", version=version.version), event(1))
            )
            await news
            await asyncio.sleep(0.05)
    assert set(ended) == {"i1"} == set(own)


async def test_what_no_notification_told_is_found_by_a_look(journals: list[PostgresJournal], url: str) -> None:
    news = asyncio.ensure_future(journals[0].outbox_news())
    async with asyncio.timeout(PATIENCE_S):
        while not news.done():  # the first look only notes where the outbox ends
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute("UPDATE journal_state SET outbox_end = outbox_end + 1")
            await asyncio.sleep(0.2)
    await news


async def test_a_commit_notifies_once_and_only_where_it_has_news(journals: list[PostgresJournal], url: str) -> None:
    """A notification holds a lock of the whole database at the commit."""
    journal = journals[0]
    with psycopg.connect(url, autocommit=True) as listener:
        listener.execute("LISTEN headrace")
        await journal.commit(unit_of(*instance("i1"), *instance("i2"), *instance("i3")))
        await journal.commit(unit_of(MoveInstance(at=5, next_at=7, instance_id="i1")))
        ends = [unit_of(EndInstance(at=2, error=None, instance_id=each, version=0)) for each in ("i1", "i2")]
        await asyncio.gather(*(journal.commit(unit) for unit in ends))
        late = unit_of(EndInstance(at=2, error=None, instance_id="i3", version=9))
        late[0] = Required(late.writes[0], partial(AlreadyEnded, "i3"))
        with pytest.raises(AlreadyEnded):
            await journal.commit(late)
        heard = [each.payload for each in listener.notifies(timeout=0.5)]
    assert heard == ["e:i1,i2"]


# the owner


async def test_one_process_owns_the_journal(journals: list[PostgresJournal]) -> None:
    first, second = journals[:2]
    assert await first.owner.holder() is None
    assert await first.owner.try_own() and await first.owner.try_own()
    assert not await second.owner.try_own()
    assert (first.owner.generation, (await first.engine()).generation) == (1, 1)
    holder = await second.owner.holder()
    assert holder is not None and holder.startswith("headrace writer ")
    await first.close()
    async with asyncio.timeout(PATIENCE_S):
        while not await second.owner.try_own():
            await asyncio.sleep(0.01)
    assert second.owner.generation == 2


def cut_writer_of(url: str, pid: int) -> None:
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute("SELECT pg_terminate_backend(%s)", (pid,))


async def test_an_owner_whose_connection_was_cut_goes_on_if_nobody_took_its_place(
    journals: list[PostgresJournal], url: str
) -> None:
    first, second = journals[:2]
    assert await first.owner.try_own()
    cut_writer_of(url, first.owner.pid)
    async with asyncio.timeout(PATIENCE_S):
        await first.commit(unit_of(*instance("i1")))
    assert first.owner.is_owner and not first.owner.lost.is_set()
    assert first.owner.generation == 1
    assert not await second.owner.try_own()


async def test_an_owner_that_was_replaced_writes_nothing_more(journals: list[PostgresJournal], url: str) -> None:
    first, second = journals[:2]
    assert await first.owner.try_own()
    cut_writer_of(url, first.owner.pid)
    async with asyncio.timeout(PATIENCE_S):
        while not await second.owner.try_own():
            await asyncio.sleep(0.01)
        with pytest.raises(Unavailable, match="does not own the journal any more"):
            await first.commit(unit_of(*instance("i1")))
        await first.owner.lost.wait()
        with pytest.raises(Unavailable, match="does not own the journal any more"):
            await first.commit(unit_of(*instance("i2")))
    assert not first.owner.is_owner
    assert await second.instance("i1") is None and await second.instance("i2") is None
    await second.commit(unit_of(*instance("i3")))


async def test_an_owner_that_was_replaced_and_whose_successor_is_gone_too_writes_nothing_more(
    journals: list[PostgresJournal], url: str
) -> None:
    """The lock is free again, but the generation is another."""
    first, second = journals[:2]
    assert await first.owner.try_own()
    cut_writer_of(url, first.owner.pid)
    async with asyncio.timeout(PATIENCE_S):
        while not await second.owner.try_own():
            await asyncio.sleep(0.01)
        await second.close()
        with pytest.raises(Unavailable, match="does not own the journal any more"):
            await first.commit(unit_of(*instance("i1")))
    assert first.owner.lost.is_set()


async def test_units_of_a_moment_share_a_commit(url: str) -> None:
    journal = await PostgresJournal.open(url, limits=WriterLimits())
    await asyncio.gather(*(journal.commit(unit_of(*instance(f"i{number}"))) for number in range(30)))
    assert journal.commits == 1
    await journal.close()


async def test_an_error_before_the_commit_in_its_pipeline_leaves_no_caller_without_an_answer(url: str) -> None:
    """The transaction is still open then, and answers no question before it is rolled back."""
    journal = await PostgresJournal.open(url, limits=WriterLimits(give_up_s=1.0))
    await journal.commit(unit_of(WantType(type="E"), ConfirmPosition(source="x")))
    with psycopg.connect(url) as other:
        other.execute("SELECT 1 FROM journal_state FOR UPDATE")
        async with asyncio.timeout(PATIENCE_S):
            with pytest.raises(Unavailable):
                await journal.commit(unit_of(event(1)))
    async with asyncio.timeout(PATIENCE_S):
        await journal.commit(unit_of(event(2)))
    assert [each.happened_at for each in await journal.outbox(0, 9)] == [2]
    await journal.close()
