"""What the tests of the deployment kit share: its folder, the tools, and what must be true of a process of Headrace."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from headrace.cli.main import app
from headrace.errors import InvalidValue
from headrace.settings import Settings, unknown_variables
from tests.tidy.repository import ROOT

KIT = ROOT / "deploy"
STOP_S = Settings().stop_s
CLOSING_S = 5.0
"""Time that a server takes for open connections after it has been asked to stop (`server.py`)."""


@dataclass(frozen=True)
class Tools:
    """`program`: built from `go/`. `openapi`: folder with Kubernetes's own descriptions of its API."""

    program: Path
    helm: Path
    openapi: Path

    def compose(self, file: Path, variables: Mapping[str, str]) -> dict[str, Any]:
        """Load a Compose file with these variables. Raises ValueError with the text of Compose's library."""
        ran = subprocess.run(
            [self.program, "compose", file], env=dict(variables), capture_output=True, text=True, check=False
        )
        if ran.returncode != 0:
            raise ValueError(ran.stderr)
        project: dict[str, Any] = json.loads(ran.stdout)
        return project

    def manifests(self, text: str) -> list[dict[str, Any]]:
        """Decode Kubernetes manifests strictly. Raises ValueError with the reason."""
        ran = subprocess.run([self.program, "manifests"], input=text, capture_output=True, text=True, check=False)
        if ran.returncode != 0:
            raise ValueError(ran.stderr)
        return [json.loads(line) for line in ran.stdout.splitlines()]

    def template(self, chart: Path, values: Mapping[str, str], *options: str) -> str:
        """Render a chart as `helm template` does. Raises ValueError with Helm's text."""
        return self._helm("template", "pay", chart, values, *options)

    def lint(self, chart: Path, values: Mapping[str, str]) -> str:
        return self._helm("lint", "--strict", chart, values)

    def _helm(self, command: str, word: str, chart: Path, values: Mapping[str, str], *options: str) -> str:
        sets = [part for name, value in values.items() for part in ("--set", f"{name}={value}")]
        wanted = () if "--kube-version" in options else ("--kube-version", "1.34.0")
        ran = subprocess.run(
            [self.helm, command, word, chart, *sets, *wanted, *options], capture_output=True, text=True, check=False
        )
        if ran.returncode != 0:
            raise ValueError(ran.stdout + ran.stderr)
        return ran.stdout


def complaints_of_process(environment: Mapping[str, str], arguments: Sequence[str]) -> Iterator[str]:
    """What keeps `headrace ARGUMENTS` from doing in this environment what its file says.

    Every HEADRACE_ variable must be a setting with a value that the server accepts, and the command must exist with
    these options.
    """
    yield from (f"{name} is not a setting" for name in unknown_variables(environment))
    try:
        Settings.from_env(environment)
    except InvalidValue as error:
        yield str(error)
    command: Any = typer.main.get_command(app)
    names = ["headrace"]
    words = list(arguments)
    while hasattr(command, "commands") and words:
        names.append(words.pop(0))
        command = command.commands.get(names[-1])
    if command is None or hasattr(command, "commands"):
        yield f"{' '.join(names)} is not a command"
        return
    try:
        command.make_context(names[-1], words)
    except Exception as error:
        if not hasattr(error, "format_message"):  # typer's own class of a wrong command line
            raise
        yield f"{' '.join(names)}: {error}"
