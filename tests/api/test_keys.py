"""Callers' Idempotency-Keys (decision W3): a write repeated under its key is answered, not done, again."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from functools import partial
from typing import Any

import httpx2
import pytest

from headrace.clock import SystemClock
from headrace.errors import Unavailable
from headrace.events.relay import trim_outbox
from headrace.journal.retention import Keep, Retention
from tests.api.conftest import PREFIX, WAITING, Live, served


def key(text: str) -> dict[str, str]:
    return {"idempotency-key": text}


async def count(live: Live, path: str) -> int:
    return len((await live.call("GET", path)).json()["data"])


async def test_a_repeated_create_is_one_workflow(live: Live) -> None:
    first = await live.call("POST", "/workflows", WAITING, headers=key("k"))
    again = await live.call("POST", "/workflows", WAITING, headers=key("k"))
    assert "idempotency-hit" not in first.headers
    assert again.headers["idempotency-hit"] == "true"
    assert (again.status_code, again.content) == (201, first.content)
    assert await count(live, "/workflows") == 1


async def test_a_repeated_run_is_one_instance(live: Live) -> None:
    path = f"/workflows/{await live.created(WAITING)}/instances"
    first = await live.call("POST", path, {"a": "1"}, headers=key("k"))
    again = await live.call("POST", path, {"a": "1"}, headers=key("k"))
    assert again.headers["idempotency-hit"] == "true"
    assert (again.status_code, again.content) == (201, first.content)
    assert await count(live, "/instances") == 1


async def test_repeats_at_the_same_moment_are_one_instance(live: Live) -> None:
    path = f"{PREFIX}/workflows/{await live.created(WAITING)}/instances"
    responses = await asyncio.gather(*(live.http.post(path, headers=key("k")) for _ in range(20)))
    assert {response.status_code for response in responses} == {201}
    assert len({response.content for response in responses}) == 1
    assert sum("idempotency-hit" not in response.headers for response in responses) == 1
    assert await count(live, "/instances") == 1


async def test_a_key_survives_the_process(tmp_path: Any) -> None:
    async with served(tmp_path) as live:
        first = await live.call("POST", "/workflows", WAITING, headers=key("k"))
    async with served(tmp_path) as live:
        again = await live.call("POST", "/workflows", WAITING, headers=key("k"))
        assert (again.content, again.headers["idempotency-hit"]) == (first.content, "true")


async def test_the_same_request_by_either_prefix_is_the_same(live: Live) -> None:
    first = await live.http.post(f"{PREFIX}/workflows", json=WAITING, headers=key("k"))
    again = await live.http.post("/workflows", json=WAITING, headers=key("k"))
    assert (again.content, again.headers["idempotency-hit"]) == (first.content, "true")


async def test_repeated_events_and_aborts(live: Live) -> None:
    stages = [*WAITING["stages"], *WAITING["stages"]]
    instance_id = await live.started(await live.created({"stages": stages}))
    for hits in (None, "true", "true"):
        response = await live.call("POST", f"/instances/{instance_id}/events", {"name": "go"}, headers=key("event"))
        assert (response.status_code, response.headers.get("idempotency-hit")) == (204, hits)
    for hits in (None, "true"):  # still running: three events under one key were one
        response = await live.call("PUT", f"/instances/{instance_id}/abort", headers=key("abort"))
        assert (response.status_code, response.headers.get("idempotency-hit")) == (204, hits)
    assert (await live.ended(instance_id))["error"] == "canceled"
    response = await live.call("POST", f"/instances/{instance_id}/events", {"name": "go"}, headers=key("event"))
    assert response.status_code == 204  # what was accepted stays accepted, though the instance has ended since


async def test_events_repeated_at_the_same_moment_are_one(live: Live) -> None:
    """The first of them ends the instance; the others must not be told that it has ended."""
    instance_id = await live.started(await live.created(WAITING))
    path = f"{PREFIX}/instances/{instance_id}/events"
    responses = await asyncio.gather(*(live.http.post(path, json={"name": "go"}, headers=key("k")) for _ in range(10)))
    assert {response.status_code for response in responses} == {204}


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/workflows", {"name": "other", "stages": WAITING["stages"]}),
        ("POST", "/workflows/{workflow}/instances", None),
        ("POST", "/instances/{instance}/events", {"name": "go"}),
        ("PUT", "/instances/{instance}/abort", None),
    ],
)
async def test_a_key_used_for_something_else_is_refused(live: Live, method: str, path: str, body: Any) -> None:
    workflow_id = await live.created(WAITING)
    instance_id = await live.started(workflow_id)
    await live.call("POST", "/workflows", WAITING, headers=key("k"))
    response = await live.call(method, path.format(workflow=workflow_id, instance=instance_id), body, headers=key("k"))
    assert response.status_code == 400
    assert "Idempotency-Key" in response.json()["errorMessage"]
    assert await count(live, "/instances") == 1


@pytest.mark.parametrize("bad", ["", "a b", "k" * 256, "k\u00e9", "a\tb"])
async def test_what_is_no_key(live: Live, bad: str) -> None:
    for method, path, body in (
        ("POST", "/workflows", WAITING),
        ("POST", "/workflows/x/instances", None),
        ("POST", "/instances/x/events", {"name": "go"}),
        ("PUT", "/instances/x/abort", None),
    ):
        response = await live.call(method, path, body, headers=httpx2.Headers([(b"idempotency-key", bad.encode())]))
        assert response.status_code == 400, (method, path, response.text)
        assert "1 to 255 visible ASCII" in response.json()["errorMessage"]


async def test_longest_key(live: Live) -> None:
    assert (await live.call("POST", "/workflows", WAITING, headers=key("~" * 255))).status_code == 201


async def test_a_key_is_known_after_a_clock_that_stepped_and_came_back(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Eight days forward while the server sweeps what it keeps for seven."""
    clock = SystemClock()
    week = Keep(keys_s=7 * 86_400, events_s=7 * 86_400, outbox_s=7 * 86_400)
    server = Retention(live.journal, clock, week, partial(trim_outbox, [], live.journal))
    first = await live.call("POST", "/workflows", WAITING, headers=key("k"))
    with monkeypatch.context() as patch:
        stepped_ns = time.time_ns() + 8 * 86_400 * 10**9
        patch.setattr("headrace.clock.time.time_ns", lambda: stepped_ns)
        await server.sweep()
        meanwhile = await live.call("POST", "/workflows", WAITING, headers=key("m"))
    await server.sweep()
    for made, name in ((first, "k"), (meanwhile, "m")):
        again = await live.call("POST", "/workflows", WAITING, headers=key(name))
        assert (again.content, again.headers["idempotency-hit"]) == (made.content, "true")


