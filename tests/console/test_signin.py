"""Sign-in with a client of the server: who sees what, who may do what, and when a session ends."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import httpx2
import pytest

from headrace.auth.clients import APPROVE, READ, WRITE, ClientsFile
from headrace.clock import RandomIds
from headrace.composition.authentication import build_authenticator
from headrace.console.actions import ACTIONS
from headrace.console.screens import SCREENS
from headrace.console.signin import COOKIE, local_path
from headrace.settings import Settings
from tests.api.conftest import WAITING, Live, served
from tests.auth.clocks import Hands
from tests.console.conftest import Parsed
from tests.console.hostile import VALUES
from tests.support.tokens import Documents, authenticator_of, published

SCOPES: dict[str, tuple[str, ...]] = {
    "reader": (READ,),
    "operator": (READ, WRITE),
    "approver": (READ, APPROVE),
    "deputy": (READ, APPROVE),
    "stranger": ("ledger:read",),
}

QUERIES = {"/dead-letters/replay": "?publisher=none&first=1"}
"""What a screen cannot do without."""
ABSENT = {"/dead-letters/answer"}
"""Screens of what is not there yet."""


@dataclass
class Guarded:
    """A server with local clients. `secrets` by the name of the client: its id and its secret."""

    live: Live
    clock: Hands
    file: ClientsFile
    secrets: dict[str, tuple[str, str]]
    instance_id: str
    batch_id: str = ""
    plan_id: str = ""
    workflow_id: str = ""
    trigger_id: str = ""

    def path_of(self, path: str) -> str:
        """The path of a screen, of the run or batch that is there."""
        if path.startswith("/batches/"):
            return path.replace("{id}", self.batch_id).replace("{action}", "start")
        if path.startswith("/triggers/"):
            return path.replace("{id}", self.trigger_id)
        if path.startswith("/workflows/"):
            return path.replace("{id}", self.workflow_id)
        if path.startswith(("/approvals/", "/plans/")):
            return path.replace("{id}", self.plan_id)
        return path.replace("{id}", self.instance_id).replace("{action}", "abort")

    async def get(self, path: str, cookie: str = "", **headers: str) -> httpx2.Response:
        sent = {**headers, "cookie": f"{COOKIE}={cookie}"} if cookie else headers
        return await self.live.http.get(f"/console{path}", headers=sent, follow_redirects=False)

    async def post(self, path: str, fields: dict[str, str], cookie: str = "", **headers: str) -> httpx2.Response:
        sent = {**headers, "cookie": f"{COOKIE}={cookie}"} if cookie else headers
        return await self.live.http.post(f"/console{path}", data=fields, headers=sent, follow_redirects=False)

    async def sign_in(self, name: str, next_path: str = "") -> str:
        """The cookie of a session of this client."""
        client_id, secret = self.secrets[name]
        response = await self.post("/sign-in", {"client": client_id, "secret": secret, "next": next_path})
        assert response.status_code == 303, response.text
        found = re.fullmatch(rf"{COOKIE}=([^;]+); (.*)", response.headers["set-cookie"])
        assert found
        return found[1]

    async def token(self, cookie: str) -> str:
        """What a form of this session carries."""
        page = (await self.get(f"/runs/{self.instance_id}/abort", cookie)).text
        return re.findall(r'name="token" value="([^"]+)"', page)[0]


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[Guarded]:
    clock = Hands()
    settings = Settings(auth="local", token_life_s=600)
    file = ClientsFile(tmp_path / "clients.json")
    secrets: dict[str, tuple[str, str]] = {}
    for name, scopes in SCOPES.items():
        made = file.create(name, list(scopes), clock, os.urandom)
        secrets[name] = (made.client.id, made.secret)
    authenticator = build_authenticator(settings, tmp_path, "http://127.0.0.1", clock, RandomIds())
    async with served(tmp_path, authenticator=authenticator) as live:
        found = Guarded(live, clock, file, secrets, "")
        granted = await live.http.post("/api/auth/oauth/token", data=token_form(*secrets["operator"]))
        live.http.headers["authorization"] = f"Bearer {granted.json()['access_token']}"
        found.instance_id = await live.started(await live.created(WAITING))
        wanted = {"kind": "abort", "instances": [found.instance_id], "reason": "r"}
        found.workflow_id = await live.created(WAITING)
        trigger = {"event": "E", "workflowID": found.workflow_id}
        found.trigger_id = (await live.call("POST", "/triggers", trigger)).json()["data"]["id"]
        plan = {"workflowID": found.workflow_id}
        found.plan_id = (await live.call("POST", "/ext/plans", plan)).json()["data"]["id"]
        found.batch_id = (await live.call("POST", "/ext/batches", wanted)).json()["data"]["id"]
        del live.http.headers["authorization"]
        yield found


def token_form(client_id: str, secret: str) -> dict[str, str]:
    return {"grant_type": "client_credentials", "client_id": client_id, "client_secret": secret}


async def test_without_a_session_every_screen_leads_to_the_sign_in_and_back(guarded: Guarded) -> None:
    for screen in SCREENS:
        path = guarded.path_of(screen.path)
        response = await guarded.get(f"{path}?view=history")
        assert response.status_code == 303 and response.headers["cache-control"] == "no-store", path
        target = urlsplit(response.headers["location"])
        assert (target.path, parse_qs(target.query)["next"]) == ("/console/sign-in", [f"/console{path}?view=history"])
    page = Parsed.of((await guarded.get("/sign-in")).text)
    assert "Client id" in page.text and guarded.instance_id not in page.text
    for action in ACTIONS:
        response = await guarded.post(f"/runs/{guarded.instance_id}/{action}", {"reason": "r", "key": "console:1"})
        assert response.status_code == 403 and "Nothing was done." in response.text


async def test_a_client_signs_in_and_sees_the_page_it_asked_for(guarded: Guarded) -> None:
    client_id, secret = guarded.secrets["reader"]
    asked = f"/console/runs/{guarded.instance_id}?view=audit"
    response = await guarded.post("/sign-in", {"client": f" {client_id} ", "secret": secret, "next": asked})
    assert (response.status_code, response.headers["location"]) == (303, asked)
    cookie = response.headers["set-cookie"]
    for part in ("__Host-headrace=", "HttpOnly", "Secure", "SameSite=lax", "Path=/", "Max-Age=600"):
        assert part in cookie, part
    session = cookie.partition("=")[2].partition(";")[0]
    page = Parsed.of((await guarded.get("/", session)).text)
    assert "reader · UTC" in page.text and "Sign out" in page.text
    assert (await guarded.get(asked.removeprefix("/console"), session)).status_code == 200


@pytest.mark.parametrize("change", ["secret", "client", "both are empty"])
async def test_a_wrong_secret_is_said_and_not_repeated(guarded: Guarded, change: str) -> None:
    client_id, secret = guarded.secrets["reader"]
    wrong = {"secret": (client_id, secret + "x"), "client": ("nobody", secret), "both are empty": ("", "")}[change]
    response = await guarded.post("/sign-in", {"client": wrong[0], "secret": wrong[1], "next": "/console/runs"})
    assert response.status_code == 401 and "set-cookie" not in response.headers
    assert "invalid" in response.text or "unknown" in response.text or "required" in response.text
    assert secret not in response.text and "/console/runs" in response.text


async def test_guesses_are_slowed_down(guarded: Guarded) -> None:
    client_id, _ = guarded.secrets["reader"]
    found = [(await guarded.post("/sign-in", {"client": client_id, "secret": f"{n}"})).status_code for n in range(25)]
    assert found[0] == 401 and found[-1] == 429


@pytest.mark.parametrize(
    "text",
    [
        *("https://evil.example.com", "//evil.example.com", "/\\evil.example.com", "/console//evil", "/console/\\evil"),
        *(
            "javascript:alert(1)",
            "/api/orchestration",
            "",
            "/consoles/",
            "/console/\r\nset-cookie: a=b",
            "/console/\u00e9",
        ),
    ],
)
async def test_the_way_back_leads_nowhere_else(guarded: Guarded, text: str) -> None:
    assert local_path(text) == "/console/"
    client_id, secret = guarded.secrets["reader"]
    response = await guarded.post("/sign-in", {"client": client_id, "secret": secret, "next": text})
    assert (response.status_code, response.headers["location"]) == (303, "/console/")


async def test_hostile_texts_in_the_sign_in_stay_texts(guarded: Guarded) -> None:
    safe = Parsed.of((await guarded.post("/sign-in", {"client": "x", "secret": "y", "next": "/console/z"})).text)
    guarded.clock.pass_(3_600)
    for value in VALUES[:30]:
        fields = {"client": value[:300], "secret": value[:300], "next": f"/console/{quote(value[:300])}"}
        response = await guarded.post("/sign-in", fields)
        guarded.clock.pass_(3_600)
        assert response.status_code == 401 and Parsed.of(response.text).shape == safe.shape, value


@pytest.mark.parametrize("name", SCOPES)
async def test_who_may_see_and_do_what(guarded: Guarded, name: str) -> None:
    """Every screen and every action, for every role."""
    session, scopes = await guarded.sign_in(name), SCOPES[name]
    may_read = READ in scopes
    for screen in SCREENS:
        path = guarded.path_of(screen.path)
        found = (await guarded.get(path + QUERIES.get(path, ""), session)).status_code
        assert found == (403 if not may_read else 404 if path in ABSENT else 200), path
    if not may_read:
        return
    token = await guarded.token(session)
    page = Parsed.of((await guarded.get(f"/runs/{guarded.instance_id}", session)).text)
    offered = {
        link.rpartition("/")[2] for link in page.links if link.startswith(f"/console/runs/{guarded.instance_id}/")
    }
    assert offered == ({"send-event", "abort"} if WRITE in scopes else set())
    for action, row in ACTIONS.items():
        fields = {"token": token, "key": "console:1", "reason": "", "event": "", "stage": "0", "position": "0"}
        response = await guarded.post(f"/runs/{guarded.instance_id}/{action}", fields, session)
        allowed = row.scope in scopes
        assert (response.status_code == 403) == (not allowed), action
        assert ("this needs the scope" in response.text) == (not allowed)


FORMS: dict[str, str] = {
    "/dead-letters/replay": WRITE,
    "/batches/new": WRITE,
    "/approvals/{id}": APPROVE,
    "/plans/{id}/run": WRITE,
    "/workflows/{id}/plan": WRITE,
    "/triggers/{id}/test": WRITE,
    "/runs/{id}/plan": WRITE,
    **{f"/batches/{{id}}/{verb}": WRITE for verb in ("start", "pause", "resume", "cancel")},
    **{f"/batches/{{id}}/{verb}": APPROVE for verb in ("approve", "reject")},
}
"""Forms that write, but for those of a run, and the scopes of the API's operations."""


