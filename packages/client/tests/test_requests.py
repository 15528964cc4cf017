"""What is sent: paths, headers, options of a client and of a call, and what is refused before sending."""

from __future__ import annotations

import math
from typing import Any
from urllib.parse import unquote

import httpx2
import pytest

import headrace_client as api

VERSION = {"version": "1"}


def _recorder(requests: list[httpx2.Request]) -> Any:
    def answer(request: httpx2.Request) -> httpx2.Response:
        requests.append(request)
        return httpx2.Response(200, json=VERSION)

    return answer


@pytest.mark.parametrize(
    "identity", ["a/b", "../../x", "..", ".", "...", "%2F", "a?b#c", "é 日", "a;b=c:d@e", "\r\n\0"]
)
async def test_an_id_stays_one_part_of_the_path(stub: Any, caller: Any, workflow: Any, identity: str) -> None:
    stub.data(workflow)
    await caller("get_workflow", flow_id=identity)
    part = stub.targets[0].removeprefix("/api/orchestration/workflows/")
    assert unquote(part) == identity
    assert set(part) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~%")
    assert part.strip(".")


@pytest.mark.parametrize(
    ("method", "arguments", "reason"),
    [
        ("get_workflow", {}, "missing required field `flow_id`"),
        ("get_workflow", {"flow_id": ""}, "flow_id must not be empty"),
        ("get_workflow", {"flow_id": 7}, r"\$\.flow_id"),
        ("get_workflow", {"flow_id": "\ud800"}, "flow_id"),
        ("get_workflow", {"request": {"flow": "x"}}, "missing required field `flow_id`|unknown field `flow`"),
        ("run_workflow", {"request": {"workflow_id": "w", "variables": {}}}, "unknown field `variables`"),
        ("get_workflow", {"request": {"flow_id": "x"}, "flow_id": "x"}, "either request= or flow_id"),
        ("get_workflow", {"request": 5}, "GetWorkflowRequest"),
        ("get_workflow", {"request": object()}, "GetWorkflowRequest"),
        ("create_workflow", {"name": "x"}, "missing required field `stages`"),
        ("create_workflow", {"stages": ["send"]}, r"\$\.stages\[0\]"),
        ("create_workflow", {"stages": [{"x": math.nan}]}, "JSON"),
        ("create_workflow", {"stages": [{"x": "\ud800"}]}, "JSON"),
        ("create_workflow", {"stages": [{"x": object()}]}, "CreateWorkflowRequest"),
        ("run_workflow", {"workflow_id": "w", "request_body": {"amount": 100}}, r"request_body"),
        ("run_workflow", {"workflow_id": "w", "wait": "yes"}, r"\$\.wait"),
        ("get_instance_stage_history", {"instance_id": "i", "number": True}, r"\$\.number"),
        ("send_event", {"instance_id": "i"}, "request_body"),
        ("send_event", {"instance_id": "i", "name": "a", "request_body": {"name": "a"}}, "either name or request_body"),
        ("list_instances", {"workflow_id": "\ud800"}, "parameter"),
        ("cancel_event", {"instance_id": "i", "idempotency_key": ""}, "1 to 255"),
        ("cancel_event", {"instance_id": "i", "idempotency_key": "k" * 256}, "1 to 255"),
        ("cancel_event", {"instance_id": "i", "idempotency_key": "a b"}, "1 to 255"),
        ("cancel_event", {"instance_id": "i", "idempotency_key": "a\r\nX: 1"}, "1 to 255"),
        ("get_server_info", {"headers": {"X": "a\r\nY: 1"}}, "header X"),
        ("get_server_info", {"headers": {"X": "é"}}, "header X"),
        ("get_server_info", {"headers": {"X:": "1"}}, "not the name of a header"),
        ("get_server_info", {"timeout_s": 0}, "above 0"),
        ("get_server_info", {"timeout_s": math.nan}, "above 0"),
        ("get_server_info", {"server_url": "127.0.0.1:8484"}, "server_url must be like"),
    ],
)
async def test_bad_arguments_are_refused_before_anything_is_sent(
    stub: Any, caller: Any, method: str, arguments: Any, reason: str
) -> None:
    with pytest.raises(api.InvalidRequest, match=reason):
        await caller(method, **arguments)
    assert stub.seen == []


