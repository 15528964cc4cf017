"""The operations below `/ext`: queries, pages, typed rows, and events sent exactly, under one key."""

from __future__ import annotations

import asyncio
import inspect
import json
from datetime import UTC, datetime, timedelta, timezone
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


# events


async def ext(caller: Any, method: str, **arguments: Any) -> Any:
    bound = getattr(caller.client.orchestration.ext, method)
    if inspect.iscoroutinefunction(bound):
        return await bound(**arguments)
    return await asyncio.to_thread(lambda: bound(**arguments))


EVENT = {"type": "SAVED_PAYMENT", "app": "payments", "id": "e1", "payload": {"amount": 10**30}}


@pytest.mark.parametrize(
    ("events", "sent"),
    [
        (EVENT, EVENT),
        ([EVENT, {"type": "B", "payload": {}}], [EVENT, {"type": "B", "payload": {}}]),
        (api.Event(type="SAVED_PAYMENT", app="payments", id="e1", payload={"amount": 10**30}), EVENT),
        (
            [api.Event(type="B", payload={}, idempotency_key="k", date=SINCE)],
            [{"type": "B", "payload": {}, "idempotency_key": "k", "date": "2024-05-01T10:00:00+02:00"}],
        ),
    ],
    ids=["one", "several", "typed", "typed list"],
)
async def test_events_are_sent_exactly(stub: Any, caller: Any, events: Any, sent: Any) -> None:
    conflicts = [{"entry": 3, "key": '["payments","SAVED_PAYMENT","","e1"]'}]
    stub.data({"accepted": 2, "repeated": 1, "conflicting": 1, "conflicts": conflicts, "later": 1}, 202)
    answer = (await ext(caller, "send_events", events=events)).data
    assert answer == api.SentEvents(2, 1, 1, [api.EventConflict(3, '["payments","SAVED_PAYMENT","","e1"]')])
    (seen,) = stub.seen
    assert (seen.method, seen.target, seen.json) == ("POST", "/api/orchestration/ext/events", sent)
    assert seen.headers["content-type"] == "application/json"
    assert seen.headers["idempotency-key"]


async def test_bytes_are_sent_as_they_are(stub: Any, caller: Any) -> None:
    """An integer that json cannot write: more digits than Python turns into text."""
    body = b'{"type": "A",  "payload": {"volume": ' + b"9" * 5_000 + b"}}"
    stub.data({"accepted": 1}, 202)
    answer = (await ext(caller, "send_events", events=body, idempotency_key="mine")).data
    assert answer == api.SentEvents(1, 0, 0, [])  # release 0.1.0 answers no more than this
    assert stub.seen[0].body == body
    assert stub.seen[0].headers["content-type"] == "application/json"
    assert stub.seen[0].headers["idempotency-key"] == "mine"


@pytest.mark.parametrize("events", ["text", 1, [1], ["a"], None, True])
async def test_what_is_no_event_is_refused_before_it_is_sent(stub: Any, caller: Any, events: Any) -> None:
    with pytest.raises(api.InvalidRequest, match="SendEventsRequest"):
        await ext(caller, "send_events", events=events)
    assert stub.seen == []


async def test_bytes_are_no_text_of_another_request(stub: Any, caller: Any) -> None:
    with pytest.raises(api.InvalidRequest, match="bytes"):
        await caller("get_workflow", flow_id=b"w1")
    assert stub.seen == []


async def test_events_sent_again_keep_their_key(stub: Any, new_caller: Any) -> None:
    hooks = api.Hooks(sleep=lambda _: None, sleep_async=lambda _: asyncio.sleep(0))
    caller = new_caller(hooks=hooks, retry_config=api.RetryConfig())
    stub.answer(503, {"errorCode": "INTERNAL", "errorMessage": "later"})
    stub.drop()
    stub.data({"accepted": 1, "repeated": 1, "conflicting": 0}, 202)
    assert (await ext(caller, "send_events", events=EVENT)).data.repeated == 1
    assert len({request.headers["idempotency-key"] for request in stub.seen}) == 1
    assert [request.body for request in stub.seen] == [stub.seen[0].body] * 3


async def test_a_lost_answer_carries_the_key(stub: Any, caller: Any) -> None:
    stub.drop()
    with pytest.raises(api.ConnectionFailure) as lost:
        await ext(caller, "send_events", events=EVENT)
    assert lost.value.idempotency_key == stub.seen[0].headers["idempotency-key"]


