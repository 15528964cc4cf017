"""What the pages say in passing is so: variables and their defaults, commands and their options, routes, exit codes."""

from __future__ import annotations

import ast
import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import fields
from functools import cache
from typing import Any

import pytest
import typer.main

from headrace.api.app import TABLE
from headrace.auth.verifier import LEEWAY_S
from headrace.buses.event_types import (
    FAILED_STAGE,
    FAILED_WORKFLOW,
    STARTED_STAGE,
    STARTED_WORKFLOW,
    SUCCEEDED_STAGE,
    SUCCEEDED_WORKFLOW,
)
from headrace.cli import connection
from headrace.cli import errors as cli_errors
from headrace.cli.main import app
from headrace.events.outbox import MAX_ERROR_CHARACTERS, Outbox
from headrace.journal.port import Unit, WhenWanted
from headrace.settings import PREFIX, Settings
from tests.examples.snippets import ROOT

PAGES = sorted([*(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.md"), *ROOT.glob("packages/*/README.md")])
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
OF_THE_COMMAND_LINE = {value for value in vars(connection).values() if isinstance(value, str) and PREFIX in value}
OTHERS = {"HEADRACE_CONFIG", "HEADRACE_DEBUG"}
DEFAULTS = {PREFIX + setting.name.upper(): setting.default for setting in fields(Settings)}
BESIDE_THE_TABLE = {"/docs", "/openapi.json"}
OUR_ROUTES = r"/(ext|livez|readyz|metrics|docs|_|openapi|schemas|oauth|api/(auth|orchestration)/)[a-z_./-]*"


def text_of(page: str) -> str:
    return (ROOT / page).read_text()


def inline(page: str) -> Iterator[str]:
    """Code within sentences, on one line."""
    prose = re.sub(r"^```.*?^```", "", text_of(page), flags=re.MULTILINE | re.DOTALL)
    for found in re.findall(r"(?<!`)`([^`]+)`(?!`)", prose):
        yield " ".join(found.split())


@pytest.mark.parametrize("page", [*NAMES, "Dockerfile"])
def test_every_variable_is_read(page: str) -> None:
    named = set(re.findall(rf"\b{PREFIX}[A-Z_]+[A-Z]\b", text_of(page)))
    assert named - OF_THE_COMMAND_LINE - OTHERS <= set(DEFAULTS)


def test_the_command_line_tells_of_every_variable_of_its_own() -> None:
    named = set(re.findall(rf"\b{PREFIX}[A-Z_]+", text_of("docs/command-line.md")))
    assert named == OF_THE_COMMAND_LINE | {"HEADRACE_CONFIG"}


@pytest.mark.parametrize("page", NAMES)
def test_every_default_is_the_default(page: str) -> None:
    for name, value in re.findall(rf"`({PREFIX}[A-Z_]+)` \((\d+)\)", text_of(page)):
        assert float(value) == DEFAULTS[name], name


@pytest.mark.parametrize("page", NAMES)
def test_every_command_and_option_is_there(page: str) -> None:
    for text in inline(page):
        if text.startswith("headrace "):
            check_command(text)


def check_command(text: str) -> None:
    """As far as it is written out: COMMAND and what follows `...` stand for something else."""
    command: Any = typer.main.get_command(app)
    everywhere = {"--help": True} | options_of(command)
    words = iter(shlex.split(re.split(r"\.\.\.|COMMAND", text)[0])[1:])
    for word in words:
        if word.startswith("-") and word != "-":
            options = everywhere | options_of(command)
            assert word in options, text
            if not options[word]:
                next(words, None)
        elif hasattr(command, "commands"):
            found = [command.get_command(None, name) for name in word.split("|")]
            assert None not in found, text
            command = found[0]


def options_of(command: Any) -> dict[str, bool]:
    """By name, whether it stands alone."""
    options = [parameter for parameter in command.params if parameter.param_type_name == "option"]
    return {name: option.is_flag for option in options for name in option.opts}


@pytest.mark.parametrize("page", NAMES)
def test_every_route_is_there(page: str) -> None:
    routes = {(row.method, row.path) for row in TABLE} | {("GET", path) for path in BESIDE_THE_TABLE}
    paths = {path for _, path in routes}
    for text in inline(page):
        if found := re.fullmatch(r"(GET|POST|PUT|DELETE) (/[a-z_./]+)", text):
            assert (found[1], found[2].removeprefix("/api/orchestration")) in routes, text
        elif re.fullmatch(OUR_ROUTES, text):
            assert text.removeprefix("/api/orchestration") in paths, text


@pytest.mark.parametrize("page", NAMES)
def test_every_file_it_points_to_is_there(page: str) -> None:
    """Of pages that are no part of the site, too."""
    for target in re.findall(r"\]\(([^)#:\s]+)[)#]", text_of(page)):
        assert ((ROOT / page).parent / target).exists(), target


def test_the_payloads_are_those_that_are_published() -> None:
    """As a table tells them: the types of a row, and the members of their payload."""
    outbox, unit = Outbox(), Unit()
    outbox.trigger_succeeded(unit, 0, "occurrence", "trigger", "instance")
    outbox.trigger_failed(unit, 0, "occurrence", "trigger", "an error", 0)
    made = [entry.make() for entry in unit if isinstance(entry, WhenWanted)]
    for type_, number, error in (
        (STARTED_WORKFLOW, None, None),
        (SUCCEEDED_WORKFLOW, None, None),
        (FAILED_WORKFLOW, None, "an error"),
        (STARTED_STAGE, 0, None),
        (SUCCEEDED_STAGE, 0, None),
        (FAILED_STAGE, 0, "an error"),
    ):
        made.append(outbox.announce(type_, 0, "workflow", "instance", number, error))
    published = {each.type: set(json.loads(each.payload)) for each in made}
    rows = re.findall(r"^\| (`[A-Z_]+`.*?) \| (`id`.*) \|$", text_of("docs/webhooks.md"), re.MULTILINE)
    told = {kind: set(re.findall("`(\\w+)`", row[1])) for row in rows for kind in re.findall("`([A-Z_]+)`", row[0])}
    assert told == published
    assert f"{MAX_ERROR_CHARACTERS:,} characters" in text_of("docs/webhooks.md")


def test_authentication_has_its_leeway_and_its_algorithms() -> None:
    text = text_of("docs/authentication.md")
    assert f"{LEEWAY_S} seconds of leeway" in text
    assert f"`{','.join(Settings().token_algorithms)}`" in text


@pytest.mark.parametrize("page", ["docs/command-line.md", "docs/reference/errors.md"])
def test_the_exit_codes_are_those_there_are(page: str) -> None:
    codes = {int(code) for code in re.findall(r"^\| (\d{1,2}|130) \| [a-z]", text_of(page), re.MULTILINE)}
    assert codes == {0} | {
        value for name, value in vars(cli_errors).items() if name.isupper() and isinstance(value, int)
    }


@cache
def texts_of_the_product() -> str:
    """Every text in the product's code; what an f-string fills in is a NUL, and so is the end of a text."""
    found: list[str] = []
    for file in [*ROOT.glob("src/headrace/**/*.py"), *ROOT.glob("packages/client/src/**/*.py")]:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
            elif isinstance(node, ast.JoinedStr):
                found.append(
                    "".join(str(part.value) if isinstance(part, ast.Constant) else "\0" for part in node.values)
                )
    return "\0".join(found)


def missing_texts(page: str) -> list[str]:
    """Of the first column of its tables: texts of which a part is in no file of the product."""
    quoted = re.findall(r"^\| `([^|`]+)` \|", text_of(page), re.MULTILINE)
    assert len(quoted) > 20
    return [
        text
        for text in quoted
        if not all(part.strip("(); ") in texts_of_the_product() for part in text.split("...") if part.strip("(); "))
    ]


def test_every_error_text_is_one_of_the_product() -> None:
    assert missing_texts("docs/how-to/troubleshooting.md") == []


def test_an_error_text_that_nothing_prints_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "tests.examples.test_facts.text_of", lambda page: "| `the moon is full: ... of it` | x |\n" * 21
    )
    assert len(missing_texts("any page")) == 21


def test_the_architecture_lists_every_package() -> None:
    table = text_of("docs/explanation/architecture.md").partition("## Packages")[2].partition("## Direction")[0]
    packages = {path.parent.name for path in ROOT.glob("src/headrace/*/__init__.py")} | {"examples"}
    named = set(re.findall(r"`([a-z]+)/`", table))
    assert named == packages
    assert all((ROOT / "src/headrace" / file).exists() for file in re.findall(r"`([a-z]+\.py)`", table))


@pytest.mark.parametrize("text", ["headrace instances pause INSTANCE", "headrace workflows run --soon"])
def test_a_command_that_is_not_there_fails(text: str) -> None:
    with pytest.raises(AssertionError):
        check_command(text)
