"""The wire checker lets good responses pass and names what is wrong with bad ones (traps T1 to T26)."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from headrace.workflows.activities import ACTIVITIES
from headrace.workflows.stages import STAGES as STAGE_TYPES
from tests.conformance.wire import (
    ACTIVITY_INPUTS,
    ALL_OPERATIONS,
    OPERATIONS,
    STAGE_INPUTS,
    V2_ACTIVITY_INPUTS,
    WireError,
    check,
    operation_of,
    problems,
)

JSON = {"Content-Type": "application/json"}
AT = "2024-05-01T10:00:00.123456Z"
LATER = "2024-05-01T10:00:01Z"

INSTANCE: dict[str, Any] = {
    "id": "i",
    "workflowID": "w",
    "createdAt": AT,
    "updatedAt": LATER,
    "terminated": True,
    "terminatedAt": LATER,
    "status": [{"stage": 0, "instanceID": "i", "startedAt": AT, "terminatedAt": LATER}],
}
WORKFLOW: dict[str, Any] = {
    "id": "w",
    "config": {"name": "n", "stages": [{"send": {"amount": {"amount": 10**30}}}]},
    "createdAt": AT,
    "updatedAt": AT,
}
SEND: dict[str, Any] = {
    "name": "send",
    "terminated": True,
    "startedAt": AT,
    "terminatedAt": LATER,
    "input": {
        "source": {"account": {"id": "users:1", "ledger": "main"}},
        "destination": {"wallet": {"id": "0b1e", "balance": "main"}},
        "amount": {"amount": 10**30, "asset": "USD/2"},
    },
}
STAGES: list[dict[str, Any]] = [
    SEND,
    {"name": "delay", "terminated": True, "startedAt": AT, "terminatedAt": LATER, "input": {"duration": "5s"}},
    {"name": "wait_event", "terminated": False, "startedAt": AT, "input": {"event": "approved"}},
    {
        "name": "update",
        "terminated": True,
        "startedAt": AT,
        "terminatedAt": LATER,
        "input": {"account": {"id": "users:1", "ledger": "main", "metadata": {"k": "v"}}},
    },
]
POSTING = {"source": "users:1", "destination": "world", "amount": 100, "asset": "USD/2"}
TRANSACTION: dict[str, Any] = {
    "name": "CreateTransaction",
    "attempt": 1,
    "terminated": True,
    "startedAt": AT,
    "terminatedAt": LATER,
    "input": {
        "CreateTransaction": {"ledger": "main", "data": {"metadata": {}, "postings": [POSTING], "reference": "r"}}
    },
    "output": {
        "CreateTransaction": {
            "data": {
                "id": 7,
                "reverted": False,
                "timestamp": AT,
                "metadata": {},
                "postings": [POSTING],
                "reference": "r",
            }
        }
    },
}
CREDIT: dict[str, Any] = {
    "name": "CreditWallet",
    "attempt": 3,
    "terminated": False,
    "startedAt": AT,
    "lastFailure": "wallets: 503",
    "nextExecution": LATER,
    "input": {
        "CreditWallet": {
            "id": "0b1e",
            "data": {
                "amount": {"amount": 100, "asset": "USD/2"},
                "sources": [{"type": "ACCOUNT", "identifier": "world"}],
                "balance": "main",
                "metadata": {},
            },
        }
    },
}

V2_TRANSACTION = copy.deepcopy(TRANSACTION)
V2_TRANSACTION["output"]["CreateTransaction"]["data"] = [
    {"txid": 7, "timestamp": AT, "metadata": {}, "postings": [POSTING], "reference": "r"}
]
PAGE: dict[str, Any] = {"pageSize": 15, "hasMore": True, "next": "abc", "previous": "def"}

GOOD: list[tuple[str, int, Any]] = [
    ("getServerInfo", 200, {"version": "0.1.0"}),
    ("listWorkflows", 200, {"data": []}),
    ("listWorkflows", 200, {"data": [WORKFLOW]}),
    ("createWorkflow", 201, {"data": WORKFLOW}),
    ("getWorkflow", 200, {"data": WORKFLOW}),
    ("runWorkflow", 201, {"data": {**INSTANCE, "status": []}}),
    ("listInstances", 200, {"data": [INSTANCE, INSTANCE]}),
    ("getInstance", 200, {"data": {**INSTANCE, "error": "no funds"}}),
    ("getInstanceHistory", 200, {"data": STAGES}),
    ("getInstanceStageHistory", 200, {"data": [TRANSACTION, CREDIT]}),
    ("v2ListInstances", 200, {"cursor": {"pageSize": 15, "hasMore": False, "data": []}}),
    ("v2ListInstances", 200, {"cursor": {**PAGE, "data": [INSTANCE]}}),
    ("v2GetInstanceStageHistory", 200, {"data": [V2_TRANSACTION, CREDIT]}),
    ("testTrigger", 200, {"data": {}}),
    ("testTrigger", 200, {"data": {"filter": {"match": True}, "variables": {"a": {"value": "1"}}}}),
    ("getInstance", 404, {"errorCode": "NOT_FOUND", "errorMessage": "no such instance"}),
    (
        "createWorkflow",
        400,
        {
            "errorCode": "VALIDATION",
            "errorMessage": "bad",
            "details": [{"path": "stages[0]", "reason": "bad", "line": 1, "column": 2}],
        },
    ),
]


def encoded(value: Any) -> bytes:
    return json.dumps(value).encode()


@pytest.mark.parametrize(("operation_id", "status", "value"), GOOD)
def test_good_responses_pass(operation_id: str, status: int, value: Any) -> None:
    assert check(operation_id, status, JSON, encoded(value)) == value


@pytest.mark.parametrize("operation_id", ["deleteWorkflow", "sendEvent", "cancelEvent"])
def test_no_content_passes_and_content_does_not(operation_id: str) -> None:
    assert check(operation_id, 204, {}, b"") is None
    with pytest.raises(WireError, match="a body"):
        check(operation_id, 204, JSON, b"{}")


def changed(value: Any, path: str, to: Any) -> Any:
    """A copy with the member at a dotted path replaced, or removed when `to` is `GONE`."""
    copied = copy.deepcopy(value)
    at = copied
    *way, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    for step in way:
        at = at[step]
    if to is GONE:
        del at[last]
    else:
        at[last] = to
    return copied


GONE = object()

BAD: list[tuple[str, str, Any, str]] = [
    ("getInstance", "data", GONE, "data is missing"),
    ("listInstances", "data", None, "list expected"),
    ("getInstance", "data.status", None, "list expected"),
    ("getInstance", "data.terminatedAt", None, "RFC 3339"),
    ("getInstance", "data.terminatedAt", GONE, "disagree"),
    ("getInstance", "data.terminated", "true", "boolean expected"),
    ("getInstance", "data.terminated", 1, "boolean expected"),
    ("getInstance", "data.createdAt", "2024-05-01T10:00:00", "RFC 3339"),
    ("getInstance", "data.createdAt", "2024-05-01 10:00:00Z", "RFC 3339"),
    ("getInstance", "data.createdAt", "2024-05-01T10:00:00+00:00", "RFC 3339"),
    ("getInstance", "data.createdAt", "2024-05-01T10:00:00.1234567Z", "RFC 3339"),
    ("getInstance", "data.createdAt", "2024-13-01T10:00:00Z", "RFC 3339"),
    ("getInstance", "data.createdAt", 1714557600, "RFC 3339"),
    ("getInstance", "data.createdAt", "", "RFC 3339"),
    ("getInstance", "data.updatedAt", "2023-05-01T10:00:00Z", "backwards"),
    ("getInstance", "data.error", "", "must not be empty"),
    ("getInstance", "data.colour", "red", "not in the description"),
    ("getInstance", "data.status.0.stage", "0", "integer expected"),
    ("getInstance", "data.status.0.stage", 1, "in order"),
    ("getInstance", "data.status.0.instanceID", "other", "another instance"),
    ("getWorkflow", "data.config", GONE, "config is missing"),
    ("getWorkflow", "data.config.name", None, "text expected"),
    ("getWorkflow", "data.config.stages", None, "list expected"),
    ("getWorkflow", "data.config.stages.0.send.amount", None, "null"),
    ("getInstanceHistory", "data.0.input", {"send": SEND["input"]}, "send is not in the description"),
    ("getInstanceHistory", "data.0.input", None, "object expected"),
    ("getInstanceHistory", "data.0.input.amount.amount", "${amount}", "integer expected"),
    ("getInstanceHistory", "data.0.input.amount.amount", "100", "integer expected"),
    ("getInstanceHistory", "data.0.input.source", {}, "exactly one"),
    ("getInstanceHistory", "data.0.input.source.account.ledger", GONE, "ledger is missing"),
    ("getInstanceHistory", "data.0.input.destination.wallet.balance", GONE, "balance is missing"),
    ("getInstanceHistory", "data.0.input.destination.wallet.id", GONE, "id is missing"),
    ("getInstanceHistory", "data.0.input.destination", {"payment": {"psp": "stripe", "type": "payout"}}, "not one of"),
    ("getInstanceHistory", "data.1.input.duration", 5, "text expected"),
    ("getInstanceHistory", "data.3.input.account.metadata", GONE, "metadata is missing"),
    ("getInstanceHistory", "data.3.input.account.metadata.k", 1, "text expected"),
    ("getInstanceHistory", "data.0.name", "sent", "no stage"),
    ("getInstanceHistory", "data.2.error", "x", "not terminated"),
    ("getInstanceStageHistory", "data.0.attempt", "1", "integer expected"),
    ("getInstanceStageHistory", "data.0.attempt", 0, "below 1"),
    ("getInstanceStageHistory", "data.0.input.CreateTransaction.data.metadata", None, "object expected"),
    ("getInstanceStageHistory", "data.0.input.CreateTransaction.data.postings", [], "at least 1"),
    ("getInstanceStageHistory", "data.0.output", GONE, "without output"),
    ("getInstanceStageHistory", "data.0.output", None, "object expected"),
    ("getInstanceStageHistory", "data.0.output.CreateTransaction.data", [{"txid": 7}], "object expected"),
    ("getInstanceStageHistory", "data.0.output.CreateTransaction.data.reverted", GONE, "reverted is missing"),
    ("getInstanceStageHistory", "data.0.output.CreateTransaction.data.reference", GONE, "reference"),
    ("v2GetInstanceStageHistory", "data.0.output.CreateTransaction.data", {"txid": 7}, "list expected"),
    ("v2GetInstanceStageHistory", "data.0.output.CreateTransaction.data", [], "at least 1"),
    ("v2GetInstanceStageHistory", "data.0.output.CreateTransaction.data.0.txid", GONE, "txid is missing"),
    ("v2GetInstanceStageHistory", "data.0.output.CreateTransaction.data.0.txid", "7", "integer expected"),
    ("v2GetInstanceStageHistory", "data.0.output.CreateTransaction.data.0.id", 7, "not in the description"),
    ("v2GetInstanceStageHistory", "data.0.output.CreateTransaction.data.0.reference", "q", "reference"),
    ("v2ListInstances", "cursor", GONE, "cursor is missing"),
    ("v2ListInstances", "cursor.pageSize", GONE, "pageSize is missing"),
    ("v2ListInstances", "cursor.hasMore", GONE, "hasMore is missing"),
    ("v2ListInstances", "cursor.hasMore", False, "disagree"),
    ("v2ListInstances", "cursor.next", GONE, "disagree"),
    ("v2ListInstances", "cursor.next", "", "must not be empty"),
    ("v2ListInstances", "cursor.data", None, "list expected"),
    ("v2ListInstances", "cursor.data", [INSTANCE] * 16, "16 rows on a page of 15"),
    ("v2ListInstances", "cursor.data.0.status", None, "list expected"),
    ("testTrigger", "data.variables.a.value", 1, "text expected"),
    ("testTrigger", "data.filter.match", "true", "boolean expected"),
    ("getInstanceStageHistory", "data.0.name", "CreditWallet", "is not under"),
    ("getInstanceStageHistory", "data.0.lastFailure", "ledger: 503", "has ended"),
    ("getInstanceStageHistory", "data.1.nextExecution", "", "RFC 3339"),
    ("getInstanceStageHistory", "data.1.input.CreditWallet.data.sources", None, "list expected"),
    ("getInstanceStageHistory", "data.1.input.CreditWallet.data.sources.0.type", "account", "not one of"),
    ("getInstanceStageHistory", "data.1.input.CreditWallet.data.sources.0.type", "WALLET", "without balance"),
    ("getInstanceStageHistory", "data.1.input.CreditWallet.data.amount.amount", 1.0, "only integers"),
]


@pytest.mark.parametrize(("operation_id", "path", "to", "says"), BAD)
def test_bad_responses_are_named(operation_id: str, path: str, to: Any, says: str) -> None:
    status, good = next(
        (status, value) for name, status, value in reversed(GOOD) if name == operation_id and status < 400
    )
    bad = encoded(changed(good, path, to))
    assert any(says in what for what in problems(operation_id, status, JSON, bad)), problems(
        operation_id, status, JSON, bad
    )


@pytest.mark.parametrize(
    ("operation_id", "status", "headers", "body", "says"),
    [
        ("createWorkflow", 200, JSON, {"data": WORKFLOW}, "status 200"),
        ("deleteWorkflow", 200, JSON, {}, "status 200"),
        ("getInstance", 200, {}, {"data": INSTANCE}, "content type None"),
        ("getInstance", 200, {"content-type": "text/plain"}, {"data": INSTANCE}, "content type"),
        ("getInstance", 404, JSON, {"errorCode": "CONFLICT", "errorMessage": "x"}, "not one of"),
        ("getInstance", 404, JSON, {"errorCode": "not_found", "errorMessage": "x"}, "not one of"),
        ("getInstance", 404, JSON, {"errorCode": "VALIDATION", "errorMessage": "x"}, "with status 404"),
        ("getInstance", 404, JSON, {"errorCode": "NOT_FOUND"}, "errorMessage is missing"),
        ("getInstance", 418, JSON, {"errorCode": "NOT_FOUND", "errorMessage": "x"}, "status 418"),
    ],
)
def test_bad_heads_are_named(operation_id: str, status: int, headers: dict[str, str], body: Any, says: str) -> None:
    with pytest.raises(WireError, match=says):
        check(operation_id, status, headers, encoded(body))


@pytest.mark.parametrize("body", [b"", b"{", b'{"data":{"id":1,"id":1}}', b'{"data":NaN}', b"\xff"])
def test_unreadable_bodies_are_named(body: bytes) -> None:
    assert problems("getInstance", 200, JSON, body)


def test_operations_are_known_by_method_and_path() -> None:
    assert operation_of("GET", "/api/orchestration/instances/x/stages/0/history") == "getInstanceStageHistory"
    assert operation_of("GET", "/instances?running=false&workflowID=") == "listInstances"
    assert operation_of("PUT", "/instances/x/abort") == "cancelEvent"
    assert operation_of("GET", "/triggers/x/occurrences") == "listTriggersOccurrences"
    assert operation_of("GET", "/api/orchestration/v2/instances?cursor=x") == "v2ListInstances"
    assert operation_of("POST", "/v2/triggers/x/test") == "testTrigger"
    assert (len(OPERATIONS), len(ALL_OPERATIONS)) == (17, 35)
    with pytest.raises(KeyError):
        operation_of("GET", "/triggers/a/b")


def _problems_of_occurrence(occurrence: dict[str, object]) -> list[str]:
    return problems("listTriggersOccurrences", 200, JSON, json.dumps({"data": [occurrence]}).encode())


def test_occurrences_have_an_instance_or_an_error() -> None:
    base: dict[str, object] = {"date": AT, "triggerID": "t", "event": {}}
    started = {**base, "workflowInstanceID": "i", "workflowInstance": INSTANCE}
    assert _problems_of_occurrence(started) == []
    assert _problems_of_occurrence({**base, "error": "no"}) == []
    mixed = {**started, "error": "x"}
    other = {**started, "workflowInstanceID": "j"}
    for bad in (base, {**base, "workflowInstanceID": "i"}, other, mixed, {**base, "event": None, "error": "no"}):
        assert _problems_of_occurrence(bad), bad


def test_the_checker_knows_every_stage_and_activity() -> None:
    """Extend STAGE_INPUTS, ACTIVITY_INPUTS and ACTIVITY_OUTPUTS of tests/conformance/wire.py."""
    assert STAGE_INPUTS.keys() == STAGE_TYPES.keys()
    described = {name: activity.versions for name, activity in ACTIVITIES.items()}
    assert ACTIVITY_INPUTS.keys() == {name for name, versions in described.items() if "v1" in versions}
    assert V2_ACTIVITY_INPUTS.keys() == {name for name, versions in described.items() if "v2" in versions}
