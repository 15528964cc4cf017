"""Decisions that are stored: what is shown of each, hostile texts included, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from headrace.journal.records import AuditEntry, ResolutionRow
from headrace.journal.sqlite import SqliteJournal
from tests.api.conftest import served
from tests.console.conftest import Parsed, Runs
from tests.console.hostile import VALUES


async def test_without_decisions_the_list_says_so_and_a_bad_query_is_refused(runs: Runs) -> None:
    assert "No decision is stored." in (await runs.page("/decisions?tab=done")).text
    for query in ("tab=x", "tab=done&number=x", "tab=done&number=1234567890123456789"):
        await runs.page(f"/decisions?{query}", 400)


async def test_a_decision_has_its_verdict_and_hostile_texts_stay_texts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = {"text": ""}

    async def audit(_self: SqliteJournal, before_seq: int, _limit: int, **_which: Any) -> list[AuditEntry]:
        return [AuditEntry(1, 5, now["text"], None, "resolveEffect", "x")] if before_seq > 1 else []

    async def resolutions(_self: SqliteJournal, _id: str) -> list[ResolutionRow]:
        other = ResolutionRow("x", 1, 0, "booked", "{}", "another", now["text"], 4)
        return [other, ResolutionRow("x", 0, 0, "not_booked", '{"text":"line 7"}', now["text"], now["text"], 5)]

    monkeypatch.setattr(SqliteJournal, "audit", audit)
    monkeypatch.setattr(SqliteJournal, "resolutions", resolutions)
    shapes: list[Any] = []
    async with served(tmp_path) as live:
        for text in ["plain", *(value[:300] for value in VALUES)]:
            now["text"] = text
            page = (await live.http.get("/console/decisions?tab=done")).text
            shapes.append(Parsed.of(page).shape)
            assert "Not booked" in page and "line 7" in page and "another" not in page
    assert all(shape == shapes[0] for shape in shapes)
