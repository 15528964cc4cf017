"""The five operations of triggers over a real connection: what is sent, and what comes back typed."""

from __future__ import annotations

from typing import Any

import pytest

import headrace_client as api

PREFIX = "/api/orchestration"
AT = "2024-05-01T10:00:00.123456Z"
TRIGGER: dict[str, Any] = {
    "id": "t1",
    "createdAt": AT,
    "name": "",
    "event": "SAVED_PAYMENT",
    "workflowID": "w1",
    "filter": "event.amount > 0",
    "vars": {"a_b": "event.id"},
}
INSTANCE: dict[str, Any] = {"id": "i1", "workflowID": "w1", "createdAt": AT, "updatedAt": AT, "terminated": False}


@pytest.mark.parametrize(
    "arguments",
    [
        {"event": "E", "workflow_id": "w1", "filter": "true", "vars": {"a_b": "event.a_b"}, "version": "v2"},
        {
            "request": {
                "event": "E",
                "workflow_id": "w1",
                "filter": "true",
                "vars": {"a_b": "event.a_b"},
                "version": "v2",
            }
        },
    ],
    ids=["keywords", "request"],
)
async def test_create_trigger(stub: Any, caller: Any, arguments: Any) -> None:
    stub.data(TRIGGER, 201)
    result = await caller("create_trigger", **arguments)
    assert isinstance(result.data, api.Trigger)
    assert (result.data.id, result.data.workflow_id, result.data.vars) == ("t1", "w1", {"a_b": "event.id"})
    (seen,) = stub.seen
    assert (seen.method, seen.target) == ("POST", f"{PREFIX}/triggers")
    assert seen.json == {
        "event": "E",
        "workflowID": "w1",
        "filter": "true",
        "vars": {"a_b": "event.a_b"},
        "version": "v2",
    }
    assert seen.headers["idempotency-key"]


async def test_list_read_and_delete(stub: Any, caller: Any) -> None:
    stub.data([TRIGGER])
    stub.data(TRIGGER)
    stub.answer(204)
    (found,) = (await caller("list_triggers", name="top up")).data
    assert found == (await caller("read_trigger", trigger_id="t1")).data
    assert (await caller("delete_trigger", trigger_id="t1")).status_code == 204
    targets = [f"{PREFIX}/triggers?name=top+up", f"{PREFIX}/triggers/t1", f"{PREFIX}/triggers/t1"]
    assert [target.replace("%20", "+") for target in stub.targets] == targets
    assert [seen.method for seen in stub.seen] == ["GET", "GET", "DELETE"]


async def test_occurrences(stub: Any, caller: Any) -> None:
    amount = 10**30
    started = {
        "date": AT,
        "triggerID": "t1",
        "event": {"amount": amount},
        "workflowInstanceID": "i1",
        "workflowInstance": {**INSTANCE, "status": None},
    }
    failed = {"date": AT, "triggerID": "t1", "event": {}, "error": "variables: a: nil"}
    stub.data([started, failed])
    first, second = (await caller("list_triggers_occurrences", trigger_id="t1")).data
    assert first.event["amount"] == amount
    assert first.workflow_instance.id == first.workflow_instance_id == "i1"
    assert first.workflow_instance.status == []
    assert (second.workflow_instance, second.error) == (None, "variables: a: nil")
