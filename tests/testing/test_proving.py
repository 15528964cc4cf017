"""`headrace prove`: every example holds under every schedule, and a planted bug of runner or settlement is found."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from headrace.cli.main import app
from headrace.runner.instance import InstanceRunner
from headrace.testing import proving
from headrace.testing.cases import read_suite
from headrace.testing.checks import plan_of
from headrace.testing.interactions import Act, Killed, Step
from headrace.testing.persons import Persons
from headrace.testing.results import result_of
from tests.planted.bugs import BUGS
from tests.testing.test_cases import APPROVED, PAYS, PERSONS, SAGA, TAKEN_BACK, written

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
"""Planted bugs of runner and settlement, and an example that finds each by the command; planted_bugs.md has all."""


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
    assert bool(proof.events) == example.startswith(("06", "16", "17"))
    assert bool(proof.decisions) == example.startswith("16")


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


SEND = APPROVED.partition("timeout: 1d}\n")[2]
TWO_WAITS = f"{APPROVED}  - wait_event: {{event: go}}\n  - approve: {{timeout: 2h}}\n{SEND}"
DECISIONS = """
  - name: both waits are approved
    run: {amount: "40"}
    events: [{name: go, at: 5h}]
    approvals: [{by: paul}, {by: eve, at: 3h}, {by: paul, at: 4h}]
    expect: {outcome: succeeded, balances: {main: {shops: {USD/2: 80}}}, ended_at: 5h}
  - name: the second wait is rejected
    run: {amount: "40"}
    events: [{name: go, at: 5h}]
    approvals: [{by: paul}, {by: eve, at: 3h}, {by: eve, at: 6h, verdict: reject}]
    expect: {error: rejected by eve, balances: {main: {shops: {USD/2: 40}}}, ended_at: 6h}
"""


def test_persons_decide_under_kills_and_outages(tmp_path: Path) -> None:
    """An outage that is longer than a wait ends the run as expired; nothing else may differ."""
    suite = read_suite(written(tmp_path, DECISIONS, workflow=TWO_WAITS))
    proof = proving.prove(suite)
    lines = list(proving.text_lines("approved", proof))
    assert proof.refutation is None, lines
    assert (proof.decisions, proof.left) == (4, 0) and "4 moved decisions" in lines[2]
    plan = plan_of(suite.cases[0])
    with suite.world.run(plan) as run:
        run.go_on()
        gates = [number for number, each in enumerate(run.interactions) if each.opens_gate]
    assert len(gates) == 2
    errors: list[str | None] = []
    for number, hours in ((gates[0], 23), (gates[0], 24), (gates[1], 1), (gates[1], 2)):
        step = Step(number, Act.KILL_AFTER, down_us=hours * proving.HOUR_US)
        with suite.world.run(replace(plan, steps=(step,))) as run:
            run.go_on()
            result = result_of(run)
        assert result.problems == []
        errors.append(result.error)
    assert errors == [None, "expired: not approved in time"] * 2


def test_a_run_that_expires_without_an_outage_is_a_refutation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Decisions are stored, and lost by a kill: the case waits in vain."""
    real = Persons.decide_if_due

    def forgetful(persons: Persons) -> None:
        try:
            real(persons)
        except Killed:
            persons.left.clear()
            raise

    monkeypatch.setattr(Persons, "decide_if_due", forgetful)
    suite = read_suite(written(tmp_path, DECISIONS, workflow=TWO_WAITS))
    assert proving.prove(suite).refutation is not None


@pytest.mark.parametrize("bug", ["time approves", "one person is enough"])
def test_a_planted_bug_of_approvals_is_found(bug: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if bug == "time approves":
        monkeypatch.setattr(InstanceRunner, "_deny", lambda runner, *_: setattr(runner, "gate", None))  # pyright: ignore[reportUnknownLambdaType,reportUnknownArgumentType]
    else:
        monkeypatch.setattr("headrace.usecases.approvals.approvals_in", lambda decisions: 2)  # pyright: ignore[reportUnknownLambdaType,reportUnknownArgumentType]
    suite = read_suite(written(tmp_path, PERSONS, workflow=APPROVED))
    assert proving.prove(suite).refutation is not None


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


def test_a_run_that_is_undone_as_it_fails_is_proved_with_its_undo(tmp_path: Path) -> None:
    proof = proving.prove(read_suite(written(tmp_path, TAKEN_BACK, workflow=SAGA)))
    assert proof.refutation is None, list(proving.text_lines("saga", proof))
    assert proof.kills and proof.faults and proof.aborts
