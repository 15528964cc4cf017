"""The 18 operations of V2 over HTTP, and each difference from V1; the wire checker walks every response."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.api.conftest import PREFIX, SHORT, WAITING, Live
from tests.api.test_operations import BIG, PAY, with_ledger
from tests.conformance.wire import OPERATIONS, V2_OPERATIONS

SAME = (
    *("getServerInfo", "createWorkflow", "getWorkflow", "deleteWorkflow", "runWorkflow", "getInstance", "sendEvent"),
    *("cancelEvent", "getInstanceHistory", "createTrigger", "readTrigger", "deleteTrigger"),
)
"""Operations whose responses are equal in both versions."""


async def page(live: Live, path: str, *, prefix: str = "/v2") -> Any:
    response = await live.call("GET", f"{prefix}{path}")
    assert response.status_code == 200, response.text
    return response.json()["cursor"]


async def rows(live: Live, path: str) -> list[str]:
    return [row["id"] for row in (await page(live, path))["data"]]


@pytest.mark.parametrize("prefix", [PREFIX, ""])
async def test_all_operations_at_both_places(live: Live, prefix: str) -> None:
    live.prefix = prefix
    assert (await live.call("GET", "/v2/_info")).json() == (await live.call("GET", "/_info")).json()
    created = await live.call("POST", "/v2/workflows", WAITING)
    assert created.status_code == 201
    workflow_id = created.json()["data"]["id"]
    assert await rows(live, "/workflows") == [workflow_id]
    assert (await live.call("GET", f"/v2/workflows/{workflow_id}")).json() == created.json()
    run = await live.call("POST", f"/v2/workflows/{workflow_id}/instances", {"unused": "1"})
    assert run.status_code == 201
    instance_id = run.json()["data"]["id"]
    assert await rows(live, "/instances") == [instance_id]
    assert (await live.call("GET", f"/v2/instances/{instance_id}")).json()["data"]["terminated"] is False
    (entry,) = (await live.call("GET", f"/v2/instances/{instance_id}/history")).json()["data"]
    assert entry["input"] == {"event": "go"}
    assert (await live.call("GET", f"/v2/instances/{instance_id}/stages/0/history")).json() == {"data": []}
    assert (await live.call("POST", f"/v2/instances/{instance_id}/events", {"name": "go"})).status_code == 204
    assert "error" not in await live.ended(instance_id)
    second = (await live.call("POST", f"/v2/workflows/{workflow_id}/instances")).json()["data"]["id"]
    assert (await live.call("PUT", f"/v2/instances/{second}/abort")).status_code == 204
    assert (await live.ended(second))["error"] == "canceled"
    body = {
        "event": "E",
        "workflowID": workflow_id,
        "name": "smoke",
        "filter": "event.a == 1",
        "vars": {"v": "event.a"},
    }
    trigger = (await live.call("POST", "/v2/triggers", body)).json()["data"]
    assert (await page(live, "/triggers?name=MOK"))["data"] == [trigger]
    assert (await live.call("GET", f"/v2/triggers/{trigger['id']}")).json()["data"] == trigger
    tried = await live.call("POST", f"/v2/triggers/{trigger['id']}/test", {"a": 1})
    assert tried.json()["data"] == {"filter": {"match": True}, "variables": {"v": {"value": "1"}}}
    assert await page(live, f"/triggers/{trigger['id']}/occurrences") == {"pageSize": 15, "data": [], "hasMore": False}
    assert (await live.call("DELETE", f"/v2/triggers/{trigger['id']}")).status_code == 204
    assert (await live.call("DELETE", f"/v2/workflows/{workflow_id}")).status_code == 204
    assert await rows(live, "/workflows") == await rows(live, "/triggers") == []
    assert live.seen >= set(V2_OPERATIONS)


async def test_what_is_equal_in_both_versions_is_equal_byte_for_byte(live: Live) -> None:
    workflow_id = await live.created(WAITING)
    instance_id = await live.started(workflow_id)
    trigger = (await live.call("POST", "/triggers", {"event": "E", "workflowID": workflow_id})).json()["data"]
    for path in (
        "/_info",
        f"/workflows/{workflow_id}",
        f"/instances/{instance_id}",
        f"/instances/{instance_id}/history",
        f"/instances/{instance_id}/stages/0/history",
        f"/triggers/{trigger['id']}",
    ):
        assert (await live.call("GET", path)).content == (await live.call("GET", f"/v2{path}")).content, path
    for path in ("/workflows", "/instances", "/triggers", f"/triggers/{trigger['id']}/occurrences"):
        listed = (await live.call("GET", path)).json()["data"]
        assert (await page(live, path))["data"] == listed
    assert set(SAME) < set(OPERATIONS)


@pytest.mark.parametrize("path", ["/v2/workflows/x", "/v2/instances/x", "/v2/instances/x/history", "/v2/triggers/x"])
async def test_what_does_not_exist(live: Live, path: str) -> None:
    response = await live.call("GET", path)
    assert (response.status_code, response.json()["errorCode"]) == (404, "NOT_FOUND")
    assert "x" in response.json()["errorMessage"]


async def test_refusals_are_those_of_v1(live: Live) -> None:
    workflow_id = await live.created(SHORT)
    instance_id = await live.started(workflow_id)
    await live.ended(instance_id)
    requests: list[tuple[str, str, Any]] = [
        ("POST", "/workflows", {"stages": []}),
        ("POST", "/workflows", None),
        ("POST", "/workflows/nobody/instances", None),
        ("POST", f"/workflows/{workflow_id}/instances?wait=perhaps", None),
        ("POST", f"/instances/{instance_id}/events", {"name": "go"}),
        ("POST", f"/instances/{instance_id}/events", {"named": "go"}),
        ("PUT", f"/instances/{instance_id}/abort", None),
        ("GET", f"/instances/{instance_id}/stages/9/history", None),
        ("GET", f"/instances/{instance_id}/stages/x/history", None),
        ("GET", "/instances?running=perhaps", None),
        ("GET", "/triggers/nobody/occurrences", None),
        ("POST", "/triggers", {"event": "E", "workflowID": "nobody"}),
        ("DELETE", "/workflows/nobody", None),
        ("DELETE", "/triggers/nobody", None),
    ]
    for method, path, body in requests:
        first, second = await live.call(method, path, body), await live.call(method, f"/v2{path}", body)
        assert 400 <= first.status_code < 500, (method, path)
        assert (second.status_code, second.json()) == (first.status_code, first.json()), (method, path)


async def test_a_booked_transaction_is_a_list_of_one_with_txid(live: Live) -> None:
    await with_ledger(live)
    workflow_id = await live.created(PAY)
    path = f"/v2/workflows/{workflow_id}/instances?wait=true"
    response = await live.call("POST", path, {"user": "1", "amount": str(BIG)})
    instance = response.json()["data"]
    assert (response.status_code, instance["terminated"], instance.get("error")) == (201, True, None)
    path = f"/instances/{instance['id']}/stages/0/history"
    (first,) = (await live.call("GET", path)).json()["data"]
    (second,) = (await live.call("GET", f"/v2{path}")).json()["data"]
    transaction = first["output"]["CreateTransaction"]["data"]
    wanted = {"txid": transaction.pop("id"), **transaction}
    del wanted["reverted"]
    assert second["output"]["CreateTransaction"] == {"data": [wanted]}
    assert wanted["postings"][0]["amount"] == BIG
    del first["output"], second["output"]
    assert first == second


async def test_reads_and_their_outputs_are_as_in_v1(live: Live) -> None:
    """Only CreateTransaction differs: another activity's output goes out as it is stored."""
    await with_ledger(live)
    update = {"account": {"id": "users:1", "ledger": "main", "metadata": {"k": "v"}}}
    instance_id = await live.started(await live.created({"stages": [{"update": update}]}), None)
    await live.ended(instance_id)
    path = f"/instances/{instance_id}/stages/0/history"
    assert (await live.call("GET", path)).content == (await live.call("GET", f"/v2{path}")).content


