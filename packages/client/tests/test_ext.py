"""The search for instances: its query, its pages and its typed rows."""

from __future__ import annotations

import asyncio
import inspect
from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

import headrace_client as api

NOW = "2024-05-01T10:00:00.123456Z"
SINCE = datetime(2024, 5, 1, 10, tzinfo=timezone(timedelta(hours=2)))


def page(stub: Any, ids: str, **cursors: Any) -> None:
    times = {"createdAt": NOW, "updatedAt": NOW}
    rows: list[dict[str, Any]] = [{"id": each, "workflowID": "w", "status": "failed", **times} for each in ids]
    rows[0] |= {"workflowName": "pay", "stage": {"number": 1, "name": "send"}, "error": "e", "errorCode": "E"}
    stub.answer(200, {"cursor": {"pageSize": 2, "hasMore": "next" in cursors, "data": rows, **cursors}})


def query(target: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(target).query).items()}


async def called(caller: Any, **arguments: Any) -> Any:
    ext = caller.client.orchestration.ext
    if inspect.iscoroutinefunction(ext.search_instances):
        return await ext.search_instances(**arguments)
    return await asyncio.to_thread(lambda: ext.search_instances(**arguments))


async def test_one_page(stub: Any, caller: Any) -> None:
    page(stub, "ab", next="n1")
    found = (await called(caller, workflow_id="w 1", status="failed", since=SINCE, page_size=2)).data
    assert (found.data[0].workflow_name, found.data[0].stage) == ("pay", api.LastStage(1, "send"))
    assert (found.data[1].workflow_name, found.data[1].stage, found.next) == (None, None, "n1")
    (target,) = stub.targets
    assert urlsplit(target).path == "/api/orchestration/ext/instances"
    since = "2024-05-01T10:00:00+02:00"
    assert query(target) == {"workflowID": "w 1", "status": "failed", "since": since, "pageSize": "2"}


async def test_a_variable_and_an_error_code_are_sent_as_they_are(stub: Any, caller: Any) -> None:
    page(stub, "a")
    await called(caller, request=api.SearchInstancesRequest(variable="note=a=b & c", error_code="E"))
    assert query(stub.targets[0]) == {"variable": "note=a=b & c", "errorCode": "E"}


async def test_all_pages_but_no_filter_beside_a_cursor(stub: Any, caller: Any) -> None:
    page(stub, "ab", next="n1")
    page(stub, "c")
    rows = caller.client.orchestration.ext.iterate_instances(status="failed")
    found = [each async for each in rows] if isinstance(rows, api.AsyncPages) else await asyncio.to_thread(list, rows)
    assert [each.id for each in found] == ["a", "b", "c"]
    assert [query(target) for target in stub.targets] == [{"status": "failed"}, {"cursor": "n1"}]


async def test_a_time_without_a_zone_is_refused(stub: Any, caller: Any) -> None:
    with pytest.raises(api.InvalidRequest, match="since"):
        await called(caller, since=datetime(2024, 5, 1))  # noqa: DTZ001 - that is what is refused
    assert stub.seen == []
