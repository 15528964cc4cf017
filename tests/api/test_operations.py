"""The twelve operations over HTTP; the wire checker walks every response."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests.api.conftest import PREFIX, SHORT, WAITING, Live, served
from tests.conformance.wire import OPERATIONS

BIG = 10**30
PAY: dict[str, Any] = {
    "name": "pay",
    "stages": [
        {
            "send": {
                "source": {"account": {"id": "world", "ledger": "main"}},
                "destination": {"account": {"id": "users:${user}", "ledger": "main"}},
                "amount": {"amount": "${amount}", "asset": "USD/2"},
            }
        }
    ],
}


async def with_ledger(live: Live) -> None:
    response = await live.http.post("/api/ledger/v2/main", json={})
    assert response.status_code in (200, 201, 204), response.text


@pytest.mark.parametrize("prefix", [PREFIX, ""])
async def test_all_operations_at_both_places(live: Live, prefix: str) -> None:
    live.prefix = prefix
    assert (await live.call("GET", "/_info")).json()["version"]
    workflow_id = await live.created(WAITING)
    assert workflow_id in [row["id"] for row in (await live.call("GET", "/workflows")).json()["data"]]
    assert (await live.call("GET", f"/workflows/{workflow_id}")).json()["data"]["config"] == WAITING
    instance_id = await live.started(workflow_id, {"unused": "1"})
    assert (await live.call("GET", "/instances")).json()["data"][0]["id"] == instance_id
    (stage,) = (await live.call("GET", f"/instances/{instance_id}")).json()["data"]["status"]
    assert stage["stage"] == 0
    (entry,) = (await live.call("GET", f"/instances/{instance_id}/history")).json()["data"]
    assert (entry["name"], entry["input"], entry["terminated"]) == ("wait_event", {"event": "go"}, False)
    assert (await live.call("GET", f"/instances/{instance_id}/stages/0/history")).json() == {"data": []}
    assert (await live.call("POST", f"/instances/{instance_id}/events", {"name": "go"})).status_code == 204
    assert "error" not in await live.ended(instance_id)
    aborted = await live.started(workflow_id)
    assert (await live.call("PUT", f"/instances/{aborted}/abort")).status_code == 204
    assert (await live.ended(aborted))["error"] == "canceled"
    trigger = {"event": "E", "workflowID": workflow_id, "name": "smoke"}
    created = (await live.call("POST", "/triggers", trigger)).json()["data"]
    assert (await live.call("GET", "/triggers?name=MOK")).json()["data"] == [created]
    assert (await live.call("GET", f"/triggers/{created['id']}")).json()["data"] == created
    assert (await live.call("GET", f"/triggers/{created['id']}/occurrences")).json() == {"data": []}
    assert (await live.call("DELETE", f"/triggers/{created['id']}")).status_code == 204
    assert (await live.call("DELETE", f"/workflows/{workflow_id}")).status_code == 204
    assert live.seen == set(OPERATIONS)


async def test_money_moves_and_amounts_stay_exact(live: Live) -> None:
    await with_ledger(live)
    workflow_id = await live.created(PAY)
    response = await live.call(
        "POST", f"/workflows/{workflow_id}/instances?wait=true", {"user": "1", "amount": str(BIG)}
    )
    instance = response.json()["data"]
    assert response.status_code == 201
    assert instance["terminated"], instance
    assert "error" not in instance
    assert len(instance["status"]) == 1
    (stage,) = (await live.call("GET", f"/instances/{instance['id']}/history")).json()["data"]
    assert stage["input"]["amount"] == {"amount": BIG, "asset": "USD/2"}
    (activity,) = (await live.call("GET", f"/instances/{instance['id']}/stages/0/history")).json()["data"]
    assert activity["input"]["CreateTransaction"]["data"]["postings"][0]["amount"] == BIG
    assert activity["output"]["CreateTransaction"]["data"]["postings"][0]["amount"] == BIG


async def test_definition_is_echoed_as_it_was_given(live: Live) -> None:
    definition = {"stages": [{"send": {**PAY["stages"][0]["send"], "amount": {"amount": BIG, "asset": "USD/2"}}}]}
    response = await live.call("POST", "/workflows", definition)
    config = response.json()["data"]["config"]
    assert json.dumps(config) == json.dumps(definition)  # nothing added, no name, order kept, integers exact


async def test_yaml_is_read_and_its_mistakes_have_places(live: Live) -> None:
    text = "name: y\nstages:\n  - wait_event:\n      event: no\n"
    response = await live.call(
        "POST", "/workflows", content=text, headers={"content-type": "application/yaml; charset=utf-8"}
    )
    assert response.status_code == 201
    assert response.json()["data"]["config"] == {"name": "y", "stages": [{"wait_event": {"event": "no"}}]}
    bad = "stages:\n  - wait_event:\n      evnt: go\n  - nap: {}\n"
    response = await live.call("POST", "/workflows", content=bad, headers={"content-type": "text/yaml"})
    assert response.status_code == 400
    places = {detail["path"]: (detail["line"], detail["column"]) for detail in response.json()["details"]}
    assert places["stages[0].wait_event.evnt"] == (3, 7)
    assert places["stages[1].nap"] == (4, 5)
    assert "(line 3, column 7)" in response.json()["errorMessage"]


async def test_running_without_variables_in_every_way_clients_do(live: Live) -> None:
    workflow_id = await live.created(WAITING)
    path = f"/workflows/{workflow_id}/instances"
    ways: list[dict[str, Any]] = [
        {},
        {"content": b""},
        {"content": b"", "headers": {"content-type": "application/json"}},
        {"content": b"", "headers": {"content-type": "text/plain", "cookie": "", "sec-fetch-mode": "cors"}},
        {"json": {}},
        {"json": {"count": 3, "big": BIG, "yes": True}},
        {"content": b"{}", "headers": {"content-type": "application/json; charset=UTF-8"}},
    ]
    for options in ways:
        response = await live.call("POST", path, **options)
        assert response.status_code == 201, (options, response.text)


async def test_missing_variables_are_all_named(live: Live) -> None:
    workflow_id = await live.created(PAY)
    response = await live.call("POST", f"/workflows/{workflow_id}/instances", {"colour": "red"})
    assert response.status_code == 400
    assert "amount" in response.json()["errorMessage"]
    assert "user" in response.json()["errorMessage"]


async def test_wait_answers_when_the_instance_has_ended(live: Live) -> None:
    workflow_id = await live.created(SHORT)
    response = await live.call("POST", f"/workflows/{workflow_id}/instances?wait=true")
    assert response.status_code == 201
    assert response.json()["data"]["terminated"] is True
    assert len(response.json()["data"]["status"]) == 1


async def test_wait_is_capped_and_the_instance_goes_on(tmp_path: Path) -> None:
    async with served(tmp_path, wait_s=0.05) as live:
        workflow_id = await live.created(WAITING)
        response = await live.call("POST", f"/workflows/{workflow_id}/instances?wait=true")
        assert (response.status_code, response.json()["data"]["terminated"]) == (201, False)
        instance_id = response.json()["data"]["id"]
        await live.call("POST", f"/instances/{instance_id}/events", {"name": "go"})
        await live.ended(instance_id)


async def test_a_server_that_stops_answers_who_waits(live: Live) -> None:
    """A 500 here would make the caller start the instance again."""
    workflow_id = await live.created(WAITING)
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    path = f"/workflows/{workflow_id}/instances"
    scope = {"type": "http", "method": "POST", "path": path, "query_string": b"wait=true", "headers": []}
    request = asyncio.create_task(live.app(scope, receive, send))
    while not (rows := (await live.call("GET", "/instances?running=true")).json()["data"]):
        await asyncio.sleep(0)
    await live.created(WAITING)  # a later commit: by now the first is confirmed, and its request waits
    request.cancel()
    await request
    assert sent[0]["status"] == 201
    assert json.loads(sent[1]["body"])["data"]["id"] == rows[0]["id"]


async def test_a_caller_who_goes_away_aborts_nothing(live: Live) -> None:
    workflow_id = await live.created(WAITING)
    reader, writer = await asyncio.open_connection("127.0.0.1", live.port)
    writer.write(f"POST {PREFIX}/workflows/{workflow_id}/instances?wait=true HTTP/1.1\r\nHost: [::1]\r\n\r\n".encode())
    await writer.drain()
    while not (rows := (await live.call("GET", "/instances")).json()["data"]):
        await asyncio.sleep(0)
    writer.close()
    await writer.wait_closed()
    assert await reader.read() == b""
    (row,) = rows
    await live.call("POST", f"/instances/{row['id']}/events", {"name": "go"})
    assert "error" not in await live.ended(row["id"])


async def test_filters(live: Live) -> None:
    one, other = await live.created(WAITING), await live.created(SHORT)
    running, ended = await live.started(one), await live.started(other)
    await live.ended(ended)

    async def listed(query: str) -> list[str]:
        return [row["id"] for row in (await live.call("GET", f"/instances{query}")).json()["data"]]

    assert await listed("") == [ended, running]
    assert await listed("?running=false&workflowID=") == [ended, running]
    assert await listed("?running=") == [ended, running]
    assert await listed("?running=true") == [running]
    assert await listed(f"?workflowID={other}") == [ended]
    assert await listed(f"?workflowID={other}&running=true") == []
    assert await listed("?workflowID=nobody") == []
    assert await listed("?colour=red") == [ended, running]
    response = await live.call("GET", "/instances?running=perhaps")
    assert (response.status_code, response.json()["errorMessage"]) == (
        400,
        "running: 'perhaps' is neither true nor false",
    )
    response = await live.call("POST", f"/workflows/{one}/instances?wait=soon")
    assert response.status_code == 400


async def test_stage_numbers(live: Live) -> None:
    workflow_id = await live.created({"stages": [*WAITING["stages"], *SHORT["stages"]]})
    instance_id = await live.started(workflow_id)
    for number, status in (
        ("0", 200),
        ("1", 200),
        ("2", 404),
        ("-1", 404),
        ("9" * 30, 404),
        ("9" * 5_000, 404),
        ("x", 400),
        ("1.0", 400),
        ("%D9%A1", 400),
        ("0x0", 400),
    ):
        response = await live.call("GET", f"/instances/{instance_id}/stages/{number}/history")
        assert response.status_code == status, (number, response.text)
    assert (await live.call("GET", f"/instances/{instance_id}/stages/1/history")).json() == {"data": []}


async def test_a_deleted_workflow(live: Live) -> None:
    workflow_id = await live.created(WAITING)
    instance_id = await live.started(workflow_id)
    before = (await live.call("GET", f"/workflows/{workflow_id}")).json()["data"]
    assert (await live.call("DELETE", f"/workflows/{workflow_id}")).status_code == 204
    assert (await live.call("GET", "/workflows")).json() == {"data": []}
    after = (await live.call("GET", f"/workflows/{workflow_id}")).json()["data"]
    assert after["updatedAt"] >= before["updatedAt"]
    assert after["config"] == before["config"]
    assert (await live.call("POST", f"/workflows/{workflow_id}/instances")).status_code == 404
    assert (await live.call("DELETE", f"/workflows/{workflow_id}")).status_code == 404
    assert (await live.call("POST", f"/instances/{instance_id}/events", {"name": "go"})).status_code == 204
    await live.ended(instance_id)


async def test_what_does_not_exist(live: Live) -> None:
    for method, path, body in (
        ("GET", "/workflows/nobody", None),
        ("DELETE", "/workflows/nobody", None),
        ("POST", "/workflows/nobody/instances", None),
        ("GET", "/instances/nobody", None),
        ("GET", "/instances/no%00body", None),
        ("GET", "/instances/nobody/history", None),
        ("GET", "/instances/nobody/stages/0/history", None),
        ("POST", "/instances/nobody/events", {"name": "go"}),
        ("PUT", "/instances/nobody/abort", None),
    ):
        assert (await live.call(method, path, body)).status_code == 404, (method, path)


async def test_an_ended_instance_takes_no_event_and_no_abort(live: Live) -> None:
    instance_id = await live.started(await live.created(SHORT))
    await live.ended(instance_id)
    assert (await live.call("POST", f"/instances/{instance_id}/events", {"name": "go"})).status_code == 400
    assert (await live.call("PUT", f"/instances/{instance_id}/abort")).status_code == 400


async def test_early_events_are_kept(live: Live) -> None:
    stages = [{"wait_event": {"event": "first"}}, {"wait_event": {"event": "second"}}]
    instance_id = await live.started(await live.created({"stages": stages}))
    assert (await live.call("POST", f"/instances/{instance_id}/events", {"name": "second"})).status_code == 204
    assert (await live.call("POST", f"/instances/{instance_id}/events", {"name": "first"})).status_code == 204
    await live.ended(instance_id)


async def test_long_lists_are_whole(live: Live) -> None:
    workflow_id = await live.created(WAITING)
    path = f"{PREFIX}/workflows/{workflow_id}/instances"
    responses = await asyncio.gather(*(live.http.post(path) for _ in range(450)))
    started = {response.json()["data"]["id"] for response in responses}
    response = await live.call("GET", "/instances")
    listed = [row["id"] for row in response.json()["data"]]
    assert response.headers["transfer-encoding"] == "chunked"
    assert (len(listed), set(listed)) == (450, started)
    response = await live.http.get(f"{PREFIX}/workflows")
    assert "content-length" in response.headers


@pytest.mark.parametrize("value", ["undo", None, "redrive"])
async def test_what_a_failed_run_leads_to_is_echoed_and_v1_shows_the_run_as_ever(live: Live, value: str | None) -> None:
    await with_ledger(live)
    poor = {"send": {**PAY["stages"][0]["send"], "source": {"account": {"id": "nobody", "ledger": "main"}}}}
    definition = {**PAY, "stages": [*PAY["stages"], poor], "on_failure": value}
    response = await live.call("POST", "/workflows", definition)
    if value == "redrive":
        assert response.status_code == 400 and response.json()["details"][0]["path"] == "on_failure"
        return
    created = response.json()["data"]
    assert created["config"] == {name: each for name, each in definition.items() if each is not None}
    assert (await live.call("GET", f"/workflows/{created['id']}")).json()["data"] == created
    instance_id = await live.started(created["id"], {"user": "1", "amount": "5"})
    ended = await live.ended(instance_id)
    assert "INSUFFICIENT_FUND" in ended["error"] and len(ended["status"]) == 2
    shown = (await live.call("GET", f"/ext/instances/{instance_id}")).json()["data"]
    assert ("undo" in shown) == (value == "undo")
