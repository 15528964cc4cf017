"""`/ext/plans`: a plan of a workflow, of a definition and of a trigger; what is stored of it, and what is refused."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest

from headrace.effects.port import NoResponse, Request, Response
from headrace.planning.document import plan_hash
from headrace.usecases import asking
from tests.api.conftest import Live, served

PAYING: dict[str, Any] = {
    "name": "pay",
    "stages": [
        {
            "send": {
                "source": {"account": {"id": "users:${user}", "ledger": "main"}},
                "destination": {"account": {"id": "shops", "ledger": "main"}},
                "amount": {"amount": "${amount}", "asset": "USD/2"},
            }
        }
    ],
}
SHOWN_IN_LISTS = {
    "id",
    "hash",
    "state",
    "requester",
    "createdAt",
    "expiresAt",
    "verdict",
    "totals",
    "name",
    "workflowID",
    "variables",
    "assets",
}


async def funded(live: Live, amount: int) -> None:
    """A ledger on which users:jane holds an amount."""
    await live.http.post("/api/ledger/v2/main", json={})
    posting = {"source": "world", "destination": "users:jane", "amount": amount, "asset": "USD/2"}
    body = {"postings": [posting], "metadata": {}}
    assert (await live.http.post("/api/ledger/v2/main/transactions", json=body)).status_code == 200


async def made(live: Live, body: Any, **options: Any) -> dict[str, Any]:
    response = await live.call("POST", "/ext/plans", body, **options)
    assert response.status_code == 201, response.text
    return response.json()["data"]


async def listed(live: Live, **query: Any) -> list[dict[str, Any]]:
    response = await live.call("GET", "/ext/plans", params=query)
    assert response.status_code == 200, response.text
    return response.json()["cursor"]["data"]


async def test_a_plan_of_a_workflow_is_stored_and_books_nothing(live: Live) -> None:
    await funded(live, 3_000)
    workflow_id = await live.created(PAYING)
    plan = await made(live, {"workflowID": workflow_id, "variables": {"user": "jane", "amount": "4000"}})
    assert (plan["state"], plan["verdict"], plan["workflowID"]) == ("open", "fails", workflow_id)
    assert plan["requester"] == "anonymous"
    assert plan["fails"]["missing"] == 1_000
    assert plan["hash"] == plan_hash(plan)
    assert plan["createdAt"][:10] <= plan["expiresAt"][:10]
    response = await live.call("GET", f"/ext/plans/{plan['id']}")
    assert (response.status_code, response.json()["data"]) == (200, plan)
    (row,) = await listed(live)
    assert row.keys() == SHOWN_IN_LISTS
    assert row == {name: plan[name] for name in SHOWN_IN_LISTS}
    account = await live.http.get("/api/ledger/v2/main/accounts/users:jane?expand=volumes")
    assert account.json()["data"]["volumes"]["USD/2"]["balance"] == 3_000
    assert (await live.http.get("/api/ledger/v2/main/accounts/shops")).status_code == 404


async def test_a_list_leaves_out_a_long_variable_that_the_plan_has(live: Live) -> None:
    await funded(live, 3_000)
    variables = {"user": "jane", "amount": "1", "note": "n" * 257}
    plan = await made(live, {"definition": PAYING, "variables": variables})
    assert (plan["variables"], plan["assets"]) == (variables, {"amount": "USD/2"})
    (row,) = await listed(live)
    assert row["variables"] == {"user": "jane", "amount": "1"}


async def test_a_definition_that_is_not_stored_has_the_same_plan(live: Live) -> None:
    await funded(live, 3_000)
    variables = {"user": "jane", "amount": "1"}
    stored = await made(live, {"workflowID": await live.created(PAYING), "variables": variables})
    given = await made(live, {"definition": PAYING, "variables": variables})
    assert given["hash"] == stored["hash"]
    assert "workflowID" not in given


async def test_a_plan_of_a_trigger_is_of_the_run_that_an_event_would_start(live: Live) -> None:
    await funded(live, 3_000)
    trigger = {
        "event": "E",
        "workflowID": await live.created(PAYING),
        "filter": 'event.type == "PAY-IN"',
        "vars": {"user": "event.user", "amount": "event.amount"},
    }
    trigger_id = (await live.call("POST", "/triggers", trigger)).json()["data"]["id"]
    event = {"type": "PAY-IN", "user": "jane", "amount": 25}
    plan = await made(live, {"triggerID": trigger_id, "event": event})
    assert (plan["origin"], plan["triggerID"]) == ("trigger", trigger_id)
    assert plan["variables"] == {"user": "jane", "amount": "25"}
    assert plan["workflowID"] == trigger["workflowID"]
    for event, says in (
        ({"type": "PAYOUT"}, "event: does not match the filter"),
        ({"type": "PAY-IN", "user": "jane"}, "event: the trigger would fail: variables: amount"),
        ({}, "event: does not match the filter"),
        (7, "event: must be the payload"),
    ):
        response = await live.call("POST", "/ext/plans", {"triggerID": trigger_id, "event": event})
        assert response.status_code == 400, event
        assert response.json()["errorMessage"].startswith(says), response.text
    from_world = {"type": "PAY-IN", "user": "jane", "amount": 25}
    assert (await made(live, {"triggerID": trigger_id, "event": from_world}))["hash"] == plan["hash"]


@pytest.mark.parametrize("body", [{"workflowID": "nothing"}, {"triggerID": "nothing", "event": {}}])
async def test_a_plan_of_nothing_is_not_found(live: Live, body: Any) -> None:
    response = await live.call("POST", "/ext/plans", body)
    assert (response.status_code, response.json()["errorCode"]) == (404, "NOT_FOUND")


async def test_a_deleted_workflow_has_no_new_plan(live: Live) -> None:
    workflow_id = await live.created(PAYING)
    await live.call("DELETE", f"/workflows/{workflow_id}")
    assert (await live.call("POST", "/ext/plans", {"workflowID": workflow_id})).status_code == 404


async def test_a_plan_that_does_not_exist(live: Live) -> None:
    assert (await live.call("GET", "/ext/plans/nothing")).status_code == 404


async def test_a_repeated_request_makes_one_plan_and_one_audit_entry(live: Live) -> None:
    body = {"definition": PAYING, "variables": {"user": "jane", "amount": "1"}}
    keyed = {"Idempotency-Key": "plan-1"}
    first = await live.call("POST", "/ext/plans", body, headers=keyed)
    again = await live.call("POST", "/ext/plans", body, headers=keyed)
    assert first.json() == again.json()
    assert again.headers["idempotency-hit"] == "true"
    assert len(await listed(live)) == 1
    audit = (await live.call("GET", "/ext/audit")).json()["data"]
    written = [(entry["operation"], entry["target"]) for entry in audit if entry["operation"] == "createPlan"]
    assert written == [("createPlan", first.json()["data"]["id"])]


async def test_plans_are_listed_by_state_in_pages(live: Live) -> None:
    body = {"definition": PAYING, "variables": {"user": "jane", "amount": "1"}, "expiresIn": "1m"}
    ids = [(await made(live, body))["id"] for _ in range(3)]
    assert [row["id"] for row in await listed(live, state="open")] == ids[::-1]
    assert await listed(live, state="used") == []
    first = (await live.call("GET", "/ext/plans", params={"state": "open", "pageSize": 2})).json()["cursor"]
    assert [row["id"] for row in first["data"]] == ids[:0:-1]
    second = (await live.call("GET", "/ext/plans", params={"cursor": first["next"]})).json()["cursor"]
    assert [row["id"] for row in second["data"]] == ids[:1]
    assert (await live.call("GET", "/ext/plans", params={"cursor": first["next"], "state": "open"})).status_code == 400


DAY_S = 86_400


@pytest.mark.parametrize(
    ("expires_in", "seconds"),
    [(None, DAY_S), ("1m", 60), ("90s", 90), ("168h", 7 * DAY_S), ("7d", 7 * DAY_S)],
)
async def test_a_plan_is_good_for_as_long_as_it_says_else_for_a_day(
    live: Live, expires_in: str | None, seconds: int
) -> None:
    body = {"definition": PAYING, "variables": {"user": "jane", "amount": "1"}}
    plan = await made(live, body if expires_in is None else {**body, "expiresIn": expires_in})
    created, expires = (datetime.fromisoformat(plan[name]) for name in ("createdAt", "expiresAt"))
    assert expires - created == timedelta(seconds=seconds)


@pytest.mark.parametrize("expires_in", ["59s", "59999ms", "0s", "604801s", "7d1s", "8d"])
async def test_a_plan_is_good_for_a_minute_to_a_week(live: Live, expires_in: str) -> None:
    body = {"definition": PAYING, "variables": {"user": "jane", "amount": "1"}, "expiresIn": expires_in}
    response = await live.call("POST", "/ext/plans", body)
    assert (response.status_code, response.json()["errorMessage"]) == (
        400,
        "expiresIn: must be a duration from 1m to 7d",
    )
    assert await listed(live) == []


async def test_a_service_that_does_not_answer_is_503_and_stores_nothing(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def silent(_request: Request) -> Response:
        raise NoResponse("no connection")

    monkeypatch.setattr(live.ports.downstream, "send", silent)
    monkeypatch.setattr(asking, "PAUSE_S", 0.0)
    response = await live.call("POST", "/ext/plans", {"definition": PAYING, "variables": {"user": "j", "amount": "1"}})
    assert (response.status_code, response.json()["details"]) == (503, {"reason": "silent"})
    assert response.headers["retry-after"] == "1"
    assert await listed(live) == []


async def test_a_plan_that_takes_too_long_is_refused(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    async def slow(_request: Request) -> Response:
        await asyncio.sleep(60)
        raise AssertionError("the plan was not given up")

    monkeypatch.setattr(live.ports.downstream, "send", slow)
    monkeypatch.setattr(asking, "MAX_S", 0.05)
    response = await live.call("POST", "/ext/plans", {"definition": PAYING, "variables": {"user": "j", "amount": "1"}})
    assert (response.status_code, response.json()["details"]) == (400, {"reason": "too_large"})
    assert await listed(live) == []


async def test_a_plan_survives_a_restart(tmp_path: Any) -> None:
    body = {"definition": PAYING, "variables": {"user": "jane", "amount": "9" * 40}}
    async with served(tmp_path) as live:
        plan = await made(live, body)
    async with served(tmp_path) as live:
        assert (await live.call("GET", f"/ext/plans/{plan['id']}")).json()["data"] == plan