async def test_a_refused_write_leaves_its_key_free(live: Live) -> None:
    assert (await live.call("POST", "/workflows", {"stages": []}, headers=key("k"))).status_code == 400
    assert (await live.call("POST", "/workflows", WAITING, headers=key("k"))).status_code == 201


async def test_a_write_that_could_not_be_committed_leaves_its_key_free(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:

        async def refuse(unit: Any) -> Any:
            raise Unavailable("the disk is full")

        patch.setattr(live.journal, "commit", refuse)
        response = await live.call("POST", "/workflows", WAITING, headers=key("k"))
        assert (response.status_code, response.headers["retry-after"]) == (503, "1")
        assert response.json() == {"errorCode": "INTERNAL", "errorMessage": "the disk is full"}
    response = await live.call("POST", "/workflows", WAITING, headers=key("k"))
    assert (response.status_code, response.headers.get("idempotency-hit")) == (201, None)


async def test_a_stored_result_does_not_change_with_what_it_made(live: Live) -> None:
    first = await live.call("POST", "/workflows", WAITING, headers=key("w"))
    workflow_id = first.json()["data"]["id"]
    trigger = {"event": "A", "workflowID": workflow_id}
    made = await live.call("POST", "/triggers", trigger, headers=key("t"))
    await live.call("DELETE", f"/workflows/{workflow_id}")
    await live.call("DELETE", f"/triggers/{made.json()['data']['id']}")
    again = await live.call("POST", "/workflows", WAITING, headers=key("w"))
    assert (again.status_code, again.content, again.headers["idempotency-hit"]) == (201, first.content, "true")
    again = await live.call("POST", "/triggers", trigger, headers=key("t"))
    assert (again.status_code, again.content, again.headers["idempotency-hit"]) == (201, made.content, "true")


async def test_a_retry_that_spans_the_upgrade_from_stored_responses(tmp_path: Any) -> None:
    """Releases up to 0.2.0 stored the response: it is sent again byte for byte, whatever its form."""
    old = b'{"data": {"id": "as-it-was"}}'
    async with served(tmp_path) as live:
        trigger = {"event": "A", "workflowID": await live.created(WAITING)}
        requests = [
            ("/workflows", WAITING, 201),
            ("/triggers", trigger, 201),
            ("/ext/events", [{"type": "A", "payload": {}}], 202),
        ]
        for path, body, status in requests:
            assert (await live.call("POST", path, body, headers=key(path))).status_code == status
    with sqlite3.connect(tmp_path / "journal.db") as connection:
        for path, _, status in requests:
            changed = connection.execute("UPDATE caller_keys SET status=?, body=? WHERE key=?", (status, old, path))
            assert changed.rowcount == 1
    connection.close()
    async with served(tmp_path) as live:
        for path, body, status in requests:
            again = await live.http.post(PREFIX + path, json=body, headers=key(path))
            assert (again.status_code, again.content, again.headers["idempotency-hit"]) == (status, old, "true")
        assert len((await live.call("GET", "/triggers")).json()["data"]) == 1


async def test_a_repeated_batch_is_counted_and_answered_as_before(live: Live) -> None:
    event = {"id": "e", "type": "A", "payload": {"n": 1}}
    batch = [event, event | {"payload": {"n": 2}}, event]
    first = await live.call("POST", "/ext/events", batch, headers=key("b"))
    assert first.json()["data"] == {
        "accepted": 2,
        "repeated": 1,
        "conflicting": 1,
        "conflicts": [{"entry": 1, "key": first.json()["data"]["conflicts"][0]["key"]}],
    }
    again = await live.call("POST", "/ext/events", batch, headers=key("b"))
    assert (again.status_code, again.content, again.headers["idempotency-hit"]) == (202, first.content, "true")
    rows = (await live.call("GET", "/ext/events?repeated=true")).json()["data"]
    assert [row["repeats"] for row in rows if "conflictsWith" not in row] == [4]
