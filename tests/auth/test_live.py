"""A real issuer over HTTP, and a real server with clients of its own: over HTTP, as SDKs come."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from base64 import b64encode, urlsafe_b64decode
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2
import pytest
from joserfc.jwk import ECKey

from headrace.auth.clients import READ, WRITE, ClientsFile
from headrace.auth.fetching import MAX_BYTES, Fetcher
from headrace.auth.keyring import ASK_EVERY_S, KEEP_S, FetchFailed
from headrace.auth.keys import choose, keys_of
from headrace.auth.verifier import Expectations, Verifier
from headrace.clock import RandomIds, SystemClock
from headrace.composition import compose
from headrace.composition.authentication import build_authenticator
from headrace.errors import InvalidValue, NotAuthenticated, Unavailable
from headrace.journal.sqlite import SqliteJournal
from headrace.journal.sqlite.lock import AlreadyOwned
from headrace.settings import Settings
from headrace_client import AsyncClient, ClientCredentials, Error, SDKError, Token
from tests.api.conftest import Live, served
from tests.auth.clocks import Hands
from tests.support.tokens import by_hand, claims_of, confused, key_named, part, published, signed


class Issuer:
    """A small HTTP issuer on a free port. `answers` by path: status, body, headers."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.answers: dict[str, tuple[int, bytes, dict[str, str]]] = {}
        self.is_over = threading.Event()
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.asked.append(self.path)
                status, body, headers = issuer.answers.get(self.path, (404, b"", {}))
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)
                if len(body) < int(headers.get("Content-Length", 0)) and self.path.startswith("/slow"):
                    issuer.is_over.wait(30)  # the rest never comes

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                """Be quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        self.publish("k1")

    def publish(self, *names: str) -> None:
        discovery = {"issuer": self.url, "jwks_uri": f"{self.url}/keys"}
        keys = {"keys": [published(name) for name in names]}
        self.answers["/.well-known/openid-configuration"] = (200, json.dumps(discovery).encode(), {})
        self.answers["/keys"] = (200, json.dumps(keys).encode(), {})

    def go_down(self) -> None:
        self.answers = {}

    def close(self) -> None:
        self.is_over.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    found = Issuer()
    yield found
    found.close()


async def _settled(issuer: Issuer, path: str, count: int) -> None:
    """Until the issuer has been asked this often, and the answer has been taken."""
    async with asyncio.timeout(10):
        while issuer.asked.count(path) < count:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)


async def test_an_issuer_its_outage_and_its_new_key(issuer: Issuer, tmp_path: Path) -> None:
    clock = Hands()
    settings = Settings(auth="oidc", issuer=issuer.url, audience="headrace")
    authenticator = build_authenticator(settings, tmp_path, "", clock, RandomIds())

    async def admit(kid: str) -> str:
        token = signed(claims_of(clock.wall_s, iss=issuer.url), kid=kid)
        return (await authenticator.authenticate([f"Bearer {token}".encode()])).name

    try:
        assert await admit("k1") == "alice"
        with pytest.raises(NotAuthenticated):
            await admit("k2")
        issuer.publish("k1", "k2")
        clock.pass_(ASK_EVERY_S)
        assert await admit("k2") == "alice"
        issuer.go_down()
        asked = issuer.asked.count("/.well-known/openid-configuration")
        clock.pass_(KEEP_S - 1)
        assert await admit("k2") == "alice"
        await _settled(issuer, "/.well-known/openid-configuration", asked + 1)
        clock.pass_(1)
        with pytest.raises(Unavailable):
            await admit("k2")
        issuer.publish("k2")
        clock.pass_(ASK_EVERY_S)
        assert await admit("k2") == "alice"
        with pytest.raises(NotAuthenticated):
            await admit("k1")
    finally:
        await authenticator.close()
    assert set(issuer.asked) == {"/.well-known/openid-configuration", "/keys"}


def test_a_plain_issuer_elsewhere_is_not_trusted(tmp_path: Path) -> None:
    settings = Settings(auth="oidc", issuer="http://issuer.example")
    with pytest.raises(InvalidValue, match="HEADRACE_ALLOW_PLAIN_ISSUER"):
        build_authenticator(settings, tmp_path, "", SystemClock(), RandomIds())


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ((302, b"", {"Location": "/keys"}), "answered 302"),
        ((500, b"", {}), "answered 500"),
        ((200, b"x" * (MAX_BYTES + 1), {}), "more than"),
        ((200, b"short", {"Content-Length": "50"}), "Client"),
        ((200, b"not gzip", {"Content-Encoding": "gzip"}), "Client"),
    ],
)
async def test_documents_that_are_not_taken(issuer: Issuer, answer: Any, says: str) -> None:
    issuer.answers["/document"] = answer
    fetch = Fetcher()
    try:
        with pytest.raises(FetchFailed, match=says):
            await fetch(f"{issuer.url}/document")
    finally:
        await fetch.close()
    assert issuer.asked == ["/document"], "no redirect is followed"


async def test_an_answer_that_never_ends(issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headrace.auth.fetching.TIMEOUT_S", 0.2)
    issuer.answers["/slow"] = (200, b'{"keys": [', {"Content-Length": "50"})
    fetch = Fetcher()
    try:
        async with asyncio.timeout(10):
            with pytest.raises(FetchFailed, match="Timeout"):
                await fetch(f"{issuer.url}/slow")
    finally:
        await fetch.close()


async def test_nobody_there() -> None:
    fetch = Fetcher()
    try:
        for url in ("http://127.0.0.1:1/keys", "https://127.0.0.1:1/keys", "http://[", "nonsense"):
            with pytest.raises(FetchFailed):
                await fetch(url)
    finally:
        await fetch.close()


# a server with clients of its own


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[Live]:
    file = ClientsFile(tmp_path / "clients.json")
    clock = SystemClock()
    file.put(file.create("writer", [WRITE], clock, os.urandom).client)
    authenticator = build_authenticator(Settings(auth="local"), tmp_path, "http://127.0.0.1:8484", clock, RandomIds())
    async with served(tmp_path, authenticator=authenticator) as live:
        yield live


@pytest.fixture
def credentials(tmp_path: Path) -> Any:
    def create(*scopes: str) -> tuple[str, str]:
        """A client that the running server learns of within a second."""
        created = ClientsFile(tmp_path / "clients.json").create("", scopes, SystemClock(), os.urandom)
        return created.client.id, created.secret

    return create


async def _known(live: Live, client_id: str, secret: str) -> dict[str, Any]:
    """The token's answer, once the server has read the file again."""
    form = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": secret}
    async with asyncio.timeout(10):
        while (response := await live.http.post("/api/auth/oauth/token", data=form)).status_code != 200:
            await asyncio.sleep(0.2)
    return response.json()


