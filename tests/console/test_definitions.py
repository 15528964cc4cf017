"""Workflows and triggers in the console: what each says of a definition, and a test that starts nothing."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest

from tests.api.conftest import Live
from tests.console.conftest import WORLD, Parsed, pays
from tests.console.hostile import VALUES
from tests.console.test_actions import hidden, live
from tests.console.test_people import shown, words
from tests.console.test_signin import Guarded, guarded

__all__ = ["guarded", "live"]  # fixtures

WAITS: dict[str, Any] = {
    "name": "payout",
    "stages": [{"wait_event": {"event": "go"}}, pays(WORLD, "shop:${shop}", 700)],
}


async def triggered(live: Live, **members: Any) -> str:
    workflow_id = await live.created({"name": "pay in", "stages": [pays(WORLD, "shop:1")]})
    body = {"event": "SAVED_PAYMENT", "workflowID": workflow_id, **members}
    made = await live.call("POST", "/triggers", body)
    assert made.status_code == 201, made.text
    return made.json()["data"]["id"]


async def test_a_workflow_says_its_stages_and_how_its_runs_are(live: Live) -> None:
    workflow_id = await live.created(WAITS)
    for _ in range(2):
        await live.started(workflow_id, {"shop": "7"})
    listed = words((await live.http.get("/console/workflows")).text)
    assert "payout" in listed and workflow_id in listed
    text = await shown(live, f"/workflows/{workflow_id.upper()}")
    assert "2 stages" in text and "2 runs have not ended" in text
    assert "7.00 EUR" in text and "shop:${shop}" in text and "go" in text
    assert '"wait_event"' in text and "None." in text
    assert (await live.call("DELETE", f"/workflows/{workflow_id}")).status_code == 204
    assert "It is deleted" in await shown(live, f"/workflows/{workflow_id}")
    assert workflow_id not in words((await live.http.get("/console/workflows")).text)
    await shown(live, "/workflows/none", 404)


async def test_two_versions_of_a_name_show_their_difference(live: Live) -> None:
    ids: list[str] = []
    for amount in (700, 900):
        body = {"definition": {"name": "payout", "stages": [pays(WORLD, "shop:1", amount)]}}
        made = await live.call("PUT", "/ext/workflows/payout", body)
        assert made.status_code in (200, 201), made.text
        ids.append(made.json()["data"]["versions"][0]["workflowID"])
    page = await live.http.get(f"/console/workflows/{ids[1]}?against={ids[0]}")
    text = words(page.text)
    assert "Versions of payout" in text and "this one" in text
    assert re.search(r'class="removed">- *&#34;amount&#34;: 700', page.text), page.text
    assert re.search(r'class="added">[+] *&#34;amount&#34;: 900', page.text)
    assert "The two say the same." in await shown(live, f"/workflows/{ids[1]}?against={ids[1]}")
    await shown(live, f"/workflows/{ids[1]}?against=none", 400)


async def test_a_trigger_lists_what_it_has_done(live: Live) -> None:
    trigger_id = await triggered(live, filter='event.type == "PAY-IN"', vars={"amount": "event.amount"})
    assert "It has fitted no event." in await shown(live, f"/triggers/{trigger_id}")
    for kind in ("PAY-IN", "PAYOUT"):
        event = {"type": "SAVED_PAYMENT", "payload": {"id": kind, "type": kind, "amount": 5}}
        assert (await live.call("POST", "/ext/events", event)).status_code in (200, 202)
    async with asyncio.timeout(10):
        while not re.search("/console/runs/[0-9a-f]", (await live.http.get(f"/console/triggers/{trigger_id}")).text):
            await asyncio.sleep(0.01)
    page = await live.http.get(f"/console/triggers/{trigger_id}")
    runs = {link for link in Parsed.of(page.text).links if re.match(r"/console/runs/[0-9a-f]", link)}
    assert len(runs) == 1, "the payout does not fit"
    assert (await live.http.get(runs.pop())).status_code == 200
    listed = Parsed.of((await live.http.get("/console/triggers")).text)
    assert f"/console/triggers/{trigger_id}" in listed.links and 'event.type == "PAY-IN"' in listed.text
    await shown(live, "/triggers/none", 404)
    await shown(live, f"/triggers/{trigger_id}?before=x", 400)


async def test_a_test_says_whether_it_would_fire_and_starts_nothing(live: Live) -> None:
    trigger_id = await triggered(live, filter='event.type == "PAY-IN"', vars={"amount": "event.amount"})
    path = f"/console/triggers/{trigger_id}/test"
    fields = hidden((await live.http.get(path)).text)

    async def tested(event: str, status: int = 200) -> str:
        response = await live.http.post(path, data={**fields, "event": event})
        assert response.status_code == status, response.text
        return words(response.text)

    assert "It would start a run." in (text := await tested('{"type": "PAY-IN", "amount": 4199}')) and "4199" in text
    assert "It would not fire" in await tested('{"type": "PAYOUT", "amount": 1}')
    assert "It would not fire" in (text := await tested("{}")) and "amount" in text
    for event in ("", "{", "[1]", "1", "[" * 2_000, '{"a": ' * 200):
        assert "Nothing was tested." in await tested(event, 400), event
    assert (await live.call("GET", "/instances")).json()["data"] == []
    assert "It has fitted no event." in await shown(live, f"/triggers/{trigger_id}")


async def test_a_test_needs_the_scope_of_its_operation(guarded: Guarded) -> None:
    for name in ("reader", "approver"):
        session = await guarded.sign_in(name)
        page = (await guarded.get(f"/triggers/{guarded.trigger_id}/test", session)).text
        assert "A test needs the scope orchestration:write" in page and "<textarea" not in page
        fields = {"token": await guarded.token(session), "event": "{}"}
        response = await guarded.post(f"/triggers/{guarded.trigger_id}/test", fields, session)
        assert response.status_code == 403
    session = await guarded.sign_in("operator")
    fields = {"token": await guarded.token(session), "event": "{}"}
    assert (await guarded.post(f"/triggers/{guarded.trigger_id}/test", fields, session)).status_code == 200


@pytest.mark.parametrize("rows", [1, 2])
async def test_pages_hold_each_once(live: Live, monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    monkeypatch.setattr("headrace.console.workflows.ROWS", rows)
    made = [await live.created(WAITS) for _ in range(3)]
    path, found = "/workflows", list[str]()
    for _ in range(5):
        page = Parsed.of((await live.http.get(f"/console{path}")).text)
        found += [link.rpartition("/")[2] for link in page.links if re.search(r"/workflows/[0-9a-f]", link)]
        older = [link for link in page.links if "before=" in link]
        if not older:
            break
        path = older[0].removeprefix("/console")
    assert found == made[::-1]


async def test_hostile_texts_stay_texts(live: Live) -> None:
    safe: Parsed | None = None
    for value in ("harmless", *VALUES[:40]):
        text = value[:200]
        workflow_id = await live.created({"name": text, "stages": [{"wait_event": {"event": text or "x"}}]})
        page = Parsed.of((await live.http.get(f"/console/workflows/{workflow_id}")).text)
        safe = safe or page
        assert page.shape == safe.shape, value
