"""Batches on a journal that several servers share: each with a writer of its own, here in one process."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest

from headrace.errors import Conflict
from headrace.journal import batch_writes as b
from headrace.journal.port import Required, Unit
from headrace.journal.postgres import PostgresJournal
from headrace.journal.write import Write
from tests.contract.test_postgres_shared import PATIENCE_S, journals, unit_of, url
from tests.support import postgres

__all__ = ["journals", "url"]  # fixtures

pytestmark = pytest.mark.skipif(postgres.programs() is None, reason=postgres.MISSING)

ITEMS = 24


async def running(journal: PostgresJournal, batch_id: str, max_open: int = ITEMS) -> None:
    added = b.AddBatch(
        batch_id=batch_id,
        kind="redrive",
        selection=None,
        rate=20,
        max_open=max_open,
        stop_after=5,
        reason="r",
        principal="p",
        created_at=1,
        items=ITEMS,
    )
    items = ",".join(f'{{"n":{n},"instance":"i{n}","run":null}}' for n in range(1, ITEMS + 1))
    await journal.commit(unit_of(added, b.AddBatchItems(batch_id=batch_id, items=f"[{items}]")))
    await journal.commit(unit_of(b.ClaimPreview(batch_id=batch_id, claim="c")))
    await journal.commit(unit_of(b.FinishPreview(batch_id=batch_id, claim="c", hash="h", summary="{}")))
    await journal.commit(unit_of(b.StartBatch(batch_id=batch_id, state="ready", hash="h", principal="p", at=2)))


async def is_committed(journal: PostgresJournal, *writes: Write) -> bool:
    unit = Unit()
    for write in writes:
        unit.add(Required(write, partial(Conflict, "batch")))
    try:
        await journal.commit(unit)
    except Conflict:
        return False
    return True


def start(batch_id: str, n: int, writer: int) -> tuple[Write, Write]:
    return b.CountStart(batch_id=batch_id), b.StartItem(batch_id=batch_id, number=n, made_id=f"m{n}-{writer}", at=3)


async def test_each_item_is_started_by_one_of_the_servers(journals: list[PostgresJournal]) -> None:
    await running(journals[0], "b1")
    async with asyncio.timeout(PATIENCE_S):
        made = await asyncio.gather(
            *(
                is_committed(journal, *start("b1", n, writer))
                for n in range(1, ITEMS + 1)
                for writer, journal in enumerate(journals)
            )
        )
    assert sum(made) == ITEMS
    found = await journals[1].batch("b1")
    assert found is not None and found.open == ITEMS
    assert len(await journals[1].batch_items("b1", 0, 99, "started")) == ITEMS


async def test_of_a_pause_and_starts_of_other_servers_one_comes_first(journals: list[PostgresJournal]) -> None:
    """Once the pause is confirmed, no start is."""
    for number in range(8):
        batch_id = f"b{number}"
        await running(journals[0], batch_id, max_open=ITEMS)
        async with asyncio.timeout(PATIENCE_S):
            starts = [
                asyncio.ensure_future(is_committed(journals[1 + n % 3], *start(batch_id, n, 0)))
                for n in range(1, ITEMS + 1)
            ]
            await asyncio.sleep(0.002 * number)
            assert await is_committed(journals[0], b.PauseBatch(batch_id=batch_id, why="asked"))
            open_then = await journals[0].batch(batch_id)
            made = sum(await asyncio.gather(*starts))
        open_now = await journals[0].batch(batch_id)
        assert open_then is not None and open_now is not None and open_then.open == open_now.open == made


async def test_of_two_servers_one_counts_the_end_of_an_item(journals: list[PostgresJournal]) -> None:
    await running(journals[0], "b1")
    for n in range(1, 7):
        assert await is_committed(journals[0], *start("b1", n, 0))

    def end(n: int) -> tuple[Write, Write]:
        ended = b.EndItem(batch_id="b1", number=n, state="failed", code="E", message="m", at=4)
        return b.CountEnd(batch_id="b1", is_failure=True, why="5 in a row"), ended

    async with asyncio.timeout(PATIENCE_S):
        made = await asyncio.gather(*(is_committed(journal, *end(n)) for n in range(1, 7) for journal in journals))
    assert sum(made) == 6
    found = await journals[2].batch("b1")
    assert found is not None and (found.state, found.streak, found.open, found.why) == ("paused", 6, 0, "5 in a row")
