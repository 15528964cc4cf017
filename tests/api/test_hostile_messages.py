"""A refusal names the field: an unknown one, a wrong type, a body too big, a bad cursor, for every write and list."""

from __future__ import annotations

from typing import Any

import pytest

from headrace.api.app import TABLE
from headrace.api.operations import Operation
from tests.api.conftest import PREFIX, WAITING, Live, served
from tests.api.test_hostile_rows import JSON_WRITES, TEMPLATES, base, by_id

pytestmark = pytest.mark.asyncio(loop_scope="module")

UNNAMED: dict[str, Any] = {"stages": WAITING["stages"]}

UNKNOWN: dict[str, list[tuple[Any, str]]] = {
    "createWorkflow": [
        ({**WAITING, "stage": 1}, "stage: "),
        ({"stages": [{"wait_event": {"event": "a", "evnt": 1}}]}, "stages[0].wait_event.evnt: "),
        ({"stages": [{"nap": {}}]}, "stages[0].nap: "),
        ({"stages": [{"update": {"account": {"id": "a", "ledger": "b", "metadata": {}, "x": 1}}}]}, "stages[0].upd"),
    ],
    "sendEvent": [({"name": "go", "payload": {}}, "payload: "), ({"Name": "go"}, "Name: ")],
    "createTrigger": [({"event": "E", "workflowID": "w", "filters": "true"}, "filters: ")],
    "resolveEffect": [
        ({"outcome": "booked", "evidence": {"text": "x"}, "reason": "r", "force": True}, "force: "),
        ({"outcome": "booked", "evidence": {"text": "x", "note": "y"}, "reason": "r"}, "evidence: "),
    ],
    "createPlan": [({"workflowID": "w", "variable": {}}, "variable: unknown field")],
    "createCertificate": [
        ({"instance": "i", "force": True}, "force: unknown field"),
        ({"from": "2026-01-01T00:00:00Z", "force": True}, "force: unknown field"),
    ],
    "runPlan": [({"hash": "h", "variables": {}}, "variables: unknown field")],
    "approvePlan": [({"hash": "h", "reason": "r", "force": True}, "force: ")],
    "rejectPlan": [({"hash": "h", "reason": "r", "verdict": "approve"}, "verdict: ")],
    "createBatch": [
        ({"kind": "abort", "reason": "r", "instances": ["i"], "force": True}, "force: "),
        ({"kind": "abort", "reason": "r", "filter": {"status": "failed"}}, "filter.status: "),
        ({"kind": "run", "reason": "r", "runs": [{"workflowID": "w", "vars": {}}]}, "runs[0].vars: "),
    ],
    "startBatch": [({"hash": "h", "force": True}, "force: ")],
    "approveBatch": [({"hash": "h", "reason": "r", "force": True}, "force: ")],
    "rejectBatch": [({"hash": "h", "reason": "r", "verdict": "approve"}, "verdict: ")],
    "abortInstance": [({"reason": "r", "force": True}, "force: ")],
    "redriveInstance": [({"reason": "r", "force": True}, "force: ")],
    "undoInstance": [({"reason": "r", "skip": True}, "skip: ")],
    "putWorkflow": [
        ({"definition": UNNAMED, "force": True}, "force: "),
        ({"definition": {**UNNAMED, "stage": 1}}, "definition.stage: "),
    ],
    "putTrigger": [({"event": "E", "workflow": "w", "filters": "true"}, "filters: ")],
    "apply": [
        ({"workflow": {}}, "workflow: "),
        ({"workflows": {"a": {**UNNAMED, "kind": "x"}}}, "workflows.a.kind: "),
        ({"triggers": {"a": {"event": "E", "workflow": "w", "kind": "trigger"}}}, "triggers.a.kind: "),
    ],
    "replayDeadLetters": [({"publisher": "p", "event": "x"}, "event: is not a member")],
}
"""Writes whose members are all known. Variables, payloads and envelopes have members of the sender's own."""

OPEN = {"runWorkflow", "runNamedWorkflow", "testTrigger", "sendEvents"}

