"""`/ext/workflows`, `/ext/triggers` and `/ext/apply` over HTTP: statuses, reasons, keys, lists, the audit trail."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest_asyncio

from tests.api.conftest import PREFIX, Live, served

Json = dict[str, Any]

ONE: Json = {"stages": [{"wait_event": {"event": "one"}}]}
TWO: Json = {"stages": [{"wait_event": {"event": "two"}}]}


@pytest_asyncio.fixture
async def live(tmp_path: Path) -> AsyncIterator[Live]:
    async with served(tmp_path) as opened:
        yield opened


async def put(live: Live, definition: Json, status: int, name: str = "pay", **members: Any) -> Json:
    response = await live.call("PUT", f"/ext/workflows/{name}", {"definition": definition, **members})
    assert response.status_code == status, response.text
    return response.json().get("data") or response.json()


async def test_a_name_from_its_first_version_to_its_deletion(live: Live) -> None:
    first = await put(live, ONE, 201)
    assert (first["name"], first["version"], len(first["versions"]), "set" in first) == ("pay", 1, 1, False)
    assert first["versions"][0]["workflowID"] == first["workflowID"]
    assert (await put(live, {**ONE, "name": "pay"}, 200)) == first
    second = await put(live, TWO, 201, ifVersion=1)
    assert [(each["version"], each["createdBy"]) for each in second["versions"]] == [(2, "anonymous"), (1, "anonymous")]
    refused = await put(live, ONE, 409, ifVersion=1)
    assert refused["details"] == {"reason": "version"} and "version 2 is current" in refused["errorMessage"]
    back = await put(live, ONE, 201)
    assert (back["version"], back["workflowID"]) == (1, first["workflowID"])
    assert (await live.call("GET", "/ext/workflows/pay")).json()["data"] == back
    listed = (await live.call("GET", "/ext/workflows")).json()["cursor"]["data"]
    assert listed == [back]
    in_v1 = (await live.call("GET", f"/workflows/{second['workflowID']}")).json()["data"]
    assert in_v1["config"] == {"name": "pay", **TWO}, "a version is an ordinary workflow"
    run = await live.call("POST", "/ext/workflows/pay/instances", {})
    assert run.status_code == 201 and run.json()["data"]["workflowID"] == first["workflowID"]
    by_id = await live.call("POST", f"/workflows/{second['workflowID']}/instances", {})
    assert by_id.status_code == 201, "also one that is not current"
    trail = (await live.call("GET", "/ext/audit?target=pay")).json()["data"]
    assert [each["operation"] for each in trail] == ["putWorkflow"] * 3
    same = (await live.call("GET", f"/ext/audit?target={first['workflowID']}")).json()["data"]
    assert [each["operation"] for each in same] == ["putWorkflow"], "one that changes nothing has not moved the name"
    assert (await live.call("DELETE", "/ext/workflows/pay")).status_code == 204
    for path in ("/ext/workflows/pay", "/ext/workflows/Pay", "/ext/workflows/a%20b"):
        assert (await live.call("GET", path)).status_code == 404
    assert (await live.call("DELETE", "/ext/workflows/pay")).status_code == 404
    assert (await live.call("POST", "/ext/workflows/pay/instances", {})).status_code == 404
    assert (await live.call("POST", f"/workflows/{second['workflowID']}/instances", {})).status_code == 404
    assert (await put(live, ONE, 201))["version"] == 3


async def test_names_that_are_none(live: Live) -> None:
    for name in ("a%20b", "-a", "a.yaml", "0190b5c2-7d1e-7c3a-9f21-000000000001", "x" * 101, "%C3%A4"):
        response = await live.call("PUT", f"/ext/workflows/{name}", {"definition": ONE})
        assert response.status_code == 400 and response.json()["errorMessage"].startswith("name: "), name


async def test_a_repeated_put_has_the_answer_of_the_first(live: Live) -> None:
    body = {"definition": ONE}
    path, headers = f"{PREFIX}/ext/workflows/pay", {"Idempotency-Key": "k"}
    first = await live.http.put(path, json=body, headers=headers)
    await put(live, TWO, 201)
    again = await live.http.put(path, json=body, headers=headers)
    assert (again.status_code, again.json(), again.headers["idempotency-hit"]) == (201, first.json(), "true")
    assert (await live.call("GET", "/ext/workflows/pay")).json()["data"]["version"] == 2
    other = await live.http.put(path, json={"definition": TWO}, headers=headers)
    assert other.status_code == 400 and "was used before" in other.json()["errorMessage"]


async def test_a_trigger_under_a_name(live: Live) -> None:
    await put(live, ONE, 201)
    wanted = {"event": "PAID", "workflow": "pay", "vars": {"a": "event.id"}}
    made = await live.call("PUT", "/ext/triggers/payments", wanted)
    assert made.status_code == 201
    trigger = made.json()["data"]
    assert (trigger["workflow"], trigger["revision"], trigger["vars"]) == ("pay", 1, {"a": "event.id"})
    assert (await live.call("PUT", "/ext/triggers/payments", wanted)).status_code == 200
    changed = await live.call("PUT", "/ext/triggers/payments", {**wanted, "filter": "true", "ifRevision": 1})
    assert changed.status_code == 201 and changed.json()["data"]["id"] == trigger["id"]
    assert changed.json()["data"]["revision"] == 2
    late = await live.call("PUT", "/ext/triggers/payments", {**wanted, "ifRevision": 1})
    assert (late.status_code, late.json()["details"]) == (409, {"reason": "version"})
    in_v1 = (await live.call("GET", f"/triggers/{trigger['id']}")).json()["data"]
    assert in_v1["workflowID"] == trigger["workflowID"] and "workflow" not in in_v1, "V1 shows no more than it did"
    two = await put(live, TWO, 201)
    assert (await live.call("GET", f"/triggers/{trigger['id']}")).json()["data"]["workflowID"] == two["workflowID"]
    listed = (await live.call("GET", "/ext/triggers")).json()["cursor"]["data"]
    assert [each["workflowID"] for each in listed] == [two["workflowID"]]
    used = await live.call("DELETE", "/ext/workflows/pay")
    assert (used.status_code, used.json()["details"]) == (409, {"reason": "in_use"})
    by_id = await live.call("PUT", "/ext/triggers/by-id", {"event": "PAID", "workflowID": two["workflowID"].upper()})
    assert by_id.status_code == 201 and "workflow" not in by_id.json()["data"]
    assert (await live.call("DELETE", f"/triggers/{trigger['id']}")).status_code == 204
    assert (await live.call("PUT", "/ext/triggers/payments", wanted)).json()["data"]["id"] != trigger["id"]


async def test_apply_over_http(live: Live) -> None:
    wanted = {"workflows": {"pay": ONE}, "triggers": {"payments": {"event": "PAID", "workflow": "pay"}}, "set": "s"}
    tried = await live.call("POST", "/ext/apply", {**wanted, "dryRun": True})
    assert tried.status_code == 200 and tried.json()["data"]["dryRun"] is True
    assert (await live.call("GET", "/ext/workflows")).json()["cursor"]["data"] == []
    done = (await live.call("POST", "/ext/apply", wanted)).json()["data"]
    assert [(each["kind"], each["name"], each["action"], each["version"]) for each in done["documents"]] == [
        ("workflow", "pay", "created", 1),
        ("trigger", "payments", "created", 1),
    ]
    assert done["set"] == "s" and "dryRun" not in done
    listed = (await live.call("GET", "/ext/workflows")).json()["cursor"]["data"]
    assert [each["set"] for each in listed] == ["s"]
    refused = await live.call("POST", "/ext/apply", {**wanted, "set": "other"})
    assert (refused.status_code, refused.json()["details"]) == (409, {"reason": "set"})
    wrong = await live.call("POST", "/ext/apply", {"workflows": {"pay": TWO, "b": {"stages": [7]}}})
    assert wrong.status_code == 400 and wrong.json()["details"][0]["path"] == "workflows.b.stages[0]"
    trail = (await live.call("GET", "/ext/audit")).json()["data"]
    assert [each["target"] for each in trail if each["operation"] == "apply"][:3] == [
        "set:s",
        done["documents"][1]["id"],
        "pay",
    ]
    many = {f"w{each}": ONE for each in range(1_001)}
    assert (await live.call("POST", "/ext/apply", {"workflows": many})).json()["details"] == {"reason": "too_large"}
