"""Runs the cases under `money/`, which are in the format that users write: `headrace test FILE`."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from headrace.testing.cases import Case, Suite, read_suite
from headrace.testing.checks import run_case

SUITES = [read_suite(file) for file in sorted((Path(__file__).parent / "money").glob("*.test.yaml"))]


@pytest.mark.parametrize(
    ("suite", "case"),
    [pytest.param(suite, case, id=f"{Path(suite.file).name}: {case.name}") for suite in SUITES for case in suite.cases],
)
def test_case(suite: Suite, case: Case) -> None:
    assert run_case(suite, case).differences == []


def test_every_flow_that_moves_money_has_a_case_that_succeeds() -> None:
    """The fifteenth, payment to payment, is refused when a workflow is created."""
    found = {
        int(numbered[1])
        for suite in SUITES
        for case in suite.cases
        if case.expected.outcome == "succeeded" and (numbered := re.match(r"flow (\d+):", case.name))
    }
    assert found == set(range(1, 15))
