"""A trigger of a running `headrace dev` follows the links of the sandbox's payments events."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.server import Server

API = "/api/orchestration"
LIMIT_S = 20.0
PAY_IN: dict[str, Any] = {
    "connectorID": "stripe",
    "createdAt": "2024-05-01T10:00:00Z",
    "amount": 8000,
    "asset": "USD/2",
    "type": "PAY-IN",
    "status": "SUCCEEDED",
    "scheme": "visa",
}
ACCOUNT = {
    "reference": "acc-1",
    "connectorID": "stripe",
    "createdAt": "2024-05-01T10:00:00Z",
    "type": "INTERNAL",
    "metadata": {"user": "users:1"},
}


def until_occurred(server: Server, trigger_id: str) -> dict[str, Any]:
    ends_s = time.monotonic() + LIMIT_S
    while not (found := server.get(f"{API}/triggers/{trigger_id}/occurrences").json["data"]):
        assert time.monotonic() < ends_s, server.log()
        time.sleep(0.05)
    return found[0]


@pytest.mark.parametrize(
    ("settings", "source"),
    [
        ({}, 'int(event.amount) > 1000 and link(event, "destination_account").name == "Jane"'),
        (
            {"HEADRACE_SANDBOX_EVENTS": "v2", "HEADRACE_SANDBOX_LEDGER": "2.2"},
            'event.amount > 1000 and link(event, "destination_account").accountName == "Jane"',
        ),
    ],
    ids=["v3", "v2"],
)
def test_a_link_leads_to_the_account(
    start_server: Callable[..., Server], settings: dict[str, str], source: str
) -> None:
    server = start_server(settings=settings)
    account = server.post("/api/payments/accounts", {**ACCOUNT, "accountName": "Jane"}).json["data"]["id"]
    stages = [{"wait_event": {"event": "x"}}]
    workflow_id = server.post(f"{API}/workflows", {"stages": stages}).json["data"]["id"]
    user = 'link(event, "destination_account").metadata.user'
    rule = {"event": "SAVED_PAYMENT", "workflowID": workflow_id, "filter": source, "vars": {"user": user}}
    trigger_id = server.post(f"{API}/triggers", rule).json["data"]["id"]
    paid = {**PAY_IN, "reference": "p1", "destinationAccountID": account}
    assert server.post("/api/payments/payments", paid).status == 200
    occurrence = until_occurred(server, trigger_id)
    assert occurrence.get("error") is None
    instance = server.get(f"{API}/instances/{occurrence['workflowInstanceID']}").json["data"]
    history = server.get(f"{API}/instances/{instance['id']}/history").json["data"]
    assert history[0]["name"] == "wait_event"
    tried = server.post(f"{API}/v2/triggers/{trigger_id}/test", occurrence["event"]).json["data"]
    assert tried == {"filter": {"match": True}, "variables": {"user": {"value": "users:1"}}}
    missing = {**occurrence["event"], "links": [{"name": "destination_account", "uri": f"{server.url}/api/payments/x"}]}
    assert "status 404" in server.post(f"{API}/v2/triggers/{trigger_id}/test", missing).json["data"]["filter"]["error"]


def test_the_start_names_what_is_imitated(start_server: Callable[..., Server]) -> None:
    server = start_server(settings={"HEADRACE_SANDBOX_EVENTS": "v2"})
    assert "as ledger 2.4, with payments events v2" in server.log()
    assert "Idempotency-Hit".lower() in _headers_of_a_repeat(server)


def _headers_of_a_repeat(server: Server) -> dict[str, str]:
    server.post("/api/ledger/v2/main", {})
    posting = {"source": "world", "destination": "a", "amount": 1, "asset": "USD_E/2"}
    answers = [
        server.request(
            "POST", "/api/ledger/v2/main/transactions", {"postings": [posting]}, headers={"Idempotency-Key": "k"}
        )
        for _ in range(2)
    ]
    assert [answer.status for answer in answers] == [200, 200]
    return answers[1].headers
