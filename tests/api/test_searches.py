"""`GET /ext/instances`: filters, pages and refusals over HTTP."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from headrace.api.ext.schemas import InstanceStatus
from headrace.journal.lists import STATUSES
from tests.api.conftest import SHORT, WAITING, Live
from tests.api.test_v2 import page

FAILING: dict[str, Any] = {
    "name": "pay",
    "stages": [
        {
            "send": {
                "source": {"account": {"id": "users:${order}", "ledger": "main"}},
                "destination": {"account": {"id": "shops", "ledger": "main"}},
                "amount": {"amount": 100, "asset": "USD/2"},
            }
        }
    ],
}


async def _found(live: Live, **query: Any) -> list[dict[str, Any]]:
    response = await live.call("GET", "/ext/instances", params=query)
    assert response.status_code == 200, response.text
    return response.json()["cursor"]["data"]


def test_the_statuses_of_the_answer_are_those_of_the_journal() -> None:
    (literal, _) = get_args(InstanceStatus)
    assert get_args(literal) == STATUSES


async def test_instances_are_found_by_what_became_of_them(live: Live) -> None:
    waiting_id = await live.started(await live.created(WAITING), {"order": "7"})
    failing_id = await live.created(FAILING)
    failed_id = await live.started(failing_id, {"order": "42"})
    succeeded_id = await live.started(await live.created(SHORT))
    for instance_id in (failed_id, succeeded_id):
        await live.ended(instance_id)
    aborted_id = await live.started(await live.created(WAITING))
    assert (await live.call("PUT", f"/instances/{aborted_id}/abort")).status_code == 204
    for status, wanted in (
        ("waiting", waiting_id),
        ("failed", failed_id),
        ("succeeded", succeeded_id),
        ("aborted", aborted_id),
        ("unfinished", waiting_id),
    ):
        assert [each["id"] for each in await _found(live, status=status)] == [wanted]
    (failed,) = await _found(live, errorCode="LEDGER_NOT_FOUND", workflowID=failing_id)
    assert failed["error"].startswith("CreateTransaction: LEDGER_NOT_FOUND: ")
    assert (failed["errorCode"], failed["workflowName"]) == ("LEDGER_NOT_FOUND", "pay")
    assert failed["stage"] == {"number": 0, "name": "send"} and failed["status"] == "failed"
    assert [each["id"] for each in await _found(live, variable="order=42")] == [failed_id]
    assert await _found(live, variable="order=4") == []
    later = [each["id"] for each in await _found(live, since=failed["createdAt"])]
    assert later == [aborted_id, succeeded_id, failed_id]
    assert await _found(live, since="2990-01-01T00:00:00+01:00") == []


async def test_a_cursor_keeps_the_filters(live: Live) -> None:
    workflow_id = await live.created(WAITING)
    ids = [await live.started(workflow_id) for _ in range(5)][::-1]
    await live.started(await live.created(WAITING))
    first = await page(live, f"/instances?workflowID={workflow_id}&status=waiting&pageSize=2", prefix="/ext")
    second = await page(live, f"/instances?cursor={first['next']}", prefix="/ext")
    back = await page(live, f"/instances?cursor={second['previous']}", prefix="/ext")
    assert [each["id"] for each in first["data"] + second["data"]] == ids[:4]
    assert back["data"] == first["data"] and second["hasMore"]
    other = await live.call("GET", f"/v2/instances?cursor={first['next']}")
    assert other.status_code == 400 and "another list" in other.json()["errorMessage"]


async def test_those_of_a_deleted_workflow_are_still_found(live: Live) -> None:
    workflow_id = await live.created(WAITING)
    instance_id = await live.started(workflow_id)
    await live.call("DELETE", f"/workflows/{workflow_id}")
    assert [each["id"] for each in await _found(live, workflowID=workflow_id)] == [instance_id]


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("query", "status", "message"),
    [
        ({"status": "done"}, 400, "status: 'done' is not one of running, waiting, "),
        ({"since": "yesterday"}, 400, "since: 'yesterday' is not a date-time"),
        ({"since": "2024-05-01T10:00:00"}, 400, "since: "),
        ({"since": '"2024'}, 400, "since: "),
        ({"variable": "order"}, 400, "variable: 'order' is not name=value"),
        ({"variable": "=42"}, 400, "variable: '=42' is not name=value"),
        ({"variable": "a=" + "x" * 257}, 400, "variable: only values of at most 256 characters"),
        ({"variable": "a=1", "status": "failed"}, 400, "variable: cannot be combined with workflowID, status"),
        ({"variable": "a=1", "workflowID": "w"}, 400, "variable: cannot be combined"),
        ({"errorCode": "X", "status": "failed"}, 400, "errorCode: cannot be combined with status"),
        ({"errorCode": "X" * 257}, 400, "errorCode: "),
        ({"workflowID": "nobody"}, 404, "workflow 'nobody' does not exist"),
        ({"cursor": "x"}, 400, "cursor: "),
        ({"pageSize": "0"}, 400, "pageSize: "),
    ],
)
async def test_what_cannot_be_searched_is_refused_by_name(
    shared: Live, query: dict[str, str], status: int, message: str
) -> None:
    response = await shared.call("GET", "/ext/instances", params=query)
    assert response.status_code == status
    assert response.json()["errorMessage"].startswith(message), response.text


async def test_a_text_finds_what_it_names_with_every_other_filter(live: Live) -> None:
    failing_id = await live.created(FAILING)
    ids = [await live.started(failing_id, {"order": order}) for order in ("42", "43", "42")]
    for instance_id in ids:
        await live.ended(instance_id)
    newest = ids[::-1]
    for text, wanted in {
        "42": [ids[2], ids[0]],
        "order=43": [ids[1]],
        "users:42": [ids[2], ids[0]],
        "main/users:43": [ids[1]],
        "users:*": newest,
        "1.00 USD": newest,
        "> 1 USD": [],
        ids[1][-12:]: [ids[1]],
        f"headrace:{ids[0]}:0:0": [ids[0]],
    }.items():
        assert [each["id"] for each in await _found(live, q=text)] == wanted, text
        filters = {"status": "failed", "errorCode": "LEDGER_NOT_FOUND", "workflowID": failing_id}
        assert [each["id"] for each in await _found(live, q=text, **filters)] == wanted, text
    assert await _found(live, q="42", status="succeeded") == []
    assert await _found(live, q="42", since="2099-01-01T00:00:00Z") == []
    first = (await live.call("GET", "/ext/instances", params={"q": "users:*", "pageSize": 2})).json()["cursor"]
    assert [each["id"] for each in first["data"]] == newest[:2] and first["hasMore"] is True
    rest = (await live.call("GET", "/ext/instances", params={"cursor": first["next"]})).json()["cursor"]
    assert [each["id"] for each in rest["data"]] == newest[2:] and rest["hasMore"] is False
    assert not {"next", "previous"} & set(rest)


@pytest.mark.parametrize(
    ("query", "field"),
    [({"q": "x" * 400}, "q"), ({"q": "a\0b"}, "q"), ({"q": "1", "variable": "a=1"}, "variable")],
)
async def test_a_text_that_nothing_can_have_is_refused(live: Live, query: dict[str, str], field: str) -> None:
    response = await live.call("GET", "/ext/instances", params=query)
    assert response.status_code == 400 and response.json()["errorMessage"].startswith(f"{field}: "), response.text
