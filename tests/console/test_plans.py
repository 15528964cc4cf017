"""Plans: made with a form, listed by state, and run once, as they were signed."""

from __future__ import annotations

import asyncio
import html
import os
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from headrace.auth.clients import APPROVE, READ, WRITE, ClientsFile
from headrace.clock import RandomIds, SystemClock
from headrace.composition.authentication import build_authenticator
from headrace.console.signin import COOKIE
from headrace.runner.policy import Policy
from headrace.settings import Settings
from headrace.workflows.approval_rules import ApprovalRule, ApprovalRules
from tests.api.conftest import Live, served
from tests.console.conftest import WORLD, Parsed, pays
from tests.console.hostile import VALUES

RULES = ApprovalRules((ApprovalRule("big", "EUR/2", 150, 1, "*"),), "sha256:1")
ALL = (READ, WRITE, APPROVE)


class People:
    """A server with local clients, and each of them at the console."""

    def __init__(self, live: Live, sessions: dict[str, dict[str, str]]) -> None:
        self.live = live
        self.sessions = sessions

    async def get(self, by: str, path: str, status: int = 200) -> str:
        response = await self.live.http.get(f"/console{path}", headers=self.sessions[by], follow_redirects=False)
        assert response.status_code == status, response.text
        return response.text

    async def words(self, by: str, path: str) -> str:
        return " ".join(Parsed.of(await self.get(by, path)).text.split())

    async def fields(self, by: str, path: str) -> dict[str, str]:
        """The hidden fields of the form of a page, without those of the sign-out."""
        page = await self.get(by, path)
        found = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', page)
        return {name: html.unescape(value) for name, value in found}

    async def post(self, by: str, path: str, fields: dict[str, str]) -> httpx2.Response:
        headers = self.sessions[by]
        return await self.live.http.post(f"/console{path}", data=fields, headers=headers, follow_redirects=False)

    async def submit(self, by: str, path: str, **typed: str) -> httpx2.Response:
        return await self.post(by, path, {**await self.fields(by, path), **typed})

    async def api(self, by: str, method: str, path: str, body: Any = None) -> Any:
        response = await self.live.call(method, path, body, headers={"authorization": self.sessions[by]["x-bearer"]})
        assert response.status_code in (200, 201), response.text
        return response.json()["data"]

    async def workflow(self, definition: Any) -> str:
        return (await self.api("jane", "POST", "/workflows", definition))["id"]

    async def plan(self, by: str = "jane", **stage: Any) -> str:
        """The path of a plan that was made with the form."""
        workflow_id = await self.workflow({"name": "pay in", "stages": [pays(WORLD, "${to}", **stage)]})
        path = f"/workflows/{workflow_id}/plan"
        response = await self.submit(by, path, variables="to=shop:1\r\n\r\n")
        assert response.status_code == 303, response.text
        return "/plans/" + response.headers["location"].partition("?")[0].rpartition("/")[2]


@pytest.fixture
async def people(tmp_path: Path) -> AsyncIterator[People]:
    clock = SystemClock()
    file = ClientsFile(tmp_path / "clients.json")
    scopes = {"jane": ALL, "mary": ALL, "john": ALL, "reader": (READ,), "bank": (READ, "ledger:read", "ledger:write")}
    made = {name: file.create(name, list(given), clock, os.urandom) for name, given in scopes.items()}
    authenticator = build_authenticator(Settings(auth="local"), tmp_path, "http://127.0.0.1", clock, RandomIds())
    policy = Policy(approval_rules=RULES)
    async with served(tmp_path, authenticator=authenticator, policy=policy) as live:
        sessions: dict[str, dict[str, str]] = {}
        for name, each in made.items():
            form = {"client": each.client.id, "secret": each.secret, "next": ""}
            answer = await live.http.post("/console/sign-in", data=form, follow_redirects=False)
            cookie = answer.headers["set-cookie"].partition(";")[0]
            assert cookie.startswith(COOKIE)
            granted = await live.http.post(
                "/api/auth/oauth/token",
                data={"grant_type": "client_credentials", "client_id": each.client.id, "client_secret": each.secret},
            )
            sessions[name] = {"cookie": cookie, "x-bearer": f"Bearer {granted.json()['access_token']}"}
        bank = {"authorization": sessions["bank"]["x-bearer"]}
        assert (await live.http.post("/api/ledger/v2/main", json={}, headers=bank)).status_code == 204
        yield People(live, sessions)


async def test_a_plan_shows_what_is_signed_and_is_made_once(people: People) -> None:
    workflow_id = await people.workflow({"name": "pay in", "stages": [pays(WORLD, "${to}")]})
    path = f"/workflows/{workflow_id}/plan"
    fields = {**await people.fields("jane", path), "variables": "to=shop:1"}
    places = {(await people.post("jane", path, fields)).headers["location"] for _ in range(2)}
    (place,) = places
    text = await people.words("jane", place.removeprefix("/console"))
    for part in ("The plan is made.", "sha256:", "25.00 EUR", "by the rule big", "another person"):
        assert part in text, part
    assert "pay in" in await people.words("reader", "/plans?state=open")
    assert "No plan is in this state" in await people.words("reader", "/plans?state=used")


