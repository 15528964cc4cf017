"""Nobody gets in without a good token that has the scope: every operation, every family of bad credentials.

The matrix is made from the table of operations, so a new one is in it; a route that is not from the table, or that is
open and not on the list here, fails the walk through the router.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx2
import pytest
import pytest_asyncio
from starlette.routing import Mount
from starlette.routing import Route as StarletteRoute

from headrace.api.app import TABLE
from headrace.api.authorization import GuardedService
from headrace.api.operations import APPROVE, READ, WRITE, Operation
from headrace.api.routes import Routes
from headrace.clock import SystemClock
from headrace.console import Console
from tests.api.conftest import PREFIX, WAITING, Live, served
from tests.conformance.wire import OPERATIONS, V2_OPERATIONS
from tests.support.tokens import (
    BOTH,
    Documents,
    authenticator_of,
    by_hand,
    claims_of,
    confused,
    key_named,
    part,
    published,
    signed,
)

OPEN = {
    "getLiveness",
    "getReadiness",
    "getHealth",
    "getMetrics",
    "getToken",
    "getGatewayToken",
    "getOpenIdConfiguration",
    "getKeys",
    "getCertificateKeys",
    "getOpenApi",
    "getDocs",
    "getRoot",
    "getVersions",
    "getWorkflowSchema",
}
"""Operations for everybody: they hold no data of anybody's, or are how one gets a token."""

OF_A_PREVIEW = ("startBatch", "approveBatch", "rejectBatch", "pauseBatch", "resumeBatch")
"""Operations on a batch that is previewed."""

Credentials = list[str]


def good(scope: str = BOTH) -> str:
    return signed(claims_of(scope=scope))


def _tampered() -> str:
    header, _, signature = good("orchestration:read").split(".")
    return f"{header}.{part(claims_of(scope=BOTH))}.{signature}"


def _public_pem(kid: str) -> bytes:
    return key_named(kid, "RS256").as_pem(private=False)


def _bringing(**header: Any) -> str:
    return signed(claims_of(), key=key_named("stranger"), **header)


# Each gives the Authorization headers of one or several requests; all of them must be refused.
FAMILIES: dict[str, Callable[[str], list[Credentials]]] = {
    "no credentials": lambda wanted: [[]],
    "an empty header": lambda wanted: [[""], ["Bearer"]],
    "HTTP Basic": lambda wanted: [["Basic YWxpY2U6c2VjcmV0"], [f"Basic {good()}"]],
    "not a token": lambda wanted: [
        ["Bearer x"],
        ["Bearer a.b.c"],
        ["Bearer ...."],
        ["Bearer " + "x" * 9_000],
        [good()],
    ],
    "two headers": lambda wanted: [[f"Bearer {good()}", f"Bearer {good()}"], ["Bearer x", f"Bearer {good()}"]],
    "alg none": lambda wanted: [
        [f"Bearer {by_hand({'alg': name, 'kid': 'k1'}, claims_of(), content)}"]
        for name in ("none", "None", "NONE")
        for content in (b"", b"signature")
    ],
    "HS256 with the public key": lambda wanted: [
        [f"Bearer {confused(claims_of(), 'r1', _public_pem('r1'))}"],
        [f"Bearer {confused(claims_of(), 'r1', b'')}"],
    ],
    "another's key under our key's name": lambda wanted: [
        [f"Bearer {signed(claims_of(), key=key_named('stranger'))}"],
        [f"Bearer {signed(claims_of(), kid='r1', algorithm='RS256', key=key_named('stranger', 'RS256'))}"],
        [f"Bearer {signed(claims_of(), kid='r1', key=key_named('k1'))}"],
    ],
    "an unknown key": lambda wanted: [[f"Bearer {signed(claims_of(), kid='nobody')}"], [f"Bearer {_without_kid()}"]],
    "expired": lambda wanted: [[f"Bearer {signed(claims_of(exp=1))}"], [f"Bearer {signed(claims_of(exp=10**9))}"]],
    "not valid yet": lambda wanted: [[f"Bearer {signed(claims_of(nbf=4 * 10**9, exp=5 * 10**9))}"]],
    "no expiry": lambda wanted: [
        [f"Bearer {signed(claims_of(exp=value))}"] for value in (None, "never", True, "4000000000", [4 * 10**9])
    ],
    "another issuer": lambda wanted: [
        [f"Bearer {signed(claims_of(iss=value))}"]
        for value in (None, "https://issuer.example", "https://issuer.example/realm/", ["https://issuer.example/realm"])
    ],
    "another audience": lambda wanted: [
        [f"Bearer {signed(claims_of(aud=value))}"] for value in (None, "other", ["other"], "Headrace", {"headrace": 1})
    ],
    "changed after it was signed": lambda wanted: [[f"Bearer {_tampered()}"], [f"Bearer {good()[:-8]}AAAAAAAA"]],
    "keys and demands of its own": lambda wanted: [
        [f"Bearer {_bringing(**header)}"]
        for header in (
            {"jku": "https://issuer.example/keys"},
            {"x5u": "https://issuer.example/certificate"},
            {"x5c": ["MIIB"]},
            {"jwk": key_named("stranger").as_dict(private=False)},
        )
    ],
    "a good token without the scope": lambda wanted: [
        [f"Bearer {signed(claims_of(scope=value, scp=None))}"]
        for value in (
            *(None, "", "openid", "orchestration", "orchestration:writes", "ledger:write payments:read"),
            *("*", "orchestration:*", "orchestration:readwrite", "Orchestration:Write", "x:orchestration:write"),
            *("orchestration:read,orchestration:write", "orchestration:write\torchestration:read", [["write"]]),
            *((READ,) if wanted == WRITE else ()),
            *((WRITE, BOTH) if wanted == APPROVE else (APPROVE,)),
        )
    ],
}


