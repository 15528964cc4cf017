"""The suite that every journal passes. It needs no test framework: a check raises AssertionError where one fails.

    for check in checks(capabilities): await check(make_journal)

`make_journal` opens the journal of one new store, as a context manager; opened again, it is the same store.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial

from headrace.errors import AlreadyEnded, Conflict, Deposed, HeadraceError, NotFound, RepeatedKey
from headrace.journal import (
    testing_approvals,
    testing_batches,
    testing_certificates,
    testing_conditions,
    testing_failures,
    testing_names,
    testing_plans,
    testing_resolutions,
    testing_successors,
    testing_waits,
)
from headrace.journal.port import Journal, Later, Required, Results, Unit, WhenWanted
from headrace.journal.retention_writes import ServeTime, TrimOutbox
from headrace.journal.writes import (
    AddEvent,
    AddInstance,
    AddNudge,
    AddWorkflow,
    AmendStage,
    BeginAttempt,
    ClaimVersion,
    CloseActivity,
    CloseStage,
    ConfirmPosition,
    DeleteWorkflow,
    DropNudges,
    EndInstance,
    MoveInstance,
    MovePosition,
    OpenActivity,
    OpenStage,
    PostponeNudges,
    Probe,
    Publish,
    RaiseGeneration,
    RememberKey,
    ScheduleInstance,
    SwitchEngine,
    WaitForEvent,
    WakeInstance,
    WantType,
    Write,
)

MakeJournal = Callable[[], AbstractAsyncContextManager[Journal]]
Check = Callable[[MakeJournal], Awaitable[None]]

NEWS_S = 5.0


@dataclass(frozen=True, slots=True)
class Capabilities:
    """The promises of an adapter beyond the port. `is_durable`: what was committed is there when it is opened again."""

    is_durable: bool = True


def checks(capabilities: Capabilities) -> list[Check]:
    """The checks that apply to such an adapter."""
    return [*_ALWAYS, *(_DURABLE if capabilities.is_durable else ())]


def _workflow(workflow_id: str = "w1", at: int = 10) -> Write:
    return AddWorkflow(workflow_id=workflow_id, name="name", config='{"stages":[]}', created_at=at, updated_at=at)


def _instance(instance_id: str, workflow_id: str = "w1", at: int = 20) -> Write:
    return AddInstance(
        instance_id=instance_id,
        workflow_id=workflow_id,
        config='{"stages":[]}',
        variables="{}",
        created_at=at,
        by_trigger=False,
    )


def _stage(instance_id: str, number: int = 0, text: str = '{"event":"go"}') -> Write:
    return OpenStage(instance_id=instance_id, number=number, keyword="wait_event", input=text, started_at=20)


def _activity(instance_id: str, attempt: int, text: str = "{}", body: str = "{}") -> Write:
    return OpenActivity(
        instance_id=instance_id,
        stage=0,
        position=0,
        name="CreateTransaction",
        input=text,
        started_at=1,
        attempt=attempt,
        key="k",
        request_method="POST",
        request_path="/v2/l/transactions",
        request_body=body.encode(),
    )


def _event(at: int, kind: str = "E") -> Publish:
    return Publish(type=kind, happened_at=at, payload="{}", instance_id=None, depth=0)


def _outcome(attempt: int, output: str, at: int) -> Write:
    return CloseActivity(
        attempt=attempt, output=output, error=None, terminated_at=at, instance_id="i1", stage=0, position=0
    )


def _same(error: HeadraceError) -> HeadraceError:
    return error


async def _commit(journal: Journal, *writes: Write, or_raise: HeadraceError | None = None) -> Results:
    unit = Unit()
    for write in writes:
        unit.add(write if or_raise is None else Required(write, partial(_same, or_raise)))
    return await journal.commit(unit)


async def _is_refused(journal: Journal, kind: type[HeadraceError], *writes: Write) -> bool:
    """Whether the last of the writes, which must change something, fails the unit with this kind of error."""
    *others, last = writes
    unit = Unit()
    for write in others:
        unit.add(write)
    unit.add(Required(last, partial(kind, "i1") if kind is not NotFound else partial(NotFound, "workflow", "w1")))
    try:
        await journal.commit(unit)
    except kind:
        return True
    return False


async def a_unit_that_fails_leaves_nothing_and_its_neighbours_stand(make_journal: MakeJournal) -> None:
    async with make_journal() as journal:
        good, bad, other = Unit(), Unit(), Unit()
        good.add(_workflow("good"))
        bad.add(_workflow("bad"))
        bad.add(Required(_instance("lost", workflow_id="nowhere"), partial(NotFound, "workflow", "nowhere")))
        other.add(_workflow("other"))
        results = await asyncio.gather(*(journal.commit(unit) for unit in (good, bad, other)), return_exceptions=True)
        assert isinstance(results[1], NotFound), results
        assert await journal.workflow("good") and await journal.workflow("other")
        assert await journal.workflow("bad") is None


async def a_key_is_stored_once_with_its_write(make_journal: MakeJournal) -> None:
    """The unit that comes second fails with RepeatedKey."""
    async with make_journal() as journal:
        units = Unit(), Unit()
        for unit, workflow_id in zip(units, ("w1", "w2"), strict=True):
            unit.add(_workflow(workflow_id))
            unit.add(
                RememberKey(
                    owner="", key="key", fingerprint=b"hash", status=201, body=b"{}", operation="run", target="i1", at=5
                )
            )
        results = await asyncio.gather(*(journal.commit(unit) for unit in units), return_exceptions=True)
        assert [isinstance(result, RepeatedKey) for result in results] == [False, True], results
        assert await journal.workflow("w2") is None
        remembered = await journal.remembered("", "key")
        assert remembered is not None and (remembered.status, remembered.body) == (201, b"{}")


async def results_come_in_the_order_of_their_writes(make_journal: MakeJournal) -> None:
    """A write without a result contributes none, and one that comes later sees those before it."""
    async with make_journal() as journal:
        unit = Unit()
        seen: list[int] = []

        def later(results: Results) -> Write:
            seen.append(len(results))
            return _workflow("later")

        for write in (_workflow(), Probe(), _instance("i1"), Probe()):
            unit.add(write)
        unit.add(Later(later))
        results = await journal.commit(unit)
        assert [type(result) for result in results] == [Probe.result, Probe.result]
        assert results[0] != results[1]
        assert seen and seen[-1] == 2
        assert await journal.workflow("later") is not None


async def no_instance_of_a_deleted_workflow(make_journal: MakeJournal) -> None:
    async with make_journal() as journal:
        await _commit(journal, _workflow(), DeleteWorkflow(at=30, workflow_id="w1"))
        assert await _is_refused(journal, NotFound, _instance("i1"))
        deleted = await journal.workflow("w1")
        assert deleted is not None and deleted.deleted_at == 30
        assert [page async for page in journal.workflows()] == []


async def lists_are_newest_first_across_pages(make_journal: MakeJournal) -> None:
    async with make_journal() as journal:
        instances = [_instance(f"i{number:03}", at=1000 + number // 3) for number in range(450)]
        await _commit(journal, _workflow(), *instances)
        listed = [instance.id async for page in journal.instances() for instance in page]
        assert listed == sorted(listed, key=lambda name: (1000 + int(name[1:]) // 3, name), reverse=True)
        assert len(listed) == 450
        assert [i.id async for page in journal.instances("other") for i in page] == []


async def what_is_due_is_found_by_its_time(make_journal: MakeJournal) -> None:
    """An instance is due at once, at the end of its delay, or when its event arrives."""
    async with make_journal() as journal:
        names = ("ready", "soon", "later", "waiting", "ended")
        await _commit(journal, _workflow(), *(write for name in names for write in (_instance(name), _stage(name))))
        await _commit(
            journal,
            MoveInstance(at=21, next_at=100, instance_id="soon"),
            MoveInstance(at=21, next_at=200, instance_id="later"),
            WaitForEvent(at=21, instance_id="waiting", stage=0),
            EndInstance(at=22, error=None, instance_id="ended", version=0),
        )
        assert [due.instance_id for due in await journal.due(-1, 0, 0, 10)] == ["ready"]
        found = await journal.due(0, 2**62, 150, 10)
        assert [(due.instance_id, due.next_at) for due in found] == [("soon", 100)]
        assert await journal.next_deadline(100) == 200
        event = AddEvent(instance_id="waiting", name="go", received_at=1)
        await _commit(journal, event, WakeInstance(instance_id="waiting"))
        assert [due.instance_id for due in await journal.due(-1, 0, 0, 10)] == ["ready", "waiting"]


async def closed_rows_never_change(make_journal: MakeJournal) -> None:
    """Activities, stages and instances keep the outcome that was stored first."""
    async with make_journal() as journal:
        await _commit(journal, _workflow(), _instance("i1"), _stage("i1"), _activity("i1", attempt=1))
        await _commit(
            journal,
            _outcome(attempt=1, output="1", at=25),
            _outcome(attempt=2, output="2", at=26),
            CloseStage(terminated_at=30, error=None, instance_id="i1", number=0),
            CloseStage(terminated_at=40, error="late", instance_id="i1", number=0),
            AmendStage(input='{"event":"late"}', instance_id="i1", number=0),
            EndInstance(at=31, error=None, instance_id="i1", version=0),
            MoveInstance(at=99, next_at=0, instance_id="i1"),
        )
        instance = await journal.instance("i1")
        assert instance is not None and instance.updated_at == 31
        assert (instance.stages[0].terminated_at, instance.stages[0].error) == (30, None)
        assert instance.stages[0].input == '{"event":"go"}'
        (activity,) = await journal.activities("i1", 0)
        assert (activity.output, activity.attempt, activity.terminated_at) == ("1", 1, 25)
        again = EndInstance(at=50, error="late", instance_id="i1", version=1)
        assert await _is_refused(journal, AlreadyEnded, again)


async def a_unit_of_an_instance_is_a_compare_and_set(make_journal: MakeJournal) -> None:
    """One of several units that read the same version is committed; the others leave nothing."""
    async with make_journal() as journal:
        await _commit(journal, _workflow(), _instance("i1"), _stage("i1"))
        units = [Unit() for _ in range(5)]
        for number, unit in enumerate(units):
            unit.add(_workflow(f"of {number}"))
            unit.add(Required(ClaimVersion(instance_id="i1", version=0), partial(Conflict, "i1")))
        results = await asyncio.gather(*(journal.commit(unit) for unit in units), return_exceptions=True)
        assert sum(isinstance(result, Conflict) for result in results) == 4, results
        stored = [await journal.workflow(f"of {number}") for number in range(5)]
        assert sum(each is not None for each in stored) == 1
        standing = await journal.standing("i1")
        assert standing is not None and standing.version == 1
        ended = EndInstance(at=30, error=None, instance_id="i1", version=0)
        assert await _is_refused(journal, Conflict, ended), "it was read before the unit that was committed"
        await _commit(journal, EndInstance(at=31, error=None, instance_id="i1", version=1), or_raise=Conflict("i1"))
        standing = await journal.standing("i1")
        assert standing is not None and (standing.version, standing.instance.terminated_at) == (2, 31)


async def where_an_instance_stands_is_of_one_moment(make_journal: MakeJournal) -> None:
    """While units move it on, each of which changes the instance, its stage and its activity together."""
    async with make_journal() as journal:
        assert await journal.standing("i1") is None
        await _commit(journal, _workflow(), _instance("i1"))

        async def look() -> None:
            for _ in range(60):
                standing = await journal.standing("i1")
                if standing is not None and standing.version:
                    instance = standing.instance
                    assert instance.updated_at + 1 == standing.version == len(instance.stages)
                await asyncio.sleep(0)

        await _commit(journal, ClaimVersion(instance_id="i1", version=0), _stage("i1", 0))
        await _commit(journal, MoveInstance(at=0, next_at=0, instance_id="i1"))

        async def move_on() -> None:
            for number in range(1, 40):
                await _commit(
                    journal,
                    ClaimVersion(instance_id="i1", version=number),
                    MoveInstance(at=number, next_at=0, instance_id="i1"),
                    _stage("i1", number),
                    or_raise=Conflict("i1"),
                )

        await asyncio.gather(move_on(), look(), look())
        standing = await journal.standing("i1")
        assert standing is not None and standing.version == len(standing.instance.stages) == 40


async def attempts_that_have_begun_are_counted_once(make_journal: MakeJournal) -> None:
    """An attempt is counted from the attempts before it, with the time of the database."""
    async with make_journal() as journal:
        await _commit(journal, _workflow(), _instance("i1"), _stage("i1"), _activity("i1", attempt=0))
        begin = BeginAttempt(attempt=1, instance_id="i1", stage=0, position=0)
        before_at = await journal.clock_at()
        await _commit(journal, begin, or_raise=Conflict("i1"))
        assert await _is_refused(journal, Conflict, begin)
        (activity,) = await journal.activities("i1", 0)
        assert activity.attempt == 1
        assert activity.permitted_at is not None
        assert before_at <= activity.permitted_at <= await journal.clock_at()
        standing = await journal.standing("i1")
        assert standing is not None and standing.activities == (activity,)


async def a_nudge_stays_until_it_was_seen(make_journal: MakeJournal) -> None:
    """A look removes the nudges that it has seen, and none that came later; a number never comes again."""
    async with make_journal() as journal:
        await _commit(journal, _workflow(), _instance("i1"), _stage("i1"), _instance("i2"), _stage("i2"))

        async def last(instance_id: str) -> int:
            standing = await journal.standing(instance_id)
            assert standing is not None
            return standing.nudge_seq

        assert await last("i1") == 0
        await _commit(journal, AddNudge(instance_id="i1", why="start", at=30))
        await _commit(journal, AddNudge(instance_id="i2", why="start", at=20))
        await _commit(journal, AddNudge(instance_id="i1", why="event", at=40))
        first, other = await last("i1"), await last("i2")
        assert first > other > 0
        await _commit(journal, AddNudge(instance_id="i1", why="abort", at=50))
        second = await last("i1")
        assert second > first
        found = await journal.stale_nudges(60, 10)
        assert [(each.instance_id, each.seq, each.tries) for each in found] == [("i2", other, 0), ("i1", second, 0)]
        await _commit(journal, DropNudges(instance_id="i1", seq=first))
        assert await last("i1") == second and await last("i2") == other
        await _commit(journal, DropNudges(instance_id="i1", seq=second), DropNudges(instance_id="i2", seq=other))
        assert await last("i1") == 0 and await journal.stale_nudges(60, 10) == []
        await _commit(journal, AddNudge(instance_id="i1", why="event", at=60))
        assert await last("i1") > second


async def an_overlooked_nudge_is_found_by_its_time(make_journal: MakeJournal) -> None:
    """The oldest first, and one that was repeated not before the time that was set then."""
    async with make_journal() as journal:
        nudges = [AddNudge(instance_id=f"i{number}", why="start", at=100 - number) for number in range(5)]
        await _commit(journal, *nudges)
        assert await journal.stale_nudges(96, 10) == []
        assert [each.instance_id for each in await journal.stale_nudges(99, 10)] == ["i4", "i3", "i2"]
        (oldest,) = await journal.stale_nudges(200, 1)
        assert oldest.instance_id == "i4"
        await _commit(journal, PostponeNudges(at=150, instance_id="i4", seq=oldest.seq))
        assert [each.instance_id for each in await journal.stale_nudges(150, 10)] == ["i3", "i2", "i1", "i0"]
        (*_, postponed) = await journal.stale_nudges(151, 10)
        assert (postponed.instance_id, postponed.tries) == ("i4", 1)
        await _commit(journal, AddNudge(instance_id="i4", why="event", at=10))
        assert (await journal.stale_nudges(11, 10))[0].instance_id == "i4"
        await _commit(journal, PostponeNudges(at=999, instance_id="i4", seq=oldest.seq))
        assert (await journal.stale_nudges(11, 10))[0].instance_id == "i4", "this one was not repeated"


async def open_instances_are_those_that_something_must_be_done_for(make_journal: MakeJournal) -> None:
    """An ended instance is open while its last effect is not settled; one that a person must settle is not."""
    async with make_journal() as journal:
        names = ("delayed", "ended", "new", "settling", "undecided", "waiting")
        await _commit(journal, _workflow(), *(write for name in names for write in (_instance(name), _stage(name))))
        await _commit(
            journal,
            MoveInstance(at=21, next_at=100, instance_id="delayed"),
            *(
                EndInstance(at=22, error=None, instance_id=name, version=0)
                for name in ("ended", "settling", "undecided")
            ),
            ScheduleInstance(next_at=0, instance_id="settling"),
            ScheduleInstance(next_at=None, instance_id="undecided"),
            WaitForEvent(at=21, instance_id="waiting", stage=0),
        )
        assert await journal.open_instances("", 10) == ["delayed", "new", "settling", "waiting"]
        assert await journal.open_instances("", 2) == ["delayed", "new"]
        assert await journal.open_instances("new", 10) == ["settling", "waiting"]


async def one_engine_drives_and_owners_are_counted(make_journal: MakeJournal) -> None:
    """One of several processes that read the same state changes it."""
    async with make_journal() as journal:
        state = await journal.engine()
        assert (state.engine, state.generation) == ("", 0)
        for write in (SwitchEngine(engine="embedded", before=""), RaiseGeneration(generation=0)):
            await _commit(journal, write, or_raise=Conflict("i1"))
            assert await _is_refused(journal, Conflict, write)
        await _commit(journal, SwitchEngine(engine="temporal", before="embedded"), or_raise=Conflict("i1"))
        state = await journal.engine()
        assert (state.engine, state.generation) == ("temporal", 1)


async def huge_integers_survive_as_text(make_journal: MakeJournal) -> None:
    async with make_journal() as journal:
        text = f'{{"amount":{10**999}}}'
        await _commit(journal, _workflow(), _instance("i1"), _stage("i1"), _activity("i1", 1, text))
        (activity,) = await journal.activities("i1", 0)
        assert activity.input == text


async def the_outbox_keeps_its_order_and_tells_of_its_news(make_journal: MakeJournal) -> None:
    """A reader that waits for news returns after the commit that publishes."""
    async with make_journal() as journal:
        news = asyncio.ensure_future(journal.outbox_news())
        await asyncio.sleep(0)
        await _commit(journal, WantType(type="E"))
        for number in range(5):
            await _commit(journal, _event(number))
        async with asyncio.timeout(NEWS_S):
            await news
        rows = await journal.outbox(0, 10)
        assert [row.happened_at for row in rows] == [0, 1, 2, 3, 4]
        assert sorted({row.seq for row in rows}) == [row.seq for row in rows]
        assert await journal.outbox_end() == rows[-1].seq


async def only_events_of_a_wanted_type_are_published(make_journal: MakeJournal) -> None:
    """From the commit in which the type became wanted, in the order of the units of one moment too."""
    async with make_journal() as journal:
        assert await _commit(journal, _event(1)) == []
        failing, early, wanting, late = (Unit() for _ in range(4))
        failing.add(WantType(type="E"))
        failing.add(Required(_instance("lost", workflow_id="nowhere"), partial(NotFound, "workflow", "nowhere")))
        early.add(WhenWanted("E", lambda: _event(2)))
        wanting.add(WantType(type="E"))
        wanting.add(WhenWanted("E", lambda: _event(3)))
        late.add(WhenWanted("other", lambda: _event(4, "other")))
        late.add(WhenWanted("E", lambda: _event(5)))
        units = (failing, early, wanting, late)
        results = await asyncio.gather(*(journal.commit(unit) for unit in units), return_exceptions=True)
        assert isinstance(results[0], NotFound), results
        assert [len(each) for each in results if not isinstance(each, BaseException)] == [0, 1, 1]
        rows = await journal.outbox(0, 10)
        assert [row.happened_at for row in rows] == [3, 5]
        assert await journal.outbox_end() == rows[-1].seq


async def a_position_moves_by_compare_and_set(make_journal: MakeJournal) -> None:
    """One of several units that read the same position moves it; the others leave nothing."""
    async with make_journal() as journal:
        for expected in (None, 7):
            units = [Unit() for _ in range(3)]
            for number, unit in enumerate(units):
                unit.add(_workflow(f"{expected} {number}"))
                move = MovePosition(source="s", position=(expected or 6) + 1, expected=expected)
                unit.add(Required(move, partial(Deposed, "s")))
            results = await asyncio.gather(*(journal.commit(unit) for unit in units), return_exceptions=True)
            assert sum(isinstance(result, Deposed) for result in results) == 2, results
            stored = [await journal.workflow(f"{expected} {number}") for number in range(3)]
            assert sum(each is not None for each in stored) == 1
        assert await journal.position("s") == 8
        assert await journal.position("other") is None
        late = Unit()
        late.add(Required(MovePosition(source="other", position=5, expected=4), partial(Deposed, "other")))
        try:
            await journal.commit(late)
        except Deposed:
            assert await journal.position("other") is None
        else:
            raise AssertionError("a position that is not stored is not 4")


async def the_outbox_keeps_what_a_publisher_in_use_has_not_acknowledged(make_journal: MakeJournal) -> None:
    """A publisher is in use while a process confirms its position."""
    async with make_journal() as journal:

        async def trimmed(before_s: int) -> list[int]:
            while await _commit(journal, TrimOutbox(before_s=before_s)):
                pass
            return [row.happened_at for row in await journal.outbox(0, 10)]

        await _commit(journal, WantType(type="E"), *(_event(number) for number in range(4)))
        stored = await journal.outbox(0, 10)
        assert [row.happened_at for row in stored] == [0, 1, 2, 3]
        first = stored[0].seq
        assert await trimmed(0) == [0, 1, 2, 3], "nothing has acknowledged anything"
        for source, position in (("to:a", first + 2), ("to:b", first), ("from:c", first + 3)):
            await _commit(journal, MovePosition(source=source, position=position, expected=None))
        assert await trimmed(0) == [1, 2, 3]
        await _commit(journal, ServeTime(seconds=100))
        await _commit(journal, ConfirmPosition(source="to:a"), _event(4))
        assert await trimmed(0) == [1, 2, 3, 4], "b was in use since then"
        assert await trimmed(50) == [4], "the others are too old, and b was not confirmed"
        await _commit(journal, MovePosition(source="to:a", position=first + 4, expected=first + 2))
        assert await trimmed(50) == []
        assert await journal.outbox_end() == first + 4
        await _commit(journal, _event(5))
        assert (await journal.outbox(0, 10))[0].seq > first + 4, "numbers do not come again"


async def long_texts_come_back_as_they_were_written(make_journal: MakeJournal) -> None:
    """However an adapter stores what input, request and output of an activity have in common."""
    async with make_journal() as journal:
        metadata = ",".join(f'"name {number}":"value {number} é \\u0022"' for number in range(200))
        text = f'{{"ledger":"main","data":{{"metadata":{{{metadata}}},"amount":{10**40}}}}}'
        await _commit(journal, _workflow(), _instance("i1"), _stage("i1", text=text), _activity("i1", 1, text, text))
        await _commit(journal, _outcome(attempt=1, output=text + " ", at=25))
        (activity,) = await journal.activities("i1", 0)
        assert (activity.input, activity.output) == (text, text + " ")
        assert activity.request_body == text.encode()
        assert [stage.input for stage in await journal.stages("i1")] == [text]


async def the_end_of_the_outbox_survives_its_last_event(make_journal: MakeJournal) -> None:
    async with make_journal() as journal:
        await _commit(journal, WantType(type="E"), _event(1))
        end = await journal.outbox_end()
        await _commit(journal, ServeTime(seconds=1))
        await _commit(journal, TrimOutbox(before_s=1))
    async with make_journal() as journal:
        assert await journal.outbox(0, 10) == [] and await journal.outbox_end() == end > 0


async def everything_survives_a_reopening(make_journal: MakeJournal) -> None:
    async with make_journal() as journal:
        await _commit(journal, _workflow(), _instance("i1"), _stage("i1"))
        await _commit(journal, ClaimVersion(instance_id="i1", version=0))
        before = await journal.standing("i1")
    async with make_journal() as journal:
        assert before is not None and await journal.standing("i1") == before


_ALWAYS: tuple[Check, ...] = (
    a_unit_that_fails_leaves_nothing_and_its_neighbours_stand,
    a_key_is_stored_once_with_its_write,
    results_come_in_the_order_of_their_writes,
    no_instance_of_a_deleted_workflow,
    lists_are_newest_first_across_pages,
    *testing_plans.CHECKS,
    *testing_approvals.CHECKS,
    *testing_waits.CHECKS,
    *testing_conditions.CHECKS,
    *testing_failures.CHECKS,
    *testing_successors.CHECKS,
    what_is_due_is_found_by_its_time,
    closed_rows_never_change,
    a_unit_of_an_instance_is_a_compare_and_set,
    where_an_instance_stands_is_of_one_moment,
    attempts_that_have_begun_are_counted_once,
    *testing_resolutions.CHECKS,
    *testing_batches.CHECKS,
    *testing_names.CHECKS,
    *testing_certificates.CHECKS,
    a_nudge_stays_until_it_was_seen,
    an_overlooked_nudge_is_found_by_its_time,
    open_instances_are_those_that_something_must_be_done_for,
    one_engine_drives_and_owners_are_counted,
    huge_integers_survive_as_text,
    long_texts_come_back_as_they_were_written,
    the_outbox_keeps_its_order_and_tells_of_its_news,
    only_events_of_a_wanted_type_are_published,
    a_position_moves_by_compare_and_set,
    the_outbox_keeps_what_a_publisher_in_use_has_not_acknowledged,
)
_DURABLE: tuple[Check, ...] = (the_end_of_the_outbox_survives_its_last_event, everything_survives_a_reopening)
