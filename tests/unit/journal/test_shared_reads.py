"""Reads of one moment share a statement, and each gets its own row, or the error of that statement."""

from __future__ import annotations

import asyncio
from typing import Any

from headrace.errors import Unavailable
from headrace.journal.postgres.shared_reads import MAX_IDS, SharedReads


class Table:
    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def read(self, ids: list[str]) -> list[tuple[Any, ...]]:
        self.asked.append(sorted(ids))
        await self.gate.wait()
        if "bad" in ids:
            raise Unavailable("away")
        return [(each, f"row {each}") for each in ids if each != "none"]


async def test_reads_of_one_moment_share_a_statement() -> None:
    table = Table()
    shared = SharedReads(table.read)
    rows = await asyncio.gather(*(shared.row(each) for each in ("a", "b", "a", "none")))
    assert rows == [("a", "row a"), ("b", "row b"), ("a", "row a"), None]
    assert table.asked == [["a", "b", "none"]]


async def test_a_read_that_comes_after_a_statement_has_begun_gets_one_of_its_own() -> None:
    """Else it would not see what its caller has just committed."""
    table = Table()
    table.gate.clear()
    shared = SharedReads(table.read)
    first = asyncio.create_task(shared.row("a"))
    while not table.asked:
        await asyncio.sleep(0)
    second = asyncio.create_task(shared.row("a"))
    await asyncio.sleep(0.01)
    assert table.asked == [["a"], ["a"]]
    table.gate.set()
    assert await first == await second == ("a", "row a")


async def test_one_statement_reads_a_bounded_number_of_rows() -> None:
    table = Table()
    shared = SharedReads(table.read)
    await asyncio.gather(*(shared.row(f"{number}") for number in range(2 * MAX_IDS + 1)))
    assert [len(ids) for ids in table.asked] == [MAX_IDS, MAX_IDS, 1]


async def test_a_reader_that_goes_takes_nobody_with_it() -> None:
    table = Table()
    table.gate.clear()
    shared = SharedReads(table.read)
    leaving, staying = (asyncio.create_task(shared.row(each)) for each in ("a", "b"))
    while not table.asked:
        await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.sleep(0)
    table.gate.set()
    assert await staying == ("b", "row b") and leaving.cancelled()


async def test_an_error_is_raised_to_each_and_the_next_read_is_a_new_one() -> None:
    table = Table()
    shared = SharedReads(table.read)
    found = await asyncio.gather(shared.row("a"), shared.row("bad"), return_exceptions=True)
    assert all(isinstance(each, Unavailable) for each in found)
    assert await shared.row("a") == ("a", "row a")


async def test_an_id_that_the_database_cannot_hold_is_not_asked_for() -> None:
    table = Table()
    assert await SharedReads(table.read).row("a\0") is None and table.asked == []
