"""`headrace prove`: every example holds under every schedule, and a planted bug of runner or settlement is found."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from headrace.cli.main import app
from headrace.testing import proving
from headrace.testing.cases import read_suite
from tests.planted.bugs import BUGS
from tests.testing.test_cases import PAYS, written

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted(path.parent.name for path in (ROOT / "examples").glob("*/workflow.test.yaml"))

FOUND_ON = {
    "a random key for each attempt": "04",
    "a key without the stage": "09",
    "a key without the ordinal": "02",
    "an effect is sent before its intent is stored": "01",
    "the stage is recorded before the effect": "01",
    "500 is taken as success": "01",
    "a missing answer is taken as a refusal": "01",
    "a refusal that follows an unknown attempt is taken as final": "09",
}
"""Planted bugs of runner and settlement, and the example that finds each.

Not among them: a payout that is sent again without a look-up, and a body that is rebuilt with other blanks. The
services refuse a repeated reference and compare content, so that no booking differs.
"""


def test_there_is_a_file_of_cases_for_each_example() -> None:
    assert sorted(path.parent.name for path in (ROOT / "examples").glob("*/workflow.yaml")) == EXAMPLES


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_is_proved(example: str) -> None:
    folder = ROOT / "examples" / example
    suite = read_suite(folder / "workflow.test.yaml", workflow=folder / "workflow.yaml")
    proof = proving.prove(suite)
    assert proof.refutation is None, list(proving.text_lines(example, proof))
    assert proof.runs >= 2 * proof.interactions
    assert proof.kills and proof.faults and proof.aborts
    assert bool(proof.events) == example.startswith("06")


def invoke(*arguments: str) -> Any:
    return CliRunner().invoke(app, list(arguments))


def test_command_line(tmp_path: Path) -> None:
    cases, workflow, report = str(written(tmp_path, PAYS)), str(tmp_path / "payout.yaml"), tmp_path / "report.json"
    done = invoke("prove", workflow, "--cases", cases, "--pairs", "--max-runs", "80", "--report", str(report))
    assert done.exit_code == 4
    assert "left out: the bound of --max-runs is reached" in done.stdout
    proof = json.loads(report.read_text())
    assert (proof["holds"], proof["runs"], proof["effects"]) == (True, 80, 2)
    assert proof["left"] > 80
    done = invoke("prove", workflow, "--cases", cases)
    assert (done.exit_code, done.stdout.splitlines()[0].split(": ")[1][:17]) == (0, "proved for 1 case")
    assert invoke("prove", str(tmp_path / "other.yaml"), "--cases", cases).exit_code == 2


def test_the_same_seed_is_the_same_proof(tmp_path: Path) -> None:
    file = written(tmp_path, PAYS)
    proofs = [proving.document(proving.prove(read_suite(file, seed=7), pairs=True, max_runs=70)) for _ in range(2)]
    assert proofs[0] == proofs[1]


@pytest.mark.parametrize("name", FOUND_ON)
def test_a_planted_bug_is_found(name: str, tmp_path: Path) -> None:
    """In a copy of the package, by the command and in a process of its own."""
    bug = next(bug for bug in BUGS if bug.name == name)
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    for change in bug.changes:
        change.apply(tmp_path)
    folder = next((tmp_path / "src/headrace/examples").glob(f"{FOUND_ON[name]}-*"))
    command = [sys.executable, "-m", "headrace.cli", "prove", str(folder / "workflow.yaml")]
    done = subprocess.run(
        [*command, "--cases", str(folder / "workflow.test.yaml"), "--pairs", "--max-runs", "2000", "-o", "json"],
        env={**os.environ, "PYTHONPATH": str(tmp_path / "src"), "PYTHONDONTWRITEBYTECODE": "1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    refutation = json.loads(done.stdout)["data"]["refutation"]
    assert refutation["schedule"] and refutation["problems"]
