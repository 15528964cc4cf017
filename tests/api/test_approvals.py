"""Approvals over HTTP: which person may decide about what, what is refused and why, and what is shown and stored."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from headrace.background import in_background
from headrace.clock import SystemClock
from headrace.runner.policy import Policy
from headrace.usecases import plans as use_cases
from headrace.usecases.batch_driver import BatchDriver
from headrace.workflows.approval_rules import ApprovalRule, ApprovalRules
from tests.api.conftest import WAITING, Live, served
from tests.api.test_plans import PAYING, funded
from tests.support.tokens import APPROVE, BOTH, Documents, authenticator_of, claims_of, published, signed

Json = dict[str, Any]

TO_JANE = {"user": "jane", "amount": "100"}
RULES = ApprovalRules((ApprovalRule("big", "USD/2", 150, 2, "pay*"),), "sha256:1")
ALL = f"{BOTH} {APPROVE}"


def asks(**approve: Any) -> Json:
    """A workflow that pays once persons have approved it."""
    return {"name": "asks", "stages": [{"approve": {"title": "Pay ${user}", **approve}}, *PAYING["stages"]]}


class People:
    """A guarded server, and requests of several persons. Each has every scope unless a request says otherwise."""

    def __init__(self, live: Live) -> None:
        self.live = live

    async def call(
        self, by: str, method: str, path: str, body: Any = None, *, scope: str = ALL, **headers: str
    ) -> httpx2.Response:
        token = signed(claims_of(sub=by, scope=scope))
        sent = {"authorization": f"Bearer {token}", **{name.replace("_", "-"): text for name, text in headers.items()}}
        return await self.live.call(method, path, body, headers=sent)

    async def data(self, by: str, method: str, path: str, body: Any = None, **options: Any) -> Any:
        response = await self.call(by, method, path, body, **options)
        assert response.status_code in (200, 201), response.text
        return response.json()["data"]

    async def workflow(self, definition: Json, by: str = "jane") -> str:
        return (await self.data(by, "POST", "/workflows", definition))["id"]

    async def plan(self, by: str = "jane", **wanted: Any) -> Json:
        return await self.data(by, "POST", "/ext/plans", wanted)

    async def a_plan(self, by: str = "jane", amount: str = "100") -> Json:
        """A plan of a run that pays."""
        workflow_id = await self.workflow(PAYING)
        return await self.plan(by, workflowID=workflow_id, variables={**TO_JANE, "amount": amount})

    async def started(self, definition: Json, by: str = "jane") -> str:
        workflow_id = await self.workflow(definition)
        return (await self.data(by, "POST", f"/workflows/{workflow_id}/instances", TO_JANE))["id"]

    async def waiting(self, definition: Json, by: str = "jane") -> str:
        """A new instance that waits for approvals."""
        instance_id = await self.started(definition, by)
        await self.shown(instance_id)
        return instance_id

    async def shown(self, instance_id: str) -> Json:
        """The description of an instance, once it waits for approvals."""
        async with asyncio.timeout(30):
            while "approval" not in (found := await self.data("jane", "GET", f"/ext/instances/{instance_id}")):
                assert "terminatedAt" not in found, found
                await asyncio.sleep(0.01)
        return found

    async def ended(self, instance_id: str) -> Json:
        async with asyncio.timeout(30):
            while "terminatedAt" not in (found := await self.data("jane", "GET", f"/ext/instances/{instance_id}")):
                await asyncio.sleep(0.01)
        return found

    async def say(self, by: str, plan: Json, verdict: str = "approve", **options: Any) -> httpx2.Response:
        body = {"hash": plan["hash"], "reason": "seen"}
        return await self.call(by, "POST", f"/ext/plans/{plan['id']}/{verdict}", body, **options)

    async def refused(self, by: str, plan: Json, status: int, reason: str, verdict: str = "approve") -> str:
        """The message of a refusal; nothing of the decision is stored."""
        before = await self.data(by, "GET", f"/ext/plans/{plan['id']}")
        response = await self.say(by, plan, verdict)
        assert (response.status_code, response.json()["details"]) == (status, {"reason": reason}), response.text
        after = await self.data(by, "GET", f"/ext/plans/{plan['id']}")
        assert after["approvals"] == before["approvals"]
        return response.json()["errorMessage"]

    async def entries(self, target: str) -> list[tuple[str, str]]:
        found = await self.data("jane", "GET", "/ext/audit")
        return [(each["operation"], each["principal"]) for each in found if each["target"] == target]


@pytest_asyncio.fixture
async def people(tmp_path: Path) -> AsyncIterator[People]:
    authenticator = authenticator_of(Documents(published("k1")), SystemClock())
    async with served(tmp_path, authenticator=authenticator, policy=Policy(approval_rules=RULES)) as live:
        live.http.headers["authorization"] = f"Bearer {signed(claims_of(scope='ledger:read ledger:write'))}"
        await funded(live, 10_000)
        yield People(live)


# a batch


async def test_a_batch_over_a_rule_is_approved_by_two_persons_and_starts(people: People) -> None:
    """Each run of 100 is under the rule; two are over it."""
    workflow_id = await people.workflow(PAYING)
    body = {"kind": "run", "reason": "payday", "runs": [{"workflowID": workflow_id, "variables": TO_JANE}] * 2}
    async with in_background(BatchDriver(people.live.ports).run, SystemClock()):
        batch = await people.data("jane", "POST", "/ext/batches", body)
        path = f"/ext/batches/{batch['id']}"
        ready = await until_state(people, path, "ready")
        assert ready["approvals"] == {"needed": 2, "rule": "big", "given": []}
        start, wanted = {"hash": ready["hash"]}, {"hash": ready["hash"], "reason": "seen"}
        early = await people.call("joe", "POST", f"{path}/start", start)
        assert (early.status_code, early.json()["details"]) == (409, {"reason": "needs_approvals"})
        own = await people.call("jane", "POST", f"{path}/approve", wanted)
        assert (own.status_code, own.json()["details"]) == (403, {"reason": "four_eyes"})
        scope = await people.call("paul", "POST", f"{path}/approve", wanted, scope=BOTH)
        assert scope.status_code == 403
        other = await people.call("paul", "POST", f"{path}/approve", {**wanted, "hash": "sha256:0"})
        assert (other.status_code, other.json()["details"]) == (412, {"reason": "hash_differs"})
        key = {"idempotency_key": "k1"}
        one, same = [await people.data("paul", "POST", f"{path}/approve", wanted, **key) for _ in range(2)]
        assert one == same and one["state"] == "ready"
        assert [each["principal"] for each in one["approvals"]["given"]] == ["paul"]
        assert (await people.data("eve", "POST", f"{path}/approve", wanted))["state"] == "approved"
        await people.data("joe", "POST", f"{path}/start", start)
        done = await until_state(people, path, "done")
    assert done["counts"] == {"succeeded": 2} and done["startedBy"] == "joe"
    assert await people.entries(batch["id"]) == [
        ("startBatch", "joe"),
        ("approveBatch", "eve"),
        ("approveBatch", "paul"),
        ("createBatch", "jane"),
    ]
    item = (await people.data("jane", "GET", f"{path}/items?limit=1"))[0]
    plan_id = (await people.data("jane", "GET", f"/ext/instances/{item['result']}"))["planID"]
    given = (await people.data("jane", "GET", f"/ext/plans/{plan_id}"))["approvals"]["given"]
    assert sorted(each["principal"] for each in given) == ["eve", "paul"]


async def test_a_rejected_batch_starts_never(people: People) -> None:
    workflow_id = await people.workflow(PAYING)
    body = {"kind": "run", "reason": "payday", "runs": [{"workflowID": workflow_id, "variables": TO_JANE}]}
    async with in_background(BatchDriver(people.live.ports).run, SystemClock()):
        batch = await people.data("jane", "POST", "/ext/batches", body)
        path = f"/ext/batches/{batch['id']}"
        ready = await until_state(people, path, "ready")
        assert "approvals" not in ready, "100 are not over 150"
        wanted = {"hash": ready["hash"], "reason": "twice"}
        rejected = await people.data("jane", "POST", f"{path}/reject", wanted)
        started = await people.call("joe", "POST", f"{path}/start", {"hash": ready["hash"]})
        late = await people.call("eve", "POST", f"{path}/approve", wanted)
    assert (rejected["state"], rejected["why"]) == ("canceled", "rejected by jane: twice")
    assert [(each.status_code, each.json()["details"]) for each in (started, late)] == [
        (409, {"reason": "canceled"})
    ] * 2
    assert ("rejectBatch", "jane") in await people.entries(batch["id"])


async def until_state(people: People, path: str, state: str) -> Json:
    async with asyncio.timeout(30):
        while (found := await people.data("jane", "GET", path))["state"] != state:
            await asyncio.sleep(0.01)
    return found


# before a run


async def test_another_person_approves_a_plan_and_it_runs(people: People) -> None:
    plan = await people.a_plan()
    assert plan["approvals"] == {"needed": 1, "given": []}
    assert "jane" in await people.refused("jane", plan, 403, "four_eyes")
    response = await people.say("paul", plan)
    decided = response.json()["data"]
    assert response.status_code == 200, response.text
    assert (decided["id"], decided["state"], decided["requester"]) == (plan["id"], "approved", "jane")
    (given,) = decided["approvals"]["given"]
    assert (given["principal"], given["verdict"], given["reason"]) == ("paul", "approve", "seen")
    assert given["decidedAt"].endswith("Z") and "effects" not in decided
    shown = await people.data("jane", "GET", f"/ext/plans/{plan['id']}")
    assert (shown["state"], shown["approvals"]) == ("approved", decided["approvals"])
    ran = await people.data("jane", "POST", f"/ext/plans/{plan['id']}/run", {"hash": plan["hash"]})
    assert "failure" not in await people.ended(ran["id"])
    assert ran["id"] in await people.refused("eve", plan, 409, "used")
    assert await people.entries(plan["id"]) == [("approvePlan", "paul"), ("createPlan", "jane")]


async def test_the_same_decision_again_is_answered_and_stored_once(people: People) -> None:
    plan = await people.a_plan(amount="151")
    assert plan["approvals"] == {"needed": 2, "rule": "big", "given": []}
    first = await people.say("paul", plan, idempotency_key="k1")
    by_key = await people.say("paul", plan, idempotency_key="k1")
    again = await people.say("paul", plan)
    assert [each.status_code for each in (first, by_key, again)] == [200, 200, 200]
    assert by_key.headers["idempotency-hit"] == "true" and "idempotency-hit" not in again.headers
    assert first.json() == again.json() and first.json()["data"]["state"] == "open"
    assert by_key.json()["data"]["id"] == plan["id"]
    other = await people.call(
        "paul", "POST", f"/ext/plans/{plan['id']}/approve", {"hash": plan["hash"], "reason": "x"}, idempotency_key="k1"
    )
    assert other.status_code == 400 and "dempotency" in other.text, "another meaning under the same key"
    assert (await people.entries(plan["id"])).count(("approvePlan", "paul")) == 1
    assert (await people.say("eve", plan)).json()["data"]["state"] == "approved"
    assert "paul" in await people.refused("paul", plan, 409, "decided", "reject")


async def test_a_rejected_plan_is_neither_approved_nor_run(people: People) -> None:
    plan = await people.a_plan()
    rejected = await people.say("jane", plan, "reject")  # also by the person that has asked for it
    assert (rejected.status_code, rejected.json()["data"]["state"]) == (200, "rejected")
    assert (await people.say("jane", plan, "reject")).status_code == 200
    await people.refused("paul", plan, 409, "rejected")
    await people.refused("paul", plan, 409, "rejected", "reject")
    ran = await people.call("jane", "POST", f"/ext/plans/{plan['id']}/run", {"hash": plan["hash"]})
    assert (ran.status_code, ran.json()["details"]) == (409, {"reason": "rejected"})
    assert await people.entries(plan["id"]) == [("rejectPlan", "jane"), ("createPlan", "jane")]


async def test_an_expired_plan_and_another_hash(people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = await people.a_plan()
    text = await people.refused("paul", {**plan, "hash": "sha256:0"}, 412, "hash_differs")
    assert plan["hash"] in text
    monkeypatch.setattr(use_cases, "MIN_LIFE_US", 1)
    short = await people.plan(workflowID=plan["workflowID"], variables=TO_JANE, expiresIn="1ms")
    await asyncio.sleep(0.05)
    await people.refused("paul", short, 409, "expired")
    await people.refused("paul", short, 409, "expired", "reject")


async def test_a_server_without_authentication_knows_no_persons(live: Live) -> None:
    await funded(live, 1_000)
    wanted = {"workflowID": await live.created(PAYING), "variables": TO_JANE}
    plan = (await live.call("POST", "/ext/plans", wanted)).json()["data"]
    body = {"hash": plan["hash"], "reason": "seen"}
    for verdict in ("approve", "reject"):
        response = await live.call("POST", f"/ext/plans/{plan['id']}/{verdict}", body)
        assert (response.status_code, response.json()["details"]) == (403, {"reason": "no_identity"})


# at a stage


async def test_an_instance_waits_and_goes_on_with_the_last_approval(people: People) -> None:
    instance_id = await people.waiting(asks(approvals=2, timeout="1h"))
    approval = (await people.shown(instance_id))["approval"]
    assert (approval["stage"], approval["needed"], approval["title"]) == (0, 2, "Pay jane")
    assert approval["since"] < approval["deadline"] and "rule" not in approval
    plan = await people.plan("paul", instance=instance_id)
    assert (plan["instance"], plan["from"]["stage"], plan["approvals"]["needed"]) == (instance_id, 0, 2)
    await people.refused("jane", plan, 403, "four_eyes")
    ran = await people.call("jane", "POST", f"/ext/plans/{plan['id']}/run", {"hash": plan["hash"]})
    assert (ran.status_code, ran.json()["details"]) == (409, {"reason": "is_rest"})
    assert (await people.say("paul", plan)).json()["data"]["state"] == "open"
    last = (await people.say("eve", plan)).json()["data"]
    assert (last["state"], len(last["approvals"]["given"])) == ("used", 2)
    found = await people.ended(instance_id)
    assert (found["planID"], "failure" in found, "approval" in found) == (plan["id"], False, False)
    await people.refused("ann", plan, 409, "used")
    assert (await people.say("eve", plan)).status_code == 200, "the same decision again, when all is over"
    (stage, *_) = (await people.data("jane", "GET", f"/instances/{instance_id}"))["status"]
    assert not {"gate", "approval", "approvals"} & stage.keys(), "V1 shows nothing of it"


async def test_a_rejection_ends_the_instance_and_names_the_person(people: People) -> None:
    instance_id = await people.waiting(asks())
    plan, other = [await people.plan("paul", instance=instance_id) for _ in range(2)]
    assert (await people.say("eve", plan, "reject")).json()["data"]["state"] == "rejected"
    found = await people.ended(instance_id)
    assert found["failure"]["kind"] == "rejected"
    shown = await people.data("jane", "GET", f"/instances/{instance_id}")
    assert shown["error"] == "rejected by eve: seen"
    await people.refused("paul", other, 409, "ended")
    again = await people.call("jane", "POST", f"/ext/instances/{instance_id}/redrive", {"reason": "again"})
    assert (again.status_code, again.json()["details"]) == (409, {"reason": "rejected"})


async def test_of_two_plans_of_one_wait_the_first_approved_one_counts(people: People) -> None:
    stages = [{"approve": {}}, {"approve": {}}, *PAYING["stages"]]
    instance_id = await people.waiting({"name": "twice", "stages": stages})
    plan, other = [await people.plan("paul", instance=instance_id) for _ in range(2)]
    assert (await people.say("paul", plan)).status_code == 200
    async with asyncio.timeout(30):
        while (await people.shown(instance_id))["approval"]["stage"] == 0:
            await asyncio.sleep(0.01)
    await people.refused("paul", other, 409, "passed")
    second = await people.plan("paul", instance=instance_id)
    assert (await people.say("paul", second)).json()["data"]["state"] == "used"
    assert (await people.ended(instance_id))["planID"] == second["id"]


async def test_time_ends_the_wait(people: People) -> None:
    instance_id = await people.started(asks(timeout="100ms"))
    found = await people.ended(instance_id)
    assert found["failure"] == {"kind": "expired", "stage": 0}
    shown = await people.data("jane", "GET", f"/instances/{instance_id}")
    assert shown["error"] == "expired: not approved in time"


async def test_a_send_over_a_rule_shows_the_rule(people: People) -> None:
    definition = {"name": "pay-twice", "stages": PAYING["stages"] * 2}
    instance_id = await people.waiting(definition)
    approval = (await people.shown(instance_id))["approval"]
    assert (approval["stage"], approval["needed"], approval["rule"]) == (1, 2, "big"), "200 of 150 with the second"
    assert "title" not in approval and "deadline" not in approval
    plan = await people.plan("paul", instance=instance_id)
    assert plan["approvals"]["rule"] == "big"
    for person in ("paul", "eve"):
        assert (await people.say(person, plan)).status_code == 200
    assert "failure" not in await people.ended(instance_id)


async def test_what_does_not_wait_has_no_rest(people: People) -> None:
    instance_id = await people.started(WAITING)
    waits = await people.call("paul", "POST", "/ext/plans", {"instance": instance_id})
    assert (waits.status_code, waits.json()["details"]) == (409, {"reason": "not_waiting"})
    await people.call("jane", "PUT", f"/instances/{instance_id}/abort")
    ended = await people.call("paul", "POST", "/ext/plans", {"instance": instance_id})
    assert (ended.status_code, ended.json()["details"]) == (409, {"reason": "ended"})
    assert (await people.call("paul", "POST", "/ext/plans", {"instance": "nothing"})).status_code == 404


async def test_a_case_that_was_approved_and_continued_is_certified_with_its_approvals(people: People) -> None:
    """The continuation keeps the plan that was approved before it."""
    workflow_id = await people.workflow(asks(approvals=2))
    dear = {**TO_JANE, "amount": "10001"}
    instance_id = (await people.data("jane", "POST", f"/workflows/{workflow_id}/instances", dear))["id"]
    await people.shown(instance_id)
    plan = await people.plan("paul", instance=instance_id)
    assert plan["verdict"] == "fails"
    for person in ("paul", "eve"):
        assert (await people.say(person, plan)).status_code == 200
    assert (await people.ended(instance_id))["failure"]["kind"] == "refused"
    await funded(people.live, 1_000)
    redriven = await people.data("jane", "POST", f"/ext/instances/{instance_id}/redrive", {"reason": "funded"})
    found = await people.ended(redriven["id"])
    assert "failure" not in found and found["planID"] == plan["id"]
    made = await people.data("jane", "POST", "/ext/certificates", {"instance": redriven["id"]})
    first, last = made["payload"]["instances"]
    assert [each["principal"] for each in first["approvals"][0]["decisions"]] == ["paul", "eve"]
    assert (first["plan"], last["plan"], "approvals" in last) == (plan["id"], plan["id"], False)


# scopes, ids, events


async def test_neither_scope_implies_the_other(people: People) -> None:
    plan, writes = await people.a_plan(), "orchestration:write"
    for scope in (writes, BOTH, "orchestration:read"):
        for verdict in ("approve", "reject"):
            assert (await people.say("paul", plan, verdict, scope=scope)).status_code == 403, scope
    path = f"/ext/plans/{plan['id']}"
    for method, path_of, body in (
        ("POST", f"{path}/run", {"hash": plan["hash"]}),
        ("POST", "/ext/plans", {"workflowID": plan["workflowID"], "variables": TO_JANE}),
        ("POST", f"/workflows/{plan['workflowID']}/instances", TO_JANE),
        ("POST", "/workflows", PAYING),
        ("GET", path, None),
    ):
        response = await people.call("paul", method, path_of, body, scope=APPROVE)
        assert response.status_code == 403 and "details" not in response.json(), (path_of, response.text)
    assert (await people.data("jane", "GET", path))["approvals"]["given"] == []
    assert (await people.say("paul", plan, scope=APPROVE)).status_code == 200


async def test_ids_may_be_written_in_other_spellings(people: People) -> None:
    instance_id = await people.waiting(asks())
    plan = await people.plan("paul", instance=instance_id.upper())
    assert plan["instance"] == instance_id
    spelled = {**plan, "id": plan["id"].upper()}
    response = await people.say("paul", spelled)
    assert (response.status_code, response.json()["data"]["id"]) == (200, plan["id"]), response.text
    assert "failure" not in await people.ended(instance_id)


async def test_no_event_of_a_caller_passes_for_an_approval(people: People) -> None:
    instance_id = await people.waiting(asks())
    path = f"/instances/{instance_id}/events"
    response = await people.call("jane", "POST", path, {"name": "headrace:approved"})
    assert response.status_code == 400 and response.json()["errorMessage"].startswith("name: must not begin with")
    assert (await people.call("jane", "POST", path, {"name": "approved"})).status_code == 204
    await asyncio.sleep(0.1)
    assert "approval" in await people.data("jane", "GET", f"/ext/instances/{instance_id}")


@pytest.mark.parametrize("verdict", ["approve", "reject"])
async def test_a_plan_that_does_not_exist(people: People, verdict: str) -> None:
    response = await people.say("paul", {"id": "nothing", "hash": "h"}, verdict)
    assert (response.status_code, response.json()["errorCode"]) == (404, "NOT_FOUND")
