"""Actions: a form says what it will do, does it once, and says why where it does nothing."""

from __future__ import annotations

import asyncio
import html
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.api.conftest import Live, served
from tests.console.conftest import WORLD, Parsed, pays, started
from tests.console.hostile import VALUES

ESCROW = {"account": {"id": "escrow", "ledger": "main"}}


@pytest.fixture
async def live(tmp_path: Path) -> AsyncIterator[Live]:
    async with served(tmp_path) as server:
        assert (await server.http.post("/api/ledger/v2/main", json={})).status_code == 204
        yield server


async def waiting(live: Live) -> str:
    """A run that holds 25.00 EUR in escrow until it gets its event."""
    instance_id = await started(
        live, {"stages": [pays(WORLD, "escrow"), {"wait_event": {"event": "go"}}, pays(ESCROW, "shop:1")]}
    )
    await reached(live, instance_id, 2)
    return instance_id


async def failed(live: Live) -> str:
    """A run that needs money which is not there."""
    source = {"account": {"id": "purse", "ledger": "main"}}
    instance_id = await started(live, {"stages": [pays(source, "shop:1"), pays(WORLD, "shop:2")]})
    await live.engine.ended(instance_id, 10)
    return instance_id


async def reached(live: Live, instance_id: str, stages: int) -> None:
    async with asyncio.timeout(10):
        while len((await live.call("GET", f"/instances/{instance_id}/history")).json()["data"]) < stages:
            await asyncio.sleep(0.005)


async def form_of(live: Live, instance_id: str, action: str) -> tuple[dict[str, str], str]:
    """The hidden fields of a form, and the text of its page."""
    response = await live.http.get(f"/console/runs/{instance_id}/{action}")
    assert response.status_code == 200, response.text
    return hidden(response.text), " ".join(Parsed.of(response.text).text.split())


def hidden(page: str) -> dict[str, str]:
    return dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', page))


async def sent(live: Live, instance_id: str, action: str, fields: Any, **headers: str) -> httpx2.Response:
    path = f"/console/runs/{instance_id}/{action}"
    return await live.http.post(path, data=fields, headers=headers, follow_redirects=False)


async def audited(live: Live, instance_id: str) -> list[str]:
    entries = (await live.call("GET", f"/ext/audit?target={instance_id}")).json()["data"]
    return [each["operation"] for each in entries if each["operation"] != "runWorkflow"]


async def test_an_abort_says_what_stays_where_and_is_done_once(live: Live) -> None:
    instance_id = await waiting(live)
    fields, text = await form_of(live, instance_id, "abort")
    assert "25.00 EUR at escrow (main)" in text and "Abort and leave the money where it is" in text
    place = f"/console/runs/{instance_id}?done=abort"
    for _ in range(3):  # a double click, and Resend
        response = await sent(live, instance_id, "abort", {**fields, "reason": "the shop has closed"})
        assert (response.status_code, response.headers["location"]) == (303, place)
    page = Parsed.of((await live.http.get(place)).text).text
    assert "It is aborted." in page and "the shop has closed" in page and "Stuck" in page
    assert await audited(live, instance_id) == ["abortInstance"]


async def test_an_event_shows_what_follows_and_releases_the_stage(live: Live) -> None:
    instance_id = await waiting(live)
    fields, text = await form_of(live, instance_id, "send-event")
    assert "25.00 EUR from escrow to shop:1: planned" in text
    response = await sent(live, instance_id, "send-event", {**fields, "event": "go"})
    assert response.status_code == 303
    assert "error" not in await live.ended(instance_id)
    assert await audited(live, instance_id) == ["sendEvent"]


async def test_an_event_of_any_name_is_filled_in_as_it_is(live: Live) -> None:
    """Symbols in place of invisible characters would be another name, and release nothing."""
    event = "go\u200d\u202e & 'on'"
    instance_id = await started(live, {"stages": [{"wait_event": {"event": event}}]})
    await reached(live, instance_id, 1)
    page = (await live.http.get(f"/console/runs/{instance_id}/send-event")).text
    (value,) = re.findall(r'name="event"[^>]* value="([^"]*)"', page)
    assert html.unescape(value) == event
    await sent(live, instance_id, "send-event", {**hidden(page), "event": html.unescape(value)})
    assert "error" not in await live.ended(instance_id)


async def test_a_redrive_shows_what_it_makes_and_leads_to_the_run_that_continues(live: Live) -> None:
    instance_id = await failed(live)
    fields, text = await form_of(live, instance_id, "redrive")
    assert "25.00 EUR from purse to shop:1: refused" in text
    assert "25.00 EUR from outside to shop:2: will not be made" in text
    posting = {"source": "world", "destination": "purse", "amount": 2_500, "asset": "EUR/2"}
    assert (await live.http.post("/api/ledger/v2/main/transactions", json={"postings": [posting]})).status_code == 200
    places = set[str]()
    for _ in range(2):
        response = await sent(live, instance_id, "redrive", {**fields, "reason": "the purse is filled"})
        assert response.status_code == 303, response.text
        places.add(response.headers["location"])
    (place,) = places
    continuation = place.removeprefix("/console/runs/").partition("?")[0]
    assert continuation != instance_id and "error" not in await live.ended(continuation)
    page = " ".join(Parsed.of((await live.http.get(place)).text).text.split())
    assert "This run continues it." in page and "It continues" in page and "the purse is filled" in page


