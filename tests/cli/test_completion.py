"""What the Tab key offers, through the scripts' own entry point, and that it never says or breaks anything."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from headrace.cli import completion
from headrace.cli.completion import EVENT_TYPES
from tests.support.server import Server

TRANSFER = """\
name: pay
stages:
  - wait_event: {event: confirmed}
  - send:
      source: {account: {id: "${payer}", ledger: shop}}
      destination: {account: {id: shops, ledger: shop}}
      amount: {asset: USD/2, amount: "${amount}"}
"""

Complete = Callable[..., list[str]]


@pytest.fixture
def complete(headrace: Any, monkeypatch: pytest.MonkeyPatch) -> Complete:
    """`headrace WORDS...` and the Tab key behind the last one, as fish asks: each line an offer and its description."""

    def ask(*words: str) -> list[str]:
        monkeypatch.setenv("_HEADRACE_COMPLETE", "complete_fish")
        monkeypatch.setenv("_TYPER_COMPLETE_FISH_ACTION", "get-args")
        monkeypatch.setenv("_TYPER_COMPLETE_ARGS", " ".join(["headrace", *words]))
        ran = headrace()
        monkeypatch.delenv("_HEADRACE_COMPLETE")
        assert (ran.code, ran.err) == (0, "")
        return [line for line in ran.out.splitlines() if line]

    return ask


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch, headrace: Any, shared_server: Server) -> Server:
    monkeypatch.setattr(completion, "LONGEST_S", 60.0)  # a machine that is busy fails no test
    monkeypatch.setenv("HEADRACE_SERVER", shared_server.url)
    return shared_server


def test_commands_and_options(complete: Complete) -> None:
    assert {"workflows", "instances", "triggers", "profiles"} <= {line.split("\t")[0] for line in complete("")}
    assert [line.split("\t")[0] for line in complete("workf")] == ["workflows"]
    assert "--watch" in {line.split("\t")[0] for line in complete("instances", "show", "--")}
    assert complete("-o", "") == ["table", "json", "yaml"]


def test_ids_names_and_what_they_are(complete: Complete, at: Server, headrace: Any) -> None:
    workflow_id = headrace("workflows", "create", "-", stdin=TRANSFER).out.split()[-1]
    run = headrace("workflows", "run", workflow_id, "--variable", "payer=a,amount=1")
    instance_id = run.out.split()[-1]
    trigger_id = headrace("triggers", "create", "PAID", workflow_id, "--name", "paid").out.split()[-1]
    assert f"{workflow_id}\tpay" in complete("workflows", "show", "")
    assert complete("w", "show", workflow_id[:-1]) == [f"{workflow_id}\tpay"]
    assert complete("orch", "w", "show", workflow_id[:-1]) == [f"{workflow_id}\tpay"]
    assert f"{instance_id}\trunning, of workflow {workflow_id}" in complete("instances", "stop", "")
    assert complete("instances", "send-event", instance_id, "") == ["confirmed\ta stage waits for it"]
    assert f"{trigger_id}\tpaid PAID" in complete("triggers", "occurrences", "list", "")
    assert complete("triggers", "list", "--name", "pa") == ["paid\tPAID"]
    assert complete("workflows", "run", workflow_id, "--variable", "") == ["amount=", "payer="]
    headrace("instances", "stop", instance_id)
    assert instance_id not in "".join(complete("instances", "stop", ""))
    assert f"{instance_id}\tfailed, of workflow {workflow_id}" in complete("instances", "show", "")


def test_the_server_that_is_named_in_the_line_is_asked(complete: Complete, at: Server, headrace: Any) -> None:
    headrace("profiles", "set", "here", "--server", at.url)
    headrace("profiles", "set", "nowhere", "--server", "http://127.0.0.1:1")
    assert complete("--profile", "") == ["here", "nowhere"]
    headrace("workflows", "create", "-", stdin=TRANSFER)
    assert complete("--profile", "here", "workflows", "show", "")
    assert complete("--profile", "nowhere", "workflows", "show", "") == []
    assert complete("workflows", "show", "--server", "http://127.0.0.1:1", "") == []


def test_events_need_no_server(complete: Complete) -> None:
    assert [line.split("\t")[0] for line in complete("triggers", "create", "SAVED_P")] == ["SAVED_PAYMENT"]
    assert len(complete("triggers", "create", "")) == len(EVENT_TYPES)


@pytest.mark.parametrize("text", ["[", "current = 'gone'"])
def test_nothing_is_said_about_trouble(complete: Complete, text: str) -> None:
    Path(os.environ["HEADRACE_CONFIG"]).write_text(text)
    assert complete("workflows", "show", "") == []
    assert complete("--profile", "") == []


def test_nothing_is_said_about_a_file_that_others_may_read(complete: Complete, headrace: Any) -> None:
    headrace("profiles", "set", "here", "--server", "http://127.0.0.1:1", "--token", "t")
    Path(os.environ["HEADRACE_CONFIG"]).chmod(0o644)
    assert "chmod 600" in headrace("workflows", "list", "--profile", "here").err
    assert complete("--profile", "here", "workflows", "show", "") == []


def test_a_silent_server_is_not_waited_for() -> None:
    before_s = time.monotonic()
    assert completion._within(0.05, lambda: time.sleep(30)) is None  # pyright: ignore[reportPrivateUsage]
    assert time.monotonic() - before_s < 20


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "powershell"])
def test_a_script_for_each_shell(headrace: Any, shell: str) -> None:
    ran = headrace("completion", shell)
    assert ran.code == 0
    assert "_HEADRACE_COMPLETE" in ran.out and f"complete_{shell}" in ran.out


@pytest.mark.parametrize(
    ("words", "typed", "whole", "at"),
    [
        ("headrace workflows l", 2, "headrace workflows l", 2),
        ("headrace --server http : //127.0.0.1 : 84 w show ", 8, "headrace --server http://127.0.0.1:84 w show ", 4),
        ("headrace instances list --workflow = 01", 5, "headrace instances list --workflow=01", 3),
        ("headrace instances list --workflow =", 4, "headrace instances list --workflow=", 3),
        ("headrace w run W --variable a = b --w", 8, "headrace w run W --variable a=b --w", 6),
        ("headrace", 0, "headrace", 0),
        ("", 7, "", 0),
    ],
)
def test_what_bash_parts_is_whole_again(words: str, typed: int, whole: str, at: int) -> None:
    """It parts an address at its colons: nothing was offered behind `--server URL`."""
    environ = {"_HEADRACE_COMPLETE": "complete_bash", "COMP_WORDS": words.replace(" ", "\n"), "COMP_CWORD": str(typed)}
    completion.rejoin_words(environ)
    assert (environ["COMP_WORDS"].replace("\n", " "), environ["COMP_CWORD"]) == (whole, str(at))


def test_bash_completes_by_its_script(headrace: Any, tmp_path: Path) -> None:
    (tmp_path / "headrace").write_text(f'#!/bin/sh\nexec {sys.executable} -m headrace.cli "$@"\n')
    (tmp_path / "headrace").chmod(0o755)
    lines = (
        headrace("completion", "bash").out,
        "COMP_WORDS=(headrace --server http : //127.0.0.1 : 1 prof) COMP_CWORD=7",
        "_headrace_completion headrace",
        'echo "${COMPREPLY[@]}"',
    )
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    ran = subprocess.run(
        ["bash", "-c", "\n".join(lines)], env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    assert ran.stdout == "profiles\n"


def test_it_is_shown_and_installed_for_the_shell_in_use(tmp_path: Path) -> None:
    environment = {**os.environ, "HOME": str(tmp_path), "PYTHON": sys.executable}
    shown, installed = (
        subprocess.run(
            ["bash", "-c", f'"$PYTHON" -m headrace.cli {option}; true'],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        ).stdout
        for option in ("--show-completion", "--install-completion")
    )
    assert "_HEADRACE_COMPLETE=complete_bash" in shown
    assert "bash completion installed" in installed
    assert "_HEADRACE_COMPLETE" in (tmp_path / ".bash_completions" / "headrace.sh").read_text()
