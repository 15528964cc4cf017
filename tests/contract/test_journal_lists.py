"""Lists of a journal, by place: order, filters, both directions, and queries that an index answers."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

import pytest

from headrace.journal.lists import (
    NEWEST,
    AnyList,
    InstanceList,
    OccurrenceList,
    Place,
    TriggerList,
    WorkflowList,
)
from headrace.journal.port import Unit
from headrace.journal.sqlite import SqliteJournal
from headrace.journal.sqlite.migrations import HEAD, migrate_sqlite, statements
from headrace.journal.sqlite.statements import named_statements
from headrace.journal.writes import (
    AddInstance,
    AddOccurrence,
    AddTrigger,
    AddWorkflow,
    DeleteTrigger,
    DeleteWorkflow,
    EndInstance,
    OpenStage,
)
from tests.contract.test_journal import journal

__all__ = ["journal"]  # a fixture

IDS = ("a", "b", "c", "d", "e", "f")
AT = dict(zip(IDS, (10, 20, 20, 20, 30, 40), strict=True))
PLACES = sorted((Place(AT[each], each) for each in IDS), reverse=True)


async def _fill(journal: SqliteJournal) -> None:
    unit = Unit()
    for each in IDS:
        unit.add(AddWorkflow(workflow_id=each, name=None, config="{}", created_at=AT[each], updated_at=AT[each]))
    for each in IDS:
        unit.add(
            AddInstance(
                instance_id=each,
                workflow_id="a" if each in "ace" else "b",
                config="{}",
                variables="{}",
                created_at=AT[each],
                by_trigger=False,
            )
        )
        unit.add(
            OpenStage(instance_id=each, number=0, keyword="wait_event", input='{"event":"go"}', started_at=AT[each])
        )
        unit.add(
            AddTrigger(
                trigger_id=each,
                name=f"Name {each * 2}",
                event="E",
                event_name="e",
                workflow_id="a",
                version=None,
                filter=None,
                vars=None,
                created_at=AT[each],
            )
        )
        unit.add(
            AddOccurrence(
                occurrence_id=each,
                trigger_id="a",
                event_key=f"k{each}",
                event="{}",
                created_at=AT[each],
                depth=1,
                instance_id=each,
                error=None,
            )
        )
    for each in "ab":
        unit.add(EndInstance(at=99, error=None, instance_id=each, version=0))
    await journal.commit(unit)


LISTS: list[tuple[AnyList, str]] = [
    (WorkflowList(), "abcdef"),
    (InstanceList(), "abcdef"),
    (InstanceList(running=True), "cdef"),
    (InstanceList("a"), "ace"),
    (InstanceList("b", running=True), "df"),
    (InstanceList("nobody"), ""),
    (TriggerList(), "abcdef"),
    (TriggerList("AME C"), "c"),
    (TriggerList(""), "abcdef"),
    (TriggerList("%"), ""),
    (OccurrenceList("a"), "abcdef"),
    (OccurrenceList("b"), ""),
]


async def _after(journal: SqliteJournal, rows: AnyList, place: Place, limit: int) -> list[Place]:
    match rows:
        case WorkflowList():
            found = await journal.workflows_after(rows, place, limit)
        case InstanceList():
            found = await journal.instances_after(rows, place, limit)
            assert all(len(row.stages) == 1 for row in found)
        case TriggerList():
            found = await journal.triggers_after(rows, place, limit)
        case OccurrenceList():
            found = await journal.occurrences_after(rows, place, limit)
            assert all(row.instance is not None and row.instance.id == row.id for row in found)
        case _:
            raise AssertionError(rows)
    return [Place(row.created_at, row.id) for row in found]


@pytest.mark.parametrize(("rows", "members"), LISTS)
async def test_both_directions_from_every_place(journal: SqliteJournal, rows: AnyList, members: str) -> None:
    await _fill(journal)
    wanted = [place for place in PLACES if place.id in members]
    assert await _after(journal, rows, NEWEST, 99) == wanted
    assert await journal.places_before(rows, NEWEST, 99) == []
    for place in [*PLACES, *(place.before() for place in PLACES), *(place.after() for place in PLACES), Place(0, "")]:
        older = [each for each in wanted if each < place]
        newer = [each for each in reversed(wanted) if each > place]
        for limit in (1, 2, 99):
            assert await _after(journal, rows, place, limit) == older[:limit]
            assert await journal.places_before(rows, place, limit) == newer[:limit]


def test_right_before_a_row_there_is_nothing_but_what_is_newer() -> None:
    for place in PLACES:
        assert place < place.before()
        assert not any(place < each < place.before() for each in PLACES)
        assert place.after() < place


async def test_deleted_ones_leave(journal: SqliteJournal) -> None:
    await _fill(journal)
    unit = Unit()
    unit.add(DeleteWorkflow(at=50, workflow_id="c"))
    unit.add(DeleteTrigger(at=50, trigger_id="c"))
    await journal.commit(unit)
    for rows in (WorkflowList(), TriggerList(), TriggerList("name")):
        assert Place(20, "c") not in await _after(journal, rows, NEWEST, 99)
        assert Place(20, "c") not in await journal.places_before(rows, Place(0, ""), 99)


SCANS = {"named_triggers_page", "named_triggers_before"}
"""They read names until enough of them hold the text; how many triggers there may be is a setting."""


def test_an_index_answers_every_page_and_every_single_read(tmp_path: Path) -> None:
    """No scan, and no sort: the time of a page does not grow with the list."""
    path = tmp_path / "journal.db"
    migrate_sqlite(str(path))
    connection = sqlite3.connect(path)
    wanted = [
        (name, text)
        for name, text in named_statements().items()
        if text.startswith("SELECT") and name.endswith(("_page", "_before"))
    ]
    single = ["workflow", "instance", "stages", "activities", "trigger", "occurrence", "remembered"]
    wanted += [(name, named_statements()[name]) for name in single]
    assert len(wanted) > 20
    for name, text in wanted:
        parameters = len(set(re.findall(r"\?[0-9]+", text))) or text.count("?")
        plan = connection.execute(f"EXPLAIN QUERY PLAN {text}", [0] * parameters).fetchall()
        steps = [row[3] for row in plan]
        assert not [step for step in steps if step.startswith("SCAN") or "TEMP B-TREE" in step], (name, steps)
        if name.startswith("running_"):
            assert "instances_running" in steps[0], (name, steps)
    connection.close()


@pytest.mark.parametrize("done", range(3))
async def test_indexes_that_a_kill_left_out_are_made_at_the_next_start(tmp_path: Path, done: int) -> None:
    path = tmp_path / "journal.db"
    migrate_sqlite(str(path))
    connection = sqlite3.connect(path, isolation_level=None)
    made = statements("0005.sql")
    assert len(made) == 3
    names = [statement.split()[5] for statement in made]
    for name in names[done:]:
        connection.execute(f"DROP INDEX {name}")
    connection.execute("UPDATE alembic_version SET version_num = '0003'")
    await (await SqliteJournal.open(path)).close()
    there = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'index'")}
    assert set(names) <= there
    assert connection.execute("SELECT version_num FROM alembic_version").fetchone() == (HEAD,)
    connection.close()
