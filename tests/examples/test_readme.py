"""What the README shows is run as it stands: only the address is changed."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from headrace.api import yaml
from headrace.cli.main import app
from headrace.workflows.config import parse_config
from headrace_client import operations
from headrace_client.v1 import V1
from tests.examples.playing import Player, all_examples
from tests.examples.tour import DEFAULT_SERVER, HEADRACE, Tour, commands
from tests.support.server import Server

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "README.md").read_text()
ALL_OPERATIONS = {value.name for value in vars(operations).values() if isinstance(value, operations.Operation)}


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


@pytest.fixture(scope="module")
def player(shared_server: Server) -> Iterator[Player]:
    player = Player(shared_server.url)
    player.stack.create_ledger("shop")
    yield player
    player.close()


@pytest.fixture
def order(tmp_path: Path) -> Path:
    """The folder where a reader has saved the README's workflow."""
    (text,) = blocks("yaml")
    (tmp_path / "order.yaml").write_text(text)
    return tmp_path


@pytest.fixture
def tour(start_server: Callable[..., Server]) -> Iterator[Tour]:
    tour = Tour(start_server(), ROOT)
    yield tour
    tour.stack.close()


def test_the_workflow_is_valid_and_short() -> None:
    (text,) = blocks("yaml")
    keywords = [next(iter(stage)) for stage in parse_config(yaml.decode(text.encode()).value).stages]
    assert set(keywords) == {"wait_event", "send", "delay", "update"}
    assert len(text.splitlines()) <= 10


def test_every_command_it_names_is_there() -> None:
    import typer.main

    commands: Any = typer.main.get_command(app)
    for group, name in re.findall(r"headrace (workflows|instances|triggers|events) ([a-z-]+)", TEXT):
        assert name in commands.commands[group].commands, f"{group} {name}"
    for name in re.findall(r"`headrace ([a-z]+)[ `]", TEXT):
        assert name in commands.commands, name


def test_the_workflow_runs_as_written(tour: Tour, order: Path) -> None:
    (block,) = [block for block in blocks("sh") if "workflows run" in block]
    *first, describe = commands(block)
    for words in first:
        tour.run_one(words, folder=order)
    described = tour.until(describe, r"(?s)Stage 3 : update.*last_order=1")
    for text in ("Stage 0 : wait_event", "Stage 1 : send", "Created transaction: 1", "Stage 2 : delay"):
        assert text in described
    assert "Error" not in described


def test_the_tour_of_triggers_runs_as_written(tour: Tour) -> None:
    make, test, send = [block for block in blocks("sh") if "triggers" in block or "events send" in block]
    *prepare, look = commands(make)
    for words in prepare:
        tour.run_one(words)
    assert "Yes" in tour.until(look, r" Yes +")  # has ended
    assert tour.stack.wallet_balance(tour.ids["WALLET"], "USD/2") == 8_000

    (told,) = tour.run(test)
    assert re.search(r"Filter match +No", told)

    tour.run(send)
    tour.run_one(commands(send)[-1])  # the same event again
    tour.until(look, r"(?s)( Yes .*){2}")
    assert tour.stack.wallet_balance(tour.ids["WALLET"], "USD/2") == 8_500
    assert len(tour.run_one(look).splitlines()) == 1 + 2
    (repeated,) = [each for each in tour.received() if each.key == '["event","","SAVED_PAYMENT","","bank-7"]']
    assert repeated.repeats == 1


@pytest.mark.parametrize("command", ["dev", "serve"])
def test_each_server_starts_as_written(command: str, tmp_path: Path) -> None:
    (words,) = [words for block in blocks("sh") for words in commands(block) if command in words]
    settings = dict(word.split("=", 1) for word in words if word.startswith("HEADRACE_"))
    arguments = [str(HEADRACE), *words[words.index(command) :]]
    environment = {**os.environ, **settings, "HEADRACE_PORT": "0", "HEADRACE_DATA": str(tmp_path / "data")}
    with subprocess.Popen(arguments, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as server:
        assert server.stdout is not None and server.stderr is not None
        said = server.stdout.readline().decode()
        server.terminate()
        assert said.startswith("Headrace is ready at http://127.0.0.1:"), server.stderr.read().decode()


def test_no_command_is_left_unrun() -> None:
    """Other tests install and run the demo, as `make` does. `make dist` installs the two wheels and runs it."""
    run_above = ("workflows run", "triggers", "events send", " dev", " serve")
    for block in blocks("sh"):
        if not any(text in block for text in run_above):
            assert {words[0] for words in commands(block)} in ({"make"}, {"pip", "headrace"}), block


def test_the_wheels_are_those_that_make_dist_builds() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    ((_, *wheels), demo) = next(commands(block) for block in blocks("sh") if "pip install" in block)
    assert wheels == [
        "install",
        *(f"dist/{name}-{version}-py3-none-any.whl" for name in ("headrace_client", "headrace")),
    ]
    assert demo == ["headrace", "demo"]


def test_the_first_screen_says_what_it_is_and_under_which_terms() -> None:
    """First one sentence, license and maturity; then commands, picture, YAML and the comparison."""
    top, rest = TEXT.split("## Install and run")
    assert "Apache-2.0" in top and "beta" in top and "docs/tutorial.md" in top
    places = [rest.index(text) for text in ("make demo", "docs/images/demo.svg", "```yaml", "| **Headrace** |")]
    assert places == sorted(places)
    assert rest.index("## Promises") > places[-1]


def test_the_operations_run_as_written(
    shared_server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """All 17, each for real; then what can go wrong, with the instance that was aborted."""
    called: list[str] = []
    call: Any = V1._call  # pyright: ignore[reportPrivateUsage]

    def recorded(self: V1, operation: Any, *arguments: Any) -> Any:
        called.append(operation.name)
        return call(self, operation, *arguments)

    monkeypatch.setattr(V1, "_call", recorded)
    _, tour, errors = blocks("python")
    names: dict[str, Any] = {}
    exec(tour.replace(DEFAULT_SERVER, shared_server.url), names)  # the README is ours
    assert set(called) == ALL_OPERATIONS
    assert "wait_event" in capsys.readouterr().out
    exec(errors, names)
    assert names["ended"].error == "canceled"
    names["client"].close()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_official_sdk_runs_as_written(
    shared_server: Server, player: Player, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("formance_sdk_python")
    example = all_examples()[0]
    document = yaml.decode(example.definition_file.read_bytes()).value
    workflow = player.client.orchestration.v1.create_workflow(name=document["name"], stages=document["stages"]).data
    exec(blocks("python")[0].replace(DEFAULT_SERVER, shared_server.url).replace("WORKFLOW", workflow.id), {})
    assert capsys.readouterr().out == "True\n"
