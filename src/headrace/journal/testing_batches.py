"""Checks of `headrace.journal.testing`: batches, whose items start once each, and only while the batch runs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial

from headrace.journal import batch_writes as b
from headrace.journal.lists import NEWEST, BatchList
from headrace.journal.port import Journal, Unit
from headrace.journal.records import Batch, BatchItem, ItemCount, ItemEnding
from headrace.journal.testing_units import is_committed, required, succeeds, unit_of
from headrace.journal.writes import (
    AddInstance,
    AddWorkflow,
    CloseActivity,
    EndInstance,
    OpenActivity,
    OpenStage,
    Write,
)

MakeJournal = Callable[[], AbstractAsyncContextManager[Journal]]


async def only_the_last_preview_writes(make_journal: MakeJournal) -> None:
    """A preview that another one has replaced stores nothing more; the last one makes the batch ready."""
    async with make_journal() as journal:
        await journal.commit(unit_of(_batch("b1"), _items("b1", 3)))
        assert await journal.batches_under_way() == ["b1"]
        assert await journal.batch_items("b1", 0, 9) == [BatchItem(n, f"i{n}", "pending") for n in (1, 2, 3)]
        assert await succeeds(journal, b.ClaimPreview(batch_id="b1", claim="first"))
        assert await succeeds(journal, b.MovePreview(batch_id="b1", claim="first", planned=2))
        found = await journal.batch("b1")
        assert found is not None and (found.state, found.planned, found.items) == ("previewing", 2, 3)
        assert await succeeds(journal, b.ClaimPreview(batch_id="b1", claim="second"))
        assert not await succeeds(journal, b.MovePreview(batch_id="b1", claim="first", planned=3))
        assert not await succeeds(journal, b.FinishPreview(batch_id="b1", claim="first", hash="h1", summary="{}"))
        assert not await succeeds(
            journal, b.StartBatch(batch_id="b1", state="ready", hash="h2", principal="joe", at=3)
        ), "previewing"
        await journal.commit(
            unit_of(
                b.PreviewItem(
                    batch_id="b1", number=1, state="pending", hash="h", document="d", code=None, message=None
                ),
                b.PreviewItem(
                    batch_id="b1",
                    number=3,
                    state="excluded",
                    hash=None,
                    document=None,
                    code="not_failed",
                    message="m",
                ),
            )
        )
        assert await succeeds(journal, b.FinishPreview(batch_id="b1", claim="second", hash="h2", summary="{}"))
        assert not await succeeds(journal, b.ClaimPreview(batch_id="b1", claim="third")), "it is made"
        expected = BatchItem(1, "i1", "pending", hash="h", document="d")
        assert await journal.batch_item("b1", 1) == expected
        assert await journal.batch_items("b1", 2, 9) == [BatchItem(3, "i3", "excluded", "not_failed", "m")]
        assert await journal.batch_counts("b1") == [
            ItemCount("excluded", "not_failed", 1),
            ItemCount("pending", None, 2),
        ]
        assert await journal.batches_under_way() == [] and await journal.batch_item("b1", 4) is None


async def a_batch_starts_by_its_hash_and_moves_between_its_states(make_journal: MakeJournal) -> None:
    """Each change is made from the states that allow it, once."""
    async with make_journal() as journal:
        await _ready(journal, "b1", 2)
        assert not await succeeds(
            journal, b.StartBatch(batch_id="b1", state="ready", hash="other", principal="joe", at=3)
        )
        assert not await succeeds(journal, b.CountStart(batch_id="b1")), "it is not started"
        start = b.StartBatch(batch_id="b1", state="ready", hash="h", principal="joe", at=3)
        outcomes = await asyncio.gather(*(succeeds(journal, start) for _ in range(4)))
        assert sorted(outcomes) == [False, False, False, True]
        assert not await succeeds(journal, b.ResumeBatch(batch_id="b1"))
        assert await succeeds(journal, b.PauseBatch(batch_id="b1", why="asked"))
        assert not await succeeds(journal, b.PauseBatch(batch_id="b1", why="again"))
        assert not await succeeds(journal, b.CountStart(batch_id="b1")), "it is paused"
        found = await journal.batch("b1")
        assert found == Batch(
            id="b1",
            kind="redrive",
            selection="{}",
            rate=20,
            max_open=2,
            stop_after=3,
            reason="why",
            principal="jane",
            created_at=1,
            items=2,
            state="paused",
            planned=0,
            hash="h",
            summary="{}",
            why="asked",
            starter="joe",
            started_at=3,
        )
        assert await succeeds(journal, b.ResumeBatch(batch_id="b1"))
        assert not await succeeds(journal, b.FinishBatch(batch_id="b1", at=4)), "items are pending"
        await journal.commit(
            unit_of(
                b.CancelBatch(batch_id="b1", at=5),
                b.DropItems(batch_id="b1", code="canceled", message="m", at=5),
            )
        )
        found = await journal.batch("b1")
        assert found is not None and (found.state, found.ended_at) == ("canceled", 5)
        assert await journal.batch_counts("b1") == [ItemCount("skipped", "canceled", 2)]
        for write in (
            b.CancelBatch(batch_id="b1", at=6),
            b.ResumeBatch(batch_id="b1"),
            b.FinishBatch(batch_id="b1", at=6),
        ):
            assert not await succeeds(journal, write), write
        await _ready(journal, "b2", 1)
        assert [each.id for each in await journal.batches_after(BatchList(), NEWEST, 9)] == ["b2", "b1"]
        assert [place.id for place in await journal.places_before(BatchList(), NEWEST, 9)] == []


async def an_item_starts_once_and_never_beyond_the_open_ones(make_journal: MakeJournal) -> None:
    """One of several units for an item is committed; the batch counts those that are open."""
    async with make_journal() as journal:
        await _running(journal, "b1", 4)
        outcomes = await asyncio.gather(*(is_committed(journal, _starting("b1", 1, f"m{each}")) for each in range(5)))
        assert sum(outcomes) == 1
        item = await journal.batch_item("b1", 1)
        assert item is not None and item.made_id == f"m{outcomes.index(True)}" and item.document is None
        assert (item.state, item.started_at) == ("started", 4)
        found = await journal.batch("b1")
        assert found is not None and found.open == 1, "a unit that is not committed counts nothing"
        assert await is_committed(journal, _starting("b1", 2, "m9"))
        assert not await is_committed(journal, _starting("b1", 3, "m10")), "two are open"
        assert await is_committed(journal, _ending("b1", 1, "succeeded"))
        assert not await is_committed(journal, _ending("b1", 1, "succeeded")), "it has ended"
        assert await is_committed(journal, _starting("b1", 3, "m10"))
        skip = b.SkipItem(batch_id="b1", number=4, code="has_successor", message="m", at=5)
        assert await succeeds(journal, skip) and not await succeeds(journal, skip)
        assert not await succeeds(journal, b.SkipItem(batch_id="b1", number=3, code="c", message="m", at=5)), (
            "it is started"
        )
        for n in (2, 3):
            assert not await succeeds(journal, b.FinishBatch(batch_id="b1", at=6)), "some are open"
            assert await is_committed(journal, _ending("b1", n, "failed"))
        assert [item.n for item in await journal.batch_items("b1", 0, 9, "failed")] == [2, 3]
        assert [item.n for item in await journal.batch_items("b1", 2, 9, "failed")] == [3]
        assert await succeeds(journal, b.FinishBatch(batch_id="b1", at=6))
        found = await journal.batch("b1")
        assert found is not None and (found.state, found.open, found.ended_at) == ("done", 0, 6)


async def failures_in_a_row_pause_a_batch(make_journal: MakeJournal) -> None:
    """A success and a resumption begin the count anew; a canceled batch stays canceled."""
    async with make_journal() as journal:
        await _running(journal, "b1", 12, max_open=12)
        for n in range(1, 13):
            await journal.commit(_starting("b1", n, f"m{n}"))
        states: list[tuple[str, str | None]] = []
        for n, state in enumerate(["failed", "failed", "succeeded", "failed", "failed", "failed"], 1):
            await journal.commit(_ending("b1", n, state))
            found = await journal.batch("b1")
            assert found is not None
            states.append((found.state, found.why))
        assert states == [("running", None)] * 5 + [("paused", "3 in a row")]
        await journal.commit(unit_of(b.ResumeBatch(batch_id="b1")))
        await journal.commit(_ending("b1", 7, "failed"))
        found = await journal.batch("b1")
        assert found is not None and (found.state, found.why, found.streak) == ("running", None, 1)
        await journal.commit(unit_of(b.CancelBatch(batch_id="b1", at=9)))
        for n in (8, 9):
            await journal.commit(_ending("b1", n, "failed"))
        found = await journal.batch("b1")
        assert found is not None and (found.state, found.why, found.open) == ("canceled", None, 3)
        assert await journal.batches_under_way() == ["b1"], "some are open"


async def a_pause_and_a_start_exclude_each_other(make_journal: MakeJournal) -> None:
    """Once a pause is committed no item starts: what is open then stays the same."""
    async with make_journal() as journal:
        await _running(journal, "b1", 20, max_open=20)
        starts = [asyncio.ensure_future(is_committed(journal, _starting("b1", n, f"m{n}"))) for n in range(1, 11)]
        pause = asyncio.ensure_future(succeeds(journal, b.PauseBatch(batch_id="b1", why="asked")))
        starts += [asyncio.ensure_future(is_committed(journal, _starting("b1", n, f"m{n}"))) for n in range(11, 21)]
        assert await pause
        found = await journal.batch("b1")
        done = await asyncio.gather(*starts)
        after = await journal.batch("b1")
        assert found is not None and after is not None and found.open == after.open == sum(done)
        assert len(await journal.batch_items("b1", 0, 99, "started")) == sum(done)


async def an_item_is_over_when_its_instance_is(make_journal: MakeJournal) -> None:
    """Not while an effect of it is open; in the order in which the instances ended."""
    async with make_journal() as journal:
        await _running(journal, "b1", 3, max_open=3)
        await journal.commit(unit_of(AddWorkflow(workflow_id="w", name="n", config="{}", created_at=1, updated_at=1)))
        for n in (1, 2):
            await journal.commit(unit_of(*_instance(f"m{n}")))
            await journal.commit(_starting("b1", n, f"m{n}"))
        await journal.commit(unit_of(*_instance("i3")))
        await journal.commit(_starting("b1", 3, None))
        assert await journal.item_endings("b1", 9) == []
        await journal.commit(unit_of(_opened("m1")))
        await journal.commit(unit_of(_end("m1", 9), _end("m2", 8, "E: no", "refused", "E"), _end("i3", 7)))
        assert await journal.item_endings("b1", 9) == [
            ItemEnding(3, 7, None, None, None),
            ItemEnding(2, 8, "E: no", "refused", "E"),
        ]
        assert [each.n for each in await journal.item_endings("b1", 1)] == [3]
        await journal.commit(
            unit_of(
                CloseActivity(
                    attempt=1, output=None, error=None, terminated_at=9, instance_id="m1", stage=0, position=0
                )
            )
        )
        assert [each.n for each in await journal.item_endings("b1", 9)] == [3, 2, 1]
        await journal.commit(_ending("b1", 2, "failed"))
        assert [each.n for each in await journal.item_endings("b1", 9)] == [3, 1]


def _batch(batch_id: str, items: int = 3, max_open: int = 2) -> Write:
    return b.AddBatch(
        batch_id=batch_id,
        kind="redrive",
        selection="{}",
        rate=20,
        max_open=max_open,
        stop_after=3,
        reason="why",
        principal="jane",
        created_at=1,
        items=items,
    )


async def a_batch_is_approved_by_distinct_persons_and_starts_as_approved(make_journal: MakeJournal) -> None:
    """A decision is stored once a person, for the hash of the preview; a rejection is the end of the batch."""
    async with make_journal() as journal:
        await _ready(journal, "b1", 2)
        assert not await succeeds(journal, _decision("b1", "paul", hash_="other"))
        assert await succeeds(journal, _decision("b1", "paul"))
        assert not await succeeds(journal, _decision("b1", "paul", "reject")), "a decision stands"
        assert not await succeeds(journal, b.ApproveBatch(batch_id="b1", needed=2)), "by one person"
        start = partial(b.StartBatch, batch_id="b1", hash="h", principal="joe", at=3)
        assert not await succeeds(journal, start(state="approved"))
        units = [required(_decision("b1", name)) for name in ("eve", "ann")]
        for unit in units:
            unit.add(b.ApproveBatch(batch_id="b1", needed=3))
        assert await asyncio.gather(*(is_committed(journal, unit) for unit in units)) == [True, True]
        found = await journal.batch("b1")
        assert found is not None and found.state == "approved", "the later one of two at once counts the earlier"
        assert not await succeeds(journal, start(state="ready"))
        assert await succeeds(journal, start(state="approved"))
        assert not await succeeds(journal, _decision("b1", "tom")), "it runs"
        assert not await succeeds(journal, b.RejectBatch(batch_id="b1", why="w", at=4)), "it runs"
        assert not await succeeds(journal, start(state="running")), "no state but those two is started from"
        assert [each.principal for each in await journal.decisions("b1")] == ["ann", "eve", "paul"]
        await _ready(journal, "b2", 1)
        assert await succeeds(journal, b.RejectBatch(batch_id="b2", why="rejected by paul: no", at=4))
        found = await journal.batch("b2")
        assert found is not None and (found.state, found.why, found.ended_at) == ("canceled", "rejected by paul: no", 4)
        await _ready(journal, "b3", 1)
        await journal.commit(unit_of(b.ApproveBatch(batch_id="b3", needed=0)))
        assert await succeeds(journal, b.CancelBatch(batch_id="b3", at=5)), "an approved one may be canceled"


def _decision(batch_id: str, principal: str, verdict: str = "approve", hash_: str = "h") -> Write:
    return b.AddBatchDecision(batch_id=batch_id, principal=principal, verdict=verdict, hash=hash_, reason="seen", at=3)


def _items(batch_id: str, count: int) -> Write:
    items = [{"n": n, "instance": f"i{n}", "run": None} for n in range(1, count + 1)]
    return b.AddBatchItems(batch_id=batch_id, items=json.dumps(items))


async def _ready(journal: Journal, batch_id: str, count: int, max_open: int = 2) -> None:
    await journal.commit(unit_of(_batch(batch_id, count, max_open), _items(batch_id, count)))
    await journal.commit(unit_of(b.ClaimPreview(batch_id=batch_id, claim="c")))
    await journal.commit(unit_of(b.FinishPreview(batch_id=batch_id, claim="c", hash="h", summary="{}")))


async def _running(journal: Journal, batch_id: str, count: int, max_open: int = 2) -> None:
    await _ready(journal, batch_id, count, max_open)
    await journal.commit(unit_of(b.StartBatch(batch_id=batch_id, state="ready", hash="h", principal="joe", at=3)))


def _starting(batch_id: str, n: int, made_id: str | None) -> Unit:
    return required(b.CountStart(batch_id=batch_id), b.StartItem(batch_id=batch_id, number=n, made_id=made_id, at=4))


def _ending(batch_id: str, n: int, state: str) -> Unit:
    return required(
        b.CountEnd(batch_id=batch_id, is_failure=state == "failed", why="3 in a row"),
        b.EndItem(batch_id=batch_id, number=n, state=state, code=None, message=None, at=5),
    )


def _instance(instance_id: str) -> tuple[Write, ...]:
    return (
        AddInstance(
            instance_id=instance_id, workflow_id="w", config="{}", variables="{}", created_at=2, by_trigger=False
        ),
        OpenStage(instance_id=instance_id, number=0, keyword="send", input="{}", started_at=2),
    )


def _opened(instance_id: str) -> Write:
    return OpenActivity(
        instance_id=instance_id,
        stage=0,
        position=0,
        name="CreateTransaction",
        input="{}",
        started_at=4,
        attempt=1,
        key=f"headrace:{instance_id}:0:0",
        request_method="POST",
        request_path="/v2/l/transactions",
        request_body=b"{}",
    )


def _end(
    instance_id: str, at: int, error: str | None = None, failure: str | None = None, code: str | None = None
) -> Write:
    return EndInstance(at=at, error=error, instance_id=instance_id, version=0, failure=failure, failure_code=code)


CHECKS = (
    only_the_last_preview_writes,
    a_batch_starts_by_its_hash_and_moves_between_its_states,
    a_batch_is_approved_by_distinct_persons_and_starts_as_approved,
    an_item_starts_once_and_never_beyond_the_open_ones,
    failures_in_a_row_pause_a_batch,
    a_pause_and_a_start_exclude_each_other,
    an_item_is_over_when_its_instance_is,
)