async def test_a_key_stands_for_an_operation_in_both_versions(live: Live) -> None:
    keyed = {"headers": {"Idempotency-Key": "k"}}
    first = await live.call("POST", "/v2/workflows", SHORT, **keyed)
    again = await live.call("POST", "/v2/workflows", SHORT, **keyed)
    assert (again.content, again.headers["idempotency-hit"]) == (first.content, "true")
    other = await live.call("POST", "/workflows", SHORT, **keyed)
    assert (other.content, other.headers["idempotency-hit"]) == (first.content, "true")
    assert len(await rows(live, "/workflows")) == 1


async def test_occurrences_page_too_also_of_a_deleted_trigger(live: Live) -> None:
    workflow_id = await live.created(SHORT)
    trigger = (await live.call("POST", "/triggers", {"event": "E", "workflowID": workflow_id})).json()["data"]
    for number in range(5):
        body = {"type": "E", "app": "a", "version": "v1", "date": "2024-05-01T10:00:00Z", "payload": {"n": number}}
        assert (await live.call("POST", "/ext/events", body)).status_code == 202
        await live.dispatcher.idle()
    path = f"/triggers/{trigger['id']}/occurrences"
    first = await page(live, f"{path}?pageSize=2")
    assert [row["event"]["n"] for row in first["data"]] == [4, 3]
    assert all(row["workflowInstance"]["id"] == row["workflowInstanceID"] for row in first["data"])
    assert (await live.call("DELETE", f"/v2/triggers/{trigger['id']}")).status_code == 204
    second = await page(live, f"{path}?cursor={first['next']}")
    assert [row["event"]["n"] for row in second["data"]] == [2, 1]
    last = await page(live, f"{path}?cursor={second['next']}")
    assert ([row["event"]["n"] for row in last["data"]], last["hasMore"]) == ([0], False)


async def test_the_description_has_both_versions(live: Live) -> None:
    described = (await live.call("GET", "/openapi.json")).json()
    ids = {row["operationId"]: row for methods in described["paths"].values() for row in methods.values()}
    assert set(OPERATIONS) | set(V2_OPERATIONS) <= set(ids)
    for name in ("v2ListWorkflows", "v2ListInstances", "v2ListTriggers", "v2ListTriggersOccurrences"):
        parameters = {row["name"]: row["schema"] for row in ids[name]["parameters"]}
        assert parameters["pageSize"]["maximum"] == 1_000
        assert "cursor" in parameters
        assert "400" in ids[name]["responses"]
    assert json.dumps(described).count("InstancePage") > 1
    for name in OPERATIONS:
        v2 = ids[f"v2{name[0].upper()}{name[1:]}"]
        assert v2["security"] == ids[name]["security"]
