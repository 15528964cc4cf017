"""The file of Temporal's workflow imports nothing that could change a decision between a run and its replay."""

from __future__ import annotations

import ast
from pathlib import Path

FILE = Path(__file__).parents[2] / "src/headrace/engine/temporal/workflows.py"
ALLOWED = {"__future__", "contextlib", "datetime", "msgspec", "temporalio", "typing"}


def test_the_workflow_imports_pure_modules_only() -> None:
    found: set[str] = set()
    for node in ast.walk(ast.parse(FILE.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").partition(".")[0])
    assert found and found <= ALLOWED, found - ALLOWED
