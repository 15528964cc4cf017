"""Decisions, approvals and undo: what waits for a person, and that each form does one thing."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from headrace.effects.port import Request
from tests.api.conftest import Live, served
from tests.console.conftest import WORLD, Parsed, pays, started
from tests.console.hostile import VALUES
from tests.console.test_actions import audited, form_of, hidden, live, sent
from tests.console.test_signin import Guarded, guarded, token_form

__all__ = ["guarded", "live"]  # fixtures


def words(page: str) -> str:
    return " ".join(Parsed.of(page).text.split())


async def shown(live: Live, path: str, status: int = 200) -> str:
    response = await live.http.get(f"/console{path}")
    assert response.status_code == status, response.text
    return words(response.text)


# undo


async def booked(live: Live) -> str:
    """A run that has booked 25.00 EUR and then 7.00 EUR."""
    instance_id = await started(live, {"stages": [pays(WORLD, "shop:1"), pays(WORLD, "shop:2", 700)]})
    await live.engine.ended(instance_id, 10)
    return instance_id


async def balance(live: Live, account: str) -> int:
    found = (await live.http.get(f"/api/ledger/v2/main/accounts/{account}?expand=volumes")).json()["data"]
    return found["volumes"]["EUR/2"]["balance"]


async def test_an_undo_shows_what_it_takes_back_the_last_first_and_is_done_once(live: Live) -> None:
    instance_id = await booked(live)
    links = Parsed.of((await live.http.get(f"/console/runs/{instance_id}")).text).links
    assert f"/console/runs/{instance_id}/undo" in links
    fields, text = await form_of(live, instance_id, "undo")
    assert text.index("7.00 EUR") < text.index("25.00 EUR") and "A payout that is paid stays paid." in text
    assert (await balance(live, "shop:1"), await balance(live, "shop:2")) == (2_500, 700)
    places = set[str]()
    for _ in range(3):
        response = await sent(live, instance_id, "undo", {**fields, "reason": "paid twice by hand"})
        assert response.status_code == 303, response.text
        places.add(response.headers["location"])
    (place,) = places
    made = place.removeprefix("/console/runs/").partition("?")[0]
    await live.engine.ended(made, 10)
    assert (await balance(live, "shop:1"), await balance(live, "shop:2")) == (0, 0)
    assert await audited(live, made) == ["undoInstance"]
    assert "This run takes it back." in await shown(live, place.removeprefix("/console"))
    again = await live.http.get(f"/console/runs/{instance_id}")
    assert f"/console/runs/{instance_id}/undo" not in Parsed.of(again.text).links
    assert "continued or undone already" in (await form_of(live, instance_id, "undo"))[1] or made[-12:] in words(
        again.text
    )


async def test_an_undo_that_would_do_something_else_by_now_is_shown_again(live: Live) -> None:
    instance_id = await booked(live)
    fields, _ = await form_of(live, instance_id, "undo")
    assert len(fields["hash"]) == 64
    response = await sent(live, instance_id, "undo", {**fields, "hash": "0" * 64, "reason": "kept text"})
    assert response.status_code == 409 and "has changed: it is shown as it is now" in words(response.text)
    assert 'value="kept text"' in response.text and hidden(response.text)["hash"] == fields["hash"]
    assert hidden(response.text)["key"] == fields["key"] and await audited(live, instance_id) == []
    assert (await balance(live, "shop:1"), await balance(live, "shop:2")) == (2_500, 700)


async def test_an_undo_that_is_not_possible_says_why_and_has_no_form(live: Live) -> None:
    instance_id = await started(live, {"stages": [{"wait_event": {"event": "go"}}]})
    fields, text = await form_of(live, instance_id, "undo")
    assert fields == {} and "abort it first" in text.lower()
    assert (await live.http.get(f"/console/runs/{instance_id}/undo?external=all")).status_code == 400
    bad = await sent(live, instance_id, "undo", {"token": "x", "key": "console:1", "external": "keep"})
    assert bad.status_code == 403


# decisions


async def test_without_open_questions_the_inbox_says_so(live: Live) -> None:
    assert "No effect waits for a decision." in await shown(live, "/decisions")
    assert "before: " in await shown(live, "/decisions?before=x", 400)


# approvals


ASKS: dict[str, Any] = {"name": "asks", "stages": [{"approve": {"title": "Pay"}}, pays(WORLD, "shop:1")]}


async def asking(guarded: Guarded) -> str:
    """A run of the operator that waits for an approval."""
    live = guarded.live
    granted = await live.http.post("/api/auth/oauth/token", data=token_form(*guarded.secrets["operator"]))
    live.http.headers["authorization"] = f"Bearer {granted.json()['access_token']}"
    instance_id = await live.started(await live.created(ASKS))
    async with asyncio.timeout(10):
        while "approval" not in (await live.call("GET", f"/ext/instances/{instance_id}")).json()["data"]:
            await asyncio.sleep(0.005)
    del live.http.headers["authorization"]
    return instance_id


async def planned(guarded: Guarded, session: str, instance_id: str) -> str:
    """The page of the plan of the rest, made by its form."""
    fields = hidden((await guarded.get(f"/runs/{instance_id}/plan-rest", session)).text)
    response = await guarded.post(f"/runs/{instance_id}/plan-rest", fields, session)
    assert response.status_code == 303, response.text
    return response.headers["location"].removeprefix("/console").partition("?")[0]


async def asked(guarded: Guarded, method: str, path: str) -> Any:
    """The answer of the sandbox's ledger, asked as the engine does."""
    body = b"{}" if method == "POST" else None
    answer = await guarded.live.ports.downstream.send(Request("ledger", method, path, body))
    return msgspec.json.decode(answer.body or b"null")