async def test_received_events(stub: Any, caller: Any) -> None:
    full = {"key": "k", "type": "A", "receivedAt": NOW, "processedAt": NOW, "repeats": 2, "lastRepeatAt": NOW}
    stub.data([{**full, "conflictsWith": "c"}, {"key": "l", "type": "B", "receivedAt": NOW, "repeats": 0}])
    first, second = (await ext(caller, "list_events", repeated=True, conflicting=False)).data
    at = datetime.fromisoformat(NOW)
    assert first == api.ReceivedEvent(
        key="k", type="A", received_at=at, processed_at=at, repeats=2, last_repeat_at=at, conflicts_with="c"
    )
    assert second == api.ReceivedEvent(key="l", type="B", received_at=at)
    assert stub.targets == ["/api/orchestration/ext/events?repeated=true&conflicting=false"]


async def test_dead_letters(stub: Any, caller: Any) -> None:
    row = {"id": "e", "publisher": "webhook:shop", "reason": "410", "setAsideAt": NOW, "event": {"amount": 10**30}}
    stub.data([row])
    (letter,) = (await ext(caller, "list_dead_letters")).data
    assert letter == api.DeadLetter("e", "webhook:shop", "410", datetime.fromisoformat(NOW), {"amount": 10**30})
    assert stub.targets == ["/api/orchestration/ext/events/set-aside"]


async def test_dead_letters_are_replayed(stub: Any, caller: Any) -> None:
    full = {"publisher": "p", "delivered": ["a"], "refused": [{"id": "b", "reason": "410"}], "left": 1}
    stub.data({**full, "unreachable": "away"})
    stub.data({"publisher": "p", "delivered": [], "refused": [], "left": 0})
    found = (await ext(caller, "replay_dead_letters", request_body={"publisher": "p", "ids": ["a", "b", "c"]})).data
    refused = [api.RefusedDeadLetter("b", "410")]
    assert found == api.Replay(publisher="p", delivered=["a"], refused=refused, left=1, unreachable="away")
    found = (await ext(caller, "replay_dead_letters", request_body={"publisher": "p"})).data
    assert found == api.Replay(publisher="p", delivered=[], refused=[], left=0)
    assert stub.targets == ["/api/orchestration/ext/events/set-aside/replay"] * 2
    assert [json.loads(request.body) for request in stub.seen] == [
        {"publisher": "p", "ids": ["a", "b", "c"]},
        {"publisher": "p"},
    ]


# the audit trail


def entries(*numbers: int) -> list[dict[str, Any]]:
    row = {"date": NOW, "principal": "p", "operation": "runWorkflow", "target": "i1"}
    return [{"number": number, **row, "clientId": "c"} for number in numbers]


async def test_audit_entries(stub: Any, caller: Any) -> None:
    row = entries(2**62)[0]
    stub.data([row, {name: value for name, value in row.items() if name != "clientId"}])
    first, second = (await ext(caller, "list_audit", target="i 1", principal="p", before=9, limit=2)).data
    assert (first.number, first.client_id, second.client_id) == (2**62, "c", None)
    assert (first.operation, first.target, first.date.utcoffset()) == ("runWorkflow", "i1", timedelta(0))
    assert query(stub.targets[0]) == {"target": "i 1", "principal": "p", "before": "9", "limit": "2"}


async def walked(pages: Any) -> list[Any]:
    return [each async for each in pages] if isinstance(pages, api.AsyncPages) else await asyncio.to_thread(list, pages)


async def test_the_whole_audit_trail_a_page_at_a_time(stub: Any, caller: Any) -> None:
    stub.data(entries(7, 6))
    stub.data(entries(4, 2))
    stub.data([])
    found = await walked(caller.client.orchestration.ext.iterate_audit(principal="p", page_size=2))
    assert [each.number for each in found] == [7, 6, 4, 2]
    asked = [query(target) for target in stub.targets]
    assert asked == [{"principal": "p", "limit": "2", **before} for before in ({}, {"before": "6"}, {"before": "2"})]


async def test_a_short_page_of_the_audit_trail_is_the_last(stub: Any, caller: Any) -> None:
    stub.data(entries(7, 6))
    assert len(await walked(caller.client.orchestration.ext.iterate_audit())) == 2
    assert [query(target) for target in stub.targets] == [{"limit": "100"}]


async def test_a_server_that_repeats_its_page_is_found_out(stub: Any, caller: Any) -> None:
    stub.data(entries(7, 6))
    stub.data(entries(7, 6))
    with pytest.raises(api.SDKError, match="no cursor leads to them"):
        await walked(caller.client.orchestration.ext.iterate_audit(page_size=2))


