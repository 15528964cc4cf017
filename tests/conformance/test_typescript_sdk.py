"""The official TypeScript SDK, unmodified, runs all operations: `typescript/` holds the programme."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conformance import programs
from tests.conformance.conftest import Guarded
from tests.conformance.programs import CREDENTIALS
from tests.support.server import Server

pytestmark = pytest.mark.timeout(600)  # the first run on a machine downloads the SDK

SOURCE = Path(__file__).parent / "typescript"
NEEDED = (18, 3)
"""The first with `fetch` and `parseArgs`."""

KNOWN_BUGS = [
    ("bigint", "the amount of a send beyond 2^53 is rounded to a double"),
    ("T11", "delay decodes as an empty send"),
    ("T11", "update decodes as an empty send"),
    ("bigint", "the amount of a posting beyond 2^53 is rounded to a double"),
]
"""Faults of the SDK that no server can mend. One that is mended must leave this list."""


@pytest.fixture(scope="module")
def node() -> str:
    found = shutil.which("node")
    if found is None or shutil.which("npm") is None:
        pytest.skip("node or npm is not installed: the official TypeScript SDK is not tried")
    told = subprocess.run([found, "--version"], check=True, capture_output=True, text=True).stdout
    version = re.search(r"v(\d+)\.(\d+)", told)
    if version is None or (int(version[1]), int(version[2])) < NEEDED:
        pytest.skip(f"the TypeScript programme needs node {NEEDED[0]}.{NEEDED[1]} or later, here is {told.strip()}")
    return found


@pytest.fixture(scope="module")
def program(node: str, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("typescript") / "sdk"
    shutil.copytree(SOURCE, folder, ignore=shutil.ignore_patterns("node_modules"))
    programs.build(["npm", "ci", "--prefer-offline", "--no-update-notifier"], folder)
    return [node, str(folder / "main.mjs")]


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
    assert "while fetching token" in report.lines[0]["failure"]
    assert "404" in report.lines[0]["failure"]


def test_the_sdk_is_the_published_one() -> None:
    assert json.loads((SOURCE / "package.json").read_text())["dependencies"] == {"@formance/formance-sdk": "7.0.1"}
    packages = json.loads((SOURCE / "package-lock.json").read_text())["packages"]
    installed = {name: package for name, package in packages.items() if name}
    assert installed["node_modules/@formance/formance-sdk"]["version"] == "7.0.1"
    for name, package in installed.items():
        assert package["integrity"].startswith("sha512-"), name
        assert "resolved" not in package, f"{name}: an address of one registry"