@pytest.mark.parametrize("option", ["timeout", "idempotency_keys", "retries"])
async def test_a_misspelt_option_is_a_type_error(stub: Any, caller: Any, option: str) -> None:
    with pytest.raises(TypeError, match=option):
        await caller("get_server_info", **{option: 1})
    assert stub.seen == []


async def test_a_read_takes_no_key(stub: Any, new_caller: Any) -> None:
    with pytest.raises(api.InvalidRequest, match="only writes"):
        await new_caller()("get_server_info", idempotency_key="k")
    assert stub.seen == []


async def test_headers_of_client_and_call(stub: Any, new_caller: Any) -> None:
    stub.answer(200, VERSION)
    call = new_caller(headers={"X-One": "1", "X-Two": "2", "User-Agent": "mine"})
    await call("get_server_info", headers={"x-two": "two"})
    headers = stub.seen[0].headers
    assert (headers["x-one"], headers["x-two"], headers["user-agent"]) == ("1", "two", "mine")


async def test_a_client_with_one_key_for_all_writes_is_refused(new_caller: Any) -> None:
    with pytest.raises(api.InvalidRequest, match="pass idempotency_key="):
        new_caller(headers={"idempotency-key": "k"})


async def test_server_of_a_call(stub: Any, other_stub: Any, caller: Any) -> None:
    other_stub.answer(200, VERSION)
    await caller("get_server_info", server_url=f"{other_stub.url}/gw/")
    assert other_stub.targets == ["/gw/api/orchestration/_info"]
    assert stub.seen == []


@pytest.mark.parametrize(
    ("of_client", "of_call", "expected"),
    [
        ({}, {}, 5.0),
        ({"timeout_s": 7.0}, {}, 7.0),
        ({"timeout_s": 7.0}, {"timeout_s": 3}, 3),
        ({"timeout_s": 7.0}, {"timeout_s": None}, 7.0),
        ({"timeout_s": math.inf}, {}, None),
    ],
)
async def test_time_out_of_client_and_call(new_caller: Any, of_client: Any, of_call: Any, expected: Any) -> None:
    requests: list[httpx2.Request] = []
    call = new_caller(transport=_recorder(requests), **of_client)
    await call("get_server_info", **of_call)
    assert requests[0].extensions["timeout"] == dict.fromkeys(("connect", "read", "write", "pool"), expected)


async def test_without_a_client_of_ones_own_a_wait_fits_the_time_out(
    stub: Any, new_caller: Any, monkeypatch: pytest.MonkeyPatch, is_async: bool
) -> None:
    requests: list[httpx2.Request] = []
    kind = httpx2.AsyncClient if is_async else httpx2.Client
    build = kind.build_request
    monkeypatch.setattr(kind, "build_request", lambda *a, **k: requests.append(build(*a, **k)) or requests[-1])
    stub.answer(200, VERSION)
    await new_caller(is_plain=True)("get_server_info")
    assert requests[0].extensions["timeout"]["read"] == 60.0


async def test_an_http_client_of_ones_own_stays_open(new_caller: Any, is_async: bool) -> None:
    requests: list[httpx2.Request] = []
    transport = httpx2.MockTransport(_recorder(requests))
    if is_async:
        async with httpx2.AsyncClient(transport=transport) as own:
            async with api.AsyncClient("http://x", http_client=own) as client:
                await client.orchestration.v1.get_server_info()
            assert not own.is_closed
    else:
        with httpx2.Client(transport=transport) as own:
            with api.Client("http://x", http_client=own) as client:
                client.orchestration.v1.get_server_info()
            assert not own.is_closed
    assert [str(request.url) for request in requests] == ["http://x/api/orchestration/_info"]


async def test_closing_closes_our_http_client(stub: Any, is_async: bool) -> None:
    client = api.AsyncClient(stub.url) if is_async else api.Client(stub.url)
    if isinstance(client, api.AsyncClient):
        await client.close()
        with pytest.raises(RuntimeError, match="closed"):
            await client.orchestration.v1.get_server_info()
    else:
        client.close()
        with pytest.raises(RuntimeError, match="closed"):
            client.orchestration.v1.get_server_info()


async def test_keys_come_from_the_hooks(stub: Any, new_caller: Any) -> None:
    keys = iter(["one", "two"])
    call = new_caller(hooks=api.Hooks(new_key=lambda: next(keys)))
    for _ in range(2):
        stub.answer(204, content_type=None)
        await call("cancel_event", instance_id="i")
    assert [seen.headers["idempotency-key"] for seen in stub.seen] == ["one", "two"]
