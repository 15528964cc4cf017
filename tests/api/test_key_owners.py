"""An Idempotency-Key belongs to its caller and stands for the meaning of a request (decision W3)."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from headrace.auth.authenticator import Authenticator
from headrace.clock import SystemClock
from headrace.journal.sqlite.migrations import migrate_sqlite
from tests.api.conftest import PREFIX, WAITING, Live, served
from tests.support.tokens import Documents, authenticator_of, claims_of, published, signed

RELEASES = Path(__file__).parents[1] / "data" / "journal"
KEY = {"idempotency-key": "k"}


def _authenticator() -> Authenticator:
    return authenticator_of(Documents(published("k1")), SystemClock())


@pytest_asyncio.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[Live]:
    async with served(tmp_path, authenticator=_authenticator()) as live:
        yield live


def by(**claims: Any) -> dict[str, str]:
    return {"authorization": f"Bearer {signed(claims_of(**claims))}"}


async def run(live: Live, path: str, body: Any, headers: dict[str, str]) -> httpx2.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return await live.http.post(
        f"{PREFIX}{path}", content=content, headers={"content-type": "application/json", **KEY, **headers}
    )


def id_of(response: httpx2.Response) -> str:
    assert response.status_code == 201, response.text
    return response.json()["data"]["id"]


async def count(live: Live, headers: dict[str, str] | None = None) -> int:
    return len((await live.http.get(f"{PREFIX}/instances", headers=headers or {})).json()["data"])


# the caller


async def workflow_of(live: Live, headers: dict[str, str]) -> str:
    return id_of(await live.http.post(f"{PREFIX}/workflows", json=WAITING, headers=headers))


async def test_two_subjects_with_one_key_make_two_instances(guarded: Live) -> None:
    alice, bob = by(sub="alice", client_id="app"), by(sub="bob", client_id="app")
    path = f"/workflows/{await workflow_of(guarded, alice)}/instances"
    first, second = await run(guarded, path, {"a": "1"}, alice), await run(guarded, path, {"a": "1"}, bob)
    assert id_of(first) != id_of(second)
    assert "idempotency-hit" not in second.headers
    for headers, response in ((alice, first), (bob, second)):
        again = await run(guarded, path, {"a": "1"}, headers)
        assert (id_of(again), again.headers["idempotency-hit"]) == (id_of(response), "true")
    assert await count(guarded, alice) == 2


async def test_a_subject_keeps_its_keys_whatever_program_or_token_it_uses(guarded: Live) -> None:
    """A retry by another program of the same caller must not run a second time."""
    first_token, second_token = by(sub="alice", client_id="app"), by(sub="alice", client_id="other", jti="x")
    path = f"/workflows/{await workflow_of(guarded, first_token)}/instances"
    assert id_of(await run(guarded, path, {}, first_token)) == id_of(await run(guarded, path, {}, second_token))


async def test_a_subject_is_not_the_client_of_the_same_name(guarded: Live) -> None:
    subject, client = by(sub="app"), by(sub=None, client_id="app")
    path = f"/workflows/{await workflow_of(guarded, subject)}/instances"
    assert id_of(await run(guarded, path, {}, subject)) != id_of(await run(guarded, path, {}, client))


async def test_a_subject_of_another_issuer_is_another_caller(tmp_path: Path) -> None:
    """The issuer of a server may change between two starts, and local clients may get names of former subjects."""
    async with served(tmp_path, authenticator=_authenticator()) as live:
        path = f"/workflows/{await workflow_of(live, by(sub='alice'))}/instances"
        first = id_of(await run(live, path, {}, by(sub="alice")))
    other = "https://other.example/realm"
    authenticator: Any = _authenticator()
    expected = authenticator._verifier._expected
    object.__setattr__(expected, "issuer", other)
    async with served(tmp_path, authenticator=authenticator) as live:
        assert id_of(await run(live, path, {}, by(sub="alice", iss=other))) != first
    async with served(tmp_path, authenticator=_authenticator()) as live:
        assert id_of(await run(live, path, {}, by(sub="alice"))) == first


@pytest.mark.parametrize("headers", [{}, by(scope="orchestration:read")], ids=["401", "403"])
async def test_a_refused_caller_uses_up_no_key(guarded: Live, headers: dict[str, str]) -> None:
    path = f"/workflows/{await workflow_of(guarded, by())}/instances"
    assert (await run(guarded, path, {}, headers)).status_code in (401, 403)
    response = await run(guarded, path, {"now": "other"}, by())
    assert response.status_code == 201
    assert "idempotency-hit" not in response.headers


# the meaning

SAME = [
    (b'{"a":"1","b":"2"}', b'{"b":"2","a":"1"}'),
    (b'{"a":"1"}', b' { "a" :\n"1" } '),
    (b'{"a":"\\u00e9"}', '{"a":"é"}'.encode()),
    (b'{"a":"\\/"}', b'{"a":"/"}'),
    (b"", b"{}"),
    (b"{}", b"\xef\xbb\xbf{}"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
@pytest.mark.parametrize("versions", [("", ""), ("", "/v2"), ("/v2", "")])
async def test_the_same_meaning_is_the_same_run(
    live: Live, one: bytes, other: bytes, versions: tuple[str, str]
) -> None:
    workflow_id = await live.created(WAITING)
    first = await run(live, f"{versions[0]}/workflows/{workflow_id}/instances", one, {})
    again = await run(live, f"{versions[1]}/workflows/{workflow_id.upper()}/instances", other, {})
    assert (id_of(again), again.headers["idempotency-hit"]) == (id_of(first), "true")
    assert await count(live) == 1


@pytest.mark.parametrize(("one", "other"), [(b'{"a":"1"}', b'{"a":"2"}'), (b"{}", b'{"a":""}'), (b"", b'{"a":"1"}')])
async def test_another_meaning_is_refused_and_names_the_first_instance(live: Live, one: bytes, other: bytes) -> None:
    path = f"/workflows/{await live.created(WAITING)}/instances"
    first = id_of(await run(live, path, one, {}))
    response = await run(live, path, other, {})
    assert (response.status_code, response.json()["errorCode"]) == (400, "VALIDATION")
    assert f"runWorkflow, {first}" in response.json()["errorMessage"]
    assert "fresh" not in response.text and "new key" not in response.text
    assert await count(live) == 1


async def test_workflows_are_known_by_what_json_and_yaml_mean(live: Live) -> None:
    yaml = b"stages:\n- wait_event:\n    event: go\n"
    bodies = [(b'{"stages":[{"wait_event":{"event":"go"}}]}', "application/json"), (yaml, "application/yaml")]
    bodies.append((b"# the same\n" + yaml, "text/yaml"))
    responses = [
        await live.http.post(f"{PREFIX}/workflows", content=body, headers={**KEY, "content-type": media_type})
        for body, media_type in bodies
    ]
    assert len({id_of(response) for response in responses}) == 1


async def test_triggers_and_events_are_known_by_their_meaning(live: Live) -> None:
    workflow_id = await live.created(WAITING)
    first = await run(live, "/triggers", {"event": "E", "workflowID": workflow_id}, {})
    again = await run(live, "/v2/triggers", {"workflowID": workflow_id.upper(), "event": "E"}, {})
    assert id_of(again) == id_of(first)
    events = {"idempotency-key": "events"}
    envelope = {"app": "a", "type": "T", "version": "v1", "date": "2024-05-01T10:00:00Z", "payload": {"n": 1}}
    one = await run(live, "/ext/events", envelope, events)
    two = await run(live, "/ext/events", dict(reversed(envelope.items())), events)
    assert (one.status_code, two.status_code, two.headers["idempotency-hit"]) == (202, 202, "true")
    refused = await run(live, "/ext/events", envelope | {"type": "U"}, events)
    assert refused.status_code == 400 and "sendEvents" in refused.text


async def test_an_abort_has_no_body_that_means_anything(live: Live) -> None:
    instance_id = await live.started(await live.created(WAITING))
    for body, hit in ((b"", None), (b"{}", "true"), (b'{"why":"so"}', "true")):
        response = await live.http.put(f"{PREFIX}/v2/instances/{instance_id}/abort", content=body, headers=KEY)
        assert (response.status_code, response.headers.get("idempotency-hit")) == (204, hit)
    response = await live.http.post(f"{PREFIX}/instances/{instance_id}/events", json={"name": "go"}, headers=KEY)
    assert response.status_code == 400
    assert f"v2AbortWorkflow, {instance_id}" in response.text or f"v2CancelEvent, {instance_id}" in response.text


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/workflows"),
        ("POST", "/workflows/x/instances"),
        ("POST", "/v2/workflows/x/instances"),
        ("POST", "/triggers"),
        ("POST", "/instances/x/events"),
        ("PUT", "/instances/x/abort"),
        ("POST", "/ext/events"),
    ],
)
async def test_two_keys_in_one_request_are_refused(live: Live, method: str, path: str) -> None:
    headers = httpx2.Headers([("idempotency-key", "a"), ("idempotency-key", "a")])
    response = await live.http.request(method, PREFIX + path, json={}, headers=headers)
    assert response.status_code == 400
    assert "Idempotency-Key" in response.json()["errorMessage"] and "2 times" in response.json()["errorMessage"]


async def test_one_key_at_the_same_moment_in_several_forms_is_one_run(live: Live) -> None:
    workflow_id = await live.created(WAITING)
    bodies = [b'{"a":"1","b":"2"}', b'{"b":"2","a":"1"}', b'{"a": "1","b":"2"}'] * 5
    paths = [f"{version}/workflows/{workflow_id}/instances" for version in ("", "/v2", "") * 5]
    responses = await asyncio.gather(*(run(live, path, body, {}) for path, body in zip(paths, bodies, strict=True)))
    assert len({id_of(response) for response in responses}) == 1
    assert sum("idempotency-hit" not in response.headers for response in responses) == 1
    assert await count(live) == 1


# repeats that wait


async def test_a_repeat_with_wait_answers_as_the_first_did(live: Live) -> None:
    workflow_id = await live.created({"stages": [{"delay": {"duration": "1ms"}}]})
    path = f"/workflows/{workflow_id}/instances?wait=true"
    first, again = await run(live, path, {}, {}), await run(live, path, {}, {})
    assert first.json()["data"]["terminated"] is True
    assert (again.status_code, again.json()) == (201, first.json())
    assert again.headers["idempotency-hit"] == "true"


async def test_a_repeat_with_wait_waits_for_a_run_that_is_not_over(live: Live) -> None:
    workflow_id = await live.created(WAITING)
    first = await run(live, f"/workflows/{workflow_id}/instances", {}, {})
    assert not first.json()["data"]["terminated"]
    waiting = asyncio.ensure_future(run(live, f"/workflows/{workflow_id}/instances?wait=true", {}, {}))
    sent = await live.http.post(f"{PREFIX}/instances/{id_of(first)}/events", json={"name": "go"})
    assert sent.status_code == 204
    again = await waiting
    assert (id_of(again), again.json()["data"]["terminated"]) == (id_of(first), True)
    assert again.headers["idempotency-hit"] == "true"


# a journal of release 0.1.0


@pytest.mark.parametrize("version", ["0001", "0003"])
async def test_a_retry_that_spans_the_upgrade_does_not_run_twice(tmp_path: Path, version: str) -> None:
    connection = sqlite3.connect(tmp_path / "journal.db")
    connection.executescript((RELEASES / f"{version}.sql").read_text())
    path, body = "/workflows/w-old/instances", b'{"a":"1"}'
    fingerprint = sha256(b"\0".join((b"POST", path.encode(), body))).digest()
    answer = b'{"data":{"id":"i-old"}}'
    row = ("k", fingerprint, 201, answer, 1)
    connection.execute("INSERT INTO caller_keys (key, fingerprint, status, body, created_at) VALUES (?,?,?,?,?)", row)
    connection.commit()
    connection.close()
    migrate_sqlite(str(tmp_path / "journal.db"))
    async with served(tmp_path) as live:
        before = await count(live)
        again = await run(live, path, body, {})
        assert (again.status_code, again.content, again.headers["idempotency-hit"]) == (201, answer, "true")
        refused = await run(live, path, b'{"a": "1"}', {})
        assert refused.status_code == 400
        assert "i-old" in refused.json()["errorMessage"]
        assert await count(live) == before
