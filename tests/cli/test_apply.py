"""`headrace apply`, `workflows versions`, and names with versions wherever a command takes a workflow."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from headrace.cli import display
from headrace.cli.apply_files import read_documents
from headrace.cli.errors import Failure
from tests.cli.conftest import Ran
from tests.support.server import Server

Headrace = Callable[..., Ran]

PAY = """\
name: {name}
stages:
  - wait_event: {{event: {event}, timeout: 7d}}
"""
ON_PAID = """\
kind: trigger
name: {name}-payments
event: SAVED_PAYMENT
workflow: {name}
filter: event.type == "PAY-IN" && event.status == "SUCCEEDED"
"""

MIXED = """\
name: b
stages:
  - send:
      source: {account: {id: a, ledger: main}}
      destination: {account: {id: b, ledger: main}}
      amount: {amount: 5, asset: USD/2}
  - send:
      source: {account: {id: b, ledger: main}}
      destination: {account: {id: c, ledger: main}}
      amount: {amount: 5, asset: EUR/2}
"""


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A name that no other test on the shared server has."""
    return re.sub("[^a-z0-9]+", "-", request.node.name.removeprefix("test_").lower())[:60]


@pytest.fixture
def ask(headrace: Headrace, shared_server: Server, monkeypatch: pytest.MonkeyPatch) -> Headrace:
    monkeypatch.setattr(display, "terminal_width", lambda: 100)
    return lambda *arguments, **options: headrace(*arguments, "--server", shared_server.url, **options)


@pytest.fixture
def folder(tmp_path: Path, name: str) -> Path:
    """A workflow, and below it a trigger; cases of tests are beside them."""
    made = tmp_path / "definitions"
    (made / "triggers").mkdir(parents=True)
    (made / "pay.yaml").write_text(PAY.format(name=name, event="one"))
    (made / "triggers" / "payments.yaml").write_text(ON_PAID.format(name=name))
    (made / "cases.yaml").write_text("workflow: pay.yaml\ncases: []\n")
    return made


def applied(ask: Headrace, folder: Path, name: str, *options: str) -> dict[str, str]:
    ran = ask("apply", "-f", str(folder), "--set", name, "-o", "json", *options)
    assert ran.code == 0, ran.err
    return {f"{each['kind']} {each['name']}": each["action"] for each in json.loads(ran.out)["data"]["documents"]}


def test_apply_twice(ask: Headrace, folder: Path, name: str) -> None:
    workflow, trigger = f"workflow {name}", f"trigger {name}-payments"
    dry = ask("apply", "-f", str(folder), "--set", name, "--dry-run")
    assert dry.code == 0 and "2 would change" in dry.out and "cases for `headrace test`" in dry.err
    assert ask("workflows", "versions", name).code == 1, "nothing was written"
    assert applied(ask, folder, name) == {workflow: "created", trigger: "created"}
    assert applied(ask, folder, name, "--prune") == {workflow: "unchanged", trigger: "unchanged"}
    (folder / "pay.yaml").write_text(PAY.format(name=name, event="two"))
    assert applied(ask, folder, name) == {workflow: "updated", trigger: "unchanged"}
    shown = ask("workflows", "versions", name).out.splitlines()
    assert len(shown) == 3 and shown[1].startswith("2 *") and shown[2].startswith("1 ")
    listed = [line for line in ask("workflows", "list").out.splitlines() if name in line]
    assert sorted(line.split(name)[1].split()[:2] for line in listed)[1] == ["2", "*"] and len(listed) == 2
    (folder / "pay.yaml").write_text(PAY.format(name=name, event="one"))
    text = ask("apply", "-f", str(folder), "--set", name).out
    assert "updated" in text and "1 changed, 1 unchanged." in text
    assert ask("workflows", "versions", name).out.splitlines()[2].startswith("1 *")
    (folder / "triggers" / "payments.yaml").unlink()
    (folder / "pay.yaml").write_text(PAY.format(name=f"{name}-new", event="one"))
    assert applied(ask, folder, name, "--prune") == {
        f"workflow {name}-new": "created",
        workflow: "pruned",
        trigger: "pruned",
    }


@pytest.mark.parametrize(
    ("file", "text", "says"),
    [
        ("b.yaml", "name: b\nstages: []\n", "stages: must not be empty"),
        ("b.yaml", "stages:\n  - wait_event: {event: x, timeout: 1d}\n", "name: is required"),
        ("b.yaml", "name: b c\nstages:\n  - wait_event: {event: x, timeout: 1d}\n", "name: must be 1 to 100"),
        ("b.yaml", "kind: trigger\nname: t\nevent: PAID\n", "workflow: is required"),
        ("b.yaml", "kind: trigger\nevent: PAID\nworkflow: b\n", "name: is required"),
        ("b.yaml", "kind: flow\nname: b\n", "kind: must be trigger"),
        ("b.yaml", "kind: trigger\nname: t\nevent: PAID\nworkflow: b\nfilter: '1 +'\n", "filter:"),
        ("run.json", '{"amount": "1"}', "stages"),
        ("b.yaml", MIXED, "[asset-mismatch]"),
    ],
)
def test_an_error_in_one_file_stops_them_all(
    ask: Headrace, folder: Path, name: str, file: str, text: str, says: str
) -> None:
    (folder / file).write_text(text)
    ran = ask("apply", "-f", str(folder), "--set", "wrong")
    assert ran.code == 1 and says in ran.err and "nothing was applied" in ran.err, ran.err
    assert ask("workflows", "versions", name[:60]).code == 1, "not even the first file was put"


