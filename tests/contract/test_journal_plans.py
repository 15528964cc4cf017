"""What every journal must do for plans: stored open with its document, listed without it, by the state at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from headrace.journal.lists import NEWEST, PlanList
from headrace.journal.plan_writes import AddPlan
from headrace.journal.port import Unit
from headrace.journal.records import Plan
from headrace.journal.sqlite import SqliteJournal
from tests.support.journals import JOURNALS, adapter

DOCUMENT = '{"format":"headrace-plan/1","amount":' + "9" * 40 + "}"


@pytest.fixture(params=JOURNALS)
async def journal(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Any]:
    async with adapter(request.param).open(tmp_path / "journal.db") as opened:
        for number in range(5):
            unit = Unit()
            unit.add(
                AddPlan(
                    plan_id=f"p{number}",
                    hash=f"sha256:{number}",
                    document=DOCUMENT,
                    subject='{"workflowID":"w1"}',
                    requester="alice",
                    created_at=100 + number // 2,
                    expires_at=200 + number,
                )
            )
            await opened.commit(unit)
        yield opened


async def test_a_plan_is_stored_open_with_its_document(journal: SqliteJournal) -> None:
    stored = Plan("p3", "sha256:3", '{"workflowID":"w1"}', "alice", 101, 203, "open", None, DOCUMENT)
    assert await journal.plan("p3") == stored
    assert await journal.plan("nothing") is None


async def test_plans_are_listed_newest_first_without_their_documents(journal: SqliteJournal) -> None:
    listed = await journal.plans_after(PlanList(), NEWEST, 3)
    assert [plan.id for plan in listed] == ["p4", "p3", "p2"]
    assert {plan.document for plan in listed} == {""}
    assert listed[0].expires_at == 204


@pytest.mark.parametrize(
    ("state", "at", "found"),
    [
        ("open", 199, ["p4", "p3", "p2", "p1", "p0"]),
        ("open", 202, ["p4", "p3"]),
        ("expired", 202, ["p2", "p1", "p0"]),
        ("expired", 199, []),
        ("used", 199, []),
    ],
)
async def test_a_plan_that_is_not_used_expires(journal: SqliteJournal, state: str, at: int, found: list[str]) -> None:
    rows = PlanList(state, at)
    assert [plan.id for plan in await journal.plans_after(rows, NEWEST, 10)] == found
    if found:
        last = await journal.plans_after(rows, NEWEST, len(found))
        place = type(NEWEST)(last[-1].created_at, last[-1].id)
        nearest = [each.id for each in await journal.places_before(rows, place, 10)]
        assert sorted(nearest) == sorted(found[:-1])