async def test_every_form_needs_the_scope_of_its_operation(guarded: Guarded) -> None:
    for name in ("reader", "operator", "approver"):
        session = await guarded.sign_in(name)
        fields = {"token": await guarded.token(session), "key": "console:1", "reason": "", "hash": "sha256:0"}
        for path, scope in FORMS.items():
            response = await guarded.post(guarded.path_of(path), fields, session)
            assert (response.status_code == 403) == (scope not in SCOPES[name]), (name, path, response.text)
            assert ("this needs the scope" in response.text) == (scope not in SCOPES[name]), (name, path)
    for path in FORMS:
        response = await guarded.post(guarded.path_of(path), {"key": "console:1"})
        assert response.status_code == 403 and "Nothing was done." in response.text, path


def test_only_a_decision_needs_the_scope_of_approvals() -> None:
    """As the operations of the API do."""
    wanted = dict.fromkeys(ACTIONS, WRITE) | {"decide": APPROVE}
    assert {name: action.scope for name, action in ACTIONS.items()} == wanted


async def test_the_audit_trail_names_the_client(guarded: Guarded) -> None:
    session = await guarded.sign_in("operator")
    fields = {"token": await guarded.token(session), "key": "console:1", "reason": "closed"}
    response = await guarded.post(f"/runs/{guarded.instance_id}/abort", fields, session)
    assert response.status_code == 303, response.text
    page = Parsed.of((await guarded.get(f"/runs/{guarded.instance_id}?view=audit", session)).text)
    assert "abortInstance" in page.text and guarded.secrets["operator"][0] in page.text
    assert "anonymous" not in page.text


