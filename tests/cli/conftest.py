"""Runs the command line in this process, as `headrace ARGUMENTS` would."""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from headrace.cli.main import main

CLEARED = (
    *("HEADRACE_SERVER", "HEADRACE_STACK_URL", "HEADRACE_LEDGER_URL", "HEADRACE_AUTH", "HEADRACE_ISSUER"),
    *("HEADRACE_PROFILE", "HEADRACE_DEBUG"),
    *("HEADRACE_CLIENT_ID", "HEADRACE_CLIENT_SECRET", "HEADRACE_TOKEN", "HEADRACE_TOKEN_URL", "HEADRACE_CLIENTS"),
)


class Ran(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:  # pyright: ignore[reportUnusedFunction]
    """A server started in this process sends log lines to a standard error that ends with its test."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def headrace(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Ran]:
    for name in CLEARED:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HEADRACE_CONFIG", str(tmp_path / "profiles.toml"))

    def run(*arguments: str, stdin: str = "") -> Ran:
        monkeypatch.setattr(sys, "argv", ["headrace", *arguments])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
        code = 0
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err + captured.out
        return Ran(code, captured.out, captured.err)

    return run
