"""Every write says who made it, through the API, in the commit of the write."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from headrace.api.app import TABLE
from headrace.api.operations import APPROVE, WRITE
from headrace.background import in_background
from headrace.clock import SystemClock
from headrace.usecases.batch_driver import BatchDriver
from tests.api.conftest import SHORT, WAITING, Live
from tests.api.test_approvals import People, people, until_state

__all__ = ["people"]  # a fixture

MOVE = {"amount": {"asset": "USD/2", "amount": "5"}, "destination": {"account": {"id": "shop", "ledger": "main"}}}
FAILING = {
    "stages": [
        {"send": {**MOVE, "source": {"account": {"id": payer, "ledger": "main"}}}} for payer in ("world", "nobody")
    ]
}
"""Its first stage books, and its second one is refused."""
OF_BATCHES = {"createBatch", "startBatch", "pauseBatch", "resumeBatch", "cancelBatch"}
"""`test_the_person_of_each_step_of_a_batch_is_in_the_trail` compares their entries."""
OF_NAMES = {"putWorkflow", "deleteNamedWorkflow", "runNamedWorkflow", "putTrigger", "apply"}
"""`test_the_person_of_each_step_of_a_name_is_in_the_trail` compares theirs."""
OF_APPROVERS = {"approvePlan", "rejectPlan", "approveBatch", "rejectBatch", "resolveEffect"}
"""`test_approvals.py` compares theirs, and `tests/contract/test_resolve.py` that of a resolution."""
UNTOUCHED = {"testTrigger", "replayDeadLetters"} | OF_BATCHES | OF_NAMES | OF_APPROVERS
"""They need the scope of writes or decisions, and write nothing; or another test has them."""


async def _entries(live: Live, **query: str) -> list[dict[str, Any]]:
    response = await live.call("GET", "/ext/audit", params=query)
    assert response.status_code == 200, response.text
    return response.json()["data"]


async def _everything(live: Live) -> dict[str, str]:
    """Does every write once, and starts further workflows and instances before; operation -> what it was done to."""
    await live.http.post("/api/ledger/v2/main", json={})
    failed_id = await live.started(await live.created(FAILING))
    redriven_id = await _succeeded(live, await _ended(live, failed_id), "redrive")
    undo_id = await _succeeded(live, await _ended(live, redriven_id), "undo")
    workflow_id = await live.created(WAITING)
    instance_id = await live.started(workflow_id)
    other_id, third_id = await live.started(workflow_id), await live.started(workflow_id)
    trigger = await live.call("POST", "/triggers", {"event": "E", "workflowID": workflow_id})
    trigger_id = trigger.json()["data"]["id"]
    plan = await live.call("POST", "/ext/plans", {"workflowID": workflow_id})
    plan_id = plan.json()["data"]["id"]
    ran = await live.call("POST", f"/ext/plans/{plan_id}/run", {"hash": plan.json()["data"]["hash"]})
    envelope = {"type": "X", "id": "e1", "payload": {}}
    for method, path, body in (
        ("POST", f"/instances/{instance_id}/events", {"name": "go"}),
        ("PUT", f"/instances/{other_id}/abort", None),
        ("POST", f"/ext/instances/{third_id}/abort", {"reason": "r"}),
        ("POST", "/ext/events", envelope),
        ("POST", f"/v2/triggers/{trigger_id}/test", {}),
        ("DELETE", f"/triggers/{trigger_id}", None),
        ("DELETE", f"/workflows/{workflow_id}", None),
    ):
        response = await live.call(method, path, body)
        assert response.is_success, response.text
    return {
        "createWorkflow": workflow_id,
        "runWorkflow": third_id,
        "createTrigger": trigger_id,
        "createPlan": plan_id,
        "runPlan": ran.json()["data"]["id"],
        "redriveInstance": redriven_id,
        "undoInstance": undo_id,
        "sendEvent": instance_id,
        "cancelEvent": other_id,
        "abortInstance": third_id,
        "sendEvents": '["event","","X","","e1"]',
        "deleteTrigger": trigger_id,
        "deleteWorkflow": workflow_id,
    }


async def _ended(live: Live, instance_id: str) -> str:
    async with asyncio.timeout(20):
        while "terminatedAt" not in (await live.call("GET", f"/ext/instances/{instance_id}")).json()["data"]:
            await asyncio.sleep(0.01)
    return instance_id


async def _succeeded(live: Live, instance_id: str, verb: str) -> str:
    """The id of the successor of an instance, by this verb."""
    response = await live.call("POST", f"/ext/instances/{instance_id}/{verb}", {"reason": "r"})
    assert response.status_code == 201, response.text
    return response.json()["data"]["id"]


async def test_every_write_is_in_the_trail(live: Live) -> None:
    done = await _everything(live)
    entries = await _entries(live)
    assert {entry["operation"]: entry["target"] for entry in reversed(entries)} == done
    assert len(entries) == len(done) + 4  # four instances of two workflows
    assert {entry["principal"] for entry in entries} == {"anonymous"}
    assert all("clientId" not in entry for entry in entries)
    assert [entry["number"] for entry in entries] == list(range(len(entries), 0, -1))
    writing = {_unversioned(row.operation_id) for row in TABLE if row.scope in (WRITE, APPROVE)}
    assert writing - UNTOUCHED == set(done), "an operation that writes is not in this test"
    assert writing >= UNTOUCHED, "an operation is named that does not exist"


def _unversioned(operation_id: str) -> str:
    """V2 has the handlers of V1."""
    name = operation_id.removeprefix("v2")
    return name if name == operation_id else name[0].lower() + name[1:]


async def test_the_person_of_each_step_of_a_batch_is_in_the_trail(people: People) -> None:
    """Once each, also beside a step that is refused; what the driver starts is nobody's write."""
    workflow_id = await people.workflow(WAITING)
    wanted = {"kind": "run", "reason": "r", "maxOpen": 1, "runs": [{"workflowID": workflow_id, "variables": {}}] * 2}
    async with in_background(BatchDriver(people.live.ports).run, SystemClock()):
        batch = await people.data("jane", "POST", "/ext/batches", wanted)
        path = f"/ext/batches/{batch['id']}"
        ready = await until_state(people, path, "ready")
        await people.data("joe", "POST", f"{path}/start", {"hash": ready["hash"]})
        for by, step, state in (
            ("ann", "pause", "paused"),
            ("eve", "resume", "running"),
            ("paul", "cancel", "canceled"),
        ):
            assert (await people.data(by, "POST", f"{path}/{step}"))["state"] == state
            if step != "resume":
                assert (await people.call("dan", "POST", f"{path}/pause")).status_code == 409
    assert await people.entries(batch["id"]) == [
        ("cancelBatch", "paul"),
        ("resumeBatch", "eve"),
        ("pauseBatch", "ann"),
        ("startBatch", "joe"),
        ("createBatch", "jane"),
    ]


