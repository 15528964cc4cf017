"""Triggers from the definition to the occurrence, over HTTP."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from headrace.api.body_budget import SMALL_BYTES
from headrace.journal.port import Unit
from headrace.journal.writes import AddDeadLetter
from tests.api.conftest import SHORT, WAITING, Live, served

ECHO: dict[str, Any] = {"stages": [{"update": {"account": {"id": "users:${user}", "ledger": "main", "metadata": {}}}}]}
FROM_VARIABLE: dict[str, Any] = {
    "stages": [
        {
            "send": {
                "source": {"account": {"id": "${from}", "ledger": "main"}},
                "destination": {"account": {"id": "users:1", "ledger": "main"}},
                "amount": {"amount": "${amount}", "asset": "USD/2"},
            }
        }
    ]
}


def event(**members: Any) -> dict[str, Any]:
    return {"type": "E", "app": "a", "version": "v1", "date": "2024-05-01T10:00:00Z", "payload": {}, **members}


async def on(live: Live, workflow_id: str, **members: Any) -> str:
    response = await live.call("POST", "/triggers", {"event": "E", "workflowID": workflow_id, **members})
    assert response.status_code == 201, response.text
    return response.json()["data"]["id"]


async def send(live: Live, body: Any, status: int = 202, **options: Any) -> Any:
    response = await live.call("POST", "/ext/events", body, **options)
    assert response.status_code == status, response.text
    await live.dispatcher.idle()
    return response


async def occurrences(live: Live, trigger_id: str) -> list[Any]:
    response = await live.call("GET", f"/triggers/{trigger_id}/occurrences")
    assert response.status_code == 200
    return response.json()["data"]


async def test_an_event_starts_an_instance_with_its_variables(live: Live) -> None:
    await live.http.post("/api/ledger/v2/main", json={})
    workflow_id = await live.created(ECHO)
    trigger_id = await on(live, workflow_id, filter="event.ok", vars={"user": "event.user", "unused": "[1, 2.0]"})
    assert (await send(live, event(payload={"ok": True, "user": 10**30}))).json() == {
        "data": {"accepted": 1, "repeated": 0, "conflicting": 0}
    }
    await send(live, event(payload={"ok": False, "user": 2}))
    await send(live, event(type="OTHER", payload={"ok": True, "user": 3}))
    (found,) = await occurrences(live, trigger_id)
    assert found["event"] == {"ok": True, "user": 10**30}
    assert (await live.ended(found["workflowInstanceID"])).get("error") is None
    stored = await live.journal.instance(found["workflowInstanceID"])
    assert stored is not None and stored.started_by_trigger
    history = (await live.call("GET", f"/instances/{stored.id}/history")).json()["data"]
    assert history[0]["input"]["account"]["id"] == f"users:{10**30}"


async def test_a_repeated_event_starts_nothing_and_is_counted(live: Live) -> None:
    trigger_id = await on(live, await live.created(SHORT))
    for _ in range(3):
        await send(live, event(id="e1"))
    await send(live, [event(id="e1"), event(id="e2"), event(id="e2")])
    keyed = [await send(live, event(), headers={"Idempotency-Key": "k"}) for _ in range(2)]
    assert [response.headers.get("idempotency-hit") for response in keyed] == [None, "true"]
    assert keyed[0].content == keyed[1].content
    assert len(await occurrences(live, trigger_id)) == 3
    listed = (await live.call("GET", "/ext/events?repeated=true")).json()["data"]
    assert {row["key"]: row["repeats"] for row in listed} == {
        '["event","a","E","v1","e1"]': 3,
        '["event","a","E","v1","e2"]': 1,
        '["request","subject","anonymous","k"]': 1,
    }
    assert all("processedAt" in row and "lastRepeatAt" in row for row in listed)
    assert "headrace_events_repeated_total 5.0" in (await live.call("GET", "/metrics")).text


async def test_the_position_in_an_array_is_part_of_a_keyed_identity(live: Live) -> None:
    trigger_id = await on(live, await live.created(SHORT))
    for _ in range(2):
        await send(live, [event(), event()], headers={"Idempotency-Key": "k"})
    assert len(await occurrences(live, trigger_id)) == 2
    refused = await send(live, [event()], 400, headers={"Idempotency-Key": "k"})
    assert refused.json()["errorCode"] == "VALIDATION"


async def test_an_event_without_identity_is_new_every_time(live: Live) -> None:
    trigger_id = await on(live, await live.created(SHORT))
    for _ in range(2):
        await send(live, event())
    assert len(await occurrences(live, trigger_id)) == 2


async def test_many_deliveries_at_once_start_one_instance_each(live: Live) -> None:
    trigger_id = await on(live, await live.created(SHORT))
    bodies = [event(id=f"e{number % 20}") for number in range(200)]
    responses = await asyncio.gather(*(live.call("POST", "/ext/events", body) for body in bodies))
    assert {response.status_code for response in responses} == {202}
    await live.dispatcher.idle()
    found = await occurrences(live, trigger_id)
    assert len(found) == len({row["workflowInstanceID"] for row in found}) == 20


@pytest.mark.parametrize(
    "body",
    [None, [], "x", {}, [event(), {"type": "E"}], event(payload=[1]), event(id=True), event(type="")],
)
async def test_what_is_no_event_is_refused_as_a_whole(live: Live, body: Any) -> None:
    trigger_id = await on(live, await live.created(SHORT))
    response = await live.http.post("/api/orchestration/ext/events", json=body)
    assert response.status_code == 400
    assert response.json()["errorCode"] == "VALIDATION"
    assert await occurrences(live, trigger_id) == []


async def test_every_failed_match_leaves_an_occurrence_that_says_why(live: Live) -> None:
    workflow_id = await live.created(ECHO)
    missing = await on(live, workflow_id)
    failing = await on(live, workflow_id, vars={"user": "event.a.b"})
    nothing = await on(live, workflow_id, vars={"user": "event.a"})
    endless = await on(live, workflow_id, filter="all(1..1000, all(1..1000, all(1..1000, true)))")
    await send(live, event())
    errors = [(await occurrences(live, trigger_id))[0]["error"] for trigger_id in (missing, failing, nothing, endless)]
    assert errors[0] == "variables: no value for user"
    assert "user: cannot fetch b from" in errors[1] and "(1:9)" in errors[1]
    assert "user: gives nil" in errors[2]
    assert errors[3].startswith("filter: ") and "budget" in errors[3]


async def test_a_filter_that_cannot_be_evaluated_does_not_match_and_is_counted(live: Live) -> None:
    trigger_id = await on(live, await live.created(SHORT), filter="event.a.b == 1")
    good = await on(live, await live.created(SHORT))
    await send(live, event())
    assert await occurrences(live, trigger_id) == []
    assert len(await occurrences(live, good)) == 1
    assert "headrace_trigger_filter_failures_total 1.0" in (await live.call("GET", "/metrics")).text
    assert "processedAt" in (await live.call("GET", "/ext/events")).json()["data"][0]


async def test_a_deleted_workflow_starts_nothing_and_its_triggers_say_so(live: Live) -> None:
    workflow_id = await live.created(SHORT)
    trigger_id = await on(live, workflow_id)
    assert (await live.call("DELETE", f"/workflows/{workflow_id}")).status_code == 204
    await send(live, event())
    (found,) = await occurrences(live, trigger_id)
    assert "deleted" in found["error"] and workflow_id in found["error"]
    refused = await live.call("POST", "/triggers", {"event": "E", "workflowID": workflow_id})
    assert refused.status_code == 400


async def test_a_deleted_trigger_starts_nothing_and_its_occurrences_stay(live: Live) -> None:
    trigger_id = await on(live, await live.created(SHORT), name="gone")
    await send(live, event())
    assert (await live.call("DELETE", f"/triggers/{trigger_id}")).status_code == 204
    await send(live, event())
    assert len(await occurrences(live, trigger_id)) == 1
    assert (await live.call("GET", f"/triggers/{trigger_id}")).status_code == 404
    assert (await live.call("DELETE", f"/triggers/{trigger_id}")).status_code == 404
    assert (await live.call("GET", "/triggers")).json() == {"data": []}
    assert (await live.call("GET", "/triggers/unknown/occurrences")).status_code == 404


async def test_a_trigger_made_after_an_event_does_not_fire_on_its_repeats(live: Live) -> None:
    await send(live, event(id="early"))
    trigger_id = await on(live, await live.created(SHORT))
    await send(live, event(id="early"))
    assert await occurrences(live, trigger_id) == []


async def test_versions_names_and_independent_triggers(live: Live) -> None:
    workflow_id = await live.created(SHORT)
    expected = {
        await on(live, workflow_id): 2,
        await on(live, workflow_id, event="A.e"): 2,
        await on(live, workflow_id, version="2"): 1,
        await on(live, workflow_id, version="v3"): 0,
        await on(live, workflow_id, event="e"): 0,
    }
    await send(live, [event(), event(version="2.0.0")])
    assert {one: len(await occurrences(live, one)) for one in expected} == expected


async def test_event_data_may_not_name_world_as_a_source(live: Live) -> None:
    await live.http.post("/api/ledger/v2/main", json={})
    workflow_id = await live.created(FROM_VARIABLE)
    trigger_id = await on(live, workflow_id, vars={"from": "event.from", "amount": "'5'"})
    await send(live, event(payload={"from": "world"}))
    (found,) = await occurrences(live, trigger_id)
    assert "world" in (await live.ended(found["workflowInstanceID"]))["error"]


async def test_a_loop_of_triggers_ends(live: Live) -> None:
    """Each transaction of ours is an event that starts the next."""
    await live.http.post("/api/ledger/v2/main", json={})
    credit = {
        "stages": [
            {
                "send": {
                    "source": {"account": {"id": "world", "ledger": "main"}},
                    "destination": {"account": {"id": "users:1", "ledger": "main"}},
                    "amount": {"amount": 1, "asset": "USD/2"},
                }
            }
        ]
    }
    workflow_id = await live.created(credit)
    trigger_id = await on(live, workflow_id, event="ledger.committed_transactions")
    await live.started(workflow_id)
    found: list[Any] = []
    while not found or "error" not in found[0]:
        await asyncio.sleep(0.01)
        found = await occurrences(live, trigger_id)
    assert len(found) == 9
    assert "a loop" in found[0]["error"]


@pytest.mark.parametrize("name", ["SUCCEEDED_WORKFLOW", "orchestration.succeeded_workflow"])
async def test_a_trigger_on_an_event_of_headrace_wants_it_from_its_own_commit(live: Live, name: str) -> None:
    ended = await live.created(SHORT)
    await live.ended(await live.started(ended))
    assert await live.journal.outbox_end() == 0
    trigger_id = await on(live, await live.created(WAITING), event=name)
    await live.ended(await live.started(ended))
    assert await live.journal.outbox_end() == 1
    async with asyncio.timeout(10):
        while not await occurrences(live, trigger_id):
            await asyncio.sleep(0.01)


async def test_a_repeated_creation_makes_one_trigger(live: Live) -> None:
    body = {"event": "E", "workflowID": await live.created(SHORT), "vars": {"a": "'1'"}}
    first, second = [await live.call("POST", "/triggers", body, headers={"Idempotency-Key": "once"}) for _ in range(2)]
    assert first.content == second.content and second.headers["idempotency-hit"] == "true"
    assert len((await live.call("GET", "/triggers")).json()["data"]) == 1


async def test_what_is_listed_and_echoed(live: Live) -> None:
    workflow_id = await live.created(WAITING)
    given = {"event": "E", "workflowID": workflow_id, "vars": {"b": "'1'", "a": "event.x"}, "version": "v2"}
    created = (await live.call("POST", "/triggers", given)).json()["data"]
    assert {name: created[name] for name in given} == given
    assert list(created["vars"]) == ["b", "a"]
    assert (created["name"], "filter" in created) == ("", False)
    named = await on(live, workflow_id, name="Top-Up ÄÖ", filter="true")
    for query, ids in (
        ("?name=", [named, created["id"]]),
        ("?name=p-u", [named]),
        ("?name=äö", [named]),
        ("?name=z", []),
    ):
        listed = (await live.call("GET", f"/triggers{query}")).json()["data"]
        assert [row["id"] for row in listed] == ids, query


async def test_a_trigger_can_be_tried_out(live: Live) -> None:
    trigger_id = await on(
        live, await live.created(SHORT), filter="event.a > 1", vars={"x": "event.a", "y": "event.b.c"}
    )
    path = f"/v2/triggers/{trigger_id}/test"
    told = (await live.call("POST", path, {"a": 2})).json()["data"]
    assert told["filter"] == {"match": True}
    assert told["variables"]["x"] == {"value": "2"}
    assert "cannot fetch c from" in told["variables"]["y"]["error"]
    assert (await live.call("POST", path, {"a": 1})).json()["data"]["filter"] == {"match": False}
    assert "error" in (await live.call("POST", path, {"a": "1"})).json()["data"]["filter"]
    assert (await live.call("POST", path, [1])).status_code == 400
    assert (await live.call("POST", "/v2/triggers/unknown/test", {})).status_code == 404
    assert await occurrences(live, trigger_id) == []


async def test_there_is_a_soft_limit(tmp_path: Any) -> None:
    async with served(tmp_path, max_triggers=1) as live:
        workflow_id = await live.created(SHORT)
        first = await on(live, workflow_id)
        body = {"event": "E", "workflowID": workflow_id}
        assert (await live.call("POST", "/triggers", body)).status_code == 400
        await live.call("DELETE", f"/triggers/{first}")
        await on(live, workflow_id)


async def test_a_hostile_event_harms_nobody(live: Live) -> None:
    trigger_id = await on(live, await live.created(SHORT), vars={"a": "string(event)"})
    deep: Any = {}
    for _ in range(70):
        deep = {"a": deep}
    assert (await live.call("POST", "/ext/events", event(payload=deep))).status_code == 400
    await send(live, event(payload={"a" * 1_000: "\\ud800" * 9, "b": "x" * 500_000}))
    assert "error" in (await occurrences(live, trigger_id))[0]
    await send(live, event(payload={"c": 10**999}))
    assert len(await occurrences(live, trigger_id)) == 2


async def test_a_pay_in_of_the_sandbox_credits_a_wallet_once(live: Live) -> None:
    wallet = (await live.http.post("/api/wallets/wallets", json={"name": "w", "metadata": {}})).json()["data"]["id"]
    top_up = {
        "stages": [
            {
                "send": {
                    "source": {"payment": {"id": "${payment}"}},
                    "destination": {"wallet": {"id": wallet}},
                    "amount": {"amount": "${amount}", "asset": "${asset}"},
                }
            }
        ]
    }
    trigger_id = await on(
        live,
        await live.created(top_up),
        event="SAVED_PAYMENT",
        version="v3",
        filter='event.type == "PAY-IN" and event.status == "SUCCEEDED"',
        vars={"payment": "event.id", "amount": "event.amount", "asset": "event.asset"},
    )
    pay_in = {"connectorID": "c", "createdAt": "2024-05-01T10:00:00Z", "amount": 10**25, "asset": "USD/2"}
    pay_in |= {"type": "PAY-IN", "status": "SUCCEEDED", "scheme": "visa"}
    for reference, kind in (("p1", "PAY-IN"), ("p2", "PAYOUT"), ("p1", "PAY-IN")):
        await live.http.post("/api/payments/payments", json={**pay_in, "reference": reference, "type": kind})
    found: list[Any] = []
    while not found:
        await asyncio.sleep(0.01)
        found = await occurrences(live, trigger_id)
    assert "error" not in await live.ended(found[0]["workflowInstanceID"])
    assert len(await occurrences(live, trigger_id)) == 1
    shown = (await live.http.get(f"/api/wallets/wallets/{wallet}")).json()["data"]
    assert shown["balances"]["main"]["assets"] == {"USD/2": 10**25}


async def test_events_of_ours_that_were_set_aside_are_listed(live: Live) -> None:
    unit = Unit()
    body = '{"type":"STARTED_WORKFLOW","payload":{"id":"w","instanceID":"i"}}'
    unit.add(
        AddDeadLetter(
            publisher="webhook:shop",
            event_id="j:7",
            type="STARTED_WORKFLOW",
            body=body,
            reason="answered 500",
            at=1_714_557_600_000_000,
        )
    )
    await live.journal.commit(unit)
    assert (await live.call("GET", "/ext/events/set-aside")).json() == {
        "data": [
            {
                "id": "j:7",
                "publisher": "webhook:shop",
                "reason": "answered 500",
                "setAsideAt": "2024-05-01T10:00:00.000000Z",
                "event": json.loads(body),
            }
        ]
    }


async def test_a_link_that_hangs_while_a_trigger_is_tried_out_holds_up_no_definitions(tmp_path: Path) -> None:
    asked, opens = asyncio.Semaphore(0), asyncio.Event()

    async def fetch(uri: str, /) -> Any:
        asked.release()
        await opens.wait()
        return {"ok": True}

    payload = {"links": [{"name": "a", "uri": "http://slow.example.com/"}], "padding": "x" * SMALL_BYTES}
    async with served(tmp_path, fetch=fetch) as live, asyncio.timeout(20):
        workflow_id = await live.created(WAITING)
        trigger_id = await on(live, workflow_id, filter='link(event, "a").ok')
        trials = [
            asyncio.ensure_future(live.call("POST", f"/v2/triggers/{trigger_id}/test", payload)) for _ in range(2)
        ]
        await asked.acquire()
        await asked.acquire()
        try:
            async with asyncio.timeout(5):
                await on(live, workflow_id, vars={"text": json.dumps("x" * 2_000)})
        finally:
            opens.set()
        assert [(await trial).json()["data"]["filter"] for trial in trials] == [{"match": True}] * 2
