"""The kit's pages name settings, commands, values and files that exist, also where their snippets are not run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from headrace.cli.main import app
from headrace.settings import unknown_variables
from tests.deploy.kit import KIT, ROOT

HOW_TO = ROOT / "docs/how-to"
PAGES = [KIT / "README.md", *(HOW_TO / f"{name}.md" for name in ("deploy", "high-availability", "upgrade"))]
COMMENTED = sorted(file for pattern in ("compose/*.yaml", "systemd/*") for file in KIT.glob(pattern))
"""Files whose comments name commands, too."""
_COMMAND = re.compile(r"(?:`|headrace |as_|/bin/)headrace ((?:[a-z]+ ?){1,2})")


@pytest.fixture(params=[*PAGES, *COMMENTED], ids=lambda file: file.name)
def text(request: pytest.FixtureRequest) -> str:
    path: Path = request.param
    return path.read_text()


def unknown_commands(text: str) -> Iterator[str]:
    """Commands of a text, in code or after an installed program, that the command line does not have."""
    for found in _COMMAND.finditer(text):
        words = found[1].split()
        command: Any = typer.main.get_command(app)
        while words and hasattr(command, "commands"):
            command = command.commands.get(words.pop(0))
        if command is None or hasattr(command, "commands"):
            yield found[1].strip()


def test_every_setting_exists(text: str) -> None:
    named = set(re.findall(r"HEADRACE_[A-Z0-9_]*[A-Z0-9]\b", text))
    assert unknown_variables(dict.fromkeys(named, "x")) == {}


def test_every_command_exists(text: str) -> None:
    assert list(unknown_commands(text)) == []


def test_an_unknown_command_is_found() -> None:
    text = "`headrace move`, `headrace clients stop`, /opt/headrace/bin/headrace work; then `headrace clients create x`"
    assert list(unknown_commands(text)) == ["move", "clients stop", "work"]


def test_the_commands_of_the_pages_are_found() -> None:
    found = {each for page in PAGES for each in _COMMAND.findall(page.read_text())}
    assert {"migrate", "doctor", "clients create "} <= found


def test_every_file_of_the_kit_is_on_a_page() -> None:
    pages = "".join(page.read_text() for page in PAGES)
    for file in (*KIT.glob("compose/*"), *KIT.glob("systemd/*")):
        assert file.name in pages, file
    for path in re.findall(r"\]\(([\w./]+)\)", (KIT / "README.md").read_text()):
        assert (KIT / path).exists(), path


def test_every_value_that_a_page_sets_is_one_of_the_chart() -> None:
    values = (KIT / "helm/headrace/values.yaml").read_text()
    for page in PAGES:
        for name in re.findall(r"--set ([\w.]+)=", page.read_text()):
            assert re.search(rf"^ *{name.rpartition('.')[2]}:", values, re.MULTILINE), f"{page.name}: {name}"
