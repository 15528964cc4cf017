"""Searches of instances: filters, order, indexes, and what a journal of an earlier release is searched by."""

from __future__ import annotations

import re
import sqlite3
from functools import partial
from pathlib import Path

import pytest

from headrace.errors import Conflict
from headrace.journal.list_queries import search_texts
from headrace.journal.lists import NEWEST, STATUSES, InstanceSearch, Place
from headrace.journal.port import Required, Unit
from headrace.journal.sqlite import SqliteJournal
from headrace.journal.sqlite.migrations import HEAD, migrate_sqlite
from headrace.journal.writes import (
    AddInstance,
    AddVariables,
    AddWorkflow,
    ClaimVersion,
    EndInstance,
    MarkTrouble,
    MoveInstance,
    OpenStage,
)
from headrace.workflows.search_terms import (
    MAX_SEARCHED_CHARACTERS,
    MAX_SEARCHED_VARIABLES,
    fingerprint,
    fingerprints,
)
from tests.contract.test_journal import journal
from tests.contract.test_journal_triggers import release, version_of

__all__ = ["journal"]  # a fixture

REFUSAL = "CreateTransaction: INSUFFICIENT_FUND: account users:1 lacks 5 USD/2"
ENDED = {"e": None, "f": REFUSAL, "g": "canceled", "h": f"{REFUSAL}; already booked: x"}
NEXT_AT = {"b": 10**15, "c": None}
TROUBLE = {"d": STATUSES.index("retrying"), "i": STATUSES.index("attention"), "g": STATUSES.index("retrying")}
WANTED = {
    "a": "running",
    "b": "waiting",
    "c": "waiting",
    "d": "retrying",
    "e": "succeeded",
    "f": "failed",
    "g": "aborted",
    "h": "failed",
    "i": "attention",
}
ORDERS = {"a": "42", "c": "42", "f": "42", "b": "43"}


async def _fill(journal: SqliteJournal) -> None:
    unit = Unit()
    for workflow_id in "xy":
        unit.add(
            AddWorkflow(workflow_id=workflow_id, name=f"name {workflow_id}", config="{}", created_at=1, updated_at=1)
        )
    for number, each in enumerate(WANTED):
        unit.add(
            AddInstance(
                instance_id=each,
                workflow_id="x" if each in "aceg" else "y",
                config="{}",
                variables="{}",
                created_at=number // 2,
                by_trigger=False,
            )
        )
        unit.add(OpenStage(instance_id=each, number=0, keyword="send", input="{}", started_at=1))
        if each in ORDERS:
            unit.add(
                AddVariables(
                    created_at=number // 2, instance_id=each, fingerprints=str(fingerprints({"order": ORDERS[each]}))
                )
            )
        if each in TROUBLE:
            unit.add(MarkTrouble(trouble=TROUBLE[each], instance_id=each))
        if each in NEXT_AT:
            unit.add(MoveInstance(at=9, next_at=NEXT_AT[each], instance_id=each))
        if each in ENDED:
            unit.add(EndInstance(at=99, error=ENDED[each], instance_id=each, version=0))
    unit.add(OpenStage(instance_id="b", number=1, keyword="delay", input="{}", started_at=2))
    await journal.commit(unit)


ORDER = fingerprint("order", "42")
SEARCHED: list[tuple[InstanceSearch, str]] = [
    (InstanceSearch(), "ihgfedcba"),
    (InstanceSearch("x"), "geca"),
    (InstanceSearch(status="running"), "a"),
    (InstanceSearch(status="waiting"), "cb"),
    (InstanceSearch(status="retrying"), "d"),
    (InstanceSearch(status="attention"), "i"),
    (InstanceSearch(status="succeeded"), "e"),
    (InstanceSearch(status="failed"), "hf"),
    (InstanceSearch(status="aborted"), "g"),
    (InstanceSearch("x", status="waiting"), "c"),
    (InstanceSearch(status="unfinished"), "idcba"),
    (InstanceSearch("y", status="unfinished"), "idb"),
    (InstanceSearch(error_code="INSUFFICIENT_FUND"), "hf"),
    (InstanceSearch("x", error_code="INSUFFICIENT_FUND"), ""),
    (InstanceSearch("y", error_code="INSUFFICIENT_FUND"), "hf"),
    (InstanceSearch(fingerprint=ORDER), "fca"),
    (InstanceSearch(fingerprint=ORDER, since_at=1), "fc"),
    (InstanceSearch(fingerprint=fingerprint("other", "42")), ""),
    (InstanceSearch(since_at=3), "ihg"),
    (InstanceSearch(status="failed", since_at=3), "h"),
]


