"""`headrace doctor` against a stack that is there, one that is not, and a broker that is not; `serve` logs the same."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.server import Server, free_port

Headrace = Callable[..., Any]


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction]
    for name in os.environ:
        if name.startswith("HEADRACE_"):
            monkeypatch.delenv(name)


def statuses(document: str) -> dict[str, str]:
    return {each["check"]: each["status"] for each in json.loads(document)["data"]["checks"]}


def test_a_whole_stack_is_well(
    headrace: Headrace, monkeypatch: pytest.MonkeyPatch, shared_server: Server, tmp_path: Path
) -> None:
    monkeypatch.setenv("HEADRACE_STACK_URL", shared_server.url)
    tmp_path.chmod(0o700)
    ran = headrace("-o", "json", "doctor", "--auth", "none", "--data", str(tmp_path))
    assert ran.code == 0, ran.out + ran.err
    found = statuses(ran.out)
    services = {name: found[name] for name in ("ledger", "wallets", "payments", "clock", "limits", "journal")}
    assert set(services.values()) == {"ok"}, ran.out


def test_the_journal_of_a_running_server_is_in_use_and_goes_on_working(
    headrace: Headrace, monkeypatch: pytest.MonkeyPatch, shared_server: Server
) -> None:
    monkeypatch.setenv("HEADRACE_STACK_URL", shared_server.url)
    ran = headrace("doctor", "--auth", "none", "--data", str(shared_server.data))
    assert f"in use by process {shared_server.pid}" in ran.out
    assert shared_server.get("/readyz").status == 200


def test_nothing_there_fails_and_says_what_to_do(
    headrace: Headrace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    port = free_port()
    monkeypatch.setenv("HEADRACE_STACK_URL", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("HEADRACE_CONCURENCY", "5")
    monkeypatch.setenv("HEADRACE_STACK_NAME", "stack")
    monkeypatch.setenv("HEADRACE_BROKER_URL", f"nats://127.0.0.1:{port}")
    ran = headrace("doctor", "--data", str(tmp_path))
    assert ran.code == 1
    lines = ran.out.splitlines()
    assert any(line.startswith("FAILED   ledger") and "Connection refused" in line for line in lines)
    assert any(line.startswith("FAILED   broker") for line in lines)
    assert any(line.startswith("warning  authentication") for line in lines)
    assert any("did you mean HEADRACE_CONCURRENCY?" in line for line in lines)
    assert lines[-1].startswith("4 failed, ")


def test_findings_are_wrapped_at_the_width_of_a_terminal(
    headrace: Headrace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("headrace.cli.display.terminal_width", lambda: 80)
    monkeypatch.setenv("HEADRACE_STACK_URL", f"http://127.0.0.1:{free_port()}")
    ran = headrace("doctor", "--data", str(tmp_path / "a-data-folder"))
    assert ran.code == 1
    unbroken = str(tmp_path)  # a path is never broken
    assert [line for line in ran.out.splitlines() if len(line) > 80 and unbroken not in line] == []


def test_settings_that_cannot_be_read_are_a_finding(headrace: Headrace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_TIMEOUT_S", "soon")
    ran = headrace("-o", "json", "doctor")
    assert ran.code == 1
    (check,) = json.loads(ran.out)["data"]["checks"]
    assert (check["check"], check["status"]) == ("settings", "failed") and "HEADRACE_TIMEOUT_S" in check["text"]


def test_clients_and_webhooks_are_checked(headrace: Headrace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "clients.json").write_text("{")
    (tmp_path / "hooks.yaml").write_text("endpoints: 7")
    monkeypatch.setenv("HEADRACE_WEBHOOKS", str(tmp_path / "hooks.yaml"))
    ran = headrace("-o", "json", "doctor", "--auth", "local", "--data", str(tmp_path))
    found = statuses(ran.out)
    assert (found["authentication"], found["webhooks"]) == ("failed", "failed")


def test_an_issuer_is_asked_for_its_keys(headrace: Headrace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with Server(tmp_path / "issuer", arguments=["--auth"]) as issuer:
        monkeypatch.setenv("HEADRACE_ISSUER", f"{issuer.url}/api/auth")
        ran = headrace("-o", "json", "doctor", "--auth", "oidc", "--data", str(tmp_path))
        assert statuses(ran.out)["authentication"] == "warning", "any audience"
        monkeypatch.setenv("HEADRACE_AUDIENCE", "here")
        ran = headrace("-o", "json", "doctor", "--auth", "oidc", "--data", str(tmp_path))
        assert statuses(ran.out)["authentication"] == "ok"
    ran = headrace("-o", "json", "doctor", "--auth", "oidc", "--data", str(tmp_path))
    assert statuses(ran.out)["authentication"] == "failed"


def test_a_server_logs_its_start_its_targets_and_its_end(tmp_path: Path) -> None:
    stack = f"http://127.0.0.1:{free_port()}"
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("HEADRACE_")}
    settings = {
        "HEADRACE_LOG_FORMAT": "json",
        "HEADRACE_STACK_URL": stack,
        "HEADRACE_STACK_CLIENT_ID": "headrace",
        "HEADRACE_STACK_CLIENT_SECRET": "t0ps3cret",
        "HEADRACE_CONCURENCY": "5",
    }
    command = [sys.executable, "-m", "headrace.cli", "serve", "--auth", "none", "--port", "0", "--data", str(tmp_path)]
    with subprocess.Popen(
        command, env={**inherited, **settings}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as ran:
        assert ran.stdout is not None and ran.stderr is not None
        said = ""
        while "Without authentication" not in said:
            line = ran.stdout.readline()
            assert line, ran.stderr.read()
            said += line
        logged = ""
        while '"check": "payments"' not in logged:  # the last finding of the check of services
            line = ran.stderr.readline()
            assert line, logged
            logged += line
        ran.send_signal(signal.SIGTERM)
        logged += ran.stderr.read()
    assert f"  Ledger     {stack}/api/ledger\n  Wallets    {stack}/api/wallets\n" in said
    lines = {line["event"]: line for line in map(json.loads, logged.splitlines())}
    start = lines["starting"]
    assert (start["ledger"], start["authentication"], start["data"]) == (f"{stack}/api/ledger", "none", str(tmp_path))
    assert start["version"] and start["concurrency"] and start["url"].startswith("http://127.0.0.1:")
    assert lines["recovered"]["instances_running"] == 0
    assert "HEADRACE_CONCURENCY is not a setting and has no effect; did you mean HEADRACE_CONCURRENCY?" in lines
    assert "no access token" in lines["check of services"]["found"]
    assert "stopped" in lines
    assert "t0ps3cret" not in said + logged
