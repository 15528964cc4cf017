"""Checks of `headrace.journal.testing`: waits for events, and their ends without one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from headrace.journal.port import Journal
from headrace.journal.testing_units import commit, succeeds
from headrace.journal.writes import (
    AddEvent,
    AddInstance,
    AddWorkflow,
    CloseStage,
    EndWait,
    EventTaken,
    MoveInstance,
    OpenStage,
    TakeEvent,
    WaitForEvent,
    WakeInstance,
    Write,
)

_MakeJournal = Callable[[], AbstractAsyncContextManager[Journal]]
_EVER_AT = 2**62


async def an_event_is_taken_once_oldest_first_and_again_by_the_same_wait(make_journal: _MakeJournal) -> None:
    """An instance that is resumed at the same wait consumes no second event."""
    async with make_journal() as journal:
        await commit(journal, *_waiting("i1"))

        async def put(name: str) -> None:
            assert await succeeds(journal, AddEvent(instance_id="i1", name=name, received_at=1))

        async def take(stage: int, name: str) -> EventTaken | None:
            taking = TakeEvent(stage=stage, instance_id="i1", name=name)
            results = await commit(journal, taking, WaitForEvent(at=30, instance_id="i1", stage=stage))
            return next((each for each in results if isinstance(each, EventTaken)), None)

        assert await take(0, "go") is None
        for name in ("go", "go", "other"):
            await put(name)
        first = await take(0, "go")
        assert first is not None
        assert await take(0, "go") == first, "a replay takes what it had taken"
        second = await take(1, "go")
        assert second is not None and second != first
        assert await take(2, "go") is None


async def a_wait_ends_only_without_an_event(make_journal: _MakeJournal) -> None:
    """One of another name, or one that an earlier stage has used, does not keep it."""
    async with make_journal() as journal:
        await commit(journal, *_waiting("i1"), *_waiting("i2"), *_waiting("i3"))
        await commit(journal, AddEvent(instance_id="i1", name="go", received_at=5))
        assert not await succeeds(journal, _end("i1")), "the mailbox holds the event"
        (taken,) = await commit(journal, TakeEvent(stage=1, instance_id="i1", name="go"))
        assert isinstance(taken, EventTaken)
        assert not await succeeds(journal, _end("i1")), "the stage has the event"
        await commit(journal, AddEvent(instance_id="i2", name="other", received_at=5))
        await commit(journal, AddEvent(instance_id="i3", name="go", received_at=5))
        await commit(journal, TakeEvent(stage=0, instance_id="i3", name="go"))
        for instance_id in ("i2", "i3"):
            assert await succeeds(journal, _end(instance_id))
        assert [each.outcome for each in await journal.stages("i2")] == ["timeout"]
        assert [each.outcome for each in await journal.stages("i1")] == [None]
        await commit(journal, CloseStage(terminated_at=9, error=None, instance_id="i3", number=1))
        assert not await succeeds(journal, _end("i3")), "it has ended"
        standing = await journal.standing("i2")
        assert standing is not None and standing.instance.stages[0].outcome == "timeout"


async def an_event_and_the_end_of_its_wait_have_an_order(make_journal: _MakeJournal) -> None:
    """Committed at once, the event is used or comes after the end, on which the later one finds the earlier."""
    async with make_journal() as journal:
        for number in range(10):
            instance_id = f"i{number}"
            await commit(journal, *_waiting(instance_id))
            event = AddEvent(instance_id=instance_id, name="go", received_at=5)
            ended, _ = await asyncio.gather(succeeds(journal, _end(instance_id)), commit(journal, event))
            if ended:
                assert [each.outcome for each in await journal.stages(instance_id)] == ["timeout"]
            else:
                (taken,) = await commit(journal, TakeEvent(stage=1, instance_id=instance_id, name="go"))
                assert isinstance(taken, EventTaken)


async def a_wait_with_a_deadline_is_due_then_and_at_once_with_an_event(make_journal: _MakeJournal) -> None:
    """An event wakes an instance also where it waits until a moment."""
    async with make_journal() as journal:
        for name in ("waits", "woken", "taken"):
            await commit(journal, *_waiting(name))
        await commit(journal, AddEvent(instance_id="taken", name="go", received_at=5))
        for name in ("waits", "woken", "taken"):
            take = TakeEvent(stage=1, instance_id=name, name="go")
            await commit(journal, take, WaitForEvent(at=6, instance_id=name, stage=1, until_at=70))
        event = AddEvent(instance_id="woken", name="go", received_at=7)
        await commit(journal, event, WakeInstance(instance_id="woken"))
        due = {each.instance_id: each.next_at for each in await journal.due(-1, 2**62, _EVER_AT, 9)}
        assert due == {"waits": 70, "woken": 0, "taken": 0}
        assert await journal.next_deadline(6) == 70


async def an_event_wakes_no_instance_that_waits_for_something_else(make_journal: _MakeJournal) -> None:
    """An early event stays in the mailbox: until the instance waits for it, there is nothing to do."""
    async with make_journal() as journal:
        await commit(journal, *_waiting("i1", "approve"), *_waiting("i2", "approve"), *_waiting("i3"))
        for name, next_at in (("i1", None), ("i2", 70), ("i3", None)):
            await commit(journal, MoveInstance(at=5, next_at=next_at, instance_id=name))
            event = AddEvent(instance_id=name, name="go", received_at=6)
            await commit(journal, event, WakeInstance(instance_id=name))
        due = {each.instance_id: each.next_at for each in await journal.due(-1, 2**62, _EVER_AT, 9)}
        assert due == {"i2": 70, "i3": 0}


def _waiting(instance_id: str, keyword: str = "wait_event") -> tuple[Write, ...]:
    workflow = AddWorkflow(workflow_id=f"w-{instance_id}", name="n", config="{}", created_at=1, updated_at=1)
    instance = AddInstance(
        instance_id=instance_id,
        workflow_id=workflow.workflow_id,
        config="{}",
        variables="{}",
        created_at=2,
        by_trigger=False,
    )
    return (
        workflow,
        instance,
        OpenStage(instance_id=instance_id, number=1, keyword=keyword, input="{}", started_at=2),
    )


def _end(instance_id: str) -> Write:
    return EndWait(instance_id=instance_id, number=1, name="go")


CHECKS = (
    an_event_is_taken_once_oldest_first_and_again_by_the_same_wait,
    a_wait_ends_only_without_an_event,
    an_event_and_the_end_of_its_wait_have_an_order,
    a_wait_with_a_deadline_is_due_then_and_at_once_with_an_event,
    an_event_wakes_no_instance_that_waits_for_something_else,
)