@pytest.mark.parametrize(("rows", "members"), SEARCHED)
async def test_a_search_gives_its_instances_in_both_directions(
    journal: SqliteJournal, rows: InstanceSearch, members: str
) -> None:
    await _fill(journal)
    found = await journal.summaries_after(rows, NEWEST, 99)
    assert "".join(each.id for each in found) == members
    assert {each.id: each.status for each in found} == {each: WANTED[each] for each in members}
    places = [Place(each.created_at, each.id) for each in found]
    assert await journal.places_before(rows, Place(-1, ""), 99) == places[::-1]
    assert await journal.places_before(rows, Place(3, ""), 99) == [
        each for each in places[::-1] if each.created_at >= 3
    ]
    for number, place in enumerate(places):
        assert [each.id for each in await journal.summaries_after(rows, place, 2)] == list(members[number + 1 :][:2])
        assert await journal.places_before(rows, place, 2) == places[:number][::-1][:2]


async def test_a_summary_names_its_workflow_and_the_last_stage(journal: SqliteJournal) -> None:
    await _fill(journal)
    found = {each.id: each for each in await journal.summaries_after(InstanceSearch(), NEWEST, 99)}
    assert (found["b"].workflow_name, found["b"].stage_number, found["b"].stage) == ("name y", 1, "delay")
    assert (found["f"].error, found["f"].error_code) == (REFUSAL, "INSUFFICIENT_FUND")
    assert (found["g"].error, found["g"].error_code, found["g"].terminated_at) == ("canceled", None, 99)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (REFUSAL, "INSUFFICIENT_FUND"),
        ("StripeTransfer: HTTP_404: x: y", "HTTP_404"),
        ("amount: must be a whole number: 1.5", None),
        ("INSUFFICIENT_FUND: text", None),
        ("no colon", None),
        ("a: ", None),
        ("a: : b", None),
        ("", None),
    ],
)
async def test_the_code_of_an_error_is_what_stands_after_the_activity(
    journal: SqliteJournal, error: str, code: str | None
) -> None:
    unit = Unit()
    unit.add(AddWorkflow(workflow_id="x", name=None, config="{}", created_at=1, updated_at=1))
    unit.add(AddInstance(instance_id="a", workflow_id="x", config="{}", variables="{}", created_at=1, by_trigger=False))
    unit.add(EndInstance(at=2, error=error, instance_id="a", version=0))
    await journal.commit(unit)
    (found,) = await journal.summaries_after(InstanceSearch(status="failed"), NEWEST, 9)
    assert (found.error_code, found.workflow_name, found.stage) == (code, None, None)


def test_an_index_answers_every_search(tmp_path: Path) -> None:
    """No scan but along the list's own index, and no sort: the time of a page does not grow with the journal."""
    path = tmp_path / "journal.db"
    migrate_sqlite(str(path))
    connection = sqlite3.connect(path)
    for name, text in search_texts("CROSS JOIN", "?").items():
        if not name.endswith(("_page", "_before")):
            continue
        plan = connection.execute(f"EXPLAIN QUERY PLAN {text}", [0] * text.count("?")).fetchall()
        steps = [row[3] for row in plan]
        assert not [step for step in steps if step.startswith("SCAN") or "TEMP B-TREE" in step], (name, steps)
        place = (
            r"created_at>\? AND \(created_at,\w+\)<\(\?,\?\)"
            if name.endswith("_page")
            else r"\(created_at,\w+\)>\(\?,\?\)"
        )
        assert re.search(place, steps[0]), (name, steps)
    connection.close()


