"""Handlers parse, call and render: no module of the API mints an id, reads the clock or writes to the journal."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from tests.tidy import repository

ROOT = "src/headrace/api/"
BANNED = {
    "now_at": "a use case reads the clock",
    "new": "a use case mints ids",
    "Unit": "a use case composes the unit",
    "commit": "a use case commits",
    "sign": "a use case records the caller",
}
ALLOWED = {("src/headrace/api/errors.py", "new"): "the id of an incident"}


def banned_calls(source: repository.Source) -> Iterator[tuple[int, str]]:
    for node in ast.walk(source.tree):
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "attr", None) or getattr(node.func, "id", "")
        if name in BANNED and (source.path, name) not in ALLOWED:
            yield node.lineno, f"`{name}()`: {BANNED[name]}"


def imported_writes(source: repository.Source) -> Iterator[tuple[int, str]]:
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ImportFrom) and node.module == "headrace.journal.writes":
            yield node.lineno, "writes of the journal are for use cases"


def test_handlers_leave_ids_time_and_writes_to_use_cases() -> None:
    files = [path for path in repository.product_files() if path.startswith(ROOT)]
    assert len(files) > 30
    found = [
        f"{path}:{line}: {message}"
        for path in files
        for check in (banned_calls, imported_writes)
        for line, message in check(repository.read(path))
    ]
    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize(
    "text",
    [
        "row = context.ports.ids.new()",
        "at = context.ports.clock.now_at()",
        "unit = Unit()",
        "await journal.commit(unit)",
        "from headrace.journal.writes import AddWorkflow",
    ],
)
def test_the_rule_catches_its_bug(text: str) -> None:
    source = repository.Source.of(f"{ROOT}v1/bad.py", f"async def f():\n    {text}\n")
    assert [*banned_calls(source), *imported_writes(source)]
