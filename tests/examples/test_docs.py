"""Every snippet of every page of `docs`, and of the client's README, is run: each page from its top to its end.

Each has a server of its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.examples.snippets import ROOT, Block, Reading, blocks_of
from tests.support.server import Server

DOCS = ROOT / "docs"
OF_OPERATIONS = ("orchestration-v1.md", "orchestration-v2.md", "beside-the-api.md")
"""Whose examples need a workflow, an instance and a trigger each: `test_reference.py` runs them."""
ALL_PAGES = [*sorted(DOCS.rglob("*.md")), ROOT / "packages/client/README.md"]
PAGES = [page for page in ALL_PAGES if page.name not in OF_OPERATIONS and blocks_of(page)]
MARKS = ("not run: ", "file: ", "exit: ", "typed: ", "stop", "beside: ", "Written by")
NOT_RUN: dict[str, list[str]] = {
    "docs/how-to/batches.md": [
        'headrace batch redrive --failed-since 9h --workflow payout --reason "the clearing account is funded"',
        'headrace batch abort --workflow payout --started-since 2d --reason "the provider has closed the accounts"',
    ],
    "docs/how-to/deploy.md": [
        "python3 -m venv /opt/headrace",
        "as_headrace() { systemd-run --quiet --pipe --wait --collect -p User=headrace -p StateDirectory=headrace \\",
        "systemctl enable --now headrace-worker@8491 headrace-worker@8492",
        "docker build -t headrace:0.2.0 .",
        "kubectl create secret generic headrace-database \\",
    ],
    "docs/how-to/lint.md": ["jobs:"],
    "docs/how-to/monitoring.md": [
        "HEADRACE_STACK_URL=https://stack.example.com headrace doctor --auth local",
        "ok       settings        every HEADRACE_ variable is known and can be read",
        "scrape_configs:",
        "pip install 'headrace[otel]'",
    ],
    "docs/how-to/on-call.md": ["headrace events replay"],
    "docs/how-to/temporal.md": [
        "HEADRACE_DATABASE_URL=postgresql://headrace:PASSWORD@db.example/headrace",
        "headrace migrate",
    ],
    "docs/how-to/testing-in-ci.md": ["name: workflows"],
    "docs/how-to/upgrade.md": [
        "helm upgrade pay deploy/helm/headrace --reuse-values --set image.tag=NEW --set api.tag=OLD"
    ],
}
"""By page, the first lines of what a test machine cannot run; each says why on its page."""


@pytest.fixture
def reading(start_server: Callable[..., Server], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Reading]:
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    reading = Reading(tmp_path, start_server)
    yield reading
    reading.close()


@pytest.mark.timeout(600)  # a page starts servers and dozens of commands, on a busy machine too
@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_page_runs_as_written(page: Path, reading: Reading) -> None:
    reading.read(page)


def test_what_is_not_run_is_known_and_says_why() -> None:
    found: dict[str, list[str]] = {}
    for page in ALL_PAGES:
        for block in blocks_of(page):
            if block.reason_not_run is not None:
                assert len(block.reason_not_run) > 10, block
                found.setdefault(str(page.relative_to(ROOT)), []).append(block.text.splitlines()[0])
    assert found == NOT_RUN


def test_no_block_goes_unseen() -> None:
    """A fence that the pattern does not find, or a comment that it does not know, would go untested."""
    for page in ALL_PAGES:
        text = page.read_text()
        assert len(re.findall(r"^ *```", text, re.MULTILINE)) == 2 * sum(
            block.is_fenced for block in blocks_of(page)
        ), page
        for mark in re.findall(r"<!-- (.*?) -->", text, re.DOTALL):
            assert mark.startswith(MARKS), f"{page}: {mark}"


BAD: list[tuple[Block, type[BaseException]]] = [
    (Block("yaml", "stages:\n  - pay: {}\n"), Exception),
    (Block("json", '{"a": }\n'), ValueError),
    (Block("python", "raise LookupError\n"), LookupError),
    (Block("ruby", "puts 1\n"), AssertionError),
    (Block("sh", "make nothing-of-the-kind\n"), AssertionError),
    (Block("sh", "headrace workflows list\n"), AssertionError),
    (Block("text", "nothing was run\n"), AssertionError),
]


@pytest.mark.parametrize(("block", "error"), BAD, ids=lambda value: getattr(value, "language", ""))
def test_a_snippet_that_is_wrong_fails(block: Any, error: type[BaseException], reading: Reading) -> None:
    with pytest.raises(error):
        reading.run(block)


def test_a_text_that_was_not_printed_fails(reading: Reading, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.examples.tour.PATIENCE_S", 0.1)
    reading.run(Block("sh", "headrace dev\nheadrace workflows list\n"))
    reading.run(Block("text", "No workflows yet. Create one: headrace workflows create FILE\n"))
    with pytest.raises(AssertionError):
        reading.run(Block("text", "Three workflows\n"))
