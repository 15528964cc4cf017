"""What a release is made of: one version everywhere, an image and a CI workflow that keep their promises."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.support.server import Server, free_port
from tests.tidy.repository import ROOT

Instruction = tuple[str, str]

DOCKERFILE = (ROOT / "Dockerfile").read_text()
BASE = next(line for line in DOCKERFILE.splitlines(keepends=True) if line.startswith("ARG PYTHON="))
IGNORED = (ROOT / ".dockerignore").read_text()
LABELS = ("title", "description", "version", "revision", "licenses", "source", "documentation", "base.name")
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))


def version() -> str:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


def test_one_version_everywhere() -> None:
    client = tomllib.loads((ROOT / "packages/client/pyproject.toml").read_text())["project"]["version"]
    assert client == version()
    assert f'org.opencontainers.image.version="{version()}"' in DOCKERFILE
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest is not None and newest[1] == version()


def requirement(line: str) -> tuple[str, str]:
    """Name and lower bound of `name>=1.2; marker`."""
    found = re.fullmatch(r"([\w-]+)(?:\[\w+\])?>=([\d.]+)(;.*)?", line)
    assert found, f"{line}: a lower bound is needed"
    return found[1], found[2]


@pytest.mark.parametrize("folder", [".", "packages/client"])
def test_lower_bounds_are_the_versions_that_are_tested(folder: str) -> None:
    locked = dict(re.findall(r"^([\w-]+)==([\d.]+)", (ROOT / "requirements/dev.txt").read_text(), re.MULTILINE))
    project = tomllib.loads((ROOT / folder / "pyproject.toml").read_text())["project"]
    extras = [each for group in project.get("optional-dependencies", {}).values() for each in group]
    wanted = [each for each in (*project["dependencies"], *extras) if each != f"headrace-client=={version()}"]
    assert len(wanted) >= 2
    for name, bound in map(requirement, wanted):
        assert f"{locked[name]}.".startswith(f"{bound}."), f"{name}: {bound} is not what {locked[name]} is a patch of"


def test_the_server_needs_its_own_version_of_the_client() -> None:
    dependencies = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    assert f"headrace-client=={version()}" in dependencies


# the image (`make check` lints the Dockerfile; here is what a linter does not know)


def instructions(text: str) -> list[Instruction]:
    lines = re.sub(r"\\\n", " ", re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE)).splitlines()
    return [(word.upper(), rest.strip()) for word, _, rest in (line.partition(" ") for line in lines) if word]


def complaints(text: str) -> Iterator[str]:
    found = instructions(text)
    stages = [index for index, (word, _) in enumerate(found) if word == "FROM"]
    last = found[stages[-1] :]
    arguments = dict(rest.split("=", 1) for word, rest in found[: stages[0]] if word == "ARG")
    bases = {re.sub(r"\$\{(\w+)\}", lambda name: arguments.get(name[1], ""), found[at][1].split()[0]) for at in stages}
    if len(bases) != 1 or not re.fullmatch(r"python:3\.\d+-slim-\w+@sha256:[0-9a-f]{64}", bases.pop()):
        yield "every stage begins at the same slim Python with its version: the one that built is the one that runs"
    labels = " ".join(rest for word, rest in last if word == "LABEL")
    if missing := [each for each in LABELS if f"org.opencontainers.image.{each}=" not in labels]:
        yield f"registries and scanners read its labels: {', '.join(missing)}"
    users = [rest for word, rest in last if word == "USER"]
    if not users or not re.fullmatch(r"[1-9]\d*(:[1-9]\d*)?", users[-1]):
        yield "it runs as a user by number, not as root: an orchestrator checks that"
    if not any(word == "HEALTHCHECK" and "/readyz" in rest for word, rest in last):
        yield "its health is what /readyz says"
    if not any(word == "VOLUME" for word, _ in last):
        yield "the journal is kept in a volume"
    if any(word == "RUN" and "pip" in rest for word, rest in last):
        yield "nothing is installed where it runs"
    for word, rest in found:
        if word == "ADD":
            yield "ADD fetches and unpacks: use COPY"
        if word in ("ENV", "ARG") and re.search(r"secret|token|password|credential", rest, re.IGNORECASE):
            yield "no secret is part of an image"
        if word == "RUN" and re.search(r"pip.* install ", rest) and not re.search("--require-hashes|--no-index", rest):
            yield "what is fetched has its hash in the lock"


def test_the_image_keeps_its_promises() -> None:
    assert list(complaints(DOCKERFILE)) == []


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        (BASE, "ARG PYTHON=python:latest\n"),
        (BASE, "ARG PYTHON=python:3.11-slim-bookworm@sha256:abc\n"),
        ("FROM ${PYTHON} AS build", "FROM python:3.12-slim-bookworm AS build"),
        ("org.opencontainers.image.revision=", "org.example.revision="),
        ("USER 10001:10001\n", ""),
        ("USER 10001:10001", "USER 0:0"),
        ("/readyz", "/livez"),
        ("VOLUME /data\n", ""),
        ("WORKDIR /data", "RUN pip install x --no-index"),
        ("COPY src src", "ADD src src"),
        ("PYTHONUNBUFFERED=1", "HEADRACE_STACK_CLIENT_SECRET=x"),
        ("--require-hashes ", ""),
    ],
)
def test_every_promise_can_be_broken(good: str, bad: str) -> None:
    assert DOCKERFILE.count(good) >= 1
    assert len(list(complaints(DOCKERFILE.replace(good, bad)))) == 1


def test_the_image_has_every_extra() -> None:
    """One image for every database, engine, broker and collector: none of them needs another build."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    installed = set(re.findall(r"^([\w-]+)==", (ROOT / "requirements/run.txt").read_text(), re.MULTILINE))
    missing = {requirement(each)[0] for group in extras.values() for each in group} - installed
    assert set(extras) == {"postgres", "temporal", "nats", "kafka", "otel"} and not missing