def test_every_filter_reads_the_index_made_for_it(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    migrate_sqlite(str(path))
    connection = sqlite3.connect(path)
    wanted = {
        "search_status": "instances_by_status",
        "search_workflow_status": "instances_of_workflow_by_status",
        "search_error": "instances_by_error",
        "search_workflow_error": "instances_of_workflow_by_error",
        "search_unfinished": "instances_running",
        "search_workflow_unfinished": "instances_running_of_workflow",
        "search_workflow": "instances_of_workflow",
        "search": "instances_newest",
    }
    for name, index in wanted.items():
        for direction in ("page", "before"):
            text = search_texts("CROSS JOIN", "?")[f"{name}_{direction}"]
            plan = connection.execute(f"EXPLAIN QUERY PLAN {text}", [0] * text.count("?")).fetchall()
            assert f" INDEX {index} " in plan[0][3], (name, plan)
    connection.close()


def test_only_short_values_and_the_first_variables_are_searched() -> None:
    long = "x" * MAX_SEARCHED_CHARACTERS
    assert len(fingerprints({"a": long, "b": long + "x"})) == 1
    assert (
        len(fingerprints({str(number): "" for number in range(MAX_SEARCHED_VARIABLES + 1)})) == MAX_SEARCHED_VARIABLES
    )
    assert fingerprint("a", "b=c") != fingerprint("a=b", "c")


@pytest.mark.parametrize("done", range(9))
async def test_an_earlier_journal_is_searched_after_a_migration_that_was_cut_off(tmp_path: Path, done: int) -> None:
    path = tmp_path / "journal.db"
    release(path, "0003")
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("INSERT INTO workflows (id, name, config, created_at, updated_at) VALUES ('w', 'n', '{}', 1, 1)")
    columns = "id, workflow_id, config, variables, created_at, updated_at, terminated_at, error"
    row = f"INSERT INTO instances ({columns}) VALUES"
    connection.execute(f"""{row} ('tried', 'w', '{{}}', '{{"order":"42"}}', 1, 1, NULL, NULL)""")
    connection.execute(f"{row} ('asking', 'w', '{{}}', '{{}}', 2, 1, NULL, NULL)")
    connection.execute(f"{row} ('refused', 'w', '{{}}', '{{}}', 3, 1, 2, '{REFUSAL}')")
    for instance_id, needs_attention in (("tried", 0), ("asking", 1)):
        connection.execute(
            "INSERT INTO activities (instance_id, stage, position, name, input, started_at, attempt, key, "
            "request_method, request_path, last_failure, needs_attention) "
            "VALUES (?, 0, 0, '', '', 1, 1, '', '', '', 'x', ?)",
            (instance_id, needs_attention),
        )
    await (await SqliteJournal.open(path)).close()
    made = [
        *(("INDEX", name) for name in ("instances_by_status", "instances_of_workflow_by_status")),
        *(("INDEX", name) for name in ("instances_by_error", "instances_of_workflow_by_error")),
        ("TABLE", "instance_variables"),
        *(("COLUMN", name) for name in ("trouble", "status", "error_code")),
    ]
    for kind, name in [*made[5:], *made[:5]][done:][::-1]:
        statement = f"ALTER TABLE instances DROP COLUMN {name}" if kind == "COLUMN" else f"DROP {kind} IF EXISTS {name}"
        connection.execute(statement)
    connection.execute("UPDATE alembic_version SET version_num = '0009'")
    connection.close()
    opened = await SqliteJournal.open(path)
    try:
        for rows, wanted in (
            (InstanceSearch("w", status="retrying"), ["tried"]),
            (InstanceSearch("w", status="attention"), ["asking"]),
            (InstanceSearch(error_code="INSUFFICIENT_FUND"), ["refused"]),
            (InstanceSearch(fingerprint=ORDER), ["tried"]),
        ):
            assert [each.id for each in await opened.summaries_after(rows, NEWEST, 9)] == wanted
    finally:
        await opened.close()
    assert version_of(path) == HEAD


@pytest.mark.parametrize("is_cut_off", [False, True])
@pytest.mark.parametrize("name", ["0001", "0003", "0006"])
async def test_an_instance_of_an_earlier_journal_goes_on_at_version_0(
    name: str, is_cut_off: bool, tmp_path: Path
) -> None:
    path = tmp_path / "journal.db"
    release(path, name)
    connection = sqlite3.connect(path, isolation_level=None)
    columns = "id, workflow_id, config, variables, created_at, updated_at"
    connection.execute(f"INSERT INTO instances ({columns}) VALUES ('i', 'w', '{{}}', '{{}}', 1, 1)")
    connection.execute(
        "INSERT INTO stages (instance_id, number, keyword, input, started_at) VALUES ('i', 0, '', '', 1)"
    )
    if is_cut_off:  # a process that ended after the column was added, and before that was noted
        await (await SqliteJournal.open(path)).close()
        connection.execute("UPDATE alembic_version SET version_num = '0010'")
    connection.close()
    opened = await SqliteJournal.open(path)
    try:
        standing = await opened.standing("i")
        assert standing is not None and standing.version == 0
        unit = Unit()
        unit.add(Required(ClaimVersion(instance_id="i", version=0), partial(Conflict, "i")))
        await opened.commit(unit)
        with pytest.raises(Conflict):
            await opened.commit(unit)
    finally:
        await opened.close()
    assert version_of(path) == HEAD