def _without_kid() -> str:
    """Two keys may be meant, where both go with its algorithm."""
    return signed(claims_of(), kid=None, key=key_named("k1"))


GUARDED = [operation for operation in TABLE if operation.operation_id not in OPEN]


def test_there_are_seventeen_families() -> None:
    assert len(FAMILIES) == 17


def test_every_operation_of_both_versions_is_in_the_matrix() -> None:
    names = {operation.operation_id for operation in GUARDED}
    assert (len(OPERATIONS), len(V2_OPERATIONS)) == (17, 18)
    assert names > set(OPERATIONS) | set(V2_OPERATIONS)
    assert {"sendEvents", "listEvents", "listAudit"} <= names


@dataclass
class Place:
    """A guarded server with something of everything in it."""

    live: Live
    documents: Documents
    journal_file: Path
    ids: dict[str, str] = field(default_factory=dict)
    _reader: sqlite3.Connection | None = None
    _dumped: tuple[int, list[str]] | None = None

    def path_of(self, operation: Operation) -> str:
        return re.sub(r"{(\w+)}", lambda match: self.ids[match[1]], operation.path)

    async def ask(self, operation: Operation, credentials: Credentials, *, prefix: str = PREFIX) -> httpx2.Response:
        headers = [("authorization", value) for value in credentials]
        body = {} if operation.example is None else {"json": operation.example}
        return await self.live.http.request(operation.method, prefix + self.path_of(operation), headers=headers, **body)

    def state(self) -> list[str]:
        """All that the journal holds. It is read anew after each commit of another connection, the server's."""
        if self._reader is None:
            self._reader = sqlite3.connect(self.journal_file)
        version = self._reader.execute("PRAGMA data_version").fetchone()[0]
        if self._dumped is None or self._dumped[0] != version:
            self._dumped = (version, list(self._reader.iterdump()))
        return self._dumped[1]

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()


async def _furnished(live: Live, documents: Documents, journal_file: Path) -> Place:
    live.http.headers["authorization"] = f"Bearer {good()}"
    workflow_id = await live.created(WAITING)
    instance_id = await live.started(workflow_id)
    trigger = await live.call("POST", "/triggers", {"event": "E", "workflowID": workflow_id})
    plan = await live.call("POST", "/ext/plans", {"workflowID": workflow_id})
    short_id = await live.created({"stages": [{"delay": {"duration": "0s"}}]})
    ended = await live.call("POST", f"/workflows/{short_id}/instances?wait=true", {})
    made = await live.call("POST", "/ext/certificates", {"instance": ended.json()["data"]["id"]})
    ids = {"flowId": workflow_id, "workflowID": workflow_id, "instanceID": instance_id, "number": "0", "position": "0"}
    ids |= {"triggerID": trigger.json()["data"]["id"], "planID": plan.json()["data"]["id"]}
    ids["certificateID"] = made.json()["data"]["id"]
    batch = await live.call("POST", "/ext/batches", {"kind": "abort", "instances": [instance_id], "reason": "r"})
    ids["batchID"] = batch.json()["data"]["id"]
    await live.call("PUT", "/ext/workflows/named", {"definition": {"stages": WAITING["stages"]}})
    ids["name"] = "named"
    del live.http.headers["authorization"]
    return Place(live, documents, journal_file, ids)


