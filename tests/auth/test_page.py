"""`docs/authentication.md` says what is so."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from headrace.api.app import TABLE
from headrace.auth.verifier import LEEWAY_S
from headrace.settings import TOKEN_ALGORITHMS, Settings
from tests.conformance.conftest import Guarded, guarded

__all__ = ["guarded"]

PAGE = (Path(__file__).parents[2] / "docs/authentication.md").read_text()
OF_THE_COMMAND_LINE = {"SERVER", "CLIENT_ID", "CLIENT_SECRET", "TOKEN", "TOKEN_URL"}


def test_every_variable_exists() -> None:
    named = set(re.findall(r"HEADRACE_([A-Z_]+)", PAGE))
    assert named - OF_THE_COMMAND_LINE <= {setting.name.upper() for setting in fields(Settings)}
    assert named >= OF_THE_COMMAND_LINE
    settings = Settings()
    for text in (
        f"(`HEADRACE_KEY_DAYS` ({settings.key_days})"[1:],
        f"`HEADRACE_KEY_OVERLAP_DAYS` ({settings.key_overlap_days})",
        f"{LEEWAY_S} seconds of leeway",
        f"`{','.join(settings.token_algorithms)}`",
    ):
        assert text in PAGE, text
    assert {"RS384", "PS512", "EdDSA"} <= set(TOKEN_ALGORITHMS)


def test_every_path_exists() -> None:
    paths = {row.path for row in TABLE}
    named = set(re.findall(r"`(/[a-z_./-]+)`", PAGE))
    assert {path.removeprefix("/api/orchestration") for path in named} <= paths
    assert len(named) >= 8


@pytest.mark.parametrize("snippet", re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL))
def test_the_snippet_runs(snippet: str, guarded: Guarded) -> None:
    values = {"server": guarded.server.url, "client_id": guarded.client_id, "client_secret": guarded.client_secret}
    exec(snippet, values)  # it raises where a token is not taken


def test_every_command_exists() -> None:
    from typer.main import get_command

    from headrace.cli.main import app

    root = get_command(app)
    for line in re.findall(r"^(?:HEADRACE_\S+ )*headrace (.+)$", PAGE, re.MULTILINE):
        command = root
        for word in line.split("#")[0].split():
            children = getattr(command, "commands", {})
            if word.startswith("-"):
                assert any(word in parameter.opts for parameter in command.params), line
            elif children:
                assert word in children, line
                command = children[word]