def test_one_name_in_two_files(ask: Headrace, folder: Path, name: str) -> None:
    (folder / "again.yaml").write_text(PAY.format(name=name, event="two"))
    ran = ask("apply", "-f", str(folder))
    assert ran.code == 1 and "is the name of another workflow, too" in ran.err


def test_run_plan_and_show_by_name(ask: Headrace, folder: Path, name: str) -> None:
    applied(ask, folder, name)
    (folder / "pay.yaml").write_text(PAY.format(name=name, event="two"))
    applied(ask, folder, name)
    current = json.loads(ask("workflows", "versions", name, "-o", "json").out)["data"]["workflowID"]
    for command in (("run", name), ("workflows", "run", name)):
        ran = ask(*command, "-o", "json")
        assert ran.code == 0 and json.loads(ran.out)["data"]["workflowInstance"]["workflowID"] == current, ran.err
    assert "event: two" in ask("workflows", "show", name).out
    planned = ask("plan", name, "-o", "json")
    assert planned.code == 0 and json.loads(planned.out)["data"]["plan"]["definition"]["stages"][0]["wait_event"][
        "event"
    ] == ("two")
    first = json.loads(ask("workflows", "versions", name, "-o", "json").out)["data"]["versions"][-1]["workflowID"]
    ask("run", first)
    ids = [ask("instances", "list", "--workflow", each, "-q").out.split() for each in (name, first, current)]
    assert [len(each) for each in ids] == [3, 1, 2] and ids[0] == [*ids[1], *ids[2]], "newest first, of all versions"
    limited = ask("instances", "list", "--workflow", name, "-q", "--limit", "2")
    assert limited.out.split() == ids[0][:2] and "--limit N or --all" in limited.err
    assert ask("instances", "list", "--workflow", name, "-q", "--all").out.split() == ids[0]
    assert ask("run", name, "--plan", "x").code == 2 and ask("run").code == 2


def test_a_trigger_by_name(ask: Headrace, folder: Path, name: str) -> None:
    applied(ask, folder, name)
    unnamed = ask("triggers", "create", "SAVED_PAYMENT", name)
    assert unnamed.code == 2 and "give --name" in unnamed.err
    made = ask("triggers", "create", "COMMITTED_TRANSACTIONS", name, "--name", f"{name}-own", "-o", "json")
    assert json.loads(made.out)["data"]["trigger"]["workflow"] == name, made.err
    again = ask("triggers", "create", "COMMITTED_TRANSACTIONS", name, "--name", f"{name}-own")
    assert again.code == 1 and "ifRevision" in again.err
    used = ask("workflows", "delete", name)
    assert used.code == 1 and "started by trigger" in used.err
    assert applied(ask, folder, name, "--prune")[f"workflow {name}"] == "unchanged", "the other trigger is not its own"
    for trigger in (f"{name}-own", f"{name}-payments"):
        assert ask("triggers", "delete", trigger).code == 0
    assert "deleted with its version" in ask("workflows", "delete", name).out


def test_nothing_to_apply(ask: Headrace, tmp_path: Path) -> None:
    assert ask("apply", "-f", str(tmp_path)).code == 2
    assert ask("apply", "-f", str(tmp_path / "absent")).code == 2


def test_what_cannot_be_read_is_not_pruned(folder: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The documents of a folder that is passed over would be missing, and what they describe would be deleted."""
    (folder / "more.YAML").write_text(PAY.format(name=f"{name}-more", event="one"))
    (folder / "last.JSON").write_text(
        json.dumps({"name": f"{name}-last", "stages": [{"wait_event": {"event": "x", "timeout": "1d"}}]})
    )
    every = {name, f"{name}-more", f"{name}-last"}
    workflows, triggers = read_documents([str(folder)], prunes=True).by_name()
    assert workflows.keys() == every and triggers.keys() == {f"{name}-payments"}
    elsewhere = folder.parent / "elsewhere"
    elsewhere.mkdir()
    for target in (elsewhere, folder.parent / "absent", folder):
        (folder / "linked").symlink_to(target)
        with pytest.raises(Failure) as refused:
            read_documents([str(folder)], prunes=True)
        assert refused.value.code == 2 and "linked is a link" in str(refused.value)
        assert read_documents([str(folder)]).by_name()[0].keys() == every, "nothing is deleted without --prune"
        (folder / "linked").unlink()
    (elsewhere / "one.yaml").write_text(PAY.format(name=f"{name}-one", event="one"))
    (folder / "one.yaml").symlink_to(elsewhere / "one.yaml")
    assert read_documents([str(folder)], prunes=True).by_name()[0].keys() == {*every, f"{name}-one"}, "a file is read"
    scan = os.scandir

    def scandir(path: Any) -> Any:
        if Path(path).name == "triggers":
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", scandir)
    for prunes in (False, True):
        with pytest.raises(PermissionError):
            read_documents([str(folder)], prunes=prunes)


def test_a_file_of_a_trigger_is_validated_as_it_is_applied(headrace: Any, folder: Path) -> None:
    ran = headrace(
        "workflows", "validate", str(folder / "pay.yaml"), "--trigger", str(folder / "triggers" / "payments.yaml")
    )
    assert ran.code == 0 and "valid, a trigger on SAVED_PAYMENT" in ran.out, ran.err