def _documents() -> Documents:
    return Documents(published("k1"), published("k2"), published("r1", "RS256"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    folder, documents = tmp_path_factory.mktemp("guard"), _documents()
    async with served(folder, authenticator=authenticator_of(documents, _StandingClock())) as live:
        place = await _furnished(live, documents, folder / "journal.db")
        yield place
        place.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def welcoming(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    """Another one, whose state may change."""
    folder, documents = tmp_path_factory.mktemp("welcoming"), _documents()
    async with served(folder, authenticator=authenticator_of(documents, _StandingClock())) as live:
        yield Place(live, documents, folder / "journal.db")


class _StandingClock(SystemClock):
    """Keys never get old, so that every question to the issuer has another reason."""

    def monotonic_s(self) -> float:
        return 0.0


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("operation", GUARDED, ids=[operation.operation_id for operation in GUARDED])
@pytest.mark.asyncio(loop_scope="module")
async def test_bad_credentials_get_nowhere(place: Place, operation: Operation, family: str) -> None:
    wanted = 403 if family == "a good token without the scope" else 401
    before, asked = place.state(), len(place.documents.asked)
    for credentials in FAMILIES[family](operation.scope or ""):
        response = await place.ask(operation, credentials)
        assert response.status_code == wanted, credentials
        assert response.headers["www-authenticate"].startswith("Bearer")
        assert response.json()["errorCode"] == "VALIDATION"  # what official clients can read
        assert not any(text in response.text for value in credentials for text in value.split()[1:] if len(text) > 20)
    assert place.state() == before
    assert len(place.documents.asked) == asked, "a token made the server ask somebody"


@pytest.mark.parametrize("prefix", ["", PREFIX])
@pytest.mark.asyncio(loop_scope="module")
async def test_both_ways_in_are_guarded(place: Place, prefix: str) -> None:
    for operation in GUARDED:
        assert (await place.ask(operation, [], prefix=prefix)).status_code == 401
    for path in ("/workflows", "/workflows/", "//workflows", "/api/orchestration/workflows"):
        response = await place.live.http.request("HEAD", prefix + path)
        assert response.status_code in (401, 404) or response.url.path == "/", path  # `//workflows` names a host


@pytest.mark.asyncio(loop_scope="module")
async def test_a_good_token_elsewhere_is_none(place: Place) -> None:
    """In a query it would stand in the logs of every proxy; from a cookie a browser would send it unasked."""
    token = good()
    reader = f"Bearer {good(READ)}"
    for headers in (
        {"cookie": f"access_token={token}; Authorization=Bearer {token}"},
        *({name: f"Bearer {token}"} for name in ("proxy-authorization", "x-authorization", "x-access-token")),
        {"x-original-url": "/livez", "x-rewrite-url": "/livez", "x-forwarded-prefix": "/livez"},
    ):
        for query in ("", f"?access_token={token}", f"?authorization=Bearer%20{token}"):
            response = await place.live.http.get(f"{PREFIX}/workflows{query}", headers=headers)
            assert response.status_code == 401, headers
    for name in ("x-http-method-override", "x-http-method", "x-method-override"):
        path = f"{PREFIX}/workflows?_method=GET"
        response = await place.live.http.post(path, json=WAITING, headers={"authorization": reader, name: "GET"})
        assert response.status_code == 403, name
        body = {"access_token": token, "_method": "GET"}
        assert (await place.live.http.post(path, data=body, headers={name: "GET"})).status_code == 401


@pytest.mark.parametrize("operation", GUARDED, ids=[operation.operation_id for operation in GUARDED])
@pytest.mark.asyncio(loop_scope="module")
async def test_good_credentials_get_in(welcoming: Place, operation: Operation) -> None:
    """Else a matrix of refusals would prove nothing."""
    place = await _furnished(welcoming.live, welcoming.documents, welcoming.journal_file)
    scope = operation.scope or ""
    response = await place.ask(operation, [f"bearer  {good(scope)}"])
    names_a_workflow = operation.operation_id in (
        "createTrigger",
        "v2CreateTrigger",
        "putTrigger",
    )  # in its example: none here
    wanted = 400 if names_a_workflow else operation.status
    if operation.operation_id in (
        "resolveEffect",
        "createPlan",
        "createCertificate",
        "replayDeadLetters",
    ):  # the instance has no effect; a workflow or a publisher not here
        wanted = 404
    if operation.operation_id in ("runPlan", "approvePlan", "rejectPlan"):  # in its example: not the hash of the plan
        wanted = 412
    if operation.operation_id in ("redriveInstance", "undoInstance", "previewUndo"):  # the instance has not ended
        wanted = 409
    if operation.operation_id in OF_A_PREVIEW:  # the batch is not previewed
        wanted = 409
    assert response.status_code == wanted, response.text
    if scope == READ:
        assert (await place.ask(operation, [f"BEARER {good(WRITE)}"])).status_code == response.status_code


@pytest.mark.asyncio(loop_scope="module")
async def test_to_leave_an_effect_out_needs_the_scope_of_approvals_too(welcoming: Place) -> None:
    place = await _furnished(welcoming.live, welcoming.documents, welcoming.journal_file)
    path = f"{PREFIX}/ext/instances/none/redrive"
    body, found = {"reason": "r", "skip": True}, list[int]()
    for scopes in (WRITE, APPROVE, f"{WRITE} {APPROVE}"):
        response = await place.live.http.post(path, json=body, headers={"authorization": f"bearer {good(scopes)}"})
        found.append(response.status_code)
    assert found == [403, 403, 404]


# the router


def unguarded(app: Any) -> list[str]:
    """Every way in that requires no scope and is not on the list, or that this test does not know how to judge."""
    found: list[str] = []
    for route in app.others.routes:
        if isinstance(route, Mount | StarletteRoute) and isinstance(route.app, Console):
            continue  # it guards itself: tests/console/test_signin.py walks its own table
        if not isinstance(route, Mount) or not isinstance(route.app, GuardedService):
            found.append(f"{route!r} is not made from the table")
    for route in app.routes.by_path.values():
        for operation in route.operations.values():
            is_known = operation.scope in (READ, WRITE, APPROVE) or operation.operation_id in OPEN
            writes_by_reading = operation.scope == READ and operation.method not in ("GET", "HEAD")
            writes_by_reading &= operation.operation_id != "createCertificate"  # it stores what its reader may know
            if not is_known or writes_by_reading:
                found.append(operation.operation_id)
    return found


async def test_no_route_is_without_a_guard(live: Live) -> None:
    assert unguarded(live.app) == []
    named = {
        operation.operation_id for route in live.app.routes.by_path.values() for operation in route.operations.values()
    }
    assert named >= OPEN | {operation.operation_id for operation in GUARDED}
    assert sum(isinstance(route, Mount) for route in live.app.others.routes) == 4


async def test_only_a_server_without_authentication_admits_everyone(live: Live, tmp_path: Path) -> None:
    assert live.app._is_open
    folder = tmp_path / "guarded"
    folder.mkdir()
    async with served(folder, authenticator=authenticator_of(Documents(), SystemClock())) as guarded:
        assert not guarded.app._is_open


async def test_a_route_without_a_guard_is_found() -> None:
    async def handler(*_: Any) -> Any: ...

    def row(**changes: Any) -> Any:
        members: dict[str, Any] = {"method": "GET", "path": "/x", "operation_id": "leak", "scope": None}
        return Operation(**{**members, **changes}, handler=handler, tag="", summary="")

    for table, others, name in (
        ([row()], [], "leak"),
        ([row(scope="headrace:none")], [], "leak"),
        ([row(method="POST", scope=READ)], [], "leak"),
        ([], [StarletteRoute("/x", handler)], "not made from the table"),
        ([], [Mount("/api/ledger", app=handler)], "not made from the table"),
    ):
        planted = SimpleNamespace(routes=Routes(table), others=SimpleNamespace(routes=others))
        assert any(name in complaint for complaint in unguarded(planted)), name


@pytest.mark.parametrize("service", ["ledger", "wallets", "payments"])
@pytest.mark.asyncio(loop_scope="module")
async def test_the_sandbox_is_guarded_too(place: Place, service: str) -> None:
    path = f"/api/{service}/v2/anything"

    async def status(method: str, token: str | None) -> int:
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        return (await place.live.http.request(method, path, headers=headers)).status_code

    assert await status("GET", None) == await status("POST", None) == await status("POST", "x") == 401
    assert await status("GET", good()) == await status("POST", good(f"{service}:read")) == 403
    for method in ("GET", "POST"):
        assert await status(method, good(f"{service}:write")) not in (401, 403)
