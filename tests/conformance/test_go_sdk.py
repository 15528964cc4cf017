"""The official Go SDK, unmodified, runs all operations: `go/` holds the programme, `programs.py` walks its bytes."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conformance import programs
from tests.conformance.conftest import Guarded
from tests.conformance.programs import CREDENTIALS
from tests.support.server import Server

pytestmark = pytest.mark.timeout(600)  # the first run on a machine downloads and compiles the SDK

SOURCE = Path(__file__).parent / "go"
NEEDED = (1, 22)
"""What the SDK's own go.mod asks for."""

KNOWN_BUGS = [
    ("T11", "delay decodes as an empty send"),
    ("T11", "update decodes as an empty send"),
]
"""Faults of the SDK that no server can mend. One that is mended must leave this list."""


@pytest.fixture(scope="module")
def go() -> str:
    found = shutil.which("go")
    if found is None:
        pytest.skip("go is not installed: the official Go SDK is not tried")
    told = subprocess.run([found, "version"], check=True, capture_output=True, text=True).stdout
    version = re.search(r"go(\d+)\.(\d+)", told)
    if version is None or (int(version[1]), int(version[2])) < NEEDED:
        pytest.skip(f"the official Go SDK needs go {NEEDED[0]}.{NEEDED[1]} or later, here is {told.strip()}")
    return found


@pytest.fixture(scope="module")
def program(go: str, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    binary = tmp_path_factory.mktemp("go") / "sdk"
    programs.build([go, "build", "-mod=readonly", "-buildvcs=false", "-o", str(binary), "."], SOURCE)
    return [str(binary)]


@pytest.mark.parametrize("case", CREDENTIALS)
def test_every_operation(case: str, program: list[str], live_server: Server) -> None:
    report = programs.run(program, live_server, CREDENTIALS[case])
    has_credentials = "--client-secret" in CREDENTIALS[case]
    found = programs.problems(report, has_credentials=has_credentials)
    assert not found, "\n".join(found)
    assert report.bugs == KNOWN_BUGS


def test_every_operation_where_tokens_are_checked(program: list[str], guarded: Guarded) -> None:
    report = programs.run(program, guarded.server, guarded.arguments, headers=guarded.headers())
    found = programs.problems(report, has_credentials=True)
    assert not found, "\n".join(found)


def test_a_wrong_response_ends_the_program(program: list[str], live_server: Server) -> None:
    """Below another path there is no such route: the first operation fails, and says so."""
    report = programs.run_at(program, f"{live_server.url}/nothing", ["--ledger", "none"])
    assert report.exit_code == 1
    assert report.operations == ["getServerInfo"]
    assert "NOT_FOUND" in report.lines[0]["failure"]


def test_credentials_need_a_token_endpoint(program: list[str], live_server: Server) -> None:
    """Why a server that checks no tokens hands them out all the same: this SDK gives up without one."""
    report = programs.run(program, live_server, [*CREDENTIALS["with credentials"], "--token-url", "/nothing"])
    assert report.operations == ["getServerInfo"]
    assert "failed to get token" in report.lines[0]["failure"]
    assert "404" in report.lines[0]["failure"]


def test_what_the_sdk_forgives_is_found_on_the_wire(program: list[str], live_server: Server) -> None:
    report = programs.run(program, live_server)
    listed = next(line for line in report.lines if line["operation"] == "listWorkflows")
    listed["calls"][0]["body"] = '{"data":null}'
    assert programs.problems(report, has_credentials=False) != []
    assert programs.problems(report, has_credentials=True)[-1].startswith("0 tokens asked for")


def test_the_sdk_is_the_published_one() -> None:
    module = (SOURCE / "go.mod").read_text()
    assert "require github.com/formancehq/formance-sdk-go/v3 v3.8.1\n" in module
    assert "replace" not in module


def test_the_program_is_formatted(go: str) -> None:
    formatter = Path(go).resolve().with_name("gofmt")
    told = subprocess.run([str(formatter), "-l", "."], cwd=SOURCE, check=True, capture_output=True, text=True)
    assert told.stdout == ""