@pytest.mark.parametrize("path", ["/api/auth/oauth/token", "/oauth/token"])
async def test_a_token_from_the_form_to_the_audit_trail(guarded: Live, credentials: Any, path: str) -> None:
    client_id, secret = credentials(WRITE)
    await _known(guarded, client_id, secret)
    form = {"grant_type": "client_credentials", "scope": WRITE}
    basic = f"Basic {b64encode(f'{client_id}:{secret}'.encode()).decode()}"
    response = await guarded.http.post(path, data=form, headers={"authorization": basic})
    granted = response.json()
    assert (response.status_code, granted["token_type"], granted["expires_in"]) == (200, "bearer", 3_600)
    assert response.headers["cache-control"] == "no-store"
    headers = {"authorization": f"Bearer {granted['access_token']}"}
    created = await guarded.call("POST", "/workflows", {"stages": [{"delay": {"duration": "1s"}}]}, headers=headers)
    assert created.status_code == 201
    (entry,) = (await guarded.call("GET", "/ext/audit", headers=headers)).json()["data"]
    assert entry["principal"] == entry["clientId"] == client_id
    assert (entry["operation"], entry["target"]) == ("createWorkflow", created.json()["data"]["id"])


async def test_a_second_server_on_a_folder_touches_no_key(tmp_path: Path) -> None:
    """The owner of the journal is the one writer of the signing keys: two would retire each other's."""
    owner = await SqliteJournal.open(tmp_path / "journal.db")
    try:
        with pytest.raises(AlreadyOwned):
            async with compose(Settings(auth="local"), data=tmp_path, sandbox=True):
                raise AssertionError("it has started")
    finally:
        await owner.close()
    assert not (tmp_path / "signing-keys.json").exists()
    async with compose(Settings(auth="local"), data=tmp_path, sandbox=True):
        assert (tmp_path / "signing-keys.json").exists()


_FORM = "application/x-www-form-urlencoded"
_WHO = "invalid_client"


@pytest.mark.parametrize(
    ("content", "kind", "status", "code"),
    [
        (b"", _FORM, 400, "invalid_request"),
        (b'{"grant_type": "client_credentials"}', "application/json", 400, "invalid_request"),
        (b"grant_type=password", _FORM, 400, "unsupported_grant_type"),
        (b"grant_type=client_credentials", _FORM, 401, _WHO),
        (b"grant_type=client_credentials&client_id=a&client_secret=b", None, 400, "invalid_request"),
        (b"\xff\xfe=%zz&&&==", _FORM, 400, "invalid_request"),
        (b"a=b&" * 100, _FORM, 400, "invalid_request"),
        (b"client_id=%00&client_secret=%ff&grant_type=client_credentials", _FORM, 401, _WHO),
    ],
)
async def test_refusals_in_oauths_words(
    guarded: Live, content: bytes, kind: str | None, status: int, code: str
) -> None:
    headers = {} if kind is None else {"content-type": kind}
    response = await guarded.http.post("/api/auth/oauth/token", content=content, headers=headers)
    assert response.status_code == status, response.text
    assert set(response.json()) == {"error", "error_description"}
    assert response.json()["error"] == code
    assert response.headers["cache-control"] == "no-store"
    assert ("www-authenticate" in response.headers) == (status == 401)


