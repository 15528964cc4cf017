"""`headrace triggers` and `headrace events` against a real server."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.server import Server, free_port

SHORT = 'stages: [{delay: {duration: 1ms}}, {update: {account: {id: "${user}", ledger: none, metadata: {}}}}]'
WAITING = "stages: [{wait_event: {event: go}}]"


class Shell:
    def __init__(self, run: Callable[..., Any], url: str) -> None:
        self._run = run
        self._url = url

    def __call__(self, *arguments: str, stdin: str = "") -> Any:
        return self._run(*arguments, "--server", self._url, stdin=stdin)

    def data(self, *arguments: str, stdin: str = "") -> Any:
        ran = self(*arguments, "-o", "json", stdin=stdin)
        assert ran.code == 0, ran.err
        return json.loads(ran.out)["data"]


@pytest.fixture
def shell(headrace: Callable[..., Any], shared_server: Server) -> Shell:
    return Shell(headrace, shared_server.url)


def create(shell: Shell, event: str, definition: str = WAITING, *options: str) -> str:
    workflow_id = shell.data("workflows", "create", "-", stdin=definition)["workflowId"]
    ran = shell("triggers", "create", event, workflow_id, *options)
    assert ran.code == 0, ran.err
    return ran.out.strip().removeprefix("Trigger created with ID: ")


def until_occurred(shell: Shell, trigger_id: str, count: int) -> list[Any]:
    deadline_s = time.monotonic() + 20
    while len(found := shell.data("triggers", "occurrences", "list", trigger_id)["occurrences"]) < count:
        assert time.monotonic() < deadline_s
        time.sleep(0.02)
    return found


def test_create_show_list_delete(shell: Shell) -> None:
    options = ("--name", "My Trigger", "--filter", "event.a > 1", "--vars", 'x=split("a,b", ",")[0]')
    trigger_id = create(shell, "SHOWN", WAITING, *options)
    shown = shell("triggers", "show", trigger_id).out
    assert trigger_id in shown and "event.a > 1" in shown and 'split("a,b", ",")[0]' in shown
    assert shell.data("t", "show", trigger_id)["trigger"]["vars"] == {"x": 'split("a,b", ",")[0]'}
    listed = shell("triggers", "list", "--name", "my tri").out.splitlines()
    assert listed[0].split()[:2] == ["ID", "Name"] and listed[1].startswith(trigger_id)
    assert shell("triggers", "list", "--name", "no such name").out.startswith("No triggers.")
    assert shell("triggers", "delete", trigger_id).out == f"Trigger {trigger_id} deleted.\n"
    assert shell("triggers", "show", trigger_id).code == 1


def test_an_event_is_sent_and_its_occurrences_are_shown(shell: Shell, tmp_path: Path) -> None:
    trigger_id = create(shell, "SENT", SHORT, "--vars", "user=event.user")
    assert shell("triggers", "occurrences", "list", trigger_id).out.startswith("No occurrences")
    event = {"type": "SENT", "app": "shell", "payload": {"user": "u"}, "id": "sent-1"}
    assert shell("events", "send", json.dumps(event)).out == "1 event accepted\n"
    file = tmp_path / "events.json"
    file.write_text(json.dumps([event, {**event, "id": "sent-2", "payload": {}}]))
    assert shell.data("events", "send", f"@{file}") == {"accepted": 2, "repeated": 1, "conflicting": 0}
    again = shell("events", "send", "-", stdin=json.dumps(event))
    assert (again.code, again.out) == (0, "1 event accepted, 1 of them known before\n")
    other = shell("events", "send", json.dumps({**event, "payload": {"user": "v"}}))
    assert (other.code, other.out) == (1, "0 events accepted\n")
    assert "1 event in conflict" in other.err and '["event","shell","SENT","","sent-1"]' in other.err
    long = {**event, "id": "sent-3", "type": "LONG", "payload": {"volume": 0}}
    assert shell("events", "send", json.dumps(long).replace(": 0", ": " + "9" * 5_000)).code == 0
    found = until_occurred(shell, trigger_id, 3)
    assert len(found) == 3
    told = shell("triggers", "occurrences", "list", trigger_id).out
    assert "user: gives nil" in told
    assert next(row["workflowInstanceID"] for row in found if "workflowInstanceID" in row) in told


def test_a_trigger_is_tried_out(shell: Shell) -> None:
    trigger_id = create(
        shell, "TRIED", WAITING, "--filter", "event.a > 1", "--vars", "x=event.a", "--vars", "y=event.b.c"
    )
    told = shell("triggers", "test", trigger_id, '{"a": 2}').out
    assert "Filter match  Yes" in told and "cannot fetch c" in told
    assert "Filter match  No" in shell("triggers", "test", trigger_id, "-", stdin='{"a": 1}').out
    assert "Filter error" in shell("triggers", "test", trigger_id, '{"a": "x"}').out
    assert shell.data("triggers", "test", trigger_id, '{"a": 2}')["trigger"]["filter"] == {"match": True}


REASONED = 'event.type == "PAY-IN" && (event.amount > 100 or event.vip) && event.asset in ["EUR/2"]'


def test_it_is_shown_which_part_of_the_filter_was_false(shell: Shell) -> None:
    trigger_id = create(shell, "REASONED", WAITING, "--filter", REASONED)
    payload = json.dumps({"type": "PAY-IN", "amount": 50, "vip": False, "asset": "EUR/2"})
    assert shell("triggers", "test", trigger_id, payload).out.splitlines() == [
        "Filter match  No",
        "  false          all of",
        '  true             event.type == "PAY-IN"    (event.type is "PAY-IN")',
        "  false            any of",
        "  false              event.amount > 100    (event.amount is 50)",
        "  false              event.vip",
        '  not evaluated    event.asset in ["EUR/2"]',
    ]
    told = shell.data("triggers", "test", trigger_id, payload)
    assert set(told["trigger"]) == {"filter", "variables"}
    parts = told["explanation"]["parts"]
    assert [part["outcome"] for part in parts] == ["true", "false", "not evaluated"]
    assert parts[1]["parts"][0]["values"] == {"event.amount": 50}


def test_a_filter_that_takes_text_for_a_number_gets_a_hint(shell: Shell) -> None:
    payload = json.dumps({"type": "PAY-IN", "amount": "8000", "asset": "USD/2"})
    failing = create(shell, "TEXT", WAITING, "--filter", "event.amount > 1000")
    advice = "event.amount is text in this event, as amounts are in events of payments v3: use int(event.amount)"
    told = shell("triggers", "test", failing, payload).out
    assert told.count(advice) == 1 and f"Filter error  invalid operation: string > int (1:14); {advice}" in told
    assert shell.data("triggers", "test", failing, payload)["hints"] == [advice]
    silent = create(shell, "SILENT", WAITING, "--filter", "event.amount == 8000")
    told = shell("triggers", "test", silent, payload).out.splitlines()
    assert told[:2] == ["Filter match  No", f"Hint          {advice}"]
    right = create(shell, "RIGHT", WAITING, "--filter", "int(event.amount) > 1000")
    told = shell("triggers", "test", right, payload).out
    assert "Filter match  Yes" in told and "Hint" not in told


def test_a_condition_that_needs_a_link_is_left_open(shell: Shell) -> None:
    source = 'link(event, "source_account").type == "INTERNAL" and event.amount > 100'
    trigger_id = create(shell, "LINKED", WAITING, "--filter", source)
    payload = {"amount": 50, "links": [{"name": "source_account", "uri": "http://127.0.0.1:1/unknown"}]}
    told = shell("triggers", "test", trigger_id, json.dumps(payload)).out
    assert "not evaluated here    link(event" in told and "(event.amount is 50)" in told


def test_a_value_that_is_not_json_is_shown_as_text(shell: Shell) -> None:
    source = 'date(event.at) > date("2030-01-01") or event.text[0:1] == "x" or event.n / 0 < 1 or 1 in event.many'
    trigger_id = create(shell, "ODD", WAITING, "--filter", source)
    payload = {"at": "2024-01-02", "text": "é", "n": 1, "many": ["y" * 50] * 9}
    told = shell.data("triggers", "test", trigger_id, json.dumps(payload))["explanation"]["parts"]
    assert told[0]["values"]["date(event.at)"] == "2024-01-02T00:00:00Z"
    assert told[1]["values"]["event.text[0:1]"] == "?"
    assert told[2]["values"] == {"event.n / 0": "inf", "event.n": 1}
    assert told[3]["values"]["event.many"].endswith("...")
    assert shell("triggers", "test", trigger_id, json.dumps(payload)).code == 0


def test_a_filter_of_three_hundred_levels_is_explained(shell: Shell) -> None:
    trigger_id = create(shell, "DEEP", WAITING, "--filter", "!" * 300 + "(event.ok == 3)")
    assert shell("triggers", "test", trigger_id, '{"ok": 3}').out.count("\n") == 302


def test_what_is_wrong_is_said_with_its_exit_code(shell: Shell, headrace: Callable[..., Any]) -> None:
    refused = shell("triggers", "create", "E", "nowhere")
    assert refused.code == 1 and "workflow 'nowhere' does not exist" in refused.err
    workflow_id = shell.data("workflows", "create", "-", stdin=WAITING)["workflowId"]
    bad = shell("triggers", "create", "E", workflow_id, "--filter", "event.a +")
    assert bad.code == 1 and "(1:9)" in bad.err
    assert shell("triggers", "create", "E", workflow_id, "--vars", "novalue").code == 2
    assert shell("triggers", "create", "E", workflow_id, "--vars", "a=1", "--vars", "a=2").code == 2
    assert shell("events", "send", "{").code == 2
    assert shell("events", "send", "@/no/such/file").code == 2
    assert shell("events", "send", "{}").code == 1
    gone = headrace("events", "send", "{}", "--server", f"http://127.0.0.1:{free_port()}")
    assert gone.code == 3 and "Start a server" in gone.err and "carried out" not in gone.err
