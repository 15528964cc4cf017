"""Walks over lists while rows come, end and are deleted: nothing is lost, nothing is repeated.

A model says which rows there are. Each page must be the model's at that moment; each walk as a whole must have every
row that was there all the time, once, in order. Times are few, so that many rows share one, and rows come anywhere in
the list, as from a clock that steps or a commit that is late.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from headrace.api.requests import Request
from headrace.api.v2 import pages
from headrace.api.v2.pages import page_response
from headrace.journal.lists import InstanceList, Place
from headrace.journal.records import Instance
from headrace.journal.sqlite import SqliteJournal
from tests.support.journals import make_sqlite

WORKFLOWS = ("w0", "w1")
FILTERS = [InstanceList(workflow_id, running) for workflow_id in (None, *WORKFLOWS) for running in (False, True)]
TIMES = st.integers(1, 4)


@dataclass
class Row:
    place: Place
    workflow_id: str
    is_running: bool = True

    def is_in(self, rows: InstanceList) -> bool:
        return rows.workflow_id in (None, self.workflow_id) and (self.is_running or not rows.running)


@dataclass
class Walk:
    """A caller who reads page after page. `stayed`: rows that have been in the list since the walk began."""

    rows: InstanceList
    page_size: int
    stayed: set[Place]
    seen: list[Place] = field(default_factory=list[Place])
    next: str | None = None
    previous: str | None = None
    here: list[Place] = field(default_factory=list[Place])
    is_started: bool = False

    @property
    def is_done(self) -> bool:
        return self.is_started and self.next is None


class Room:
    """A journal on disk, a door for others to write to it at any moment, and what is in it."""

    def __init__(self, folder: Path) -> None:
        path = folder / "journal.db"
        make_sqlite(path)
        self.runner = asyncio.Runner()
        self.journal = self.runner.run(SqliteJournal.open(path))
        self.door = sqlite3.connect(path, isolation_level=None)
        self.door.execute("PRAGMA synchronous=OFF")
        self.table: dict[Place, Row] = {}
        self.meddling: list[Any] = []
        """What others do between two reads of one page."""

    def close(self) -> None:
        self.door.close()
        self.runner.run(self.journal.close())
        self.runner.close()

    def insert(self, at: int, name: str, workflow_id: str) -> Place | None:
        place = Place(at, name)
        if any(row.place.id == name for row in self.table.values()):
            return None
        statement = (
            "INSERT INTO instances (id, workflow_id, config, variables, created_at, updated_at) VALUES (?,?,?,?,?,?)"
        )
        self.door.execute(statement, (name, workflow_id, '{"stages":[]}', "{}", at, at))
        self.table[place] = Row(place, workflow_id)
        return place

    def end(self, place: Place) -> None:
        self.door.execute("UPDATE instances SET terminated_at = 9 WHERE id = ?", (place.id,))
        self.table[place].is_running = False

    def wanted(self, rows: InstanceList) -> list[Place]:
        return sorted((row.place for row in self.table.values() if row.is_in(rows)), reverse=True)

    def page(self, query: str) -> Any:
        return self.runner.run(self._page(query))

    async def _page(self, query: str) -> Any:
        scope: Any = {"method": "GET", "path_params": {}, "headers": [], "query_string": query.encode()}
        request = Request(scope, self._nothing, "/v2/instances")
        rows = InstanceList(request.query("workflowID"), request.flag("running"))
        context: Any = SimpleNamespace(ports=SimpleNamespace(journal=self.journal))
        response = await page_response(context, request, rows, self._read, _shown)
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        await response.send(send)
        return json.loads(b"".join(message.get("body", b"") for message in sent))["cursor"]

    async def _nothing(self) -> Any:
        raise AssertionError("a list has no body")

    async def _read(self, rows: InstanceList, place: Place, limit: int) -> list[Instance]:
        if self.meddling:
            self.meddling.pop()()
        return await self.journal.instances_after(rows, place, limit)


def _shown(row: Instance) -> Any:
    return [row.created_at, row.id]


@contextmanager
def room() -> Iterator[Room]:
    with TemporaryDirectory() as folder:
        made = Room(Path(folder))
        try:
            yield made
        finally:
            made.close()


class Walks(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self._entered = room()
        self.room = self._entered.__enter__()
        self.walks: list[Walk] = []

    def teardown(self) -> None:
        self._entered.__exit__(None, None, None)

    @rule(rows=st.lists(st.tuples(TIMES, st.integers(0, 99), st.sampled_from(WORKFLOWS)), min_size=1, max_size=6))
    def rows_come(self, rows: list[tuple[int, int, str]]) -> None:
        for at, number, workflow_id in rows:
            self.room.insert(at, f"i{number:02}", workflow_id)

    @precondition(lambda self: self.room.table)
    @rule(data=st.data())
    def a_row_ends(self, data: st.DataObject) -> None:
        self._end(data.draw(st.sampled_from(sorted(self.room.table))))

    def _end(self, place: Place) -> None:
        self.room.end(place)
        for walk in self.walks:
            if walk.rows.running:
                walk.stayed.discard(place)

    @rule(rows=st.sampled_from(FILTERS), page_size=st.integers(1, 7))
    def a_walk_begins(self, rows: InstanceList, page_size: int) -> None:
        self.walks.append(Walk(rows, page_size, set(self.room.wanted(rows))))

    @precondition(lambda self: any(not walk.is_done for walk in self.walks))
    @rule(data=st.data())
    def a_walk_goes_on(self, data: st.DataObject) -> None:
        """The page is what the model has there, to the row."""
        walk = data.draw(st.sampled_from([walk for walk in self.walks if not walk.is_done]))
        after = [place for place in self.room.wanted(walk.rows) if not walk.seen or place < walk.seen[-1]]
        page = self._forwards(walk)
        assert walk.here == after[: walk.page_size]
        assert page["hasMore"] == (len(after) > walk.page_size)

    @precondition(lambda self: any(not walk.is_done for walk in self.walks))
    @rule(data=st.data(), news=st.lists(st.tuples(TIMES, st.integers(0, 99)), min_size=1, max_size=4))
    def a_walk_goes_on_while_rows_come_and_end(self, data: st.DataObject, news: list[tuple[int, int]]) -> None:
        walk = data.draw(st.sampled_from([walk for walk in self.walks if not walk.is_done]))
        ending = data.draw(st.lists(st.sampled_from(sorted(self.room.table)), max_size=3)) if self.room.table else []
        self.room.meddling = [lambda at=at, n=n: self.room.insert(at, f"i{n:02}", "w0") for at, n in news]
        self.room.meddling += [lambda place=place: self._end(place) for place in ending]
        self._forwards(walk)
        self.room.meddling.clear()

    def _forwards(self, walk: Walk) -> Any:
        query = f"cursor={walk.next}" if walk.is_started else self._query(walk)
        page = self.room.page(query)
        walk.here = [Place(*row) for row in page["data"]]
        walk.next, walk.previous, walk.is_started = page.get("next"), page.get("previous"), True
        walk.seen += walk.here
        assert page["pageSize"] == walk.page_size
        assert page["hasMore"] == (walk.next is not None)
        return page

    def _query(self, walk: Walk) -> str:
        workflow = f"workflowID={walk.rows.workflow_id or ''}"
        return f"{workflow}&running={str(walk.rows.running).lower()}&pageSize={walk.page_size}"

    @precondition(lambda self: any(walk.previous for walk in self.walks))
    @rule(data=st.data())
    def a_caller_looks_back(self, data: st.DataObject) -> None:
        """The page before is the nearest rows before, and its own next page begins right after it."""
        walk = data.draw(st.sampled_from([walk for walk in self.walks if walk.previous]))
        wanted = self.room.wanted(walk.rows)
        before = [place for place in wanted if place > self._top(walk)]
        page = self.room.page(f"cursor={walk.previous}")
        found = [Place(*row) for row in page["data"]]
        assert found == before[-walk.page_size :]
        assert ("previous" in page) == (len(before) > walk.page_size)
        following = wanted[len(before) :]
        assert page["hasMore"] == bool(following)
        if following:
            onward = self.room.page(f"cursor={page['next']}")
            assert [Place(*row) for row in onward["data"]] == following[: walk.page_size]

    def _top(self, walk: Walk) -> Place:
        if walk.here:
            return walk.here[0]
        return Place(walk.seen[-1].created_at, "") if walk.seen else Place(0, "")

    @invariant()
    def no_row_is_repeated_and_none_that_stayed_is_lost(self) -> None:
        for walk in self.walks:
            assert walk.seen == sorted(set(walk.seen), reverse=True)
            passed = {place for place in walk.stayed if walk.is_done or (walk.seen and place >= walk.seen[-1])}
            assert passed <= set(walk.seen)


@pytest.fixture(autouse=True)
def _short_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that even a short page goes out in parts, with others' writes between them."""
    monkeypatch.setattr(pages, "PART", 2)