async def test_too_many_failures_say_when_to_come_back(guarded: Live) -> None:
    form = {"grant_type": "client_credentials", "client_id": "a", "client_secret": "b"}
    responses = [await guarded.http.post("/api/auth/oauth/token", data=form) for _ in range(11)]
    assert [response.status_code for response in responses] == [401] * 10 + [429]
    assert 1 <= int(responses[-1].headers["retry-after"]) <= 6
    assert responses[-1].json()["error"] == "slow_down"


async def test_a_body_that_is_too_long_is_not_read(guarded: Live) -> None:
    headers = {"content-type": "application/x-www-form-urlencoded"}
    response = await guarded.http.post("/api/auth/oauth/token", content=b"a=" + b"b" * 20_000, headers=headers)
    assert response.status_code == 413


async def test_discovery_leads_to_keys_that_verify(guarded: Live, credentials: Any) -> None:
    found = (await guarded.http.get("/api/auth/.well-known/openid-configuration")).json()
    path = httpx2.URL(found["jwks_uri"]).path
    keys = (await guarded.http.get(path)).json()["keys"]
    assert [set(key) for key in keys] == [{"kty", "crv", "x", "y", "kid", "use", "alg"}]
    assert found["issuer"] == "http://127.0.0.1:8484/api/auth"
    # Another server takes these tokens by what stands there alone.
    token = (await _known(guarded, *credentials(READ)))["access_token"].encode()
    unproven = Verifier(Expectations(found["issuer"], None, ("ES256",))).read(token, SystemClock().now_at() / 1e6)
    key = choose(keys_of(json.dumps({"keys": keys}).encode()), unproven.kid, unproven.algorithm)
    assert key is not None
    assert Verifier(Expectations(found["issuer"], None, ("ES256",))).prove(unproven, key).may(READ)


async def test_headrace_client_gets_in(guarded: Live, credentials: Any) -> None:
    client_id, secret = credentials(WRITE)
    token = (await _known(guarded, client_id, secret))["access_token"]
    url = f"http://127.0.0.1:{guarded.port}"

    async def given() -> Token:
        return Token(token, expires_in_s=3_000)

    for security in (ClientCredentials(client_id, secret), lambda: token, given):
        async with AsyncClient(url, security=security) as client:
            v1 = client.orchestration.v1
            workflow = (await v1.create_workflow(stages=[{"delay": {"duration": "1ms"}}])).data
            assert (await v1.get_workflow(flow_id=workflow.id)).data.id == workflow.id
    async with AsyncClient(url) as client:
        with pytest.raises(Error, match="token"):
            await client.orchestration.v1.list_workflows()
    async with AsyncClient(url, security=ClientCredentials(client_id, "wrong")) as client:
        with pytest.raises(SDKError, match="invalid_client"):
            await client.orchestration.v1.list_workflows()


async def test_a_reader_may_not_write(guarded: Live, credentials: Any) -> None:
    granted = await _known(guarded, *credentials(READ))
    headers = {"authorization": f"Bearer {granted['access_token']}"}
    assert (await guarded.call("GET", "/workflows", headers=headers)).status_code == 200
    refused = await guarded.call("POST", "/workflows", {"stages": []}, headers=headers)
    assert refused.status_code == 403
    assert refused.headers["www-authenticate"] == 'Bearer error="insufficient_scope", scope="orchestration:write"'


async def test_nobody_makes_tokens_but_the_server(guarded: Live, credentials: Any) -> None:
    """With all that everybody may read: its keys' names and public parts, and a token of a client's own."""
    client_id, secret = credentials(WRITE)
    real = (await _known(guarded, client_id, secret))["access_token"]
    header, claims, signature = real.split(".")
    (key,) = (await guarded.http.get("/api/auth/.well-known/jwks.json")).json()["keys"]
    public = ECKey.import_key(key)
    said = json.loads(urlsafe_b64decode(claims + "=="))
    kid: str = key["kid"]
    forged = [
        by_hand({"alg": "none", "kid": kid}, said, b""),
        by_hand({"alg": "none", "kid": kid}, said),
        *(confused(said, kid, content) for content in (public.as_pem(private=False), json.dumps(key).encode(), b"")),
        signed(said, kid=kid, key=key_named("stranger")),
        *(signed(said, kid=name, key=key_named("stranger")) for name in ("../../dev/null", "' OR 1=1 --", "x\0", "0")),
        signed(said, kid=None, key=key_named("stranger")),
        signed(said, kid=kid, key=key_named("stranger"), jwk=published("stranger")),
        f"{header}.{part({**said, 'sub': 'writer', 'client_id': 'writer'})}.{signature}",
        f"{header}.{part({**said, 'exp': said['exp'] + 9_999})}.{signature}",
        f"{header}.{claims}.{part(bytes(64))}",
        f"{header}.{claims}.",
        f"{header}.{claims}",
        f"{real}.{signature}",
    ]

    async def status(token: str) -> int:
        headers = {"authorization": f"Bearer {token}"}
        return (await guarded.http.get("/api/orchestration/workflows", headers=headers)).status_code

    assert await status(real) == 200
    assert {token: await status(token) for token in forged} == dict.fromkeys(forged, 401)
    assert await status(real) == 200
