"""What users of the official command line expect: its commands, their aliases, and the documents they print."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from headrace.demo.stack import Stack
from tests.support.server import Server

AMOUNT = 10**40 + 1
DEFINITION = f"""\
name: pay
stages:
  - send:
      source: {{account: {{id: world, ledger: official}}}}
      destination: {{account: {{id: shops, ledger: official}}}}
      amount: {{asset: USD/2, amount: {AMOUNT}}}
  - wait_event: {{event: go}}
"""

Ask = Callable[..., Any]


@pytest.fixture(scope="module")
def ledger(shared_server: Server) -> Server:
    stack = Stack(shared_server.url)
    stack.create_ledger("official")
    stack.close()
    return shared_server


@pytest.fixture
def ask(headrace: Any, ledger: Server, monkeypatch: pytest.MonkeyPatch) -> Ask:
    """Runs a command, and gives its document's `data`."""
    monkeypatch.setenv("HEADRACE_SERVER", ledger.url)

    def run(*arguments: str, stdin: str = "") -> Any:
        ran = headrace(*arguments, "--output", "json", stdin=stdin)
        assert ran.code == 0, ran.err
        document = json.loads(ran.out)
        assert set(document) == {"data"}
        return document["data"]

    return run


@pytest.fixture
def workflow_id(ask: Ask) -> str:
    data = ask("orchestration", "workflows", "create", "-", "--confirm", stdin=DEFINITION)
    assert set(data) == {"workflowId"}
    return data["workflowId"]


@pytest.fixture
def instance_id(ask: Ask, workflow_id: str) -> str:
    data = ask("orch", "w", "r", workflow_id, "--variable", "a=1,b=2", "--variable", "c=3")
    assert set(data) == {"workflowInstance"}
    return data["workflowInstance"]["id"]


@pytest.fixture
def trigger_id(ask: Ask, workflow_id: str) -> str:
    data = ask(
        "or", "trig", "c", "OFFICIAL", workflow_id, "--name", "n", "--filter", "true", "--vars", "a=1", "--vars", "b=2"
    )
    assert set(data) == {"trigger"}
    return data["trigger"]["id"]


def test_workflows(ask: Ask, workflow_id: str) -> None:
    for group in ("workflows", "w", "work"):
        for name in ("list", "ls", "l"):
            listed = ask("orch", group, name)["workflows"]
            assert set(listed[0]) == {"id", "name", "createdAt", "updatedAt"}
    for name in ("show", "s"):
        assert ask("w", name, workflow_id)["workflow"]["config"]["name"] == "pay"
    for name in ("create", "cr", "c"):
        other = ask("w", name, "-", stdin=DEFINITION)["workflowId"]
        assert ask("w", "del" if name == "cr" else "d", other) == {"workflowId": other, "success": True}


def test_instances(ask: Ask, instance_id: str, workflow_id: str) -> None:
    for group in ("instances", "ins", "i"):
        for name in ("list", "ls", "l"):
            (listed,) = ask(group, name, "--workflow", workflow_id, "--running")["workflowInstances"]
            assert {"instanceId", "workflowId", "createdAt", "updatedAt"} <= set(listed)
    assert set(ask("i", "show", instance_id)) == {"workflowInstance", "workflow"}
    assert ask("i", "describe", instance_id)["workflowInstanceHistory"][0]["name"] == "send"
    sent = ask("i", "send-event", instance_id, "other")
    assert sent == {"success": True, "instanceId": instance_id, "event": "other"}
    assert ask("i", "stop", instance_id) == {"success": True, "instanceId": instance_id}


def test_triggers(ask: Ask, trigger_id: str) -> None:
    for group in ("triggers", "trig", "t"):
        for name in ("list", "ls", "l"):
            assert trigger_id in [each["id"] for each in ask(group, name, "--name", "n")["workflowTriggers"]]
    assert ask("t", "show", trigger_id)["trigger"]["vars"] == {"a": "1", "b": "2"}
    assert ask("t", "test", trigger_id, "{}")["trigger"]["filter"] == {"match": True}
    for group in ("occurrences", "oc", "o"):
        for name in ("list", "ls", "l"):
            assert ask("t", group, name, trigger_id) == {"occurrences": []}
    assert ask("t", "delete", trigger_id) == {"success": True, "triggerID": trigger_id}


@pytest.mark.parametrize(
    "command",
    [
        *(
            ("workflows", "list"),
            ("workflows", "show", "WORKFLOW"),
            ("instances", "list"),
            ("instances", "show", "INSTANCE"),
        ),
        *(("instances", "describe", "INSTANCE"), ("triggers", "list"), ("triggers", "show", "TRIGGER")),
        *(("triggers", "test", "TRIGGER", "{}"), ("triggers", "occurrences", "list", "TRIGGER"), ("audit",)),
        *(("profiles", "list"), ("profiles", "show"), ("clients", "list", "--data", "nowhere")),
    ],
)
def test_yaml_says_what_json_says(
    headrace: Any, ask: Ask, workflow_id: str, instance_id: str, trigger_id: str, command: tuple[str, ...]
) -> None:
    ids = {"WORKFLOW": workflow_id, "INSTANCE": instance_id, "TRIGGER": trigger_id}
    arguments = [ids.get(word, word) for word in command]
    told = ask(*arguments)
    ran = headrace("-o", "yaml", *arguments)
    assert yaml.safe_load(ran.out) == {"data": told}
    if command[:2] in (("workflows", "show"), ("instances", "describe")):
        assert f"amount: {AMOUNT}\n" in ran.out
    text = headrace("-o", "plain", *arguments)
    assert text.code == 0 and text.out and "data" not in text.out.split()


def test_what_is_shown_can_be_created_again(headrace: Any, ask: Ask, workflow_id: str) -> None:
    definition = headrace("workflows", "show", workflow_id).out.partition("\n\n")[2]
    again = ask("workflows", "create", "-", stdin=definition)["workflowId"]
    config = ask("workflows", "show", again)["workflow"]["config"]
    assert config == ask("workflows", "show", workflow_id)["workflow"]["config"]


def test_the_alias_has_no_other_groups(headrace: Any) -> None:
    assert headrace("orchestration", "events").code == 2
    shown = headrace("orch", "--help").out
    assert "workflows" in shown and "profiles" not in shown


def test_every_call_is_logged_without_its_content(headrace: Any, ask: Ask) -> None:
    for arguments in (
        ("--debug", "triggers", "list", "--name", "secret"),
        ("triggers", "list", "--name", "x", "--debug"),
    ):
        ran = headrace(*arguments)
        assert "GET http://127.0.0.1:" in ran.err and "/api/orchestration/triggers 200 " in ran.err
        assert "secret" not in ran.err