# plans


PLAN: dict[str, Any] = {
    "id": "p 1",
    "hash": "sha256:0",
    "state": "open",
    "requester": "alice",
    "createdAt": NOW,
    "expiresAt": NOW,
    "verdict": "fails",
    "workflowID": "w",
    "format": "headrace-plan/1",
    "plannedAt": NOW,
    "origin": "caller",
    "definition": {"stages": []},
    "variables": {},
    "skipped": [],
    "assumptions": [],
    "totals": {"USD/2": {"sent": 10**30, "externalIn": 0, "externalOut": 1}},
    "effects": [
        {
            "stage": 0,
            "ordinal": 1,
            "activity": "CreateTransaction",
            "service": "ledger",
            "method": "POST",
            "path": "/v2/main/transactions",
            "body": {},
            "reversible": "revert",
            "postings": [],
            "balances": [],
            "missing": 10**30,
        }
    ],
    "fails": {"stage": 0, "missing": 10**30},
}


async def test_a_plan_is_made_and_read(stub: Any, caller: Any) -> None:
    stub.answer(201, {"data": PLAN})
    wanted = {"workflowID": "w", "variables": {"amount": "1"}}
    made = (await ext(caller, "create_plan", plan=wanted, idempotency_key="k")).data
    assert (made.id, made.workflow_id, made.trigger_id, made.ends) == ("p 1", "w", None, None)
    assert made.totals["USD/2"].sent == made.effects[0].missing == made.fails["missing"] == 10**30
    stub.data(PLAN)
    assert (await ext(caller, "get_plan", plan_id="p 1")).data == made
    assert stub.targets == ["/api/orchestration/ext/plans", "/api/orchestration/ext/plans/p%201"]


async def test_plans_are_listed_by_state(stub: Any, caller: Any) -> None:
    row = {name: PLAN[name] for name in ("id", "hash", "state", "requester", "createdAt", "expiresAt", "verdict")}
    stub.answer(200, {"cursor": {"pageSize": 1, "hasMore": True, "data": [row], "next": "n1"}})
    found = (await ext(caller, "list_plans", state="open", page_size=1)).data
    assert (found.data[0].id, found.data[0].workflow_id, found.next) == ("p 1", None, "n1")
    assert query(stub.targets[0]) == {"state": "open", "pageSize": "1"}


CERTIFICATE: dict[str, Any] = {
    "id": "c 1",
    "subject": {"instance": "i"},
    "sha": "sha256:00",
    "kid": "headrace-certificate-k",
    "createdAt": "2024-05-01T10:00:00Z",
    "certificate": "a.b.c",
    "payload": {"assets": {"USD/2": {"sent": 10**30}}},
}


async def test_a_certificate_is_made_and_read(stub: Any, caller: Any) -> None:
    stub.answer(201, {"data": CERTIFICATE})
    made = (await ext(caller, "create_certificate", instance_id="i", idempotency_key="k")).data
    assert (made.id, made.subject.instance, made.certificate) == ("c 1", "i", "a.b.c")
    assert made.payload["assets"]["USD/2"]["sent"] == 10**30
    stub.data(CERTIFICATE)
    assert (await ext(caller, "get_certificate", certificate_id="c 1")).data == made
    assert stub.targets == ["/api/orchestration/ext/certificates", "/api/orchestration/ext/certificates/c%201"]


async def test_a_certificate_of_a_period_is_made(stub: Any, caller: Any) -> None:
    subject = {"from": "2026-01-01T00:00:00Z", "to": "2026-02-01T00:00:00Z", "full": True}
    stub.answer(201, {"data": {**CERTIFICATE, "subject": subject}})
    ends = [datetime(2026, month, 1, tzinfo=UTC) for month in (1, 2)]
    made = (await ext(caller, "create_period_certificate", from_=ends[0], to=ends[1], full=True)).data
    assert [made.subject.from_, made.subject.to, made.subject.full] == [*ends, True]
    assert json.loads(stub.seen[0].body) == {
        "from": "2026-01-01T00:00:00+00:00",
        "to": "2026-02-01T00:00:00+00:00",
        "full": True,
    }


async def test_keys_of_certificates_are_read_as_they_are_published(stub: Any, caller: Any) -> None:
    stub.answer(200, {"keys": [{"kid": "k", "x": "1"}]})
    assert (await ext(caller, "get_certificate_keys")).data.keys == [{"kid": "k", "x": "1"}]
    assert stub.targets == ["/api/orchestration/ext/certificate-keys"]
