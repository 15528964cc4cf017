"""The operations on workflows and instances over a real connection: what is sent, and what comes back typed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

import headrace_client as api

PREFIX = "/api/orchestration"
WHEN = datetime(2024, 5, 1, 10, 0, 0, 123456, UTC)


async def test_server_info_by_both_names(stub: Any, caller: Any) -> None:
    for name in ("get_server_info", "get_server_info_orchestration"):
        stub.answer(200, {"version": "v0.1", "more": 1}, "application/json; charset=utf-8")
        result = await caller(name)
        assert result.data == api.ServerInfo(version="v0.1")
    assert stub.targets == [f"{PREFIX}/_info"] * 2
    assert stub.seen[0].method == "GET"
    assert stub.seen[0].headers["accept"] == "application/json"
    assert "authorization" not in stub.seen[0].headers


async def test_result_carries_the_answer(stub: Any, caller: Any) -> None:
    stub.answer(200, {"version": "v0.1"}, "application/json", **{"X-Request": "7"})
    result = await caller("get_server_info")
    assert result.status_code == 200
    assert result.headers["x-request"] == "7"
    assert result.raw == b'{"version": "v0.1"}'


async def test_list_workflows(stub: Any, caller: Any, workflow: Any) -> None:
    stub.data([workflow])
    (found,) = (await caller("list_workflows")).data
    assert isinstance(found, api.Workflow)
    assert found.config == api.WorkflowConfig(stages=[{"wait_event": {"event": "go"}}], name="pay")
    assert found.created_at == WHEN
    assert stub.seen[0].target == f"{PREFIX}/workflows"


@pytest.mark.parametrize(
    "arguments",
    [
        {"name": "pay", "stages": [{"delay": {"duration": "1s"}}]},
        {"request": {"name": "pay", "stages": [{"delay": {"duration": "1s"}}]}},
        {"request": api.CreateWorkflowRequest(name="pay", stages=[{"delay": {"duration": "1s"}}])},
        {"request": api.WorkflowConfig(name="pay", stages=[{"delay": {"duration": "1s"}}])},
    ],
    ids=["keywords", "dict", "request", "config"],
)
async def test_create_workflow(stub: Any, caller: Any, workflow: Any, arguments: Any) -> None:
    stub.data(workflow, 201)
    result = await caller("create_workflow", **arguments)
    assert result.data.id == "w1"
    assert result.status_code == 201
    (seen,) = stub.seen
    assert (seen.method, seen.target) == ("POST", f"{PREFIX}/workflows")
    assert seen.json == {"name": "pay", "stages": [{"delay": {"duration": "1s"}}]}
    assert seen.headers["content-type"] == "application/json"


async def test_a_definition_without_a_name_sends_none(stub: Any, caller: Any, workflow: Any) -> None:
    stub.data(workflow, 201)
    await caller("create_workflow", stages=[{"delay": {"duration": "1s"}}])
    assert stub.seen[0].body == b'{"stages":[{"delay":{"duration":"1s"}}]}'


async def test_amounts_of_a_definition_stay_exact_both_ways(stub: Any, caller: Any, workflow: Any) -> None:
    stages = [{"send": {"amount": {"amount": 10**999 + 1, "asset": "USD/2"}, "note": "é"}}]
    workflow["config"]["stages"] = stages
    stub.data(workflow, 201)
    result = await caller("create_workflow", stages=stages)
    assert stub.seen[0].json["stages"] == stages
    assert "é".encode() in stub.seen[0].body
    assert result.data.config.stages == stages


async def test_get_and_delete_workflow(stub: Any, caller: Any, workflow: Any) -> None:
    stub.data(workflow)
    stub.answer(204, content_type=None)
    assert (await caller("get_workflow", flow_id="w1")).data.id == "w1"
    assert (await caller("delete_workflow", request={"flow_id": "w1"})).data is None
    assert [(seen.method, seen.target) for seen in stub.seen] == [
        ("GET", f"{PREFIX}/workflows/w1"),
        ("DELETE", f"{PREFIX}/workflows/w1"),
    ]
    assert stub.seen[1].body == b""


@pytest.mark.parametrize("is_one_request", [False, True])
async def test_run_workflow(stub: Any, caller: Any, instance: Any, is_one_request: bool) -> None:
    stub.data(instance, 201)
    arguments: dict[str, Any] = {"workflow_id": "w1", "request_body": {"amount": "100"}, "wait": True}
    result = await caller("run_workflow", **({"request": arguments} if is_one_request else arguments))
    assert isinstance(result.data, api.WorkflowInstance)
    assert result.data.workflow_id == "w1"
    assert result.data.current_stage == 1
    assert result.data.status[0] == api.StageStatus(stage=0, instance_id="i1", started_at=WHEN, terminated_at=WHEN)
    (seen,) = stub.seen
    assert seen.target == f"{PREFIX}/workflows/w1/instances?wait=true"
    assert seen.json == {"amount": "100"}


async def test_run_without_variables_sends_no_body(stub: Any, caller: Any, instance: Any) -> None:
    stub.data(instance, 201)
    stub.data(instance, 201)
    await caller("run_workflow", workflow_id="w1")
    await caller("run_workflow", workflow_id="w1", request_body={}, wait=False)
    none, empty = stub.seen
    assert (none.target, none.body) == (f"{PREFIX}/workflows/w1/instances", b"")
    assert "content-type" not in none.headers
    assert (empty.target, empty.body) == (f"{PREFIX}/workflows/w1/instances?wait=false", b"{}")


@pytest.mark.parametrize(
    ("arguments", "query"),
    [
        ({}, ""),
        ({"workflow_id": "w 1&x", "running": True}, "?workflowID=w+1%26x&running=true"),
        ({"workflow_id": "", "running": False}, "?workflowID=&running=false"),
        ({"request": {"running": True}}, "?running=true"),
    ],
)
async def test_list_instances(stub: Any, caller: Any, instance: Any, arguments: Any, query: str) -> None:
    stub.data([instance])
    assert [found.id for found in (await caller("list_instances", **arguments)).data] == ["i1"]
    assert stub.seen[0].target == f"{PREFIX}/instances{query}"


@pytest.mark.parametrize(
    ("started", "ended", "is_terminated", "stage"),
    [
        (0, 0, False, None),
        (1, 0, False, 0),
        (1, 1, False, None),
        (2, 1, False, 1),
        (2, 2, True, None),
        (2, 1, True, None),
    ],
)
async def test_current_stage(
    stub: Any, caller: Any, instance: Any, started: int, ended: int, is_terminated: bool, stage: int | None
) -> None:
    now = instance["createdAt"]
    entries: list[Any] = [{"stage": number, "instanceID": "i1", "startedAt": now} for number in range(started)]
    for entry in entries[:ended]:
        entry["terminatedAt"] = now
    stub.data({**instance, "status": entries, "terminated": is_terminated})
    assert (await caller("get_instance", instance_id="i1")).data.current_stage == stage


async def test_get_instance(stub: Any, caller: Any, instance: Any, workflow: Any) -> None:
    ended = {
        "terminated": True,
        "terminatedAt": "2024-05-01T12:00:00.123456+02:00",
        "error": "no",
        "workflow": workflow,
    }
    stub.data({**instance, **ended})
    found = (await caller("get_instance", instance_id="i1")).data
    assert (found.terminated, found.error, found.current_stage) == (True, "no", None)
    assert found.terminated_at == WHEN
    assert found.workflow.id == "w1"


@pytest.mark.parametrize(
    "arguments",
    [
        {"instance_id": "i1", "name": "go"},
        {"instance_id": "i1", "request_body": {"name": "go"}},
        {"request": {"instance_id": "i1", "request_body": {"name": "go"}}},
        {"request": api.SendEventRequest("i1", api.SendEventRequestBody("go"))},
    ],
)
async def test_send_event(stub: Any, caller: Any, arguments: Any) -> None:
    stub.answer(204, content_type=None)
    assert (await caller("send_event", **arguments)).status_code == 204
    (seen,) = stub.seen
    assert (seen.method, seen.target, seen.json) == ("POST", f"{PREFIX}/instances/i1/events", {"name": "go"})


async def test_cancel_event(stub: Any, caller: Any) -> None:
    stub.answer(204, content_type=None)
    await caller("cancel_event", instance_id="i1")
    (seen,) = stub.seen
    assert (seen.method, seen.target, seen.body) == ("PUT", f"{PREFIX}/instances/i1/abort", b"")


WRITES: list[tuple[str, dict[str, Any]]] = [
    ("create_workflow", {"stages": []}),
    ("delete_workflow", {"flow_id": "x"}),
    ("run_workflow", {"workflow_id": "x"}),
    ("send_event", {"instance_id": "x", "name": "go"}),
    ("cancel_event", {"instance_id": "x"}),
    ("create_trigger", {"event": "E", "workflow_id": "x"}),
    ("delete_trigger", {"trigger_id": "x"}),
]
READS: list[tuple[str, dict[str, Any]]] = [
    ("get_server_info", {}),
    ("list_workflows", {}),
    ("get_workflow", {"flow_id": "x"}),
    ("list_instances", {}),
    ("get_instance", {"instance_id": "x"}),
    ("get_instance_history", {"instance_id": "x"}),
    ("get_instance_stage_history", {"instance_id": "x", "number": 0}),
    ("list_triggers", {}),
    ("read_trigger", {"trigger_id": "x"}),
    ("list_triggers_occurrences", {"trigger_id": "x"}),
]


@pytest.mark.parametrize(("method", "arguments"), WRITES)
async def test_every_write_has_a_key_of_its_own(stub: Any, caller: Any, method: str, arguments: Any) -> None:
    for options in ({}, {}, {"idempotency_key": "mine"}, {"headers": {"idempotency-key": "mine too"[:4]}}):
        stub.answer(500)
        with pytest.raises(api.SDKError) as caught:
            await caller(method, **arguments, **options)
        assert caught.value.idempotency_key == stub.seen[-1].headers["idempotency-key"]
    first, second, given, by_header = (seen.headers["idempotency-key"] for seen in stub.seen)
    assert UUID(first).version == 4
    assert first != second
    assert (given, by_header) == ("mine", "mine")


@pytest.mark.parametrize(("method", "arguments"), READS)
async def test_no_read_has_a_key(stub: Any, caller: Any, method: str, arguments: Any) -> None:
    stub.answer(500)
    with pytest.raises(api.SDKError) as caught:
        await caller(method, **arguments)
    assert caught.value.idempotency_key is None
    assert "idempotency-key" not in stub.seen[0].headers


def test_these_are_all_operations() -> None:
    from headrace_client import operations
    from headrace_client.operations import Operation

    rows = {row.name: row.is_write for row in vars(operations).values() if isinstance(row, Operation)}
    assert rows == {name: True for name, _ in WRITES} | {name: False for name, _ in READS}


def test_these_are_all_operations_of_v2() -> None:
    from headrace_client import v2_operations
    from headrace_client.operations import Operation

    rows = {row.name: row.is_write for row in vars(v2_operations).values() if isinstance(row, Operation)}
    assert rows.pop("test_trigger") is True
    assert set(rows) < {name for name, _ in READS}
    assert len(WRITES) + len(READS) + 1 == 18
