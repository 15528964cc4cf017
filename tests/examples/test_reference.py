"""The generated pages of `docs/reference`: up to date, complete, and each of their examples runs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from docs.generator.examples import DEFAULT_SERVER, Example, World
from docs.generator.names import go_name, python_name, typescript_name
from docs.generator.operations import operations_of
from docs.generator.pages import pages
from headrace.api.app import TABLE
from headrace_client.v1 import V1
from tests.examples.snippets import ROOT, blocks_of
from tests.examples.test_docs import OF_OPERATIONS
from tests.examples.tour import Tour, commands
from tests.support.server import Server

DOCS = ROOT / "docs"
BY_ID = {row.operation_id: row for row in TABLE}


def sections(page: Path) -> dict[str, str]:
    """The text below each heading of the second level."""
    parts = re.split(r"^## (.+)$", page.read_text(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


EXAMPLES = [
    (name, operation_id)
    for name in OF_OPERATIONS
    for operation_id, text in sections(DOCS / "reference" / name).items()
    if operation_id in BY_ID and operation_id != "getRoot" and "```sh" in text  # which leads elsewhere
]


@pytest.fixture(scope="module")
def server(shared_server: Server) -> Server:
    return shared_server


@pytest.fixture
def world(server: Server) -> Iterator[World]:
    world = World.made(server)
    yield world
    world.close()


def test_the_pages_are_what_the_code_says() -> None:
    stale = [name for name, text in pages().items() if (DOCS / name).read_text() != text]
    assert stale == [], "run `make docs` and commit what it writes"


def test_every_operation_has_its_section_once() -> None:
    found = [name for page in OF_OPERATIONS for name in sections(DOCS / "reference" / page) if name in BY_ID]
    assert sorted(found) == sorted(BY_ID)


def test_v1_has_its_17_operations_in_alphabetical_order() -> None:
    ids = [row.operation_id for row in operations_of("v1")]
    shown = [name for name in sections(DOCS / "reference/orchestration-v1.md") if name in BY_ID]
    assert len(ids) == 17
    assert shown == ids == sorted(ids, key=str.lower)


@pytest.mark.parametrize(("page", "operation_id"), EXAMPLES)
def test_the_example_runs_as_written(page: str, operation_id: str, world: World) -> None:
    found = re.search(r"```sh\n(.*?)```", sections(DOCS / "reference" / page)[operation_id], re.DOTALL)
    assert found
    (words,) = commands(found[1])
    assert words[0] == "curl"
    world.prepare(BY_ID[operation_id])
    tour = Tour(world.server, ROOT)
    tour.ids |= world.ids
    tour.run_one(words)  # raises where it is refused
    tour.stack.close()


@pytest.mark.parametrize(("page", "operation_id"), [pair for pair in EXAMPLES if pair[0] != OF_OPERATIONS[2]])
def test_the_python_example_runs_as_written(page: str, operation_id: str, world: World) -> None:
    start = [block for block in blocks_of(DOCS / "reference" / page) if "import Client" in block.text]
    found = re.search(r"```python\n(.*?)```", sections(DOCS / "reference" / page)[operation_id], re.DOTALL)
    if found is None:
        assert Example.of(BY_ID[operation_id]).python() is None, "there is a call, but no example"
        return
    names: dict[str, Any] = {}
    exec(start[0].text.replace(DEFAULT_SERVER, world.server.url), names)
    exec(world.filled(found[1]), names)
    names["client"].close()


def test_headrace_client_has_the_names_of_the_python_sdk() -> None:
    for row in operations_of("v1"):
        assert callable(getattr(V1, python_name("v1", row.operation_id), None)), row.operation_id


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("version", ["v1", "v2"])
def test_the_names_of_the_python_sdk_are_its_names(version: str) -> None:
    sdk = pytest.importorskip("formance_sdk_python")
    with sdk.SDK(server_url=DEFAULT_SERVER) as client:
        api = getattr(client.orchestration, version)
        for row in operations_of(version):
            assert callable(getattr(api, python_name(version, row.operation_id), None)), row.operation_id


@pytest.mark.parametrize(
    ("folder", "suffix", "name_of"), [("go", "go", go_name), ("typescript", "mjs", typescript_name)], ids=["go", "ts"]
)
def test_the_names_of_the_other_sdks_are_those_that_conformance_calls(folder: str, suffix: str, name_of: Any) -> None:
    files = (ROOT / "tests/conformance" / folder).glob(f"*.{suffix}")
    program = "\n".join(file.read_text() for file in files)
    for row in operations_of("v1"):
        assert re.search(rf"\bapi\.{name_of('v1', row.operation_id)}\b", program) or re.search(
            rf"\b{name_of('v1', row.operation_id)}\(", program
        ), row.operation_id
