"""Answers that are no success: each ends in the error that tells the caller most."""

from __future__ import annotations

import copy
import pickle
import socket
from datetime import datetime
from typing import Any

import httpx2
import pytest

import headrace_client as api

NOW = "2024-05-01T10:00:00Z"


@pytest.mark.parametrize(
    ("status", "code"), [(400, "VALIDATION"), (404, "NOT_FOUND"), (500, "INTERNAL"), (409, "CONFLICT")]
)
async def test_the_envelope_becomes_error(stub: Any, caller: Any, status: int, code: str) -> None:
    stub.answer(status, {"errorCode": code, "errorMessage": "stages[0]: no", "details": [1]})
    with pytest.raises(api.Error) as caught:
        await caller("create_workflow", stages=[{}])
    error = caught.value
    assert (error.code, error.message, error.status) == (code, "stages[0]: no", status)
    assert str(error) == f"{code}: stages[0]: no (HTTP {status})"
    assert b"details" in error.body
    assert error.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize(
    ("status", "body", "content_type"),
    [
        (404, {"detail": "Not Found"}, "application/json"),
        (404, b"<html>", "text/html"),
        (400, {"errorCode": "VALIDATION"}, "application/json"),
        (400, [1], "application/json"),
        (502, b"bad gateway", None),
        (503, b"", "application/json"),
        (500, b"{", "application/json"),
        (500, b"\xff", "application/json"),
        (500, b"[" * 100_000, "application/json"),
        (400, {"errorCode": "VALIDATION", "errorMessage": "x"}, "text/plain"),
    ],
)
async def test_any_other_answer_becomes_sdk_error(
    stub: Any, caller: Any, status: int, body: Any, content_type: str | None
) -> None:
    stub.answer(status, body, content_type)
    with pytest.raises(api.SDKError) as caught:
        await caller("get_instance", instance_id="i1")
    assert caught.value.status == status
    assert f"GET {stub.url}/api/orchestration/instances/i1: HTTP {status}" in str(caught.value)


@pytest.mark.parametrize(
    ("method", "arguments", "status"),
    [
        ("create_workflow", {"stages": []}, 200),
        ("run_workflow", {"workflow_id": "w"}, 202),
        ("delete_workflow", {"flow_id": "w"}, 200),
        ("send_event", {"instance_id": "i", "name": "n"}, 202),
        ("get_instance", {"instance_id": "i"}, 201),
    ],
)
async def test_another_success_is_none(stub: Any, caller: Any, method: str, arguments: Any, status: int) -> None:
    stub.answer(status, {"data": {}})
    with pytest.raises(api.SDKError, match=rf"expected HTTP 20\d, the server answered {status}"):
        await caller(method, **arguments)


@pytest.mark.parametrize(
    "content_type", [None, "text/plain", "application/jsonp", "application/xml; a=application/json"]
)
async def test_a_wrong_content_type_is_named(stub: Any, caller: Any, content_type: str | None) -> None:
    stub.answer(200, {"version": "1"}, content_type)
    with pytest.raises(api.SDKError, match=f"the content type is {content_type or 'none'}"):
        await caller("get_server_info")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "truncated"),
        (b'{"data": [', "truncated"),
        (b"{}", "member 'data'"),
        (b"[]", "member 'data'"),
        (b'{"data": null}', "array"),
        (b'{"data": [{"id": "w"}]}', r"`config` - at `\$\[0\]`"),
        (b"\xff", "malformed|invalid"),
        (b"[" * 100_000, "recursion"),
    ],
)
async def test_a_body_that_cannot_be_read(stub: Any, caller: Any, body: bytes, reason: str) -> None:
    stub.answer(200, body)
    with pytest.raises(api.SDKError, match=f"does not fit list_workflows: .*({reason})") as caught:
        await caller("list_workflows")
    assert caught.value.body == body
    assert len(str(caught.value)) < 1_500


