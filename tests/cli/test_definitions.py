from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Headrace = Callable[..., Any]

VALID = 'name: x\nstages:\n  - wait_event: {event: "${which}"}\n'
WRONG = """\
stages:
  - send:
      source: {account: {id: "a b", ledger: shop, extra: 1}}
      destination: {account: {id: b, ledger: shop}}
      amount: {asset: usd, amount: 1.5}
  - delay: {}
"""


def test_a_valid_file_names_the_variables_it_needs(headrace: Headrace, tmp_path: Path) -> None:
    file = tmp_path / "w.yaml"
    file.write_text(VALID)
    ran = headrace("workflows", "validate", str(file))
    assert ran.code == 0
    assert "valid, 1 stage" in ran.out
    assert "which" in ran.out


def test_validate_for_a_program(headrace: Headrace) -> None:
    ran = headrace("workflows", "validate", "-", "-o", "json", stdin=VALID)
    (checked,) = json.loads(ran.out)["data"]["definitions"]
    assert (checked["valid"], checked["variables"], checked["problems"]) == (True, ["which"], [])


def test_every_problem_is_reported_with_its_place(headrace: Headrace, tmp_path: Path) -> None:
    file = tmp_path / "w.yaml"
    file.write_text(WRONG)
    ran = headrace("workflows", "validate", str(file))
    assert ran.code == 1
    for place, path in {
        "3:26": "stages[0].send.source.account.id",
        "3:51": "stages[0].send.source.account.extra",
        "5:16": "stages[0].send.amount.asset",
        "5:28": "stages[0].send.amount.amount",
        "6:5": "stages[1].delay",
    }.items():
        assert f"{file}:{place}: {path}: " in ran.out
    assert ran.err == "5 problems in 1 of 1 definition\n"
    created = headrace("workflows", "create", str(file), "--server", "http://127.0.0.1:1")
    assert created.code == 1
    assert f"{file}:6:5: stages[1].delay: " in created.err


@pytest.mark.parametrize(
    ("text", "place"),
    [("stages: [&a 1]", "1:10"), ("stages: [", "2:1"), ("a: 1\na: 2", "2:1"), ("a: !!python/object:x {}", "1:4")],
)
def test_invalid_yaml_is_reported_with_its_place(headrace: Headrace, text: str, place: str) -> None:
    ran = headrace("workflows", "validate", "-", stdin=text)
    assert ran.code == 1
    assert ran.out.startswith(f"<stdin>:{place}: ")
    assert "(line" not in ran.out


def test_json_is_read_by_the_strict_reader(headrace: Headrace) -> None:
    ran = headrace("workflows", "validate", "-", stdin='{"stages": [], "stages": []}')
    assert ran.code == 1
    assert "twice" in ran.out


@pytest.mark.parametrize("name", ["missing.yaml", "."])
def test_a_file_that_cannot_be_read_is_a_usage_error(headrace: Headrace, tmp_path: Path, name: str) -> None:
    ran = headrace("workflows", "validate", str(tmp_path / name))
    assert ran.code == 2
    assert str(tmp_path) in ran.err
