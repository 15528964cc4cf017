"""Clients of a server, and the command line as one of them, against a real `headrace dev --auth`."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from headrace.auth.clients import ClientsFile
from headrace.auth.developer import developer_client
from headrace.cli.display import moment
from headrace.clock import SystemClock
from tests.support.server import Server

Headrace = Callable[..., Any]

WORKFLOW = '{"name": "pause", "stages": [{"delay": {"duration": "1ms"}}]}'


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("guarded") / "data", arguments=["--auth"]) as server:
        yield server


@pytest.fixture
def printed(guarded: Server) -> dict[str, str]:
    """What the server told to paste."""
    return dict(re.findall(r"export (HEADRACE_\w+)=(\S+)", guarded.log()))


@pytest.fixture
def pasted(printed: dict[str, str], monkeypatch: pytest.MonkeyPatch, headrace: Headrace) -> Headrace:
    for name, value in printed.items():
        monkeypatch.setenv(name, value)
    return headrace


def test_what_is_printed_is_all_it_takes(pasted: Headrace, guarded: Server, tmp_path: Path) -> None:
    (tmp_path / "pause.json").write_text(WORKFLOW)
    created = pasted("workflows", "create", str(tmp_path / "pause.json"))
    assert created.code == 0, created.err
    workflow_id = created.out.split()[-1]
    assert pasted("workflows", "run", workflow_id, "--wait").code == 0
    assert pasted("events", "send", '{"type": "X", "payload": {}}').code == 0
    audit = pasted("audit", "--limit", "3", "-o", "json")
    entries = json.loads(audit.out)["data"]["audit"]
    assert [entry["operation"] for entry in entries] == ["sendEvents", "runWorkflow", "createWorkflow"]
    assert {entry["principal"] for entry in entries} == {"dev"}
    shown = pasted("audit", "--target", workflow_id)
    assert re.search(rf"dev +createWorkflow +{workflow_id}", shown.out), shown.out
    assert "runWorkflow" not in shown.out
    assert pasted("audit", "--principal", "unknown").out == "No matching audit entries.\n"


def test_without_credentials_it_says_what_to_set(
    headrace: Headrace, guarded: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for arguments in (["workflows", "list"], ["audit"], ["events", "send", '{"type": "X", "payload": {}}']):
        ran = headrace(*arguments, "--server", guarded.url)
        assert ran.code == 1
        assert "token" in ran.err and "HEADRACE_CLIENT_ID" in ran.err
    monkeypatch.setenv("HEADRACE_CLIENT_ID", "dev")
    ran = headrace("workflows", "list", "--server", guarded.url)
    assert ran.code == 2
    assert "HEADRACE_CLIENT_SECRET" in ran.err
    monkeypatch.setenv("HEADRACE_CLIENT_SECRET", "wrong")
    ran = headrace("workflows", "list", "--server", guarded.url)
    assert ran.code == 1
    assert "invalid_client" in ran.err and "HEADRACE_TOKEN" in ran.err


def _token(server: Server, printed: dict[str, str], more: str = "") -> str:
    form = f"grant_type=client_credentials&client_id=dev&client_secret={printed['HEADRACE_CLIENT_SECRET']}{more}"
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    return server.request("POST", "/api/auth/oauth/token", form.encode(), headers=headers).json["access_token"]


def test_a_token_of_ones_own(
    headrace: Headrace, guarded: Server, printed: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    form = f"grant_type=client_credentials&client_id=dev&client_secret={printed['HEADRACE_CLIENT_SECRET']}"
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    granted = guarded.request(
        "POST", "/api/auth/oauth/token", f"{form}&scope=orchestration:read".encode(), headers=headers
    )
    monkeypatch.setenv("HEADRACE_TOKEN", granted.json["access_token"])
    assert headrace("workflows", "list", "--server", guarded.url).code == 0
    ran = headrace("events", "send", '{"type": "X", "payload": {}}', "--server", guarded.url)
    assert ran.code == 1
    assert "orchestration:write" in ran.err


def test_a_token_outlives_a_kill(pasted: Headrace, guarded: Server, printed: dict[str, str]) -> None:
    authorized = {"Authorization": f"Bearer {_token(guarded, printed)}"}
    assert guarded.get("/workflows", headers=authorized).status == 200
    guarded.kill()
    guarded.restart()
    assert guarded.get("/workflows", headers=authorized).status == 200
    assert dict(re.findall(r"export (HEADRACE_\w+)=(\S+)", guarded.log())) == printed, "still good after a restart"


def test_nothing_secret_is_in_the_log(guarded: Server, printed: dict[str, str], pasted: Headrace) -> None:
    assert pasted("workflows", "list").code == 0
    told = guarded.log().count(printed["HEADRACE_CLIENT_SECRET"])
    assert told == guarded.starts, "once at each start, and nowhere else"
    assert "eyJ" not in guarded.log()


# clients


def test_clients_come_and_go(headrace: Headrace, tmp_path: Path) -> None:
    data = ["--data", str(tmp_path)]
    assert "No clients" in headrace("clients", "list", *data).out
    created = headrace("clients", "create", "billing", "--scope", "orchestration:read", *data, "-o", "json")
    client = json.loads(created.out)["data"]["client"]
    assert client["scopes"] == ["orchestration:read"]
    second = headrace("clients", "create", *data)
    (secret,) = re.findall(r"Secret +(\S+)", second.out)
    assert f"The client is in {tmp_path / 'clients.json'};" in second.err and not created.err
    elsewhere = tmp_path / "other.json"
    assert f"The client is in {elsewhere};" in headrace("clients", "create", "--file", str(elsewhere)).err
    listed = headrace("clients", "list", *data, "-o", "json")
    assert [row["scopes"] for row in json.loads(listed.out)["data"]["clients"]] == [
        ["orchestration:read"],
        ["orchestration:read", "orchestration:write"],
    ]
    table = headrace("clients", "list", *data).out
    assert client["id"] in table and moment(client["createdAt"]) in table
    assert secret not in listed.out and client["secret"] not in listed.out
    assert headrace("clients", "delete", client["id"], *data).code == 0
    missing = headrace("clients", "delete", client["id"], *data)
    assert missing.code == 1
    assert "does not exist" in missing.err
    assert headrace("clients", "delete", "x", "--file", str(tmp_path / "other.json")).code == 1


def test_a_client_made_while_the_server_runs_gets_in(
    headrace: Headrace, guarded: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    created = headrace("clients", "create", "-o", "json", "--data", str(guarded.data))
    client = json.loads(created.out)["data"]["client"]
    monkeypatch.setenv("HEADRACE_CLIENT_ID", client["id"])
    monkeypatch.setenv("HEADRACE_CLIENT_SECRET", client["secret"])
    form = f"grant_type=client_credentials&client_id={client['id']}&client_secret={client['secret']}".encode()
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    for _ in range(8):  # the server looks at the file once a second, and throttles a client that fails ten times
        if guarded.request("POST", "/oauth/token", form, headers=headers).status == 200:
            break
        time.sleep(1.0)
    assert headrace("workflows", "list", "--server", guarded.url).code == 0
    headrace("clients", "delete", client["id"], "--data", str(guarded.data))


def test_behind_a_proxy_each_caller_fails_for_himself(guarded: Server) -> None:
    """A proxy on this machine is believed when it says whom it speaks for."""

    def status(address: str) -> int:
        headers = {"Content-Type": "application/x-www-form-urlencoded", "X-Forwarded-For": address}
        form = b"grant_type=client_credentials&client_id=unknown&client_secret=no"
        return guarded.request("POST", "/api/auth/oauth/token", form, headers=headers).status

    assert [status("203.0.113.1") for _ in range(11)] == [401] * 10 + [429]
    assert status("10.0.0.1, 203.0.113.1") == 429, "what the caller himself wrote there is nothing"
    assert status("203.0.113.2") == 401


# serve


@contextlib.contextmanager
def serving(data: Path) -> Iterator[str]:
    """A `headrace serve --auth local`; what it says when it is ready."""
    environment = {**os.environ, "HEADRACE_STACK_URL": "http://127.0.0.1:1"}
    command = [sys.executable, "-m", "headrace.cli", "serve", "--auth", "local", "--port", "0", "--data", str(data)]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as ran:
        try:
            assert ran.stdout is not None
            said = ""
            while "Clients    " not in said:
                line = ran.stdout.readline()
                assert line, said
                said += line
            yield said
        finally:
            ran.terminate()


def test_the_developers_client_is_reported_if_others_can_connect(headrace: Headrace, tmp_path: Path) -> None:
    """The folder is the same by default, and the secret has been printed."""
    file = ClientsFile(tmp_path / "clients.json")
    developer_client(file, tmp_path, SystemClock(), os.urandom)
    with serving(tmp_path) as said:
        assert (
            "Warning    the client dev of `headrace dev --auth` is accepted here too: headrace clients delete dev"
            in said
        )
    assert headrace("clients", "delete", "dev", "--data", str(tmp_path)).code == 0
    with serving(tmp_path) as said:
        assert "Warning" not in said


@pytest.mark.parametrize(
    ("arguments", "settings", "says"),
    [
        ([], {}, "does not start without authentication"),
        ([], {"AUTH": "ldap"}, "HEADRACE_AUTH"),
        (["--host", "0.0.0.0"], {"AUTH": "none"}, "loopback"),
        ([], {"AUTH": "oidc"}, "HEADRACE_ISSUER"),
        ([], {"AUTH": "oidc", "ISSUER": "http://issuer.example"}, "HEADRACE_ALLOW_PLAIN_ISSUER"),
        ([], {"AUTH": "oidc", "ISSUER": "https://i.example", "TOKEN_ALGORITHMS": "HS256"}, "HEADRACE_TOKEN_ALGORITHMS"),
        ([], {"AUTH": "local", "SIGNING_ALGORITHM": "none"}, "HEADRACE_SIGNING_ALGORITHM"),
    ],
)
def test_a_server_that_would_let_the_wrong_ones_in_does_not_start(
    tmp_path: Path, arguments: list[str], settings: dict[str, str], says: str
) -> None:
    path = {"PYTHONPATH": os.environ["PYTHONPATH"]} if "PYTHONPATH" in os.environ else {}
    environment = {f"HEADRACE_{name}": value for name, value in settings.items()} | path
    environment |= {"HEADRACE_STACK_URL": "http://127.0.0.1:1", "PATH": "/usr/bin:/bin"}
    command = [sys.executable, "-m", "headrace.cli", "serve", "--port", "0", "--data", str(tmp_path), *arguments]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 2, ran.stderr
    assert says in ran.stderr


@pytest.mark.parametrize(
    "host",
    ["0.0.0.0", "::", "0", "10.0.0.1", "127.1", "localhost.example", "127.0.0.1.example", "[::]", "*"],
)
def test_without_authentication_only_loopback_addresses_are_served(
    headrace: Headrace, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    monkeypatch.setenv("HEADRACE_STACK_URL", "http://127.0.0.1:1")
    for arguments in (["--host", host, "--auth", "none"], ["--auth", "NONE"]):
        monkeypatch.setenv("HEADRACE_HOST", host)
        ran = headrace("serve", *arguments)
        assert (ran.code, "loopback" in ran.err) == (2, True), ran.err


def test_a_file_of_clients_that_cannot_be_read_stops_the_start(tmp_path: Path, headrace: Headrace) -> None:
    (tmp_path / "clients.json").write_text("{")
    ran = headrace("dev", "--auth", "--port", "0", "--data", str(tmp_path))
    assert ran.code == 2
    assert "clients.json" in ran.err