async def test_the_person_of_each_step_of_a_name_is_in_the_trail(people: People) -> None:
    """A run by a name has its own operation, and one entry, about the instance."""
    await people.data("jane", "PUT", "/ext/workflows/waiting", {"definition": WAITING})
    run = await people.data("joe", "POST", "/ext/workflows/waiting/instances", {})
    trigger = await people.data("ann", "PUT", "/ext/triggers/paid", {"event": "PAID", "workflow": "waiting"})
    assert (await people.call("dan", "DELETE", "/ext/workflows/waiting")).status_code == 409, "the trigger uses it"
    assert (await people.call("ann", "DELETE", f"/triggers/{trigger['id']}")).status_code == 204
    assert (await people.call("eve", "DELETE", "/ext/workflows/waiting")).status_code == 204
    assert await people.entries(run["id"]) == [("runNamedWorkflow", "joe")]
    assert await people.entries(trigger["id"]) == [("deleteTrigger", "ann"), ("putTrigger", "ann")]
    assert await people.entries("waiting") == [("deleteNamedWorkflow", "eve"), ("putWorkflow", "jane")]
    applied = await people.data("eve", "POST", "/ext/apply", {"workflows": {"b": SHORT}, "set": "s"})
    assert await people.entries("b") == [("apply", "eve")]
    assert await people.entries("set:s") == [("apply", "eve")]
    assert [each["action"] for each in applied["documents"]] == ["created"]