async def test_a_form_that_is_refused_keeps_what_was_typed_and_says_why(live: Live) -> None:
    instance_id = await waiting(live)
    fields, _ = await form_of(live, instance_id, "send-event")
    refused = await sent(live, instance_id, "send-event", {**fields, "event": ""})
    assert refused.status_code == 400
    assert "Nothing was done." in refused.text and hidden(refused.text) == fields
    fields, _ = await form_of(live, instance_id, "abort")
    refused = await sent(live, instance_id, "abort", {**fields, "reason": "x" * 5_000})
    assert refused.status_code == 400 and "x" * 5_000 in refused.text
    assert (await sent(live, instance_id, "abort", {**fields, "reason": "short"})).status_code == 303
    assert await audited(live, instance_id) == ["abortInstance"]


async def test_a_state_that_does_not_allow_it_is_said_and_nothing_changes(live: Live) -> None:
    instance_id = await waiting(live)
    mine, _ = await form_of(live, instance_id, "abort")
    yours, _ = await form_of(live, instance_id, "abort")
    assert mine["key"] != yours["key"]
    assert (await sent(live, instance_id, "abort", {**mine, "reason": "one"})).status_code == 303
    refused = await sent(live, instance_id, "abort", {**yours, "reason": "two"})
    assert refused.status_code == 409 and "has already ended" in refused.text
    assert "not in a state for this action" in (await form_of(live, instance_id, "send-event"))[1]
    fields, text = await form_of(live, instance_id, "decide")
    assert "No effect of this run has an unknown outcome." in text and fields == {}
    assert await audited(live, instance_id) == ["abortInstance"]


async def test_a_run_offers_what_its_state_allows(live: Live) -> None:
    delayed = await started(live, {"stages": [{"delay": {"duration": "9h"}}]})
    await reached(live, delayed, 1)
    assert "No stage waits for an event now." in (await form_of(live, delayed, "send-event"))[1]
    buttons = {
        delayed: {"abort"},
        await waiting(live): {"send-event", "abort"},
        await failed(live): {"redrive"},
    }
    for instance_id, wanted in buttons.items():
        links = Parsed.of((await live.http.get(f"/console/runs/{instance_id}")).text).links
        start = f"/console/runs/{instance_id}/"
        assert {link.removeprefix(start) for link in links if link.startswith(start)} == wanted


async def test_a_form_of_another_site_does_nothing(live: Live) -> None:
    instance_id = await waiting(live)
    fields, _ = await form_of(live, instance_id, "abort")
    good = {**fields, "reason": "r"}
    for change, headers in (
        ({"token": ""}, {}),
        ({"token": fields["token"][:-1] + "x"}, {}),
        ({}, {"sec-fetch-site": "cross-site"}),
        ({}, {"sec-fetch-site": "same-site"}),
        ({}, {"origin": "https://evil.example.com"}),
        ({}, {"host": "evil.example.com"}),
    ):
        response = await sent(live, instance_id, "abort", {**good, **change}, **headers)
        assert response.status_code == 403, (change, headers)
    del good["token"]
    assert (await sent(live, instance_id, "abort", good)).status_code == 403
    assert await audited(live, instance_id) == []


async def test_what_is_no_form_of_the_console_is_refused(live: Live) -> None:
    instance_id = await waiting(live)
    fields, _ = await form_of(live, instance_id, "abort")
    path = f"/console/runs/{instance_id}/abort"
    assert (await live.http.post(path, json={**fields, "reason": "r"})).status_code == 415
    assert (await live.http.post(path, data={**fields, "reason": "r" * (64 << 10)})).status_code == 413
    for key in ("", "mine", "console:" + "x" * 100):
        assert (await sent(live, instance_id, "abort", {**fields, "key": key, "reason": "r"})).status_code == 400
    decision = {**fields, "outcome": "booked", "evidence": "e", "reason": "r"}
    for stage in ("", "-1", "x", "1" * 10):
        response = await sent(live, instance_id, "decide", {**decision, "stage": stage, "position": "0"})
        assert response.status_code == 400, stage
    for action in ("delete", "postings", "%2e%2e"):
        assert (await live.http.get(f"/console/runs/{instance_id}/{action}")).status_code == 404
        assert (await sent(live, instance_id, action, {**fields, "reason": "r"})).status_code == 404
    assert (await live.http.get("/console/runs/none/abort")).status_code == 404
    assert await audited(live, instance_id) == []


async def test_a_hostile_text_in_a_form_stays_a_text(live: Live) -> None:
    instance_id = await waiting(live)
    fields, _ = await form_of(live, instance_id, "abort")
    safe = await sent(live, instance_id, "abort", {**fields, "reason": "x" * 5_000})
    for value in VALUES:
        text = value[:300]
        response = await sent(live, instance_id, "abort", {**fields, "reason": text + "x" * 5_000})
        assert response.status_code == 400, text
        assert Parsed.of(response.text).shape == Parsed.of(safe.text).shape, text
    assert await audited(live, instance_id) == []
