"""Rows to responses: what is absent is left out, what is stored goes out as it is."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from headrace.api.v1 import views
from headrace.journal.records import ActivityRow, Instance, Stage, Workflow
from tests.conformance.wire import check

JSON = {"content-type": "application/json"}
AT = 1_714_557_600_123_456
MAX_AT = 253_402_300_799_999_999  # the last microsecond of the year 9999


def shown(operation_id: str, body: bytes) -> Any:
    return check(operation_id, 201 if operation_id == "runWorkflow" else 200, JSON, body)["data"]


def test_times() -> None:
    assert views.date_time(AT) == "2024-05-01T10:00:00.123456Z"
    assert views.date_time(0) == "1970-01-01T00:00:00.000000Z"


@given(st.integers(0, MAX_AT))
def test_times_are_exact(at: int) -> None:
    text = views.date_time(at)
    days = json.loads(json.dumps(text))
    assert days.endswith("Z")
    assert len(text) == len("2024-05-01T10:00:00.123456Z")
    assert int(text[20:26]) == at % 1_000_000


def test_workflow_config_goes_out_as_it_was_stored() -> None:
    config = '{"stages":[{"wait_event":{"event":"x"}}],"name":"n"}'
    body = views.workflow_response(Workflow("w", "n", config, AT, AT + 1))
    assert config.encode() in body
    assert shown("getWorkflow", body) == {
        "id": "w",
        "config": json.loads(config),
        "createdAt": "2024-05-01T10:00:00.123456Z",
        "updatedAt": "2024-05-01T10:00:00.123457Z",
    }


def test_a_fresh_instance_has_an_empty_status_and_nothing_null() -> None:
    assert shown("runWorkflow", views.instance_response(Instance("i", "w", "{}", "{}", AT, AT))) == {
        "id": "i",
        "workflowID": "w",
        "createdAt": "2024-05-01T10:00:00.123456Z",
        "updatedAt": "2024-05-01T10:00:00.123456Z",
        "terminated": False,
        "status": [],
    }


def test_a_failed_instance() -> None:
    stages = (
        Stage("i", 0, "delay", '{"duration":"1s"}', AT, AT + 1),
        Stage("i", 1, "send", "{}", AT + 1, AT + 2, "no funds"),
    )
    row = Instance("i", "w", "{}", "{}", AT, AT + 2, AT + 2, "no funds", stages=stages)
    data = shown("getInstance", views.instance_response(row))
    assert (data["terminated"], data["error"]) == (True, "no funds")
    assert data["terminatedAt"] == "2024-05-01T10:00:00.123458Z"
    assert [stage.get("error") for stage in data["status"]] == [None, "no funds"]
    history = shown("getInstanceHistory", views.history_response(stages))
    assert [stage["name"] for stage in history] == ["delay", "send"]
    assert history[0]["input"] == {"duration": "1s"}


POSTING = '{"source":"a","destination":"b","amount":1000000000000000000000000000000,"asset":"USD/2"}'
INPUT = f'{{"ledger":"main","data":{{"metadata":{{}},"postings":[{POSTING}],"reference":"k"}}}}'
OUTPUT = (
    '{"data":{"id":1,"reverted":false,"timestamp":"2024-05-01T10:00:00Z","metadata":{},"reference":"k",'
    f'"postings":[{POSTING}]}}}}'
)


def test_a_retried_activity_tells_why_and_when_while_it_is_open() -> None:
    row = ActivityRow(
        "i", 0, 0, "CreateTransaction", INPUT, AT, attempt=3, last_failure="ledger: 503", next_execution_at=AT + 9
    )
    (entry,) = shown("getInstanceStageHistory", views.activity_history_response([row]))
    assert (entry["attempt"], entry["lastFailure"]) == (3, "ledger: 503")
    assert entry["nextExecution"] == "2024-05-01T10:00:00.123465Z"
    assert entry["input"]["CreateTransaction"]["data"]["postings"][0]["amount"] == 10**30
    assert "output" not in entry


def test_an_activity_that_ended_tells_neither() -> None:
    row = ActivityRow(
        "i",
        0,
        0,
        "CreateTransaction",
        INPUT,
        AT,
        attempt=3,
        output=OUTPUT,
        last_failure="ledger: 503",
        next_execution_at=AT + 9,
        terminated_at=AT + 10,
    )
    (entry,) = shown("getInstanceStageHistory", views.activity_history_response([row]))
    assert entry["output"]["CreateTransaction"]["data"]["id"] == 1
    assert entry["terminated"] is True
    assert not {"lastFailure", "nextExecution", "error"} & set(entry)


def test_no_stages_and_no_activities_are_empty_lists() -> None:
    assert views.history_response([]) == b'{"data":[]}'
    assert views.activity_history_response([]) == b'{"data":[]}'