async def test_a_form_belongs_to_its_session(guarded: Guarded) -> None:
    mine, other = await guarded.sign_in("operator"), await guarded.sign_in("operator")
    assert mine != other
    path = f"/runs/{guarded.instance_id}/abort"
    good = {"token": await guarded.token(mine), "key": "console:1", "reason": "r"}
    assert (await guarded.post(path, good, other)).status_code == 403
    assert (await guarded.post(path, {**good, "token": ""}, mine)).status_code == 403
    for headers in ({"origin": "https://evil.example.com"}, {"sec-fetch-site": "cross-site"}, {"origin": "null"}):
        assert (await guarded.post(path, good, mine, **headers)).status_code == 403, headers
    own = {"origin": f"http://127.0.0.1:{guarded.live.port}", "sec-fetch-site": "same-origin"}
    assert (await guarded.post(path, good, mine, **own)).status_code == 303


async def test_another_site_cannot_sign_anybody_in(guarded: Guarded) -> None:
    client_id, secret = guarded.secrets["reader"]
    for headers in ({"origin": "https://evil.example.com"}, {"sec-fetch-site": "cross-site"}):
        response = await guarded.post("/sign-in", {"client": client_id, "secret": secret}, **headers)
        assert response.status_code == 403 and "set-cookie" not in response.headers


