"""Pictures on the command line: of a definition without a server, and of an instance."""

from __future__ import annotations

import html
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from docs.generator.examples import World
from headrace.api.app import TABLE
from headrace.cli import display
from headrace.demo.examples import examples_folder
from tests.cli.conftest import Ran
from tests.support.server import Server

Headrace = Callable[..., Ran]
EXAMPLES = sorted(examples_folder().glob("*/workflow.yaml"))
OPEN = """\
stages:
  - send:
      source: {payment: {id: "${payment}"}}
      destination: {account: {id: "m:${shop}", ledger: "${ledger}"}}
      amount: {asset: "${asset}", amount: "${amount}"}
  - delay: {duration: "${pause}"}
  - send:
      source: {wallet: {id: "${wallet}"}}
      destination: {payment: {psp: "${psp}", type: "${type}", metadata: "${key}", waitingValidation: "${held}"}}
      amount: {asset: EUR/2, amount: 100}
    when: 'int(vars.amount) > 100'
"""


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.parent.name)
@pytest.mark.parametrize("form", ["text", "svg", "mermaid"])
def test_every_example_is_drawn_without_a_server(headrace: Headrace, example: Path, form: str) -> None:
    ran = headrace("workflows", "graph", str(example), "--as", form)
    assert (ran.code, ran.err) == (0, "")
    assert form == "mermaid" or "${" in html.unescape(ran.out)
    assert "outline" not in ran.out
    assert ET.fromstring(ran.out).tag.endswith("svg") if form == "svg" else ran.out.strip()


def test_what_is_open_is_drawn_by_its_name_and_what_is_given_as_it_is(headrace: Headrace) -> None:
    ran = headrace("workflows", "graph", "-", "-o", "json", stdin=OPEN)
    assert (ran.code, ran.err) == (0, "")
    assert json.loads(ran.out)["data"]["drawing"].splitlines() == [
        "Stage 0",
        "  ${amount} ${asset}  ${payment} (pay-in dummy-pay) -> payment:${payment} (orchestration-000-internal)",
        "  ${amount} ${asset}  payment:${payment} (orchestration-000-internal) -> between ledgers",
        "  ${amount} ${asset}  between ledgers -> m:${shop} (${ledger})",
        "Stage 2",
        "            1.00 EUR  ${wallet} (wallet, main) -> between ledgers",
        "            1.00 EUR  between ledgers -> account-on-file (${psp} transfer)",
    ]
    given = headrace("workflows", "graph", "-", "--variable", "amount=1250,asset=USD/2,shop=7,ledger=main", stdin=OPEN)
    assert "12.50 USD between ledgers -> m:7 (main)" in given.out


def test_names_and_amounts_like_the_marks_of_variables_are_drawn_as_they_are(headrace: Headrace) -> None:
    amount = 10**40
    definition = f"""\
stages:
  - send:
      source: {{account: {{id: outline7mark, ledger: main}}}}
      destination: {{account: {{id: "${{order.to}}", ledger: main}}}}
      amount: {{asset: EUR/2, amount: {amount}}}
"""
    ran = headrace("workflows", "graph", "-", "-o", "json", stdin=definition)
    line = json.loads(ran.out)["data"]["drawing"].splitlines()[1]
    assert line == f"  {amount // 100:,}.00 EUR  outline7mark (main) -> ${{order.to}} (main)"
    given = headrace("workflows", "graph", "-", "--variable", 'order={"to":"b"}', "-o", "json", stdin=definition)
    assert " -> b (main)" in given.out


def test_a_definition_that_is_not_valid_is_not_drawn(headrace: Headrace) -> None:
    ran = headrace("workflows", "graph", "-", stdin="stages: [{send: {}}]")
    assert ran.code == 1 and ran.out == "" and "stages[0].send" in ran.err


def test_a_definition_that_moves_nothing(headrace: Headrace) -> None:
    ran = headrace("workflows", "graph", "-", stdin="stages: [{delay: {duration: 1h}}]")
    assert (ran.code, ran.out) == (0, "No money moves.\n")


def test_an_instance_is_drawn(headrace: Headrace, shared_server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(display, "terminal_width", lambda: 80)
    (redriven,) = (row for row in TABLE if row.operation_id == "redriveInstance")
    world = World.made(shared_server)
    world.prepare(redriven)
    instance_id = world.ids["INSTANCE"]
    world.close()

    def ask(*arguments: Any) -> Ran:
        return headrace("instances", "describe", instance_id, *arguments, "--server", shared_server.url)

    text = ask("--graph", "text")
    assert text.code == 0 and "Stage 0" in text.out and "(refused)" in text.out, text
    assert ET.fromstring(ask("--graph", "svg").out).tag.endswith("svg")
    assert ask("--graph", "mermaid").out.startswith("flowchart LR\n  n0[")
    shown = json.loads(ask("--graph", "text", "-o", "json").out)["data"]["flow"]
    assert shown["moves"] and shown["sums"]
    assert ask("--graph", "text", "--watch").code == 2
    assert ask("--graph", "png").code == 2
