"""`--watch`: its output, its time limits, and its end."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, Self

import pytest
import yaml

from headrace.cli import watch as watching
from headrace.cli.display import Output
from headrace.cli.watch import Documents, Lines, View, Watch
from headrace_client import ConnectionFailure, Error
from tests.support.server import Server

STAGES = "stages: [{wait_event: {event: go}}, {delay: {duration: 1ms}}]"
FAILING = """
stages:
  - wait_event: {event: go}
  - update: {account: {id: a, ledger: none, metadata: {}}}
"""
AWAY = ConnectionFailure("no answer", is_timeout=False, is_unsent=True)


def view(text: str, **more: Any) -> View:
    return View(value={"text": text}, picture=[text, "whole"], news=[text], **more)


class Time:
    """A clock that moves when it is read, and in `sleep`."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.slept_s: list[float] = []

    def sleep(self, pause_s: float) -> None:
        self.slept_s.append(pause_s)
        self.now_s += pause_s


class Script:
    """A look at one thing after the other; an error is raised."""

    def __init__(self, seen: Iterator[View | Exception], time: Time, look_s: float = 0.0) -> None:
        self._seen = seen
        self._time = time
        self._look_s = look_s

    def __call__(self) -> View:
        self._time.now_s += self._look_s
        now = next(self._seen)
        if isinstance(now, Exception):
            raise now
        return now


def run(*seen: View | Exception, screen: Any = None, look_s: float = 0.0) -> Time:
    time = Time()
    look = Script(iter(seen), time, look_s)
    Watch(look, screen or Lines(), sleep=time.sleep, monotonic_s=lambda: time.now_s).run()
    return time


def test_only_changes_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    run(view("a"), view("a", has_changed=False), view("b"), view("c", is_over=True))
    assert capsys.readouterr().out == "a\nb\nc\n"


def test_pauses_grow_while_nothing_moves_and_are_short_again_afterwards() -> None:
    still = view("a", has_changed=False)
    slept_s = run(view("a"), *[still] * 10, view("b"), view("c", is_over=True)).slept_s
    assert slept_s[0] == watching.FIRST_PAUSE_S
    assert slept_s[9] == watching.LONGEST_PAUSE_S
    assert slept_s[:10] == sorted(slept_s[:10])
    assert slept_s[-1] == watching.FIRST_PAUSE_S


def test_a_slow_server_is_not_asked_more_often_than_it_can_answer() -> None:
    slept_s = run(view("a"), view("b"), view("c", is_over=True), look_s=3.0).slept_s
    assert slept_s == [3.0 * watching.SHARE_OF_TIME] * 2


def test_a_server_that_comes_back_is_watched_on(capsys: pytest.CaptureFixture[str]) -> None:
    down = Error("INTERNAL", "the database is down", 503, {}, b"")
    run(view("a"), AWAY, AWAY, down, view("b", is_over=True))
    told = capsys.readouterr()
    assert told.out == "a\nb\n"
    assert told.err == "no answer; trying again\n"


def test_one_that_stays_away_is_given_up() -> None:
    with pytest.raises(ConnectionFailure):
        run(view("a"), *[AWAY] * 1_000)


@pytest.mark.parametrize("error", [AWAY, Error("NOT_FOUND", "not here", 404, {}, b"")])
def test_one_that_was_never_there_is_not_waited_for(error: Exception) -> None:
    with pytest.raises(type(error)):
        run(error)


def test_what_is_gone_for_good_ends_it() -> None:
    with pytest.raises(Error):
        run(view("a"), Error("NOT_FOUND", "not here", 404, {}, b""))


def test_programs_get_a_document_for_each_change(capsys: pytest.CaptureFixture[str]) -> None:
    seen = [view("a\nb"), view("a", has_changed=False), view("c", is_over=True)]
    run(*seen, screen=Documents(Output.JSON))
    assert [json.loads(line)["data"]["text"] for line in capsys.readouterr().out.splitlines()] == ["a\nb", "c"]
    run(*seen, screen=Documents(Output.YAML))
    assert [each["data"]["text"] for each in yaml.safe_load_all(capsys.readouterr().out)] == ["a\nb", "c"]


# against a server


class Shell:
    def __init__(self, run: Callable[..., Any], server: Server) -> None:
        self.headrace = run
        self.server = server

    def __call__(self, *arguments: str, stdin: str = "") -> Any:
        return self.headrace(*arguments, "--server", self.server.url, stdin=stdin)

    def start(self, definition: str) -> str:
        workflow_id = self("workflows", "create", "-", stdin=definition).out.split()[-1]
        return self("workflows", "run", workflow_id).out.split()[-1]

    def send_go(self, instance_id: str) -> None:
        answer = self.server.post(f"/instances/{instance_id}/events", {"name": "go"})
        assert answer.status == 204


@pytest.fixture
def shell(headrace: Callable[..., Any], shared_server: Server) -> Shell:
    return Shell(headrace, shared_server)


