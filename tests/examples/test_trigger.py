"""Example 14: a pay-in appears, a trigger credits the wallet, once."""

from __future__ import annotations

import json
import re
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from headrace.demo.stack import Stack
from headrace_client import Client
from tests.examples.tour import Tour, commands
from tests.support.server import Server

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "examples/14-trigger-pays-wallet"
EVENTS = "/api/orchestration/ext/events"


def pay_in(server: Server, reference: str, amount: int) -> dict[str, Any]:
    body = {"reference": reference, "connectorID": "card", "createdAt": "2024-05-01T10:00:00Z", "amount": amount}
    body |= {"asset": "USD/2", "type": "PAY-IN", "status": "SUCCEEDED", "scheme": "visa"}
    answer = server.post("/api/payments/payments", body)
    assert answer.status == 200, answer.body
    return answer.json["data"]


def until_occurred(v1: Any, trigger_id: str, count: int) -> list[Any]:
    deadline_s = time.monotonic() + 20
    while len(found := v1.list_triggers_occurrences(trigger_id=trigger_id).data) < count:
        assert time.monotonic() < deadline_s, found
        time.sleep(0.02)
    return found


def test_a_pay_in_credits_the_wallet_it_names_once(shared_server: Server) -> None:
    definition = yaml.safe_load((FOLDER / "workflow.yaml").read_text())
    rule = json.loads((FOLDER / "trigger.json").read_text())
    stack = Stack(shared_server.url)
    wallet = stack.create_wallet("jane")
    with Client(server_url=shared_server.url) as client:
        v1 = client.orchestration.v1
        workflow = v1.create_workflow(**definition).data
        trigger = v1.create_trigger(workflow_id=workflow.id, **rule).data
        payment = pay_in(shared_server, f"top-up:{wallet}:1", 8_000)
        pay_in(shared_server, f"gift:{wallet}:1", 5)
        (occurrence,) = until_occurred(v1, trigger.id, 1)
        assert occurrence.event["id"] == payment["id"]
        assert v1.wait_for(occurrence.workflow_instance_id, timeout_s=20).error is None
        assert stack.wallet_balance(wallet, "USD/2") == 8_000

        envelope = {"type": "SAVED_PAYMENT", "app": "payments", "version": "v2.0.0", "date": "2024-05-01T10:00:00Z"}
        again = {**envelope, "id": "again", "payload": occurrence.event}
        for _ in range(3):  # another event about the same payment, three times: booked once, refused once
            assert shared_server.post(EVENTS, again).status == 202
        latest = until_occurred(v1, trigger.id, 2)[0]
        v1.wait_for(latest.workflow_instance_id, timeout_s=20)
        assert len(v1.list_triggers_occurrences(trigger_id=trigger.id).data) == 2
        repeated = shared_server.get(f"{EVENTS}?repeated=true").json["data"]
        assert [(row["key"], row["repeats"]) for row in repeated] == [
            ('["event","payments","SAVED_PAYMENT","v2.0.0","again"]', 2)
        ]
    stack.close()


def test_the_readme_runs_as_written(start_server: Callable[..., Server]) -> None:
    found = re.search(r"\n\n((    .*\n)+)", (FOLDER / "README.md").read_text())  # the first block
    assert found
    tour = Tour(start_server(), ROOT)
    *prepare, look = commands(textwrap.dedent(found[1]))
    for words in prepare:
        tour.run_one(words)
    tour.until(look, r" Yes +")
    assert tour.stack.wallet_balance(tour.ids["WALLET"], "USD/2") == 8_000
    tour.stack.close()


def test_the_readme_shows_the_trigger_that_is_tested() -> None:
    readme, rule = (FOLDER / "README.md").read_text(), json.loads((FOLDER / "trigger.json").read_text())
    assert f"--filter '{rule['filter']}'" in readme
    assert all(f"--vars '{name}={source}'" in readme for name, source in rule["vars"].items())