async def test_nulls_of_other_servers_are_absent_members(stub: Any, caller: Any, instance: Any) -> None:
    nulls = dict.fromkeys(("terminatedAt", "error", "status", "workflow"))
    stub.data({**instance, **nulls})
    found = (await caller("get_instance", instance_id="i1")).data
    assert (found.status, found.error, found.terminated_at, found.current_stage) == ([], None, None, None)
    stub.data([{**instance, **nulls}])
    assert (await caller("list_instances")).data == [found]
    trigger = {"id": "t", "createdAt": NOW, "event": "E", "workflowID": "w", "name": None, "filter": None, "vars": None}
    stub.data(trigger)
    shown = (await caller("read_trigger", trigger_id="t")).data
    assert (shown.name, shown.filter, shown.vars) == ("", None, None)
    for each in (caller, caller.v2):
        page = {"pageSize": 1, "hasMore": False, "data": [trigger]}
        stub.answer(200, {"data": [trigger], "cursor": page})
        listed = (await each("list_triggers")).data
        assert (listed if each is caller else listed.data) == [shown]
    stub.data({"filter": {"match": True, "error": None}, "variables": None})
    tried = (await caller.v2("test_trigger", trigger_id="t", request_body={})).data
    assert (tried.filter.match, tried.variables) == (True, {})


async def test_errors_travel_between_processes(stub: Any, caller: Any) -> None:
    stub.drop()
    stub.answer(400, {"errorCode": "VALIDATION", "errorMessage": "no"})
    stub.answer(502, b"<html>", "text/html", **{"Retry-After": "3"})
    for _ in range(3):
        with pytest.raises(api.ClientError) as caught:
            await caller("cancel_event", instance_id="i", idempotency_key="once")
        for again in (pickle.loads(pickle.dumps(caught.value)), copy.deepcopy(caught.value)):
            assert (type(again), str(again)) == (type(caught.value), str(caught.value))
            assert again.__dict__ == caught.value.__dict__


def test_a_wait_that_was_too_short_travels_too() -> None:
    at = datetime.fromisoformat(NOW)
    error = api.WaitTimeout(api.WorkflowInstance("i", "w", at, at, False), 3)
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.instance, again.timeout_s) == (str(error), error.instance, 3)


async def test_redirects_are_shown_not_followed(stub: Any, caller: Any) -> None:
    stub.answer(308, Location="http://elsewhere.example/x")
    with pytest.raises(api.SDKError, match=r"points to http://elsewhere\.example/x"):
        await caller("run_workflow", workflow_id="w")
    assert len(stub.seen) == 1


async def test_a_lost_answer_says_how_to_repeat(stub: Any, caller: Any) -> None:
    stub.drop()
    with pytest.raises(api.ConnectionFailure) as caught:
        await caller("run_workflow", workflow_id="w", idempotency_key="once")
    error = caught.value
    assert (error.is_timeout, error.is_unsent, error.idempotency_key) == (False, False, "once")
    assert "repeat the call with idempotency_key='once'" in str(error)
    assert len(stub.seen) == 1, "a write is not repeated behind the caller's back"


async def test_nobody_listens(new_caller: Any) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(api.ConnectionFailure) as caught:
        await new_caller(server_url=url)("run_workflow", workflow_id="w")
    assert caught.value.is_unsent
    assert str(caught.value).startswith(f"POST {url}/api/orchestration/workflows/w/instances: cannot connect")
    assert "repeat" not in str(caught.value)


async def test_a_silent_server_is_a_time_out(stub: Any, new_caller: Any) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(api.ConnectionFailure, match=r"no answer within 0\.05 s") as caught:
            await new_caller()("get_server_info", server_url=url, timeout_s=0.05)
    assert caught.value.is_timeout
    assert caught.value.idempotency_key is None
    assert stub.seen == []


@pytest.mark.parametrize(
    ("failure", "is_timeout", "is_unsent"),
    [
        (httpx2.ConnectError("x"), False, True),
        (httpx2.ConnectTimeout("x"), True, True),
        (httpx2.ReadTimeout(""), True, False),
        (httpx2.WriteTimeout("x"), True, False),
        (httpx2.PoolTimeout("x"), True, True),
        (httpx2.ReadError("x"), False, False),
        (httpx2.RemoteProtocolError("x"), False, False),
        (httpx2.DecodingError("x"), False, False),
        (httpx2.ProxyError("x"), False, False),
    ],
)
async def test_every_failure_of_the_transport(
    new_caller: Any, failure: Exception, is_timeout: bool, is_unsent: bool
) -> None:
    def fail(_request: httpx2.Request) -> httpx2.Response:
        raise failure

    with pytest.raises(api.ConnectionFailure) as caught:
        await new_caller(transport=fail)("cancel_event", instance_id="i")
    assert (caught.value.is_timeout, caught.value.is_unsent) == (is_timeout, is_unsent)
    assert type(failure).__name__ in str(caught.value)


def test_one_base() -> None:
    for kind in (api.Error, api.SDKError, api.ConnectionFailure, api.InvalidRequest, api.WaitTimeout):
        assert issubclass(kind, api.ClientError)