async def transactions(guarded: Guarded) -> int:
    return len((await asked(guarded, "GET", "/v2/main/transactions"))["cursor"]["data"])


async def test_two_persons_race_one_approval_and_the_run_pays_once(guarded: Guarded) -> None:
    await asked(guarded, "POST", "/v2/main")
    instance_id = await asking(guarded)
    operator = await guarded.sign_in("operator")
    plan = await planned(guarded, operator, instance_id)
    own = words((await guarded.get(plan, operator)).text)
    assert "A decision needs the scope orchestration:approve." in own and "25.00 EUR" in own
    forms: list[tuple[dict[str, str], str]] = []
    for name in ("approver", "deputy"):
        session = await guarded.sign_in(name)
        mine = await guarded.get("/approvals", session)
        assert plan in [link.removeprefix("/console") for link in Parsed.of(mine.text).links]
        fields = hidden((await guarded.get(plan, session)).text)
        forms.append(({**fields, "verdict": "approve", "reason": f"seen by {name}"}, session))
    answers = await asyncio.gather(*(guarded.post(plan, fields, session) for fields, session in forms))
    statuses = sorted(each.status_code for each in answers)
    assert statuses == [303, 409], [each.text for each in answers]
    (lost,) = [each for each in answers if each.status_code == 409]
    assert "Nothing was done." in lost.text and re.search(r'value="seen by (approver|deputy)"', lost.text)
    await guarded.live.engine.ended(instance_id, 10)
    assert await transactions(guarded) == 1
    text = words((await guarded.get(plan, operator)).text)
    assert len(re.findall(r"approved it", text)) == 1 and "The plan is used." in text


async def test_a_rejected_plan_ends_its_run_and_no_money_moves(guarded: Guarded) -> None:
    await asked(guarded, "POST", "/v2/main")
    instance_id = await asking(guarded)
    plan = await planned(guarded, await guarded.sign_in("operator"), instance_id)
    session = await guarded.sign_in("approver")
    fields = hidden((await guarded.get(plan, session)).text)
    for change in ({"verdict": ""}, {"verdict": "approve", "hash": "sha256:0"}, {"verdict": "reject", "reason": ""}):
        refused = await guarded.post(plan, {**fields, "reason": "why", **change}, session)
        assert refused.status_code in (400, 412), change
        assert "Nothing was done." in refused.text and hidden(refused.text)["key"] == fields["key"]
    for _ in range(2):
        done = await guarded.post(plan, {**fields, "verdict": "reject", "reason": "not ours"}, session)
        assert (done.status_code, done.headers["location"]) == (303, f"/console{plan}?done=reject")
    await guarded.live.engine.ended(instance_id, 10)
    assert await transactions(guarded) == 0
    text = words((await guarded.get(f"/runs/{instance_id}", session)).text)
    assert "rejected by" in text and "not ours" in text


async def test_plans_are_listed_by_what_this_person_can_do(guarded: Guarded) -> None:
    sessions = {name: await guarded.sign_in(name) for name in ("reader", "approver")}
    path = f"/console/approvals/{guarded.plan_id}"
    assert path in Parsed.of((await guarded.get("/approvals", sessions["approver"])).text).links
    mine = await guarded.get("/approvals", sessions["reader"])
    assert path not in Parsed.of(mine.text).links and "One plan is open" in words(mine.text)
    for tab in ("open", "done"):
        listed = await guarded.get(f"/approvals?tab={tab}", sessions["reader"])
        assert path in Parsed.of(listed.text).links
    assert "needs the scope" in words((await guarded.get("/approvals?tab=open", sessions["reader"])).text)
    assert (await guarded.get("/approvals?tab=all", sessions["reader"])).status_code == 400
    assert (await guarded.get("/approvals/none", sessions["reader"])).status_code == 404


async def test_without_authentication_no_decision_can_be_made(tmp_path: Path) -> None:
    async with served(tmp_path) as live:
        plan = {"definition": {"name": "x", "stages": [{"wait_event": {"event": "${x}"}}]}, "variables": {"x": "y"}}
        plan_id = (await live.call("POST", "/ext/plans", plan)).json()["data"]["id"]
        safe = Parsed.of((await live.http.get(f"/console/approvals/{plan_id}")).text)
        assert "this server runs without authentication" in safe.text
        for value in VALUES[:30]:
            body = {**plan, "variables": {"x": value[:200] if value[:200].isprintable() else "z"}}
            made = await live.call("POST", "/ext/plans", body)
            page = Parsed.of((await live.http.get(f"/console/approvals/{made.json()['data']['id']}")).text)
            assert page.shape == safe.shape, value


@pytest.mark.parametrize("rows", [1, 2])
async def test_pages_of_plans_hold_each_once(live: Live, monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    monkeypatch.setattr("headrace.console.approvals.ROWS", rows)
    made = [
        (await live.call("POST", "/ext/plans", {"definition": {"stages": [pays(WORLD, "a")]}})).json()["data"]["id"]
        for _ in range(3)
    ]
    path, found = "/approvals?tab=open", list[str]()
    for _ in range(5):
        page = Parsed.of((await live.http.get(f"/console{path}")).text)
        found += [link.rpartition("/")[2] for link in page.links if re.search(r"/approvals/[0-9a-f]", link)]
        older = [link for link in page.links if "before=" in link]
        if not older:
            break
        path = older[0].removeprefix("/console")
    assert found == made[::-1]