async def test_a_form_that_does_not_arrive_is_given_up(guarded: Guarded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headrace.console.forms.FORM_S", 0.05)
    reader, writer = await asyncio.open_connection("127.0.0.1", guarded.live.port)
    head = "POST /console/sign-in HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 30\r\n"
    writer.write(f"{head}Content-Type: application/x-www-form-urlencoded\r\n\r\nclient=".encode())
    status = await asyncio.wait_for(reader.readline(), 10)
    assert status.split()[1] == b"408"
    writer.close()
    await writer.wait_closed()


async def test_a_session_ends_at_its_time_and_with_its_client(guarded: Guarded) -> None:
    session = await guarded.sign_in("reader")
    guarded.clock.pass_(590)
    assert (await guarded.get("/runs", session)).status_code == 200
    guarded.clock.pass_(200)
    assert (await guarded.get("/runs", session)).status_code == 303
    session = await guarded.sign_in("reader")
    guarded.file.delete(guarded.secrets["reader"][0])
    guarded.clock.pass_(2)
    assert (await guarded.get("/runs", session)).status_code == 303


async def test_a_sign_out_takes_the_cookie_away(guarded: Guarded) -> None:
    session = await guarded.sign_in("reader")
    assert (await guarded.get("/sign-out", session)).status_code == 405
    assert (await guarded.post("/sign-out", {"token": "x"}, session)).status_code == 403
    response = await guarded.post("/sign-out", {"token": await guarded.token(session)}, session)
    assert (response.status_code, response.headers["location"]) == (303, "/console/sign-in")
    assert response.headers["set-cookie"].startswith(f'{COOKIE}=""; ') and "Max-Age=0" in response.headers["set-cookie"]
    assert (await guarded.post("/sign-out", {})).status_code == 303


async def test_a_cookie_is_nothing_to_the_api_and_a_bearer_token_nothing_to_the_console(guarded: Guarded) -> None:
    session = await guarded.sign_in("reader")
    response = await guarded.live.http.get("/api/orchestration/workflows", headers={"cookie": f"{COOKIE}={session}"})
    assert response.status_code == 401
    assert (await guarded.get("/runs", authorization=f"Bearer {session}")).status_code == 303
    for cookie in ("x", f"{session}x", "\u00e9", "a.b.c"):
        headers = [(b"cookie", f"{COOKIE}={cookie}".encode("latin-1"))]
        response = await guarded.live.http.get("/console/runs", headers=headers, follow_redirects=False)
        assert response.status_code == 303, cookie


async def test_an_issuer_elsewhere_has_no_sign_in_yet(tmp_path: Path) -> None:
    documents = Documents(published("k1"), published("k2"), published("r1", "RS256"))
    async with served(tmp_path, authenticator=authenticator_of(documents, Hands())) as live:
        page = await live.http.get("/console/runs", follow_redirects=True)
        assert page.status_code == 200 and "cannot sign in there" in page.text
        assert (await live.http.post("/console/sign-in", data={"client": "a", "secret": "b"})).status_code == 200


async def test_without_authentication_there_is_no_sign_in(tmp_path: Path) -> None:
    async with served(tmp_path) as live:
        for method in ("GET", "POST"):
            response = await live.http.request(method, "/console/sign-in", follow_redirects=False)
            assert (response.status_code, response.headers["location"]) == (303, "/console/")
        assert "Sign out" not in (await live.http.get("/console/")).text