async def test_a_refused_write_is_not_in_the_trail(live: Live) -> None:
    workflow_id = await live.created(WAITING)
    for method, path, body in (
        ("POST", "/workflows", {"stages": []}),
        ("DELETE", "/workflows/nobody", None),
        ("POST", f"/workflows/{workflow_id}/instances", {"a": []}),
        ("PUT", "/instances/nobody/abort", None),
        ("POST", "/triggers", {"event": "E", "workflowID": "nobody"}),
        ("DELETE", "/triggers/nobody", None),
        ("POST", "/ext/events", {}),
    ):
        response = await live.call(method, path, body)
        assert response.status_code in (400, 404), (path, response.text)
    assert [entry["operation"] for entry in await _entries(live)] == ["createWorkflow"]


async def test_a_repeat_is_not_a_new_write(live: Live) -> None:
    headers = {"Idempotency-Key": "once"}
    responses = await asyncio.gather(*(live.call("POST", "/workflows", WAITING, headers=headers) for _ in range(5)))
    assert len({response.json()["data"]["id"] for response in responses}) == 1
    await live.call("POST", "/ext/events", {"type": "X", "payload": {}}, headers={"Idempotency-Key": "event"})
    await live.call("POST", "/ext/events", {"type": "X", "payload": {}}, headers={"Idempotency-Key": "event"})
    sent, created = await _entries(live)
    assert (sent["operation"], sent["target"]) == ("sendEvents", '["request","subject","anonymous","event"]')
    assert created["operation"] == "createWorkflow"


def key_of(number: int) -> str:
    return f'["event","","X","","e{number}"]'


async def test_each_event_of_an_array_is_found_by_its_own_name(live: Live) -> None:
    events = [{"type": "X", "id": f"e{number}", "payload": {}} for number in range(3)]
    headers = {"Idempotency-Key": "batch"}
    responses = [await live.call("POST", "/ext/events", events, headers=headers) for _ in range(2)]
    assert [response.status_code for response in responses] == [202, 202]
    assert responses[1].headers["idempotency-hit"] == "true"
    assert [entry["target"] for entry in await _entries(live)] == [key_of(2), key_of(1), key_of(0)]
    (found,) = await _entries(live, target=key_of(1))
    assert (found["principal"], found["operation"]) == ("anonymous", "sendEvents")


async def test_what_a_trigger_starts_is_nobodys_write(live: Live) -> None:
    workflow_id = await live.created(WAITING)
    trigger = await live.call("POST", "/triggers", {"event": "E", "workflowID": workflow_id})
    await live.call("POST", "/ext/events", {"type": "E", "id": "e1", "payload": {}})
    path = f"/triggers/{trigger.json()['data']['id']}/occurrences"
    async with asyncio.timeout(10):
        while not (await live.call("GET", path)).json()["data"]:
            await asyncio.sleep(0.01)
    operations = [entry["operation"] for entry in await _entries(live)]
    assert operations == ["sendEvents", "createTrigger", "createWorkflow"]


async def test_nothing_of_what_was_sent_is_in_it(live: Live) -> None:
    workflow_id = await live.created({"name": "hush", "stages": WAITING["stages"]})
    body = {"amount": "987654321", "token": "s3cret"}
    await live.started(workflow_id, body, headers={"Idempotency-Key": "hush-key"})
    text = (await live.call("GET", "/ext/audit")).text
    assert not any(word in text for word in ("hush", "987654321", "s3cret", "amount"))


async def test_filters_and_pages(live: Live) -> None:
    first = await live.created(WAITING)
    for _ in range(4):
        await live.created(WAITING)
    await live.call("DELETE", f"/workflows/{first}")
    assert [entry["operation"] for entry in await _entries(live, target=first)] == ["deleteWorkflow", "createWorkflow"]
    assert [entry["number"] for entry in await _entries(live, limit="2")] == [6, 5]
    assert [entry["number"] for entry in await _entries(live, limit="2", before="5")] == [4, 3]
    assert len(await _entries(live, principal="anonymous")) == 6
    assert await _entries(live, principal="alice") == []
    assert len(await _entries(live, principal="", target="", before="", limit="")) == 6


@pytest.mark.parametrize(
    ("name", "value"),
    [("limit", "0"), ("limit", "1001"), ("limit", "x"), ("limit", "\u0665"), ("before", "0"), ("before", str(2**63))],
)
async def test_bad_pages_name_their_field(live: Live, name: str, value: str) -> None:
    response = await live.call("GET", "/ext/audit", params={name: value})
    assert response.status_code == 400
    assert response.json()["errorMessage"].startswith(f"{name}: ")