@pytest.mark.usefixtures("_short_parts")
class TestWalks(Walks.TestCase):
    settings = settings(
        max_examples=40,
        stateful_step_count=30,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        database=None,
    )


def test_every_moment_of_an_insert_on_a_walk_back_and_forth() -> None:
    """Exhaustively: one row comes at each place of the list, before each read of each page, in both directions."""
    old = [Place(at, f"i{at}{number}") for at in (2, 3) for number in "02"]
    news = [Place(at, f"i{at}{number}") for at in (1, 2, 3, 4) for number in "013"]
    for new in news:
        for moment in range(8):
            _check_moment(old, new, moment)


def _check_moment(old: list[Place], new: Place, moment: int) -> None:
    with room() as made:
        for place in old:
            made.insert(*place, "w0")
        made.meddling = [lambda: made.insert(*new, "w0"), *([lambda: None] * moment)]
        walked = [made.page("pageSize=3")]
        while "next" in walked[-1]:
            walked.append(made.page(f"cursor={walked[-1]['next']}"))
        _check_walk([Place(*row) for page in walked for row in page["data"]], old)
        back = [walked[-1]]
        while "previous" in back[-1]:
            back.append(made.page(f"cursor={back[-1]['previous']}"))
        _check_walk([Place(*row) for page in reversed(back) for row in page["data"]], old)


def _check_walk(seen: list[Place], old: list[Place]) -> None:
    assert seen == sorted(set(seen), reverse=True)
    assert set(old) <= set(seen)
