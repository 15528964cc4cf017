"""The lists on a journal in PostgreSQL: the same pages, and what a person types is no error of the server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from headrace.background import in_background
from headrace.clock import SystemClock
from headrace.usecases.batch_driver import BatchDriver
from tests.api.conftest import Live, served
from tests.console.test_batches import failures, fields, made, page, sent, state_of, words
from tests.console.test_dead_letters import dead
from tests.support import postgres
from tests.support.publishers import Picky


@pytest.fixture
async def live(tmp_path: Path) -> AsyncIterator[Live]:
    if postgres.programs() is None:
        pytest.skip(postgres.MISSING)
    async with (
        served(tmp_path, database_url=postgres.new_database(), publishers=(Picky(),)) as server,
        in_background(BatchDriver(server.ports).run, SystemClock()),
    ):
        assert (await server.http.post("/api/ledger/v2/main", json={})).status_code == 204
        yield server


async def test_every_list_and_its_forms_work(live: Live) -> None:
    ids = await failures(live, 2)
    (letter,) = await dead(live, 7)
    await live.call("POST", f"/ext/instances/{ids[1]}/redrive", {"reason": "once more"})
    batch_id = await made(live, kind="redrive", instances=ids)
    await state_of(live, batch_id, "ready")
    text = words(await page(live, f"/console/batches/{batch_id}"))
    assert "has_successor, another run continues or undoes it already" in text and "INSUFFICIENT_FUND" in text
    assert batch_id[-12:] in await page(live, "/console/batches")
    text = await page(live, "/console/audit?operation=redriveInstance")
    assert "once more" in text and "createBatch" not in text
    assert "createBatch" in (await live.http.get("/console/audit.csv?from=2024-05-01T10:00")).text
    place = "/console/dead-letters/replay"
    form = fields(await page(live, f"{place}?publisher=picky&first=9"), place)
    answer = await sent(live, place, form)
    assert letter in await page(live, answer.headers["location"])
    text = words(await page(live, "/console/system"))
    assert "Kind PostgreSQL" in text and "File" not in text and "Size" not in text
    await live.started(await live.created({"stages": [{"delay": {"duration": "9h"}}]}))
    async with asyncio.timeout(10):
        while "in 8 h 59 min" not in words(await page(live, "/console/system")):
            await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    "path",
    [
        *("audit?target=a%00b", "audit?principal=a%00b", "audit.csv?target=a%00b", "dead-letters?publisher=a%00b"),
        *("dead-letters/replay?publisher=a%00b&first=1", "dead-letters/answer?key=a%00b", "batches/a%00b"),
        *("batches?before=1.%00", "batches/new?workflow=a%00b", "audit?number=999999999999999999"),
    ],
)
async def test_a_character_that_no_text_has_is_not_found_or_refused(live: Live, path: str) -> None:
    response = await live.http.get(f"/console/{path}")
    assert response.status_code in (200, 400, 404), (response.status_code, words(response.text))
