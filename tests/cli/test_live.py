"""The commands against a real server."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from headrace.demo.stack import Stack
from tests.support.server import Server

TRANSFER = """\
name: transfer
stages:
  - send:
      source: {account: {id: "${payer}", ledger: shop}}
      destination: {account: {id: shops, ledger: shop}}
      amount: {asset: USD/2, amount: "${amount}"}
"""
WAITING = "stages:\n  - wait_event: {event: go}\n"


class Shell:
    """`headrace ... --server URL`."""

    def __init__(self, run: Callable[..., Any], url: str) -> None:
        self._run = run
        self._url = url

    def __call__(self, *arguments: str, stdin: str = "") -> Any:
        return self._run(*arguments, "--server", self._url, stdin=stdin)

    def data(self, *arguments: str, stdin: str = "") -> Any:
        ran = self(*arguments, "-o", "json", stdin=stdin)
        assert ran.code == 0, ran.err
        return json.loads(ran.out)["data"]

    def create(self, definition: str) -> str:
        return self.data("workflows", "create", "-", stdin=definition)["workflowId"]

    def run(self, definition: str, *arguments: str) -> str:
        return self.data("workflows", "run", self.create(definition), *arguments)["workflowInstance"]["id"]


@pytest.fixture
def shell(headrace: Callable[..., Any], shared_server: Server) -> Shell:
    stack = Stack(shared_server.url)
    stack.create_ledger("shop")
    stack.close()
    return Shell(headrace, shared_server.url)


def test_a_run_that_succeeds(shell: Shell) -> None:
    workflow_id = shell.create(TRANSFER)
    ran = shell("workflows", "run", workflow_id, "--wait", "--variable", f"payer=world,amount={10**30}")
    assert ran.code == 0
    instance_id = ran.out.splitlines()[0].removeprefix("Workflow instance created with ID: ")
    assert ran.out.splitlines()[2].startswith("send ")
    described = shell("instances", "describe", instance_id)
    assert "Stage 0 : send" in described.out
    assert f"Send {10**28:,}.00 USD from account world to account shops (ledger shop)" in described.out
    assert "Created transaction: " in described.out


def test_a_run_that_fails_has_exit_code_1(shell: Shell) -> None:
    workflow_id = shell.create(TRANSFER)
    ran = shell("workflows", "run", workflow_id, "--wait", "--variable", "payer=poor", "--variable", "amount=5")
    assert ran.code == 1
    assert "INSUFFICIENT_FUND" in ran.err
    assert "instances describe" in ran.err


def test_missing_variables_are_named(shell: Shell) -> None:
    ran = shell("workflows", "run", shell.create(TRANSFER), "--variable", "payer=world")
    assert ran.code == 1
    assert "amount" in ran.err


def test_waiting_that_runs_out_has_exit_code_4_and_the_instance_goes_on(shell: Shell) -> None:
    workflow_id = shell.create(WAITING)
    ran = shell("workflows", "run", workflow_id, "--wait", "--timeout", "0.2")
    assert ran.code == 4
    running = shell.data("instances", "list", "--running", "--workflow", workflow_id)["workflowInstances"]
    assert len(running) == 1
    assert running[0]["instanceId"] in ran.err


def test_an_event_and_an_abort(shell: Shell) -> None:
    told, stopped = shell.run(WAITING), shell.run(WAITING)
    assert shell("instances", "send-event", told, "go").out == "Event 'go' sent\n"
    assert shell("instances", "abort", stopped).out == f"Instance {stopped} aborted.\n"
    ended = shell.data("instances", "show", stopped)
    assert ended["workflowInstance"]["error"] == "canceled"
    assert ended["workflow"]["config"]["stages"] == [{"wait_event": {"event": "go"}}]
    again = shell("instances", "stop", stopped, "-o", "json")
    assert again.code == 1
    assert json.loads(again.err)["errorCode"] == "VALIDATION"


def test_the_same_key_starts_one_instance(shell: Shell) -> None:
    workflow_id = shell.create(WAITING)
    ids = {
        shell.data("workflows", "run", workflow_id, "--idempotency-key", "k-1")["workflowInstance"]["id"]
        for _ in range(3)
    }
    assert len(ids) == 1


def test_what_programs_read(shell: Shell) -> None:
    workflow_id = shell.create(WAITING)
    instance_id = shell.data("workflows", "run", workflow_id)["workflowInstance"]["id"]
    listed = shell.data("workflows", "list")["workflows"]
    assert set(listed[0]) == {"id", "name", "createdAt", "updatedAt"}
    assert shell.data("workflows", "show", workflow_id)["workflow"]["id"] == workflow_id
    instances = shell.data("instances", "list", "--workflow", workflow_id)["workflowInstances"]
    assert [each["instanceId"] for each in instances] == [instance_id]
    history = shell.data("instances", "describe", instance_id)
    assert history["workflowInstanceHistory"][0]["input"] == {"event": "go"}
    assert history["workflowInstanceStageHistories"] == [[]]
    assert shell.data("workflows", "delete", workflow_id) == {"workflowId": workflow_id, "success": True}
    assert workflow_id not in [each["id"] for each in shell.data("workflows", "list")["workflows"]]


def test_short_names_and_options_before_the_command(
    headrace: Callable[..., Any], shell: Shell, shared_server: Server
) -> None:
    shell.create(WAITING)
    ran = headrace("-o", "json", "--server", shared_server.url, "w", "ls")
    assert json.loads(ran.out)["data"]["workflows"]


def test_names_cannot_move_a_cursor(shell: Shell) -> None:
    workflow_id = shell.create('{"name": "a\\u001b[2Jb\\nc", "stages": [{"delay": {"duration": "1s"}}]}')
    listed = shell("workflows", "list")
    row = next(line for line in listed.out.splitlines() if line.startswith(workflow_id))
    assert "\x1b" not in listed.out
    assert "c " in row


@pytest.mark.parametrize(
    "arguments",
    [
        ("workflows", "show", "nope"),
        ("workflows", "run", "nope"),
        ("workflows", "delete", "nope"),
        ("instances", "show", "nope"),
        ("instances", "describe", "nope"),
        ("instances", "send-event", "nope", "x"),
        ("instances", "stop", "nope"),
    ],
)
def test_what_is_not_there(shell: Shell, arguments: tuple[str, ...]) -> None:
    ran = shell(*arguments)
    assert ran.code == 1
    assert "does not exist" in ran.err


def test_an_id_is_never_a_path(shell: Shell) -> None:
    ran = shell("instances", "show", "../workflows")
    assert ran.code == 1
    assert ran.err.startswith("error: ")


def test_an_address_that_is_no_headrace(shell: Shell, headrace: Callable[..., Any], shared_server: Server) -> None:
    ran = headrace("workflows", "list", "--server", f"{shared_server.url}/elsewhere")
    assert ran.code == 1


def test_two_servers_never_share_a_folder(shared_server: Server, headrace: Callable[..., Any]) -> None:
    ran = headrace("dev", "--port", "0", "--data", str(shared_server.data))
    assert ran.code == 5
    assert str(shared_server.pid) in ran.err


def test_a_port_in_use_is_said(shared_server: Server, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "headrace.cli", "dev", "--port", str(shared_server.port), "--data", str(tmp_path)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert ran.returncode == 2
    assert f"another program listens at 127.0.0.1:{shared_server.port}" in ran.stderr
