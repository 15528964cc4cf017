"""`workflows strip`: what is left for other servers, and what is said of the rest."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from headrace.linting.registry import find
from headrace.workflows.config import parse_config
from headrace.workflows.portable import portable

Headrace = Callable[..., Any]

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*/workflow.yaml"))
HEADRACE_ONLY = {"15-saga", "16-approved-payout", "17-wait-with-timeout", "18-conditions"}
"""Examples whose money would move otherwise elsewhere."""
OWN = """\
name: own
on_failure: undo
stages:
  - approve: {title: "Pay ${who}"}
  - wait_event: {event: go, timeout: 7d, on_timeout: continue}
  - delay: {duration: 2d3h}
  - delay: {duration: "${pause}"}
  - update: {account: {id: a, ledger: main, metadata: {timeout: 7d}}}
    when: 'stages[1].outcome == "timeout"'
"""
LEFT = [
    {"wait_event": {"event": "go"}},
    {"delay": {"duration": "51h"}},
    {"delay": {"duration": "${pause}"}},
    {"update": {"account": {"id": "a", "ledger": "main", "metadata": {"timeout": "7d"}}}},
]


def test_a_definition_whose_money_would_move_otherwise_is_not_printed(headrace: Headrace) -> None:
    ran = headrace("workflows", "strip", "-", stdin=OWN)
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.splitlines() == [
        "left out: on_failure (money moves otherwise without it)",
        "left out: stages[0].approve (money moves otherwise without it)",
        "left out: stages[1].wait_event.timeout",
        "left out: stages[1].wait_event.on_timeout",
        "left out: stages[4].when (money moves otherwise without it)",
        "written in hours: stages[2].delay.duration",
        "Nothing is printed: --force prints it without these.",
    ]


def test_force_prints_it(headrace: Headrace) -> None:
    ran = headrace("workflows", "strip", "--force", "-", stdin=OWN)
    assert ran.code == 0 and yaml.safe_load(ran.out) == {"name": "own", "stages": LEFT}
    as_json = headrace("-o", "json", "workflows", "strip", "--force", "-", stdin=OWN)
    assert json.loads(as_json.out)["data"]["workflow"] == {"name": "own", "stages": LEFT}


def test_a_time_of_a_wait_is_left_out_without_a_question(headrace: Headrace) -> None:
    ran = headrace("workflows", "strip", "-", stdin="stages:\n  - wait_event: {event: go, timeout: 1h}\n")
    assert (ran.code, yaml.safe_load(ran.out)) == (0, {"stages": [{"wait_event": {"event": "go"}}]})


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda path: path.parent.name)
def test_what_is_stripped_is_valid_and_portable(file: Path) -> None:
    definition = parse_config(yaml.safe_load(file.read_text("utf-8"))).definition
    found = portable(definition)
    assert bool(found.dangers) == (file.parent.name in HEADRACE_ONLY)
    parse_config(found.definition)
    assert [each for each in find(found.definition) if each.rule.name == "not-portable"] == []
    assert portable(found.definition).definition == found.definition


def test_what_the_linter_calls_not_portable_is_removed_or_changed() -> None:
    definition = parse_config(yaml.safe_load(OWN)).definition
    named = {each.remark.path for each in find(definition) if each.rule.name == "not-portable"}
    found = portable(definition)
    assert named == {*found.removed, *found.changed}
    assert [each for each in find(found.definition) if each.rule.name == "not-portable"] == []
