"""The import contracts of pyproject.toml refuse what a newcomer would do wrong: each mistake is planted in a copy."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.tidy.repository import ROOT

LINT = Path(sys.executable).parent / "lint-imports"

PLANTED = [
    ("engine/port.py", "import headrace.journal.sqlite", "Only the composition knows adapters"),
    ("engine/meter.py", "import headrace.journal.sqlite", "known to the composition only"),
    ("server.py", "import headrace.journal.sqlite.lock", "known to the composition only"),
    ("journal/port.py", "import headrace.journal.sqlite.writer", "known to the composition only"),
    ("journal/postgres/notifications.py", "import headrace.journal.sqlite.writer", "independent of each other"),
    ("journal/group.py", "import headrace.journal.postgres", "known to the composition only"),
    ("journal/novelty.py", "import headrace.errors", "The journal: adapters"),
    ("engine/meter.py", "import headrace.api.context", "Direction"),
    ("api/context.py", "import headrace.engine.embedded", "Only the composition knows adapters"),
    ("api/context.py", "import headrace.journal.sqlite", "Only the composition knows adapters"),
    ("usecases/ports.py", "import headrace.journal.sqlite", "Only the composition knows adapters"),
    ("usecases/ports.py", "import headrace.api.context", "Direction"),
    ("usecases/idempotency.py", "import starlette.requests", "Use cases know no HTTP"),
    ("triggers/matching.py", "import headrace.buses.nats.bus", "Only the composition knows adapters"),
    ("events/inbox.py", "import headrace.settings", "read settings"),
    ("engine/meter.py", "import headrace.telemetry", "read settings"),
    ("journal/records.py", "import headrace.composition", "Direction"),
    ("buses/kafka/options.py", "import headrace.buses.nats.options", "The buses: adapters"),
    ("buses/webhooks/endpoints.py", "import headrace.buses.kafka.options", "The buses: adapters"),
    ("buses/novelty.py", "import headrace.errors", "The buses: adapters"),
    ("journal/records.py", "import headrace.effects.port", "independent of each other"),
    ("workflows/durations.py", "import headrace.workflows.schema", "circle"),
    ("effects/port.py", "import headrace.effects.ledger", "circle"),
    ("workflows/durations.py", "import asyncio", "Workflows are pure"),
    ("workflows/variables.py", "import sqlite3", "Workflows are pure"),
    ("engine/embedded.py", "import headrace.journal.sqlite", "An engine knows the ports"),
    ("runner/instance.py", "import headrace.engine.port", "Direction"),
    ("runner/instance.py", "import asyncio", "The runner is pure"),
    ("runner/runners.py", "import sqlite3", "The runner is pure"),
    ("effects/wire.py", "import asyncio", "The runner is pure"),
    ("planning/planner.py", "import asyncio", "Planning is pure"),
    ("pictures/svg.py", "import time", "Pictures are pure"),
    ("pictures/effects.py", "import headrace.journal.records", "Pictures are pure"),
    ("planning/document.py", "import headrace.pictures.moves", "Direction"),
    ("planning/shadow.py", "import headrace.journal.port", "Planning is pure"),
    ("planning/planner.py", "import headrace.runner.policy", "Direction"),
    ("certificates/replay.py", "import asyncio", "Certificates are pure"),
    ("certificates/books.py", "import headrace.journal.port", "Certificates are pure"),
    ("certificates/case.py", "import headrace.runner.policy", "Direction"),
    ("expr/nodes.py", "import headrace.clock", "Expressions import"),
    ("linting/waits.py", "import asyncio", "The linter is pure"),
    ("linting/partial.py", "import headrace.triggers.expressions", "The linter is pure"),
    ("triggers/hints.py", "import headrace.linting.registry", "Direction"),
    ("sandbox/store.py", "import headrace.engine.port", "The sandbox is as far away"),
    ("novelty.py", "import headrace.errors", "Direction"),
]


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packages and their contracts in a folder of their own."""
    folder = tmp_path_factory.mktemp("imports")
    shutil.copy(ROOT / "pyproject.toml", folder)
    ignored = shutil.ignore_patterns("__pycache__", "examples", "tests")
    shutil.copytree(ROOT / "src/headrace", folder / "src/headrace", ignore=ignored)
    shutil.copytree(ROOT / "packages/client/src/headrace_client", folder / "src/headrace_client", ignore=ignored)
    return folder


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {"PYTHONPATH": str(folder / "src"), "PATH": "/usr/bin:/bin", "COLUMNS": "200"}
    command = [str(LINT), "--no-cache", "--config", "pyproject.toml"]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=100
    )


def test_what_is_there_is_kept(copy: Path) -> None:
    linted = lint(copy)
    assert linted.returncode == 0, linted.stdout
    assert " 0 broken" in linted.stdout


@pytest.mark.parametrize(
    ("package", "contract"),
    [
        ("buses", "Only the composition knows adapters"),
        ("buses", "An engine knows the ports"),
        ("journal", "Only the composition knows adapters"),
    ],
)
def test_every_adapter_is_named_where_it_is_forbidden(package: str, contract: str) -> None:
    """A new adapter's package is named in these lists of pyproject.toml."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    forbidden = next(each["forbidden_modules"] for each in contracts if each["name"].startswith(contract))
    adapters = {
        f"headrace.{package}.{each.parent.name}" for each in (ROOT / "src/headrace" / package).glob("*/__init__.py")
    }
    assert adapters and adapters - set(forbidden) == set()


@pytest.mark.parametrize(("file", "mistake", "contract"), PLANTED)
def test_a_planted_import_is_refused(copy: Path, file: str, mistake: str, contract: str) -> None:
    path = copy / "src/headrace" / file
    before = path.read_text() if path.exists() else None
    path.write_text((before or "") + f"\n{mistake}\n")
    try:
        linted = lint(copy)
    finally:
        path.unlink() if before is None else path.write_text(before)
    broken = linted.stdout.rpartition("Broken contracts")[2]
    assert linted.returncode == 1, linted.stdout
    assert contract in broken, broken
