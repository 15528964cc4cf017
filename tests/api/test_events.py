"""Events over HTTP: what each is known by, repeats and conflicts, CloudEvents, a provider's raw bodies."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
import structlog

from headrace.clock import SystemClock
from headrace.journal.port import Unit
from headrace.journal.writes import AcceptEvent, ProcessEvent
from tests.api.conftest import SHORT, Live, served
from tests.api.test_triggers import event, occurrences, on, send
from tests.support.tokens import Documents, authenticator_of, claims_of, published, signed


def counts(response: Any) -> tuple[int, int, int]:
    data = response.json()["data"]
    return data["accepted"], data["repeated"], data["conflicting"]


def forget_answers(journal_file: Path) -> None:
    """As after some days: then only the inbox knows what was sent under a key."""
    with contextlib.closing(sqlite3.connect(journal_file)) as connection, connection:
        connection.execute("DELETE FROM caller_keys")


async def metric(live: Live, name: str) -> float:
    lines = (await live.call("GET", "/metrics")).text.splitlines()
    return next(float(line.split()[1]) for line in lines if line.split()[0] == name)


# identity


async def test_an_event_with_an_idempotency_key_starts_one_run(live: Live) -> None:
    trigger_id = await on(live, await live.created(SHORT))
    first = event(idempotency_key="k1", payload={"amount": 100, "asset": "USD/2"})
    respelt = {"payload": {"asset": "USD\\u002f2", "amount": 100}, "date": "2030-01-01T00:00:00Z"}
    again = json.dumps({**first, **respelt}, indent=2).replace("\\\\u", "\\u").encode()
    assert counts(await send(live, first)) == (1, 0, 0)
    response = await live.http.post(f"{live.prefix}/ext/events", content=again)
    assert counts(response) == (1, 1, 0)
    assert counts(await send(live, event(id="k1", payload=first["payload"]))) == (1, 1, 0)
    await live.dispatcher.idle()
    assert len(await occurrences(live, trigger_id)) == 1


async def test_two_senders_may_use_the_same_id(live: Live) -> None:
    """Of another app, type or version it is another event."""
    trigger_id = await on(live, await live.created(SHORT))
    other_id = await on(live, await live.created(SHORT), event="F")
    for members in ({}, {"app": "b"}, {"version": "v2"}, {"type": "F"}):
        assert counts(await send(live, event(id="8815", payload=members, **members))) == (1, 0, 0)
    assert (len(await occurrences(live, trigger_id)), len(await occurrences(live, other_id))) == (3, 1)


async def test_an_empty_identity_is_none(live: Live) -> None:
    trigger_id = await on(live, await live.created(SHORT))
    for _ in range(2):
        assert counts(await send(live, event(id="", idempotency_key=""))) == (1, 0, 0)
    assert len(await occurrences(live, trigger_id)) == 2


async def test_an_entry_of_a_batch_is_no_event_that_was_sent_alone(live: Live) -> None:
    """The second entry under `K`, and one event under `K:1`."""
    trigger_id = await on(live, await live.created(SHORT))
    await send(live, [event(), event()], headers={"Idempotency-Key": "K"})
    assert counts(await send(live, event(), headers={"Idempotency-Key": "K:1"})) == (1, 0, 0)
    assert len(await occurrences(live, trigger_id)) == 3


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"client_id": "app", "sub": "s"}, {"client_id": "other", "sub": "s"}),
        ({"client_id": None, "sub": "s"}, {"client_id": None, "sub": "t"}),
        ({"client_id": "s", "sub": "x"}, {"client_id": None, "sub": "s"}),
    ],
)
async def test_a_callers_key_names_its_own_events_only(tmp_path: Path, one: Any, other: Any) -> None:
    async with served(tmp_path, authenticator=authenticator_of(Documents(published("k1")), SystemClock())) as live:
        keys: list[str] = []
        for claims in (one, other):
            token = {"Authorization": f"Bearer {signed(claims_of(**claims))}"}
            body = event(payload={"number": len(keys)})
            response = await live.call("POST", "/ext/events", body, headers={**token, "Idempotency-Key": "K"})
            assert counts(response) == (1, 0, 0)
            forget_answers(tmp_path / "journal.db")
            listed = await live.call("GET", "/ext/events", headers=token)
            keys = [row["key"] for row in listed.json()["data"]]
        assert len(set(keys)) == 2, keys


@pytest.mark.parametrize(("body", "old_key"), [(event(), "key:K"), ([event(type="F"), event()], "key:K:1")])
async def test_what_release_0_1_0_knew_by_a_callers_key_is_a_repeat(live: Live, body: Any, old_key: str) -> None:
    unit = Unit()
    unit.add(
        AcceptEvent(
            key=old_key,
            type="E",
            envelope='{"type":"E","payload":{}}',
            received_at=5,
            depth=0,
            fingerprint=None,
            place=None,
            conflict_key="",
            old_key=None,
        )
    )
    unit.add(ProcessEvent(at=6, seq=1))
    await live.journal.commit(unit)
    assert counts(await send(live, body, headers={"Idempotency-Key": "K"}))[1:] == (1, 0)


# conflicts


async def test_a_known_identity_with_another_payload_is_a_conflict_that_everyone_sees(live: Live) -> None:
    workflow_id = await live.created(SHORT)
    on_it = await on(live, workflow_id, filter="event.amount > 0")
    not_on_it = await on(live, workflow_id, filter="event.amount > 1000")
    await send(live, event(id="e1", payload={"amount": 7}))
    batch = [
        event(id="new", payload={"amount": 1}),
        event(id="e1", payload={"amount": 8}),
        event(id="e1", payload={"amount": 7}),
    ]
    with structlog.testing.capture_logs() as lines:
        response = await send(live, batch)
        again = await send(live, event(id="e1", payload={"amount": 8}))
    known = '["event","a","E","v1","e1"]'
    assert response.json()["data"] == {
        "accepted": 2,
        "repeated": 1,
        "conflicting": 1,
        "conflicts": [{"entry": 1, "key": known}],
    }
    assert counts(again) == (0, 0, 1)
    found = await occurrences(live, on_it)
    assert [(row["event"]["amount"], row.get("error")) for row in found] == [
        (8, f"conflict: an event with the identity {known} was accepted before, with another payload"),
        (1, None),
        (7, None),
    ]
    assert await occurrences(live, not_on_it) == []
    assert await metric(live, "headrace_events_conflicting_total") == 1
    assert await metric(live, "headrace_events_repeated_total") == 2
    warned = [line for line in lines if line["log_level"] == "warning" and line.get("first_key") == known]
    assert len(warned) == 1 and "another payload" in warned[0]["event"] and "amount" not in str(warned)
    (listed,) = (await live.call("GET", "/ext/events?conflicting=true")).json()["data"]
    assert (listed["conflictsWith"], listed["repeats"]) == (known, 1)


async def test_conflicting_deliveries_at_once_start_one_run(live: Live) -> None:
    trigger_id = await on(live, await live.created(SHORT))
    bodies = [event(id="e1", payload={"amount": number % 4}) for number in range(40)]
    responses = await asyncio.gather(*(live.call("POST", "/ext/events", body) for body in bodies))
    await live.dispatcher.idle()
    found = await occurrences(live, trigger_id)
    assert sorted("error" in row for row in found) == [False, True, True, True]
    assert sum(counts(response)[2] for response in responses) == 30


async def test_the_answer_to_a_key_is_the_one_that_was_given(live: Live) -> None:
    """Counted inside the commit that stores it."""
    await send(live, event(id="e1", payload={"amount": 7}))
    batch = [event(id="e1", payload={"amount": 7}), event(id="e1", payload={"amount": 8}), event(id="e2")]
    responses = [await send(live, batch, headers={"Idempotency-Key": "k"}) for _ in range(2)]
    assert counts(responses[0]) == (2, 1, 1)
    assert responses[0].content == responses[1].content and responses[1].headers["idempotency-hit"] == "true"


async def test_an_event_that_came_back_from_a_webhook_is_a_repeat(live: Live) -> None:
    own = {"Headrace-Event": f"{await live.journal.identity()}:1"}
    assert counts(await send(live, event(), headers=own)) == (1, 1, 0)
    assert (await live.call("GET", "/ext/events")).json() == {"data": []}


# integers of any length


async def test_an_event_with_endless_volumes_starts_what_asks_for_its_amount(live: Live) -> None:
    workflow_id = await live.created(SHORT)
    modest = await on(live, workflow_id, filter="event.amount == 7", vars={"amount": "event.amount"})
    greedy = await on(live, workflow_id, vars={"amount": "event.volumes.input"})
    counting = await on(live, workflow_id, vars={"amount": "event.volumes.input + 1"})
    comparing = await on(live, workflow_id, filter="event.volumes.input > 1")
    digits = "9" * 6_000
    body = json.dumps(event(id="e1", payload={"amount": 7, "volumes": {"input": 0}})).replace(": 0}", f": {digits}}}")
    for _ in range(2):
        response = await live.http.post(f"{live.prefix}/ext/events", content=body.encode())
        assert response.status_code == 202, response.text
    await live.dispatcher.idle()
    (fired,) = await occurrences(live, modest)
    assert "error" not in fired and fired["event"] == {"amount": 7, "volumes": {"input": digits}}
    for trigger_id in (greedy, counting):
        (failed,) = await occurrences(live, trigger_id)
        assert "integer of more than 1000 digits" in failed["error"]
    assert await occurrences(live, comparing) == []
    content = json.dumps({"amount": 7, "volumes": {"input": 0}}).replace(": 0}", f": {digits}}}").encode()
    tried = await live.http.post(f"{live.prefix}/v2/triggers/{comparing}/test", content=content)
    assert "integer of more than 1000 digits > int" in tried.json()["data"]["filter"]["error"]


# CloudEvents

CLOUD: dict[str, Any] = {"specversion": "1.0", "id": "c1", "source": "/bank", "type": "paid", "data": {"amount": 7}}


async def test_a_cloud_event_is_one_event_in_every_form(live: Live) -> None:
    workflow_id = await live.created(SHORT)
    bare = await on(live, workflow_id, event="paid", filter="event.amount == 7")
    qualified = await on(live, workflow_id, event="/bank.paid")
    attributes = {f"ce-{name}": str(value) for name, value in CLOUD.items() if name != "data"}
    forms: list[tuple[Any, dict[str, str]]] = [
        (CLOUD, {"Content-Type": "application/cloudevents+json; charset=utf-8"}),
        ([CLOUD, {**CLOUD, "id": "c2"}], {"Content-Type": "application/cloudevents-batch+json"}),
        (CLOUD["data"], {"Content-Type": "application/json", **attributes}),
        (CLOUD, {"Content-Type": "application/json"}),
    ]
    found = [counts(await send(live, body, headers=headers)) for body, headers in forms]
    assert found == [(1, 0, 0), (2, 1, 0), (1, 1, 0), (1, 1, 0)]
    assert len(await occurrences(live, bare)) == len(await occurrences(live, qualified)) == 2
    changed = await send(live, {**CLOUD, "data": {"amount": 8}}, headers=forms[0][1])
    assert counts(changed) == (0, 0, 1)


@pytest.mark.parametrize(
    ("body", "media_type", "says"),
    [
        ({**CLOUD, "specversion": "0.3"}, "application/cloudevents+json", "body.specversion"),
        (event(), "application/cloudevents+json", "body.specversion"),
        ([CLOUD], "application/cloudevents+json", "body: "),
        ([], "application/cloudevents-batch+json", "body: "),
        (CLOUD, "application/cloudevents-batch+json", "body: "),
        ([CLOUD, {**CLOUD, "data": 1}], "application/cloudevents-batch+json", "body[1].data"),
        ({**CLOUD, "data_base64": "e30="}, "application/json", "body.data_base64"),
    ],
)
async def test_a_cloud_event_that_is_none_is_refused_by_name(live: Live, body: Any, media_type: str, says: str) -> None:
    response = await send(live, body, 400, headers={"Content-Type": media_type})
    assert says in response.json()["errorMessage"]
    assert (await live.call("GET", "/ext/events")).json() == {"data": []}


@pytest.mark.parametrize("lacking", ["ce-id", "ce-type", "ce-source"])
async def test_a_binary_cloud_event_lacks_nothing(live: Live, lacking: str) -> None:
    headers = {"ce-specversion": "1.0", "ce-id": "1", "ce-type": "paid", "ce-source": "/bank"}
    del headers[lacking]
    response = await send(live, {"amount": 7}, 400, headers=headers)
    assert lacking.removeprefix("ce-") in response.json()["errorMessage"]


async def test_the_content_type_of_a_structured_event_wins_over_copied_attributes(live: Live) -> None:
    """CloudEvents over HTTP, 3.2.2: a structured event may carry the headers of binary mode as well."""
    headers = {"ce-specversion": "1.0", "ce-id": "c1", "ce-type": "paid", "ce-source": "/bank"}
    structured = {"Content-Type": "application/cloudevents+json", **headers}
    batch = {"Content-Type": "application/cloudevents-batch+json", **headers}
    found = [
        counts(await send(live, CLOUD, headers=structured)),
        counts(await send(live, [CLOUD], headers=batch)),
        counts(await send(live, CLOUD["data"], headers=headers)),
    ]
    assert found == [(1, 0, 0), (1, 1, 0), (1, 1, 0)]


async def test_attributes_in_headers_are_text(live: Live) -> None:
    headers: dict[str, Any] = {"ce-specversion": "1.0", "ce-id": "\u00e9".encode(), "ce-type": "t", "ce-source": "/s"}
    assert counts(await send(live, {"a": 1}, headers=headers)) == (1, 0, 0)
    assert counts(await send(live, {"a": 1}, headers={**headers, "ce-id": "%C3%A9"})) == (1, 1, 0)
    for wrong in (b"\xe9", "%00", "%ff"):
        response = await send(live, {"a": 1}, 400, headers={**headers, "ce-id": wrong})
        assert response.json()["errorMessage"].startswith("ce-id: ")


# a provider's body

STRIPE: dict[str, Any] = {"id": "evt_1", "type": "charge.succeeded", "data": {"object": {"id": "ch_1", "amount": 7}}}


async def raw(live: Live, query: str, body: Any = STRIPE, status: int = 202, **headers: str) -> Any:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    response = await live.call("POST", f"/ext/events?{query}", body, headers=named)
    assert response.status_code == status, response.text
    await live.dispatcher.idle()
    return response


async def test_a_providers_body_is_the_payload_of_an_event(live: Live) -> None:
    workflow_id = await live.created(SHORT)
    named = await on(live, workflow_id, event="stripe.paid", vars={"charge": "event.data.object.id"}, version="v1")
    pointed = await on(live, workflow_id, event="charge.succeeded")
    for expected in ((1, 0, 0), (1, 1, 0)):
        assert counts(await raw(live, "app=stripe&type=PAID&version=v1&id=/id")) == expected
        assert counts(await raw(live, "app=stripe&type=/type&id=/data/object/id")) == expected
    assert counts(await raw(live, "app=stripe&type=PAID&version=v1&id=/id", {**STRIPE, "more": 1})) == (0, 0, 1)
    conflict, fired = await occurrences(live, named)
    assert "conflict" in conflict["error"] and fired["event"] == STRIPE
    assert len(await occurrences(live, pointed)) == 1
    keys = [row["key"] for row in (await live.call("GET", "/ext/events")).json()["data"]]
    assert keys[1:] == ['["event","stripe","charge.succeeded","","ch_1"]', '["event","stripe","PAID","v1","evt_1"]']


@pytest.mark.parametrize(
    ("pointer", "found"),
    [("/a~1b", "1"), ("/m~0n", "2"), ("/list/1/id", "3"), ("/%C3%A9", "4"), ("/number", str(10**30)), ("/", "5")],
)
async def test_a_pointer_is_one_of_rfc_6901(live: Live, pointer: str, found: str) -> None:
    body = {"a/b": "1", "m~n": "2", "list": [{}, {"id": "3"}], "\u00e9": "4", "number": 10**30, "": "5"}
    await raw(live, f"type=T&id={pointer}", body)
    listed = (await live.call("GET", "/ext/events")).json()["data"]
    assert [row["key"] for row in listed] == [f'["event","","T","","{found}"]']


@pytest.mark.parametrize(
    ("query", "body", "field"),
    [
        ("type=T&id=id", STRIPE, "id"), ("type=T&id=/nothing", STRIPE, "id"), ("type=T&id=/data", STRIPE, "id"),
        ("type=T&id=/data/9", STRIPE, "id"), ("type=T&id=/list/01", {"list": [1, 2]}, "id"),
        ("type=T&id=/list/-", {"list": [1, 2]}, "id"), ("type=T&id=/a", {"a": ""}, "id"),
        ("type=T&id=/a", {"a": "x" * 513}, "id"), ("type=T&id=/a", {"a": True}, "id"),
        ("type=T&id=/a", {"a": 1.5}, "id"),
        ("type=T&id=/a/b", {"a": None}, "id"), ("type=T&id=" + "/a" * 600, STRIPE, "id"),
        ("app=stripe&id=/id", STRIPE, "type"), ("id=/id", STRIPE, "type"), ("type=/id/x&id=/id", STRIPE, "type"),
        ("type=/none&id=/id", STRIPE, "type"), ("app=" + "x" * 1_025 + "&type=T&id=/id", STRIPE, "app"),
        ("type=" + "x" * 1_025 + "&id=/id", STRIPE, "type"), ("type=T&id=/0", [STRIPE], "body"),
        ("type=T&id=/id", "x", "body"), ("type=T&id=", STRIPE, "id"), ("type=T&id=/id&id=/type", STRIPE, "id"),
        ("type=T&type=U&id=/id", STRIPE, "type"), ("type=T&app=%00&id=/id", STRIPE, "app"),
        ("type=%ff&id=/id", STRIPE, "type"), ("type=T&id=/a~2b", {"a~2b": "1"}, "id"),
        ("type=T&id=/a~", {"a~": "1"}, "id"),
    ],
)  # fmt: skip
async def test_what_a_parameter_cannot_find_is_refused_by_its_name(
    live: Live, query: str, body: Any, field: str
) -> None:
    response = await raw(live, query, body, 400)
    assert response.json()["errorMessage"].startswith(f"{field}: ")
    assert (await live.call("GET", "/ext/events")).json() == {"data": []}


async def test_parameters_of_raw_bodies_are_refused_with_a_cloud_event(live: Live) -> None:
    response = await raw(live, "type=T", CLOUD, 400, Content_Type="application/cloudevents+json")
    assert response.json()["errorMessage"].startswith("type: ")


async def test_a_raw_body_without_an_id_is_known_by_the_callers_key(live: Live) -> None:
    trigger_id = await on(live, await live.created(SHORT), event="T")
    for _ in range(2):
        await raw(live, "type=T", {"a": 1}, Idempotency_Key="k")
    assert len(await occurrences(live, trigger_id)) == 1
