"""`/ext/plans/{planID}/run`: what starts, what is refused and with which reason, and what is stored of it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from headrace.usecases import plans as use_cases
from tests.api.conftest import Live
from tests.api.test_plans import PAYING, funded, listed, made

OTHER: dict[str, Any] = {"name": "pay", "stages": [*PAYING["stages"], {"wait_event": {"event": "go"}}]}
TO_JANE = {"user": "jane", "amount": "100"}


async def a_plan(live: Live, **body: Any) -> dict[str, Any]:
    await funded(live, 1_000)
    wanted = body or {"workflowID": await live.created(PAYING), "variables": TO_JANE}
    return await made(live, wanted)


async def refused(live: Live, plan: dict[str, Any], status: int, reason: str, **body: Any) -> str:
    """The message of a refusal; the plan is as it was."""
    response = await live.call("POST", f"/ext/plans/{plan['id']}/run", {"hash": plan["hash"], **body})
    assert (response.status_code, response.json()["details"]) == (status, {"reason": reason}), response.text
    return response.json()["errorMessage"]


async def balance(live: Live, account: str) -> int:
    response = await live.http.get(f"/api/ledger/v2/main/accounts/{account}?expand=volumes")
    return 0 if response.status_code == 404 else response.json()["data"]["volumes"]["USD/2"]["balance"]


async def ended(live: Live, instance_id: str) -> dict[str, Any]:
    async with asyncio.timeout(30):
        while True:
            found = (await live.call("GET", f"/ext/instances/{instance_id}")).json()["data"]
            if "terminatedAt" in found:
                return found
            await asyncio.sleep(0.01)


async def test_a_plan_runs_once_and_says_which_instance(live: Live) -> None:
    plan = await a_plan(live)
    key = {"idempotency-key": "k1"}
    first = await live.call("POST", f"/ext/plans/{plan['id']}/run", {"hash": plan["hash"]}, headers=key)
    again = await live.call("POST", f"/ext/plans/{plan['id']}/run", {"hash": plan["hash"]}, headers=key)
    assert first.status_code == again.status_code == 201, first.text
    instance = first.json()["data"]
    assert again.json()["data"]["id"] == instance["id"]
    found = await ended(live, instance["id"])
    assert (found["kind"], found["rootID"], found["planID"]) == ("run", instance["id"], plan["id"])
    assert "failure" not in found and await balance(live, "shops") == 100
    (row,) = await listed(live, state="used")
    assert (row["id"], row["instanceID"]) == (plan["id"], instance["id"])
    assert instance["id"] in await refused(live, plan, 409, "used")
    (entry,) = [e for e in (await live.call("GET", "/ext/audit")).json()["data"] if e["operation"] == "runPlan"]
    assert entry["target"] == instance["id"]
    v1 = (await live.call("GET", f"/instances/{instance['id']}")).json()["data"]
    assert not {"kind", "failure", "planID"} & v1.keys(), "V1 shows nothing of it"


async def test_a_plan_of_a_redrive_starts_no_run_which_would_pay_under_new_keys(live: Live) -> None:
    workflow_id = await live.created(PAYING)
    poor = await live.call("POST", f"/workflows/{workflow_id}/instances?wait=true", TO_JANE)
    instance_id = poor.json()["data"]["id"]
    await funded(live, 1_000)
    plan = await made(live, {"redrive": instance_id})
    assert instance_id in await refused(live, plan, 409, "is_redrive")
    assert await balance(live, "shops") == 0


async def test_a_plan_of_a_redrive_continues_the_instance_and_is_used(live: Live) -> None:
    workflow_id = await live.created(PAYING)
    poor = await live.call("POST", f"/workflows/{workflow_id}/instances?wait=true", TO_JANE)
    instance_id = poor.json()["data"]["id"]
    path, why = f"/ext/instances/{instance_id}/redrive", {"reason": "funded"}
    failing = await made(live, {"redrive": instance_id})
    response = await live.call("POST", path, {**why, "planID": failing["id"]})
    assert (response.status_code, response.json()["details"]) == (409, {"reason": "would_fail"})
    await funded(live, 1_000)
    plan = await made(live, {"redrive": instance_id})
    made_by_it = await live.call("POST", path, {**why, "planID": plan["id"].upper()})
    assert made_by_it.status_code == 201, made_by_it.text
    found = await ended(live, made_by_it.json()["data"]["id"])
    assert (found["kind"], found["planID"], await balance(live, "shops")) == ("continuation", plan["id"], 100)
    (row,) = await listed(live, state="used")
    assert (row["id"], row["redrive"], row["instanceID"]) == (plan["id"], instance_id, found["id"])
    assert found["id"] in await refused(live, plan, 409, "used")


async def test_another_hash_an_expired_plan_and_one_that_would_fail(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = await a_plan(live)
    text = await refused(live, plan, 412, "hash_differs", hash="sha256:0")
    assert plan["hash"] in text
    monkeypatch.setattr(use_cases, "MIN_LIFE_US", 1)
    short = await made(live, {"workflowID": plan["workflowID"], "variables": TO_JANE, "expiresIn": "1ms"})
    await asyncio.sleep(0.05)
    await refused(live, short, 409, "expired")
    stored = (await live.call("GET", f"/ext/plans/{short['id']}")).json()["data"]
    assert stored["state"] == "expired"
    dear = await made(live, {"workflowID": plan["workflowID"], "variables": TO_JANE | {"amount": "7000"}})
    await refused(live, dear, 409, "would_fail")
    assert await balance(live, "shops") == 0
    accepted = await live.call("POST", f"/ext/plans/{dear['id']}/run", {"hash": dear["hash"], "acceptFailure": True})
    found = await ended(live, accepted.json()["data"]["id"])
    key = f"headrace:{found['id']}:0:0"
    assert found["failure"] == {"kind": "refused", "stage": 0, "code": "INSUFFICIENT_FUND", "position": 0, "key": key}


async def test_a_plan_of_a_definition_runs_as_the_workflow_that_equals_it(live: Live) -> None:
    plan = await a_plan(live, definition=PAYING, variables=TO_JANE)
    same, other = await live.created(PAYING), await live.created(OTHER)
    response = await live.call("POST", f"/ext/plans/{plan['id']}/run", {"hash": plan["hash"]})
    assert response.status_code == 400 and response.json()["errorMessage"].startswith("workflowID: is required")
    await refused(live, plan, 409, "definition_differs", workflowID=other)
    body = {"hash": plan["hash"], "workflowID": "nothing"}
    assert (await live.call("POST", f"/ext/plans/{plan['id']}/run", body)).status_code == 404
    started = await live.call("POST", f"/ext/plans/{plan['id']}/run", body | {"workflowID": same})
    assert started.status_code == 201, started.text
    assert "failure" not in await ended(live, started.json()["data"]["id"])


async def test_a_plan_of_a_workflow_takes_no_other_and_a_deleted_one_starts_nothing(live: Live) -> None:
    plan = await a_plan(live)
    body = {"hash": plan["hash"], "workflowID": plan["workflowID"]}
    response = await live.call("POST", f"/ext/plans/{plan['id']}/run", body)
    assert response.status_code == 400 and response.json()["errorMessage"].startswith("workflowID: is given for")
    await live.call("DELETE", f"/workflows/{plan['workflowID']}")
    assert (await live.call("POST", f"/ext/plans/{plan['id']}/run", {"hash": plan["hash"]})).status_code == 404
    assert [row["id"] for row in await listed(live, state="open")] == [plan["id"]], "nothing is half applied"


async def test_a_plan_of_a_trigger_runs_under_the_rules_of_triggers(live: Live) -> None:
    await funded(live, 1_000)
    filled = {"vars": {"user": "event.user", "amount": "event.amount"}}
    trigger = {"event": "E", "workflowID": await live.created(PAYING), **filled}
    trigger_id = (await live.call("POST", "/triggers", trigger)).json()["data"]["id"]
    plan = await made(live, {"triggerID": trigger_id, "event": {"user": "jane", "amount": 25}})
    started = await live.call("POST", f"/ext/plans/{plan['id']}/run", {"hash": plan["hash"]})
    assert "failure" not in await ended(live, started.json()["data"]["id"])
    assert await balance(live, "shops") == 25


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (7, "body: must be an object"),
        ({}, "hash: is required"),
        ({"hash": 7}, "hash: must be the hash"),
        ({"hash": "h", "acceptFailure": 1}, "acceptFailure: must be true or false"),
        ({"hash": "h", "workflowID": 1}, "workflowID: must be text"),
        ({"hash": "h", "variables": {}}, "variables: unknown field"),
    ],
)
async def test_a_bad_request_names_the_member(live: Live, body: Any, says: str) -> None:
    response = await live.call("POST", "/ext/plans/nothing/run", body)
    assert response.status_code == 400 and response.json()["errorMessage"].startswith(says), response.text


async def test_a_plan_that_does_not_exist_and_an_instance_that_does_not(live: Live) -> None:
    assert (await live.call("POST", "/ext/plans/nothing/run", {"hash": "h"})).status_code == 404
    assert (await live.call("GET", "/ext/instances/nothing")).status_code == 404
