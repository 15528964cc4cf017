"""The table "Where a new thing goes" of CONTRIBUTING.md names only files, names and commands that exist."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tidy.repository import ROOT

BASES = (ROOT / "src/headrace", ROOT, ROOT / "packages/client/src/headrace_client", *(ROOT / "examples").glob("01-*"))
"""Folders that a path of the table may begin in."""
CODE, PATH = r"`[^`]+`", r"`[^`]+[./][^`]*`"
NAMES = re.compile(rf"((?:{CODE}(?:, | and | or ))*{CODE}) of ((?:{PATH}(?:, | and | or ))*{PATH})")
ENDINGS = (".py", ".md", ".sql", ".toml", ".in", ".yml", ".yaml", ".json", "/")


def rows() -> list[tuple[str, str, str]]:
    """What to add, what to change, what to run then."""
    section = (ROOT / "CONTRIBUTING.md").read_text().partition("\n## Where a new thing goes\n")[2].partition("\n## ")[0]
    cells = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("| ")]
    return [(each[0].strip(), each[1].strip(), each[2].strip()) for each in cells[1:]]


ROWS = rows()
each_row = pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])


def found(path: str) -> list[Path]:
    """Files or folders of that name; a placeholder stands for any."""
    pattern = re.sub(r"<\w+>|NN+-name", "*", path).rstrip("/")
    return next((files for base in BASES if (files := sorted(base.glob(pattern)))), [])


def codes(text: str) -> list[str]:
    return [each.strip("`") for each in re.findall(CODE, text)]


def missing(changes: str) -> Iterator[str]:
    """Paths that no file has, and names that stand in none of the files they are said to be in."""
    for code in codes(changes):
        if code.endswith(ENDINGS) and not found(code):
            yield code
    for names, paths in NAMES.findall(changes):
        for path in codes(paths):
            texts = [file.read_text() for file in found(path) if file.is_file()]
            for name in codes(names):
                if re.fullmatch(r"\w+", name) and not any(re.search(rf"\b{name}\b", text) for text in texts):
                    yield f"{name} of {path}"


@each_row
def test_each_file_and_name_of_a_row_exists(row: tuple[str, str, str]) -> None:
    assert list(missing(row[1])) == []


@each_row
def test_each_command_of_a_row_exists(row: tuple[str, str, str]) -> None:
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for command in codes(row[2]):
        assert command.startswith("make ") and set(command.split()[1:]) <= set(targets)


def test_the_table_is_found() -> None:
    assert len(ROWS) > 20
    assert sum(len(codes(row[1])) for row in ROWS) > 80


@pytest.mark.parametrize(
    ("changes", "lacking"),
    [
        ("`workflows/stages/<name>.py`; `STAGES` of `workflows/stages/__init__.py`", []),
        ("`workflows/phases/<name>.py`", ["workflows/phases/<name>.py"]),
        ("`PHASES` of `workflows/stages/__init__.py`", ["PHASES of workflows/stages/__init__.py"]),
        ("`REQUESTS` and `QUESTIONS` of `effects/ledger.py`", ["QUESTIONS of effects/ledger.py"]),
        ("`SEARCHES` of `effects/ledger.py` or `effects/wire.py`", ["SEARCHES of effects/wire.py"]),
        ("`api/ext/novelty.py`", ["api/ext/novelty.py"]),
    ],
)
def test_a_file_or_name_that_is_gone_is_found(changes: str, lacking: list[str]) -> None:
    assert list(missing(changes)) == lacking
