"""System: what is known of a server, and nothing else."""

from __future__ import annotations

import asyncio
import html
import os
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from headrace.auth.principal import ANONYMOUS
from headrace.clock import SystemClock
from headrace.composition import assembly
from headrace.console.counts import Counts
from headrace.console.pages import Place, Visitor
from headrace.console.rendering import rendered
from headrace.console.system import lag_of, show_system, size_text
from headrace.journal.sqlite.migrations import HEAD
from headrace.settings import Settings
from headrace.telemetry import Telemetry
from tests.api.conftest import Live, served
from tests.console.conftest import WORLD, pays, started
from tests.console.test_dead_letters import dead
from tests.support.publishers import Picky


@pytest.fixture
async def live(tmp_path: Path) -> AsyncIterator[Live]:
    async with served(tmp_path, publishers=(Picky(),)) as server:
        assert (await server.http.post("/api/ledger/v2/main", json={})).status_code == 204
        yield server


async def words(live: Live) -> str:
    response = await live.http.get("/console/system")
    assert response.status_code == 200, response.text
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", response.text)).split())


async def test_a_new_server_says_what_it_knows(live: Live) -> None:
    text = await words(live)
    for part in (
        "Release 0.0.0",
        "without authentication",
        "the sandbox: no real money moves",
        "Kind SQLite",
        "Driven by this process",
        f"Identity {await live.journal.identity()}",
        "no delay is overdue",
        "no run waits for the end of a delay",
        "ledger 0 0 0 0",
        "picky not begun",
        "Triggers 0 of at most",
    ):
        assert part in text, part
    assert "late on average" not in text and "dead letters." not in text and "Schema" not in text
    assert re.search(r"Size [0-9.]+ (kB|MB)", text)


async def test_it_counts_answers_runs_and_timers(live: Live) -> None:
    await live.ended(await started(live, {"stages": [pays(WORLD, "shop:1")]}))
    empty = {"account": {"id": "empty", "ledger": "main"}}
    await live.ended(await started(live, {"stages": [pays(empty, "shop:1")]}))
    await live.ended(await started(live, {"stages": [{"delay": {"duration": "80ms"}}]}))
    await started(live, {"stages": [{"delay": {"duration": "9h"}}]})
    await dead(live, 1)
    async with asyncio.timeout(10):
        while "in 8 h 59 min" not in (text := await words(live)):
            await asyncio.sleep(0.01)
    assert "ledger 1 1 0 0" in text and "1 not ended; 0 effects need a decision" in text
    assert "1 delay ended," in text and "There are dead letters." in text
    end = await live.journal.outbox_end()
    assert f"has the number {end}." in text
    async with asyncio.timeout(10):
        while "the server's own triggers not begun" in await words(live):
            await asyncio.sleep(0.01)


async def test_a_delay_that_should_have_ended_is_said(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    await started(live, {"stages": [{"delay": {"duration": "2h"}}]})
    async with asyncio.timeout(10):
        while "in 1 h 59 min" not in await words(live):
            await asyncio.sleep(0.01)
    at = live.ports.clock.now_at() + 5 * 3_600_000_000
    monkeypatch.setattr(SystemClock, "now_at", lambda _self: at)
    assert re.search(r"a delay should have ended (2 h 59 min|3 h) ago", await words(live))


async def test_what_is_not_known_is_not_shown(live: Live) -> None:
    page = await show_system(Place(live.ports, Counts(live.ports.clock), Visitor(ANONYMOUS, "x", "t"), {}, {}))
    shown = {"now_at": 0, "path": "/console/system", "title": page.title, "is_sandbox": False, "token": ""}
    text = rendered(page.template, {**shown, "visitor": None, "is_open": False, **page.values})
    assert "real ones" in text and "with authentication" in text and live.ports.release in text
    for part in ("Kind", "Size", "Schema", "Driven by", "Answers of the services", "None"):
        assert part not in text, part


def test_a_composition_knows_its_journal_and_its_owner(tmp_path: Path) -> None:
    clock = SystemClock()
    store: Any = type("Store", (), {"kind": "SQLite", "revision": HEAD, "file": tmp_path / "journal.db"})
    parts: Any = type("Parts", (), {"settings": Settings(), "store": store, "telemetry": Telemetry(clock)})
    facts = assembly.facts_of(parts)
    assert (facts.journal, facts.revision, facts.engine) == ("SQLite", HEAD, "embedded")
    assert facts.owner == f"this process ({os.getpid()})" and facts.journal_bytes() == 0
    (tmp_path / "journal.db").write_bytes(b"x" * 1_500)
    (tmp_path / "journal.db-wal").write_bytes(b"x" * 700)
    assert size_text(facts.journal_bytes()) == "2.2 kB"
    assert replace(facts, file=None).journal_bytes() is None and size_text(None) == ""


def test_sizes_and_lags_are_short() -> None:
    assert [size_text(count) for count in (0, 999, 1_000, 2_500_000, 3 * 10**9)] == [
        *("0 bytes", "999 bytes", "1.0 kB", "2.5 MB", "3.0 GB")
    ]
    telemetry = Telemetry(SystemClock())
    assert lag_of(telemetry) is None
    telemetry.timer_lag(0.1)
    telemetry.timer_lag(0.3)
    assert lag_of(telemetry) == (2, "200 ms")
    assert telemetry.value("headrace_nothing") is None