WRONG: dict[str, list[tuple[Any, str]]] = {
    "createWorkflow": [
        (7, "a workflow is an object"),
        ({}, "stages: "),
        ({"stages": "x"}, "stages: "),
        ({"stages": [7]}, "stages[0]: "),
        ({"stages": [{"wait_event": 7}]}, "stages[0].wait_event: "),
        ({"stages": [{"wait_event": {"event": 7}}]}, "stages[0].wait_event.event: "),
        ({"stages": [{"delay": {"duration": 7}}]}, "stages[0].delay.duration: "),
        ({**WAITING, "name": 7}, "name: "),
    ],
    "runWorkflow": [
        (7, "variables: "),
        (["a"], "variables: "),
        ({"order": None}, "order: "),
        ({"order": {}}, "order: "),
        ({"order": ["x"]}, "order: "),
        ({"an order": []}, "'an order': "),
    ],
    "sendEvent": [
        (7, "body: "),
        ({}, "name: "),
        ({"name": 7}, "name: "),
        ({"name": ""}, "name: "),
        ({"name": "headrace:a"}, "name: "),
    ],
    "createTrigger": [
        (7, "body: "),
        ({}, "event: is required; workflowID: is required"),
        ({"event": 7, "workflowID": "w"}, "event: "),
        ({"event": "E", "workflowID": 7}, "workflowID: "),
        ({"event": "E", "workflowID": "w", "name": 7}, "name: "),
        ({"event": "E", "workflowID": "w", "version": 7}, "version: "),
        ({"event": "E", "workflowID": "w", "filter": 7}, "filter: "),
        ({"event": "E", "workflowID": "w", "vars": 7}, "vars: "),
        ({"event": "E", "workflowID": "w", "vars": {"a": 7}}, "vars.a: "),
        ({"event": "E", "workflowID": "nobody"}, "workflowID: "),
    ],
    "testTrigger": [(7, "body: "), ([], "body: ")],
    "resolveEffect": [
        (7, "body: "),
        ({}, "outcome: "),
        ({"outcome": "done"}, "outcome: "),
        ({"outcome": "booked", "reason": "r"}, "evidence: "),
        ({"outcome": "booked", "reason": 7}, "reason: "),
        ({"outcome": "booked", "reason": "x" * 1_025, "evidence": {"text": "x"}}, "reason: "),
        ({"outcome": "booked", "reason": "r", "evidence": {}}, "evidence: "),
        ({"outcome": "booked", "reason": "r", "evidence": {"text": 7}}, "evidence.text: "),
        ({"outcome": "booked", "reason": "r", "evidence": {"initiationID": ""}}, "evidence.initiationID: "),
    ],
    "createCertificate": [
        (7, "body: "),
        ({}, "instance: "),
        ({"instance": 7}, "instance: "),
        ({"from": "2026-01-01T00:00:00Z"}, "to: "),
        ({"to": "2026-01-01T00:00:00Z"}, "from: "),
        ({"from": 7, "to": "2026-01-01T00:00:00Z"}, "from: "),
        ({"from": "2026-01-01T00:00:00Z", "to": "yesterday"}, "to: "),
        ({"from": "2026-01-01T00:00:00Z", "to": "2026-01-01T00:00:00Z"}, "from: "),
        ({"from": "2026-01-01T00:00:00Z", "to": "9000-01-01T00:00:00Z"}, "to: "),
        ({"from": "2025-01-01T00:00:00Z", "to": "2026-01-01T00:00:00Z", "full": "yes"}, "full: "),
    ],
    "undoInstance": [
        (7, "body: "),
        ({}, "reason: "),
        ({"reason": "x" * 1_025}, "reason: "),
        ({"reason": "r", "external": "force"}, "external: "),
        ({"reason": "r", "external": None}, "external: "),
        ({"reason": "r", "external": "keep", "planID": "p"}, "external: "),
        ({"reason": "r", "planID": 7}, "planID: "),
        ({"reason": "r", "acceptFailure": True}, "acceptFailure: "),
    ],
    "redriveInstance": [
        ({"reason": "r", "planID": 7}, "planID: "),
        ({"reason": "r", "planID": "p", "acceptFailure": 1}, "acceptFailure: "),
        ({"reason": "r", "acceptFailure": True}, "acceptFailure: "),
        ({"reason": "r", "skip": 1}, "skip: "),
        ({"reason": "r", "skip": True, "planID": "p"}, "skip: "),
        (7, "body: "),
        ({}, "reason: "),
        ({"reason": ""}, "reason: "),
        ({"reason": 7}, "reason: "),
        ({"reason": "x" * 1_025}, "reason: "),
    ],
    "createPlan": [
        (7, "body: "),
        ({"redrive": 7}, "redrive: "),
        ({"redrive": "i", "variables": {}}, "variables: "),
        ({"instance": 7}, "instance: "),
        ({"instance": "i", "variables": {}}, "variables: "),
        ({"instance": "i", "redrive": "i"}, "body: must hold exactly one of"),
        ({"redrive": "i", "external": "keep"}, "external: "),
        ({"undo": 7}, "undo: "),
        ({"undo": "i", "variables": {}}, "variables: "),
        ({"undo": "i", "external": "force"}, "external: "),
        ({}, "body: must hold exactly one of"),
        ({"workflowID": "w", "triggerID": "t"}, "body: must hold exactly one of"),
        ({"workflowID": 7}, "workflowID: "),
        ({"triggerID": "t"}, "event: is required"),
        ({"triggerID": 7, "event": {}}, "triggerID: "),
        ({"workflowID": "w", "event": {}}, "event: "),
        ({"definition": 7}, "a workflow is an object"),
        ({"definition": {"stages": []}}, "stages: "),
        ({"definition": {"stages": [{"wait_event": {"event": "${a}"}}]}}, "variables: no value for a"),
        ({"definition": {"stages": [{"wait_event": {"event": "a"}}]}, "variables": 7}, "variables: "),
        ({"definition": {"stages": [{"wait_event": {"event": "a"}}]}, "expiresIn": "8d"}, "expiresIn: "),
        ({"definition": {"stages": [{"wait_event": {"event": "a"}}]}, "expiresIn": 7}, "expiresIn: "),
    ],
    "runPlan": [
        (7, "body: "),
        ({}, "hash: "),
        ({"hash": 7}, "hash: "),
        ({"hash": "h", "acceptFailure": 1}, "acceptFailure: "),
        ({"hash": "h", "workflowID": 7}, "workflowID: "),
    ],
    "approvePlan": [
        (7, "body: "),
        ({}, "hash: "),
        ({"hash": 7, "reason": "r"}, "hash: "),
        ({"hash": "h"}, "reason: "),
        ({"hash": "h", "reason": " "}, "reason: "),
        ({"hash": "h", "reason": "x" * 1_025}, "reason: "),
    ],
    "rejectPlan": [
        (7, "body: "),
        ({}, "hash: "),
        ({"hash": 7, "reason": "r"}, "hash: "),
        ({"hash": "h"}, "reason: "),
        ({"hash": "h", "reason": " "}, "reason: "),
        ({"hash": "h", "reason": "x" * 1_025}, "reason: "),
    ],
    "createBatch": [
        (7, "body: "),
        ({}, "kind: "),
        ({"kind": "pay"}, "kind: "),
        ({"kind": "abort"}, "reason: "),
        ({"kind": "abort", "reason": "r"}, "filter: "),
        ({"kind": "abort", "reason": "r", "instances": ["i"], "filter": {}}, "filter: "),
        ({"kind": "abort", "reason": "r", "runs": []}, "filter: "),
        ({"kind": "run", "reason": "r", "instances": ["i"]}, "runs: "),
        ({"kind": "run", "reason": "r", "runs": []}, "runs: "),
        ({"kind": "run", "reason": "r", "runs": [7]}, "runs[0]: "),
        ({"kind": "run", "reason": "r", "runs": [{"workflowID": 7}]}, "runs[0].workflowID: "),
        ({"kind": "run", "reason": "r", "runs": [{"workflowID": "w", "variables": {"a": None}}]}, "runs[0].a: "),
        ({"kind": "undo", "reason": "r", "instances": []}, "instances: "),
        ({"kind": "undo", "reason": "r", "instances": ["i", 7]}, "instances[1]: "),
        ({"kind": "undo", "reason": "r", "instances": ["i", "i"]}, "instances[1]: is instances[0] again"),
        ({"kind": "undo", "reason": "r", "instances": ["i"], "rate": 0}, "rate: "),
        ({"kind": "undo", "reason": "r", "instances": ["i"], "rate": True}, "rate: "),
        ({"kind": "undo", "reason": "r", "instances": ["i"], "maxOpen": 10_001}, "maxOpen: "),
        ({"kind": "undo", "reason": "r", "instances": ["i"], "stopAfter": "10"}, "stopAfter: "),
        ({"kind": "redrive", "reason": "r", "filter": 7}, "filter: "),
        ({"kind": "redrive", "reason": "r", "filter": {}}, "filter: is empty"),
        ({"kind": "redrive", "reason": "r", "filter": {"workflow": 7}}, "filter.workflow: "),
        ({"kind": "redrive", "reason": "r", "filter": {"workflow": "none"}}, "filter.workflow: "),
        ({"kind": "redrive", "reason": "r", "filter": {"stage": -1}}, "filter.stage: "),
        ({"kind": "redrive", "reason": "r", "filter": {"failure": "bad"}}, "filter.failure: "),
        ({"kind": "redrive", "reason": "r", "filter": {"failure": []}}, "filter.failure: "),
        ({"kind": "redrive", "reason": "r", "filter": {"state": "ended"}}, "filter.state: "),
        ({"kind": "redrive", "reason": "r", "filter": {"endedAfter": "yesterday"}}, "filter.endedAfter: "),
        ({"kind": "redrive", "reason": "r", "filter": {"code": "NONE"}}, "filter: no instance fits"),
    ],
    "abortInstance": [
        (7, "body: "),
        ({}, "reason: "),
        ({"reason": 7}, "reason: "),
        ({"reason": "x" * 1_025}, "reason: "),
    ],
    "startBatch": [(7, "body: "), ({}, "hash: "), ({"hash": 7}, "hash: ")],
    "approveBatch": [
        (7, "body: "),
        ({}, "hash: "),
        ({"hash": 7, "reason": "r"}, "hash: "),
        ({"hash": "h"}, "reason: "),
        ({"hash": "h", "reason": "x" * 1_025}, "reason: "),
    ],
    "rejectBatch": [
        (7, "body: "),
        ({}, "hash: "),
        ({"hash": None, "reason": "r"}, "hash: "),
        ({"hash": "h", "reason": " "}, "reason: "),
    ],
    "putWorkflow": [
        (7, "body: "),
        ({}, "definition: "),
        ({"definition": 7}, "definition: a workflow is an object"),
        ({"definition": {"stages": []}}, "definition.stages: "),
        ({"definition": {**UNNAMED, "name": "other"}}, "definition.name: "),
        ({"definition": UNNAMED, "ifVersion": -1}, "ifVersion: "),
        ({"definition": UNNAMED, "ifVersion": "1"}, "ifVersion: "),
        ({"definition": UNNAMED, "ifVersion": True}, "ifVersion: "),
        ({"definition": UNNAMED, "ifVersion": None}, "ifVersion: "),
        ({"definition": UNNAMED, "set": "a b"}, "set: "),
        ({"definition": UNNAMED, "set": 7}, "set: "),
    ],
    "runNamedWorkflow": [
        (7, "variables: "),
        (["a"], "variables: "),
        ({"order": None}, "order: "),
        ({"order": {}}, "order: "),
    ],
    "putTrigger": [
        (7, "body: "),
        ({}, "workflow: either it or workflowID is required; event: is required"),
        ({"event": "E"}, "workflow: either"),
        ({"event": "E", "workflow": "w", "workflowID": "w"}, "workflow: either"),
        ({"event": 7, "workflow": "w"}, "event: "),
        ({"event": "E", "workflow": 7}, "workflow: "),
        ({"event": "E", "workflow": "a b"}, "workflow: "),
        ({"event": "E", "workflow": "absent"}, "workflow: there is no workflow"),
        ({"event": "E", "workflowID": "absent"}, "workflowID: there is no workflow"),
        ({"event": "E", "workflowID": 7}, "workflowID: "),
        ({"event": "E", "workflow": "w", "filter": 7}, "filter: "),
        ({"event": "E", "workflow": "w", "filter": None}, "filter: "),
        ({"event": "E", "workflow": "w", "filter": "1 +"}, "filter: "),
        ({"event": "E", "workflow": "w", "vars": {"a": 7}}, "vars.a: "),
        ({"event": "E", "workflow": "w", "ifRevision": "1"}, "ifRevision: "),
        ({"event": "E", "workflow": "w", "set": ""}, "set: "),
    ],
    "apply": [
        (7, "body: "),
        ({"workflows": 7}, "workflows: "),
        ({"triggers": []}, "triggers: "),
        ({"workflows": {"a b": UNNAMED}}, "workflows.'a b': "),
        ({"workflows": {"a.yaml": UNNAMED}}, "workflows.a.yaml: "),
        ({"workflows": {"0190b5c2-7d1e-7c3a-9f21-000000000001": UNNAMED}}, "workflows.0190b5c2"),
        ({"workflows": {"a": 7}}, "workflows.a: a workflow is an object"),
        ({"workflows": {"a": {"stages": []}}}, "workflows.a.stages: "),
        ({"triggers": {"a": 7}}, "triggers.a: must be a trigger"),
        ({"triggers": {"a": {"event": "E", "workflow": "absent"}}}, "triggers.a.workflow: there is no"),
        ({"prune": "yes"}, "prune: "),
        ({"dryRun": None}, "dryRun: "),
        ({"set": None}, "set: "),
    ],
    "replayDeadLetters": [
        (7, "body: "),
        ({}, "publisher: "),
        ({"publisher": 7}, "publisher: "),
        ({"publisher": "p", "ids": 7}, "ids: "),
        ({"publisher": "p", "ids": [7]}, "ids[0]: "),
    ],
    "sendEvents": [
        (7, "body: "),
        ([], "body: "),
        ({}, "body.payload: "),
        ({"payload": 7, "type": "E"}, "body.payload: "),
        ({"payload": {}}, "body.type: "),
        ({"payload": {}, "type": 7}, "body.type: "),
        ({"payload": {}, "type": "E", "app": 7}, "body.app: "),
        ({"payload": {}, "type": "E", "id": []}, "body.id: "),
        ([{"payload": {}, "type": "E"}, {"type": "E"}], "body[1].payload: "),
    ],
}


