"""A hostile text changes nothing of a page but its text: the page has the elements of that of a harmless one."""

from __future__ import annotations

import asyncio
import csv
import io
from urllib.parse import quote, urlencode

import pytest

from headrace.pictures.words import visible
from tests.console.conftest import WORLD, Parsed, Runs, pays, started
from tests.console.hostile import VALUES

HARMLESS = "harmless"


TICKS = (("line", ("x1", "x2", "y1", "y2")), ("text", ("x", "y")))
"""Of a timeline's clock: how many there are depends on how long a run has taken."""


def shape_of(page: Parsed) -> list[tuple[str, tuple[str, ...]]]:
    return [each for each in page.shape if each not in TICKS]


async def pages_with(runs: Runs, text: str) -> list[Parsed]:
    """Each page that a text from outside reaches, with this one in every field."""
    live = runs.live
    written = text.replace("${", "$ {")  # in a definition it would name a variable
    note = {"update": {"account": {"id": "shop:1", "ledger": "main", "metadata": {"note": written}}}}
    definition = {"name": text, "stages": [pays(WORLD, "shop:1"), note, {"wait_event": {"event": "${event}"}}]}
    event = text if text.isprintable() else "go"  # no event has a control character in its name
    instance_id = await started(live, definition, {"event": event, "x": text})
    async with asyncio.timeout(10):
        while len((await live.call("GET", f"/instances/{instance_id}/history")).json()["data"]) < 3:
            await asyncio.sleep(0.005)
    response = await live.call("POST", f"/ext/instances/{instance_id}/abort", {"reason": f"x{text}"})
    assert response.status_code == 204, response.text
    views = ("overview", "postings", "history", "audit", "raw")
    paths = [f"/runs/{instance_id}?view={view}" for view in views]
    paths += [f"/runs/{instance_id}?stage={number}" for number in (2, 3)]
    return [await runs.page(path) for path in (*paths, f"/runs?{urlencode({'q': f'x={text}'})}", "/")]


def test_there_are_at_least_sixty() -> None:
    assert len(set(VALUES)) == len(VALUES) >= 60


async def test_every_page_keeps_its_shape(runs: Runs) -> None:
    safe = await pages_with(runs, HARMLESS)
    for value in VALUES:
        text = value[:300]
        for number, (page, harmless) in enumerate(zip(await pages_with(runs, text), safe, strict=True)):
            if number < 7:
                assert shape_of(page) == shape_of(harmless), (value, number)
            if number == 0:
                assert visible(text) in page.text, value
            assert all(link.startswith(("/console", "?", "#")) for link in page.links), value
            assert {tag for tag, _ in page.shape} <= {tag for each in safe for tag, _ in each.shape}, value
            assert not any(name.startswith("on") for _, names in page.shape for name in names), value


async def test_the_path_and_the_query_are_shown_escaped_or_not_at_all(runs: Runs) -> None:
    for value in VALUES:
        for path in (f"/runs/{quote(value, safe='')}", f"/runs?{urlencode({'status': value})}"):
            response = await runs.live.http.get(f"/console{path[:2_000]}")
            assert response.status_code in (400, 404), value
            parsed = Parsed.of(response.text)
            assert "script" not in {tag for tag, _ in parsed.shape} and parsed.text.count("Headrace") >= 1


@pytest.mark.parametrize("value", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "a,b", 'a"b', "a\u202eb"])
async def test_no_cell_is_a_formula(runs: Runs, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The name of a service's object may be anything; those of accounts may not."""
    monkeypatch.setattr("headrace.pictures.moves.Flow.title", lambda _self, _node: value)
    response = await runs.live.http.get(f"/console/runs/{runs.ids['succeeded']}/postings.csv")
    _, row = csv.reader(io.StringIO(response.text))
    assert row[1] in (f"'{visible(value)}", visible(value))
    assert not row[1].startswith(("=", "+", "-", "@"))