@pytest.mark.parametrize("command", ["show", "describe"])
@pytest.mark.parametrize("output", ["table", "json", "yaml"])
def test_until_it_has_ended(shell: Shell, monkeypatch: pytest.MonkeyPatch, command: str, output: str) -> None:
    instance_id = shell.start(STAGES)
    pauses: list[float] = []

    def pause(_: float) -> None:
        if not pauses:
            shell.send_go(instance_id)
        pauses.append(1)

    monkeypatch.setattr(watching, "pause", pause)
    ran = shell("instances", command, instance_id, "--watch", "-o", output)
    assert ran.code == 0, ran.err
    if output == "table":
        wanted = {"show": "Ended at    2", "describe": "Event received!"}[command]
        first, _, last = ran.out.partition("\n\n" if command == "describe" else "ID  ")
        assert wanted in last and wanted not in first
        return
    documents: list[Any]
    if output == "json":
        documents = [json.loads(line)["data"] for line in ran.out.splitlines()]
    else:
        documents = [each["data"] for each in yaml.safe_load_all(ran.out)]
    assert len(documents) >= 2
    if command == "show":
        assert [documents[0]["workflowInstance"]["terminated"], documents[-1]["workflowInstance"]["terminated"]] == [
            False,
            True,
        ]
    else:
        assert len(documents[0]["workflowInstanceHistory"]) == 1
        assert [stage["terminated"] for stage in documents[-1]["workflowInstanceHistory"]] == [True, True]


def test_the_end_of_what_is_watched_is_the_commands(shell: Shell) -> None:
    instance_id = shell.start(FAILING)
    shell.send_go(instance_id)
    for command in ("show", "describe"):
        ran = shell("instances", command, instance_id, "--watch")
        assert ran.code == 1
        assert "ended with an error" in ran.err
    assert shell("instances", "show", instance_id).code == 0


def test_the_list_tells_of_each_change_until_ctrl_c(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    ended, running = shell.start(STAGES), shell.start(STAGES)
    after_the_end: list[int] = []

    def pause(_: float) -> None:
        if after_the_end:
            raise KeyboardInterrupt
        shell.send_go(ended)
        while not shell.server.get(f"/instances/{ended}").json["data"]["terminated"]:
            time.sleep(0.02)
        after_the_end.append(1)

    monkeypatch.setattr(watching, "pause", pause)
    ran = shell("instances", "list", "--running", "--watch", "-o", "json")
    assert ran.code == 130
    first, *later = [json.loads(line)["data"]["workflowInstances"] for line in ran.out.splitlines()]
    assert {ended, running} <= {each["instanceId"] for each in first}
    told = [each for changed in later for each in changed]
    assert {each["instanceId"] for each in told} == {ended}
    assert "terminatedAt" in told[-1], "it has left the list of running instances, and its end is printed"


PROGRAM = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # a runner in the background has it ignored
from headrace.cli.main import main
main()
"""


class Terminal:
    """The command behind a terminal of this size."""

    def __init__(self, arguments: list[str], columns: int = 100, lines: int = 30) -> None:
        self._ours, theirs = pty.openpty()
        size = {"COLUMNS": str(columns), "LINES": str(lines), "TERM": "xterm"}
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**os.environ, **size},
        )
        os.close(theirs)
        self.seen = ""

    def until(self, text: str) -> None:
        while text not in self.seen:
            assert self._read(), self.seen

    def end(self) -> int:
        """Reads all there is; the exit code."""
        while self._read():
            pass
        return self.process.wait(60)

    def _read(self) -> bool:
        ready, _, _ = select.select([self._ours], [], [], 60)
        assert ready, self.seen
        try:
            self.seen += os.read(self._ours, 65_536).decode(errors="replace")
        except OSError:  # the other end is closed
            return False
        return True

    def interrupt(self) -> None:
        self.process.send_signal(signal.SIGINT)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait(60)
        os.close(self._ours)


def test_a_terminal_has_one_picture_and_at_the_end_the_whole(shell: Shell) -> None:
    instance_id = shell.start(STAGES)
    with Terminal(["instances", "show", instance_id, "--watch", "--server", shell.server.url]) as terminal:
        terminal.until("Ctrl-C")
        first = terminal.seen
        shell.send_go(instance_id)
        assert terminal.end() == 0
    assert "\x1b[?25l" in first, "the cursor does not dance"
    drawn_anew, _, last = terminal.seen.removeprefix(first).rpartition("\x1b[?25h")
    assert "\x1b[2K" in drawn_anew + last, "in its place"
    assert last.count(instance_id) == 1 and re.search(r"Ended at +2", last)
    assert "Ctrl-C" not in last


def test_ctrl_c_leaves_the_picture_and_the_instance(shell: Shell) -> None:
    instance_id = shell.start(STAGES)
    with Terminal(["instances", "list", "--watch", "--server", shell.server.url], lines=12) as terminal:
        terminal.until("Ctrl-C")
        terminal.interrupt()
        assert terminal.end() == 130
    assert terminal.seen.endswith("\x1b[?25h")
    assert instance_id in terminal.seen
    assert shell.server.get(f"/instances/{instance_id}").json["data"]["terminated"] is False