async def refusal(live: Live, operation: Operation, body: Any, ids: dict[str, str]) -> str:
    response = await live.http.request(operation.method, PREFIX + operation.path.format(**ids), json=body)
    assert (response.status_code, response.json()["errorCode"]) == (400, "VALIDATION"), (body, response.text)
    return response.json()["errorMessage"]


async def furnished(live: Live) -> dict[str, str]:
    workflow_id = await live.created(WAITING)
    instance_id = await live.started(workflow_id)
    trigger = (await live.call("POST", "/triggers", {"event": "E", "workflowID": workflow_id})).json()["data"]["id"]
    plan = (await live.call("POST", "/ext/plans", {"workflowID": workflow_id})).json()["data"]["id"]
    await live.call("PUT", "/ext/workflows/named", {"definition": UNNAMED})
    return {
        "name": "named",
        "flowId": workflow_id,
        "workflowID": workflow_id,
        "instanceID": instance_id,
        "triggerID": trigger,
        "planID": plan,
        "certificateID": "none",
        "batchID": "none",
        "number": "0",
        "position": "0",
    }


async def test_every_write_is_here() -> None:
    assert WRONG.keys() == TEMPLATES.keys()
    assert UNKNOWN.keys() | OPEN == TEMPLATES.keys()


@pytest.mark.parametrize("operation", JSON_WRITES, ids=by_id)
async def test_an_unknown_field_and_a_wrong_type_are_named(shared: Live, operation: Operation) -> None:
    ids = await furnished(shared)
    for body, says in (*UNKNOWN.get(base(operation), ()), *WRONG[base(operation)]):
        assert (await refusal(shared, operation, body, ids)).startswith(says), body


