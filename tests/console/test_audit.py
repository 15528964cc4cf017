"""The audit trail: who asked for what, by actor, object, operation and time; and as a bounded CSV."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlencode

import pytest

from headrace.journal.port import Unit
from headrace.journal.writes import AddAuditEntry
from headrace.pictures.words import visible
from tests.api.conftest import Live, served
from tests.console.conftest import Parsed, Runs
from tests.console.hostile import VALUES

AT = 1_714_557_600_000_000
"""2024-05-01 10:00 UTC."""
MINUTE = 60_000_000


@pytest.fixture
async def live(tmp_path: Path) -> AsyncIterator[Live]:
    async with served(tmp_path) as server:
        yield server


async def entries(live: Live, *rows: tuple[int, str, str, str]) -> None:
    """Entries of these minutes after `AT`, principals, operations and targets."""
    unit = Unit()
    for minute, principal, operation, target in rows:
        at = AT + minute * MINUTE
        unit.add(AddAuditEntry(at=at, principal=principal, client_id="cli", operation=operation, target=target))
    await live.journal.commit(unit)


async def page(live: Live, query: str = "", status: int = 200) -> Parsed:
    response = await live.http.get(f"/console/audit{query}")
    assert response.status_code == status, response.text
    return Parsed.of(response.text)


def listed(parsed: Parsed) -> list[int]:
    return [int(each) for each in re.findall(r"entry (\d+)", parsed.text)]


async def sheet(live: Live, query: str = "") -> list[list[str]]:
    response = await live.http.get(f"/console/audit.csv{query}")
    assert response.status_code == 200 and response.headers["content-type"] == "text/csv; charset=utf-8"
    assert response.headers["content-disposition"] == 'attachment; filename="audit.csv"'
    return list(csv.reader(io.StringIO(response.text)))


async def test_an_empty_trail_says_so(live: Live) -> None:
    assert "No entry yet." in (await page(live)).text
    found = await page(live, "?principal=jane")
    assert "No entry matches." in found.text and "/console/audit" in found.links
    assert len(await sheet(live)) == 1


async def test_entries_lead_to_their_runs_and_say_why(runs: Runs) -> None:
    found = await page(runs.live)
    assert listed(found) == sorted(listed(found), reverse=True)
    for text in ("abortInstance", "anonymous", "the shop has closed", "createWorkflow", "runWorkflow"):
        assert text in found.text, text
    linked = {link.rpartition("/")[2] for link in found.links if link.startswith("/console/runs/")}
    assert linked == set(runs.ids.values()), "and a workflow is no run"
    upper = await page(runs.live, f"?target={runs.ids['aborted'].upper()}")
    assert [word for word in ("abortInstance", "runWorkflow", "createWorkflow") if word in upper.text] == [
        "abortInstance",
        "runWorkflow",
    ]


async def test_the_reason_is_that_of_the_entry_s_own_decision(runs: Runs) -> None:
    body = {"kind": "redrive", "instances": [runs.ids["failed"]], "reason": "the bank is back"}
    assert (await runs.live.call("POST", "/ext/batches", body)).status_code == 201
    again = await runs.live.call("POST", f"/ext/instances/{runs.ids['failed']}/redrive", {"reason": "once more"})
    assert again.status_code == 201, again.text
    found = await page(runs.live)
    assert "the bank is back" in found.text and "once more" in found.text
    assert [row[6] for row in await sheet(runs.live)][1:4] == ["once more", "the bank is back", "the shop has closed"]
    (batch,) = [link for link in found.links if link.startswith("/console/batches/")]
    assert batch


@pytest.mark.parametrize(
    ("query", "found"),
    [
        *(("?principal=jane", [3, 1]), ("?principal=Jane", []), ("?operation=abortInstance", [3, 2])),
        *(("?target=b", [4, 2]), ("?target=b&operation=abortInstance", [2]), ("?target=+b+", [4, 2])),
        *(("?from=2024-05-01T10:02", [4, 3]), ("?before=2024-05-01T10:02", [2, 1])),
        ("?from=2024-05-01T10:01&before=2024-05-01T10:02", [2]),
        ("?from=2024-05-01T12:02%2B02:00&principal=jane", [3]),
        ("?from=2024-05-02", []),
    ],
)
async def test_filters_and_the_sheet_agree(live: Live, query: str, found: list[int]) -> None:
    rows = ((0, "jane", "runWorkflow", "a"), (1, "joe", "abortInstance", "b"))
    await entries(live, *rows, (2, "jane", "abortInstance", "c"), (3, "joe", "runWorkflow", "b"))
    parsed = await page(live, query)
    assert listed(parsed) == found
    assert [int(row[0]) for row in (await sheet(live, query))[1:]] == found
    assert "/console/audit.csv" in "".join(parsed.links)


@pytest.mark.parametrize("query", ["", "?operation=abortInstance", "?from=2024-05-01T10:00"])
async def test_pages_walk_through_all_entries_once(live: Live, query: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"ROWS": 3, "CHUNK": 4, "REACH": 8}.items():
        monkeypatch.setattr(f"headrace.console.audit.{name}", value)
    rows = [(minute, "jane", "abortInstance" if minute < 9 else "runWorkflow", "a") for minute in range(20)]
    await entries(live, *rows)
    seen: list[int] = []
    asked: str = query
    while True:
        parsed = await page(live, asked)
        seen += listed(parsed)
        older = [link for link in parsed.links if "number=" in link]
        if not older:
            break
        asked = older[0].removeprefix("/console/audit")
    assert seen == list(range(9 if "operation" in query else 20, 0, -1))


async def test_a_search_that_ends_early_says_so_and_goes_on(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headrace.console.audit.CHUNK", 2)
    monkeypatch.setattr("headrace.console.audit.REACH", 4)
    monkeypatch.setattr("headrace.console.audit.REACH_OF_EXPORT", 4)
    await entries(live, (0, "jane", "abortInstance", "a"), *[(n, "joe", "runWorkflow", "b") for n in range(1, 6)])
    first = await page(live, "?operation=abortInstance")
    assert "No entry matches among the 4 looked through." in " ".join(first.text.split())
    assert "Look further back" in first.text
    (older,) = [link for link in first.links if "number=" in link]
    assert listed(await page(live, older.removeprefix("/console/audit"))) == [1]
    assert (await sheet(live, "?operation=abortInstance"))[-1][0].startswith("not complete: 0 rows, of at most 4")


async def test_the_sheet_is_bounded_and_says_so(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headrace.console.audit.MAX_EXPORTED", 3)
    await entries(live, *[(n, "joe", "runWorkflow", "b") for n in range(5)])
    rows = await sheet(live)
    assert [row[0] for row in rows[1:4]] == ["5", "4", "3"] and len(rows) == 5
    assert rows[4][0] == "not complete: 3 rows, at most 3 in one file; narrow the filters"
    assert "at most 3 rows" in (await page(live)).text
    assert len(await sheet(live, "?before=2024-05-01T10:03")) == 4, "exactly as many as fit are complete"


@pytest.mark.parametrize("name", ["from", "before", "number"])
@pytest.mark.parametrize("text", ["x", "2024-13-01", "9" * 30, "-1", "\u00b2"])
async def test_a_bad_filter_is_a_page_that_names_it(live: Live, name: str, text: str) -> None:
    parsed = await page(live, "?" + urlencode({name: text}), 400)
    assert f"{name}: " in parsed.text


async def test_times_at_the_ends_of_the_calendar_are_times(live: Live) -> None:
    await page(live, "?from=0001-01-01T00:00%2B14:00&before=9999-12-31T23:59-14:00")


async def test_a_hostile_text_stays_a_text_and_no_cell_is_a_formula(live: Live) -> None:
    await entries(live, (0, "x", "x", "x"))
    safe = await page(live, "?principal=x&target=x&operation=x")
    for value in VALUES:
        text = f"{value[:300]}.".strip()
        await entries(live, (0, text, text, text))
        query = "?" + urlencode({"principal": text, "target": text, "operation": text})
        parsed = await page(live, query)
        assert parsed.shape == safe.shape and visible(text) in parsed.text, value
        row = (await sheet(live, query))[1]
        assert row[2].lstrip("'") == visible(text).lstrip("'")
        assert not any(each.startswith(("=", "+", "-", "@")) for each in row), value