async def test_a_refused_plan_keeps_what_was_typed(people: People) -> None:
    workflow_id = await people.workflow({"stages": [pays(WORLD, "${to}")]})
    path = f"/workflows/{workflow_id}/plan"
    for typed, why in (
        ({"variables": "nothing"}, "line 1 is not name=value"),
        ({"variables": "to=a\nto=b"}, "line 2 names to again"),
        ({"variables": "x=1"}, "no value for to"),
        ({"variables": "to=a", "expiresIn": "9d"}, "from 1m to 7d"),
    ):
        response = await people.submit("jane", path, **typed)
        assert response.status_code == 400 and why in html.unescape(response.text), response.text
        assert all(html.escape(text) in response.text for text in typed.values())
    for value in ["plain", *VALUES]:
        response = await people.submit("jane", path, variables=value[:300].replace("=", ""))
        assert response.status_code == 400 and "<script>" not in response.text
    assert "No plan." in await people.words("jane", "/plans")


async def test_a_plan_runs_once_and_two_browsers_that_race_make_one_run(people: People) -> None:
    path = await people.plan()
    number = path.rpartition("/")[2]
    response = await people.submit("mary", f"/approvals/{number}", verdict="approve", reason="seen")
    assert response.status_code == 303, response.text
    assert "1 of 1 approvals that the rule big asks for" in await people.words("jane", f"{path}/run")
    fields = await people.fields("jane", f"{path}/run")
    changed = await people.post("jane", f"{path}/run", {**fields, "hash": "sha256:0"})
    assert changed.status_code == 412 and "Nothing was done." in changed.text
    forms = {by: await people.fields(by, f"{path}/run") for by in ("jane", "john")}
    answers = await asyncio.gather(*(people.post(by, f"{path}/run", form) for by, form in forms.items()))
    assert sorted(each.status_code for each in answers) == [303, 409]
    (lost,) = (each for each in answers if each.status_code == 409)
    assert "Nothing was done." in lost.text
    (won,) = (by for by, each in zip(forms, answers, strict=True) if each.status_code == 303)
    again = await people.post(won, f"{path}/run", forms[won])
    assert again.status_code == 303 and again.headers["location"] in {each.headers.get("location") for each in answers}
    assert "It became run" in await people.words("jane", path)
    entries = await people.api("jane", "GET", "/ext/audit")
    assert [each["operation"] for each in entries].count("runPlan") == 1
    assert number[-12:] in await people.words("reader", "/plans?state=used")


@pytest.mark.parametrize("of", ["redrive", "undo"])
async def test_a_plan_of_a_run_is_made_and_used_with_a_reason(people: People, of: str) -> None:
    """The redrive finds the purse filled; the undo needs an approval, which the plan has."""
    source = {"account": {"id": "purse", "ledger": "main"}}
    stages = [pays(source, "shop:1", 100)] if of == "redrive" else [pays(WORLD, "shop:1", 100)]
    workflow_id = await people.workflow({"name": "pay", "stages": stages})
    run = (await people.api("jane", "POST", f"/workflows/{workflow_id}/instances", {}))["id"]
    await people.live.engine.ended(run, 10)
    response = await people.submit("jane", f"/runs/{run}/plan?of={of}")
    assert response.status_code == 303, response.text
    path = "/plans/" + response.headers["location"].partition("?")[0].rpartition("/")[2]
    typed = {"accept": "yes"} if of == "redrive" else {}
    refused = await people.submit("jane", f"{path}/run", reason="", **typed)
    assert refused.status_code == 400 and "reason" in refused.text
    done = await people.submit("jane", f"{path}/run", reason="as planned", **typed)
    assert done.status_code == 303, done.text
    page = await people.words("jane", done.headers["location"].removeprefix("/console"))
    assert f"({of}: as planned)" in page


async def test_a_plan_that_fails_runs_only_where_that_is_accepted(people: People) -> None:
    workflow_id = await people.workflow({"stages": [pays({"account": {"id": "empty", "ledger": "main"}}, "a", 100)]})
    response = await people.submit("jane", f"/workflows/{workflow_id}/plan")
    path = "/plans/" + response.headers["location"].partition("?")[0].rpartition("/")[2]
    refused = await people.submit("jane", f"{path}/run")
    assert refused.status_code == 409 and "It fails by the books as they were" in refused.text
    assert (await people.submit("jane", f"{path}/run", accept="yes")).status_code == 303


async def test_who_reads_is_offered_no_run(people: People) -> None:
    path = await people.plan()
    assert f"{path}/run" in await people.get("jane", path) and f"{path}/run" not in await people.get("reader", path)
    assert "you have not the scope" in await people.words("reader", f"{path}/run")


@pytest.mark.parametrize(
    ("path", "status"),
    [
        *(("/plans?state=x", 400), ("/plans?before=x", 400), ("/plans/none", 404), ("/plans/none/run", 404)),
        *(("/workflows/none/plan", 404), ("/runs/none/plan", 404)),
    ],
)
async def test_a_wrong_place_is_said(people: People, path: str, status: int) -> None:
    await people.get("jane", path, status)