@pytest.mark.parametrize("operation", JSON_WRITES, ids=by_id)
async def test_a_key_that_is_none_is_named(shared: Live, operation: Operation) -> None:
    if not operation.takes_key:
        return
    ids = await furnished(shared)
    path = PREFIX + operation.path.format(**ids)
    for key in ("", "a b", "x" * 256, "a\tb"):
        response = await shared.http.request(operation.method, path, json={}, headers={"Idempotency-Key": key})
        assert response.status_code == 400
        assert response.json()["errorMessage"].startswith("Idempotency-Key: "), key


QUERIES = {
    "cursor": ["x", "AAAA", "%00", "A" * 5_000],
    "pageSize": ["0", "1001", "-1", "x", "1.5", "9" * 40],
    "running": ["perhaps", "2", "%00"],
    "wait": ["perhaps", "10s"],
    "repeated": ["perhaps"],
    "conflicting": ["perhaps"],
    "status": ["paused", "%00", "running,failed"],
    "state": ["paused", "%00", "open,used"],
    "since": ["yesterday", "-1h", "9" * 40],
    "variable": ["orderID", "=1", "a=" + "x" * 300],
    "errorCode": ["A" * 5_000],
    "q": ["a" * 400, "%00", "1.50+EUR/2"],
    "before": ["0", "x", "9" * 40],
    "after": ["-1", "x", "9" * 40],
    "limit": ["0", "1001", "x"],
    "external": ["force", "%00"],
}
ANY_TEXT = {"workflowID", "instanceID", "name", "target", "principal", "app", "type", "version", "id"}
"""Parameters that are compared with what there is: any text is good. The last four describe a raw event, whose mistakes
are in `tests/api/test_events.py`."""


