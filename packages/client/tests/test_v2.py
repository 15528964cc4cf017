"""V2 where it differs from V1: its paths, pages, walks over all rows, `txid`, and trying a trigger out."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

import headrace_client as api

PREFIX = "/api/orchestration/v2"
LISTS = {
    "workflows": ("/workflows", {}),
    "instances": ("/instances", {"workflow_id": "w 1", "running": True}),
    "triggers": ("/triggers", {"name": "pay"}),
    "triggers_occurrences": ("/triggers/t1/occurrences", {"trigger_id": "t1"}),
}
QUERIES = {"workflow_id": ("workflowID", "w 1"), "running": ("running", "true"), "name": ("name", "pay")}
NOW = "2024-05-01T10:00:00.123456Z"


def row(noun: str, name: str) -> dict[str, Any]:
    workflow: dict[str, Any] = {"id": name, "config": {"stages": []}, "createdAt": NOW, "updatedAt": NOW}
    ids = {"id": name, "workflowID": "w"}
    instance: dict[str, Any] = {**ids, "createdAt": NOW, "updatedAt": NOW, "terminated": False, "status": None}
    rows: dict[str, dict[str, Any]] = {
        "workflows": workflow,
        "instances": instance,
        "triggers": {**ids, "createdAt": NOW, "event": "E"},
        "triggers_occurrences": {"date": NOW, "triggerID": "t1", "event": {"n": name}, "workflowInstance": instance},
    }
    return rows[noun]


def names(noun: str, found: Any) -> list[str]:
    return [each.event["n"] if noun == "triggers_occurrences" else each.id for each in found]


def page(stub: Any, noun: str, content: str, **cursors: Any) -> None:
    rows = [row(noun, name) for name in content]
    cursor = {"pageSize": 2, "hasMore": bool(cursors.get("next")), "data": rows, **cursors}
    stub.answer(200, {"cursor": cursor})


def query(target: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(target).query, keep_blank_values=True).items()}


@pytest.mark.parametrize("noun", LISTS)
async def test_one_page(stub: Any, caller: Any, noun: str) -> None:
    path, arguments = LISTS[noun]
    page(stub, noun, "ab", next="n1", previous="")
    result = await caller.v2(f"list_{noun}", page_size=2, **arguments)
    assert isinstance(result.data, api.Cursor)
    assert (result.data.page_size, result.data.has_more) == (2, True)
    assert (result.data.next, result.data.previous) == ("n1", None)
    assert names(noun, result.data.data) == ["a", "b"]
    (target,) = stub.targets
    assert urlsplit(target).path == PREFIX + path
    wanted = dict(QUERIES[name] for name in arguments if name in QUERIES)
    assert query(target) == {**wanted, "pageSize": "2"}


async def all_rows(caller: Any, method: str, **arguments: Any) -> tuple[list[Any], list[Any]]:
    """The rows, and the pages of a second walk."""
    rows = getattr(caller.client.orchestration.v2, method)(**arguments)
    if isinstance(rows, api.AsyncPages):
        return [each async for each in rows], [each async for each in rows.pages()]
    return await asyncio.to_thread(list, rows), await asyncio.to_thread(lambda: list(rows.pages()))


@pytest.mark.parametrize("noun", LISTS)
async def test_all_rows_and_all_pages(stub: Any, caller: Any, noun: str) -> None:
    path, arguments = LISTS[noun]
    for _ in range(2):
        page(stub, noun, "ab", next="n1")
        page(stub, noun, "cd", next="n2", previous="p1")
        page(stub, noun, "e", previous="p2")
    rows, pages = await all_rows(caller, f"iterate_{noun}", page_size=2, **arguments)
    assert names(noun, rows) == list("abcde")
    assert ["".join(names(noun, each.data.data)) for each in pages] == ["ab", "cd", "e"]
    assert [query(target) for target in stub.targets[1:3]] == [{"cursor": "n1"}, {"cursor": "n2"}]
    assert {urlsplit(target).path for target in stub.targets} == {PREFIX + path}
    assert query(stub.targets[0])["pageSize"] == "2"


async def test_pages_are_asked_for_as_they_are_needed(stub: Any, new_caller: Any, is_async: bool) -> None:
    client = new_caller().client
    for content, cursors in (("ab", {"next": "n1"}), ("cd", {})):
        page(stub, "workflows", content, **cursors)
    rows = client.orchestration.v2.iterate_workflows()
    assert stub.seen == []
    if is_async:
        walk = aiter(rows)
        assert [(await anext(walk)).id for _ in range(2)] == ["a", "b"]
        assert len(stub.seen) == 1
        await walk.aclose()
    else:
        walk = iter(rows)
        assert [next(walk).id for _ in range(2)] == ["a", "b"]
        assert len(stub.seen) == 1
        assert next(walk).id == "c"


async def test_an_empty_list(stub: Any, caller: Any) -> None:
    page(stub, "workflows", "")
    page(stub, "workflows", "")
    rows, pages = await all_rows(caller, "iterate_workflows")
    assert (rows, len(pages)) == ([], 1)


@pytest.mark.parametrize("cursors", [{"hasMore": True}, {"hasMore": True, "next": "n1"}])
async def test_a_list_that_leads_nowhere_or_in_circles(stub: Any, caller: Any, cursors: Any) -> None:
    for _ in range(2):
        stub.answer(200, {"cursor": {"pageSize": 1, "data": [row("workflows", "a")], **cursors}})
    with pytest.raises(api.SDKError, match="no cursor leads"):
        await all_rows(caller, "iterate_workflows")


@pytest.mark.parametrize("cursor", [{}, {"data": []}, {"pageSize": 1, "hasMore": True, "data": None}, [], None])
async def test_what_is_no_page(stub: Any, caller: Any, cursor: Any) -> None:
    stub.answer(200, {"cursor": cursor})
    with pytest.raises(api.SDKError, match="list_workflows"):
        await caller.v2("list_workflows")


async def test_options_go_with_every_page(stub: Any, caller: Any) -> None:
    page(stub, "workflows", "a", next="n1")
    page(stub, "workflows", "b")
    page(stub, "workflows", "")
    await all_rows(caller, "iterate_workflows", headers={"X-Walk": "1"})
    assert [seen.headers.get("x-walk") for seen in stub.seen] == ["1", "1", "1"]


async def test_methods_that_are_alike_go_to_v2(stub: Any, caller: Any, workflow: Any, instance: Any) -> None:
    stub.answer(200, {"version": "v"})
    assert (await caller.v2("get_server_info")).data.version == "v"
    stub.data(workflow, 201)
    created = await caller.v2("create_workflow", stages=[{"delay": {"duration": "1s"}}])
    stub.data(instance, 201)
    await caller.v2("run_workflow", workflow_id=created.data.id, wait=True)
    for method in ("send_event", "cancel_event"):
        stub.answer(204, content_type=None)
        await caller.v2(method, instance_id="i1", **({"name": "go"} if method == "send_event" else {}))
    stub.data({**instance, "terminated": True, "terminatedAt": NOW})
    assert (await caller.v2("wait_for", "i1")).terminated
    paths = ["/_info", "/workflows", "/workflows/w1/instances?wait=true", "/instances/i1/events", "/instances/i1/abort"]
    assert stub.targets == [PREFIX + path for path in (*paths, "/instances/i1")]
    assert all("idempotency-key" in seen.headers for seen in stub.seen if seen.method != "GET")


async def test_a_transaction_has_a_txid_and_stands_in_a_list(stub: Any, caller: Any) -> None:
    posting = {"source": "a", "destination": "b", "amount": 10**30, "asset": "USD/2"}
    transaction = {"txid": 2**70, "postings": [posting], "timestamp": NOW, "metadata": {}, "reference": "r"}
    entry = {"name": "CreateTransaction", "terminated": True, "startedAt": NOW, "attempt": 1}
    sides = {
        "input": {"CreateTransaction": {"ledger": "main", "data": {"metadata": {}, "postings": [posting]}}},
        "output": {"CreateTransaction": {"data": [transaction]}},
    }
    stub.data([{**entry, **sides}])
    (found,) = (await caller.v2("get_instance_stage_history", instance_id="i1", number=0)).data
    assert isinstance(found, api.V2WorkflowInstanceHistoryStage)
    assert found.output is not None and found.output.create_transaction is not None
    (booked,) = found.output.create_transaction.data
    assert (booked.txid, booked.postings[0].amount, booked.reference) == (2**70, 10**30, "r")
    assert found.output.activity is found.output.create_transaction
    assert not hasattr(found.input, "revert_transaction")
    stub.data([{**entry, **sides}])
    with pytest.raises(api.SDKError):
        await caller("get_instance_stage_history", instance_id="i1", number=0)


async def test_a_trigger_is_tried_out(stub: Any, caller: Any) -> None:
    variables = {"a": {"value": "1"}, "b": {"error": "no"}}
    stub.data({"filter": {"match": True}, "variables": variables})
    stub.data({})
    tried = (await caller.v2("test_trigger", trigger_id="t1", request_body={"amount": 10**30})).data
    assert tried.filter == api.TriggerTestFilter(match=True)
    assert tried.variables == {"a": api.TriggerTestVariable(value="1"), "b": api.TriggerTestVariable(error="no")}
    assert (await caller.v2("test_trigger", request={"trigger_id": "t1", "request_body": {}})).data == api.TriggerTest()
    first, second = stub.seen
    assert (first.method, first.target, first.json) == ("POST", f"{PREFIX}/triggers/t1/test", {"amount": 10**30})
    assert second.body == b"{}"
