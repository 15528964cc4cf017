"""`headrace init`: what it writes is valid, names its schema, and runs by the commands at its top."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import jsonschema_rs
import pytest
import yaml

from headrace.workflows.schema import FILE_NAME, workflow_schema
from headrace_client import Client
from tests.support.server import Server

Headrace = Callable[..., Any]


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction]
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "file"),
    [
        ([], "workflow.yaml"),
        (["."], "workflow.yaml"),
        (["payouts"], "payouts/workflow.yaml"),
        (["a b/c.d"], "a b/c.d/workflow.yaml"),
        (["payouts/weekly.yml"], "payouts/weekly.yml"),
    ],
)
def test_a_folder_or_a_file(headrace: Headrace, arguments: list[str], file: str) -> None:
    ran = headrace("init", *arguments)
    assert ran.code == 0, ran.err
    assert file in ran.out
    first = Path(file).read_text().splitlines()[0]
    assert first.startswith("# yaml-language-server: $schema=")
    named = Path(file).parent / first.partition("=")[2]
    assert json.loads(named.read_text()) == workflow_schema()
    jsonschema_rs.Draft202012Validator(workflow_schema()).validate(yaml.safe_load(Path(file).read_text()))
    assert headrace("workflows", "validate", file).code == 0


def test_a_file_of_json_is_no_folder(headrace: Headrace, tmp_path: Path) -> None:
    ran = headrace("init", str(tmp_path / "flow.json"))
    assert (ran.code, "flow.yaml" in ran.err) == (2, True)
    assert not (tmp_path / "flow.json").exists()


def test_nothing_is_overwritten(headrace: Headrace) -> None:
    Path("workflow.yaml").write_text("mine")
    ran = headrace("init")
    assert ran.code == 2
    assert "workflow.yaml already exists" in ran.err
    assert Path("workflow.yaml").read_text() == "mine"
    assert not Path(FILE_NAME).exists()


@pytest.mark.parametrize("text", ["mine", "[]", '{"$id": "urn:mine"}'])
def test_a_schema_of_another_tool_is_not_overwritten(headrace: Headrace, text: str) -> None:
    Path(FILE_NAME).write_text(text)
    ran = headrace("init")
    assert ran.code == 2
    assert "not a schema of Headrace" in ran.err
    assert Path(FILE_NAME).read_text() == text
    assert not Path("workflow.yaml").exists()


def test_a_schema_of_an_earlier_version_is_brought_up_to_date(headrace: Headrace) -> None:
    Path(FILE_NAME).write_text(json.dumps({"$id": workflow_schema()["$id"], "type": "object"}))
    assert headrace("init", "second.yaml").code == 0
    assert json.loads(Path(FILE_NAME).read_text()) == workflow_schema()
    assert sorted(path.name for path in Path().iterdir()) == ["second.yaml", FILE_NAME]


def test_it_runs_as_it_says(headrace: Headrace, shared_server: Server) -> None:
    headrace("init", "starters/first one.yaml")
    text = Path("starters/first one.yaml").read_text()
    commands = [
        shlex.split(line.removeprefix("#   ")) for line in text.splitlines() if line.startswith(("#   c", "#   h"))
    ]
    assert [command[1] for command in commands] == ["dev", "-X", "workflows", "workflows", "instances", "instances"]
    ids: dict[str, str] = {}
    for command in commands[1:]:
        words = [ids.get(word, word).replace("http://127.0.0.1:8484", shared_server.url) for word in command]
        if words[0] == "curl":
            assert httpx2.request(words[2], words[3]).status_code == 204
            continue
        ran = headrace(*words[1:], "--server", shared_server.url)
        assert ran.code == 0, ran.err
        for name, said in {"WORKFLOW": "Workflow created with ID: ", "INSTANCE": "instance created with ID: "}.items():
            if said in ran.out:
                ids[name] = ran.out.partition(said)[2].split()[0]
    with Client(server_url=shared_server.url) as client:
        v1 = client.orchestration.v1
        assert v1.wait_for(v1.get_instance(instance_id=ids["INSTANCE"]).data, timeout_s=30).error is None
    account = httpx2.get(f"{shared_server.url}/api/ledger/v2/main/accounts/users:jane").json()["data"]
    assert account["metadata"] == {"last_order": "1"}