async def test_every_query_parameter_is_here() -> None:
    """A new one needs bad values in QUERIES, or its name in ANY_TEXT."""
    assert {parameter.name for row in TABLE for parameter in row.query} == {*QUERIES, *ANY_TEXT}


@pytest.mark.parametrize("operation", [row for row in TABLE if row.query], ids=by_id)
async def test_a_bad_query_parameter_is_named(shared: Live, operation: Operation) -> None:
    path = PREFIX + operation.path.format(**await furnished(shared))
    for parameter in operation.query:
        for text in QUERIES.get(parameter.name, []):
            response = await shared.http.request(operation.method, f"{path}?{parameter.name}={text}")
            assert response.status_code == 400, (parameter.name, text[:40], response.text)
            assert response.json()["errorCode"] == "VALIDATION"
            assert response.json()["errorMessage"].startswith(f"{parameter.name}: ")


async def test_a_bad_stage_number_is_named(shared: Live) -> None:
    ids = await furnished(shared)
    for version in ("", "/v2"):
        for number in ("x", "1.5", "1e3", "%EF%BC%91", "0x1"):
            response = await shared.call("GET", f"{version}/instances/{ids['instanceID']}/stages/{number}/history")
            assert (response.status_code, response.json()["errorMessage"].split(": ")[0]) == (400, "number"), (
                response.text
            )


async def test_every_missing_variable_is_named_as_it_may_be_shown(tmp_path: Any) -> None:
    async with served(tmp_path) as live:
        stage = {"wait_event": {"event": "${b} ${a.x} ${a\u202eb} " + "${" + "x" * 2_000 + "}"}}
        workflow_id = await live.created({"stages": [stage]})
        response = await live.call("POST", f"/workflows/{workflow_id}/instances", {"a": "{}"})
    message = response.json()["errorMessage"]
    assert response.status_code == 400 and message.startswith("variables: no value for ")
    assert "a.x, " in message and "b, " in message and "\\u202e" in message and len(message) < 300