def test_what_is_copied_is_there_and_not_ignored() -> None:
    allowed = {line.removeprefix("!") for line in IGNORED.splitlines() if line.startswith("!")}
    copied = {
        source
        for word, rest in instructions(DOCKERFILE)
        if word == "COPY" and "--from" not in rest
        for source in rest.split()[:-1]
    }
    assert copied == allowed
    assert all((ROOT / source).exists() for source in copied)


def health_check() -> list[str]:
    (check,) = [rest for word, rest in instructions(DOCKERFILE) if word == "HEALTHCHECK"]
    command: list[str] = json.loads(check.partition(" CMD ")[2])
    assert command[0] == "python"
    return [sys.executable, *command[1:]]


def test_the_health_check_tells_a_server_from_none(shared_server: Server) -> None:
    def code(port: int) -> int:
        environment = {**os.environ, "HEADRACE_PORT": str(port)}
        return subprocess.run(health_check(), env=environment, capture_output=True, check=False).returncode

    assert code(shared_server.port) == 0
    assert code(free_port()) == 1


# the workflow


def test_ci_runs_what_every_machine_runs_with_pinned_actions_and_no_rights() -> None:
    assert WORKFLOWS
    for path in WORKFLOWS:
        workflow: dict[Any, Any] = yaml.safe_load(path.read_text())
        assert set(workflow[True]) >= {"push", "pull_request"}  # YAML 1.1 reads `on` as true
        assert workflow["permissions"] == {"contents": "read"}
        steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
        assert [step["run"] for step in steps if "run" in step] == [".ci/run"]
        uses = [step["uses"] for step in steps if "uses" in step]
        assert uses and all(re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", use) for use in uses)


@pytest.mark.parametrize("script", [".ci/run", ".ci/dist"])
def test_scripts_are_executable_and_stop_at_the_first_error(script: str) -> None:
    assert os.access(ROOT / script, os.X_OK)
    assert "set -euo pipefail" in (ROOT / script).read_text()
    subprocess.run(["bash", "-n", ROOT / script], check=True)
