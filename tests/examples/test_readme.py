"""What the README shows is run as it stands: only the address is changed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from headrace.api import yaml
from headrace.cli.main import app
from headrace.workflows.config import parse_config
from headrace_client import Client
from tests.examples.playing import Player, all_examples
from tests.support.server import Server

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "README.md").read_text()
DEFAULT_SERVER = "http://127.0.0.1:8484"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


@pytest.fixture(scope="module")
def player(shared_server: Server) -> Iterator[Player]:
    player = Player(shared_server.url)
    player.stack.create_ledger("shop")
    yield player
    player.close()


def test_the_workflow_is_valid_and_short() -> None:
    (text,) = blocks("yaml")
    keywords = [next(iter(stage)) for stage in parse_config(yaml.decode(text.encode()).value).stages]
    assert set(keywords) == {"wait_event", "send", "delay", "update"}
    assert len(text.splitlines()) <= 10


def test_every_file_it_points_to_is_there() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", TEXT):
        assert (ROOT / target).exists(), target


def test_every_command_it_names_is_there() -> None:
    import typer.main

    commands: Any = typer.main.get_command(app)
    for group, name in re.findall(r"headrace (workflows|instances|triggers|events) ([a-z-]+)", TEXT):
        assert name in commands.commands[group].commands, f"{group} {name}"
    for name in re.findall(r"`headrace ([a-z]+)[ `]", TEXT):
        assert name in commands.commands, name


def test_each_operation_runs_as_written(shared_server: Server) -> None:
    rows = re.findall(r"^\| `(\w+)`.*? \| `(.*)` \|$", TEXT, re.MULTILINE)
    assert [name for name, _ in rows] == [
        "getServerInfo",
        "createWorkflow",
        "listWorkflows",
        "getWorkflow",
        "runWorkflow",
        "listInstances",
        "getInstance",
        "sendEvent",
        "cancelEvent",
        "getInstanceHistory",
        "getInstanceStageHistory",
        "createTrigger",
        "listTriggers",
        "readTrigger",
        "listTriggersOccurrences",
        "deleteTrigger",
        "deleteWorkflow",
    ]
    with Client(server_url=shared_server.url) as client:
        names: dict[str, Any] = {"v1": client.orchestration.v1}
        for _, statement in rows:
            exec(statement, names)  # the README is ours
        assert names["v1"].get_instance(instance_id=names["instance"].id).data.error == "canceled"


def test_the_client_and_its_errors_run_as_written(shared_server: Server, player: Player) -> None:
    _, connect, errors = blocks("python")
    names: dict[str, Any] = {}
    exec(connect.replace(DEFAULT_SERVER, shared_server.url), names)
    workflow = names["v1"].create_workflow(stages=[{"delay": {"duration": "10ms"}}]).data
    names["instance"] = names["v1"].run_workflow(workflow_id=workflow.id).data
    exec(errors, names)
    assert names["ended"].terminated
    names["client"].close()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_official_sdk_runs_as_written(
    shared_server: Server, player: Player, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("formance_sdk_python")
    example = all_examples()[0]
    document = yaml.decode(example.definition_file.read_bytes()).value
    workflow = player.client.orchestration.v1.create_workflow(name=document["name"], stages=document["stages"]).data
    exec(blocks("python")[0].replace(DEFAULT_SERVER, shared_server.url), {"workflow_id": workflow.id})
    assert capsys.readouterr().out == "True\n"
