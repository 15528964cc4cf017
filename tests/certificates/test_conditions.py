"""Certificates of cases with stages that were skipped: the replay decides again, and compares."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from headrace.certificates.case import Case
from headrace.testing.runs import Plan
from tests.certificates import test_checks
from tests.certificates.cases import ran
from tests.certificates.test_checks import ACROSS, PAYING, refusal_of

image = test_checks.image  # a fixture

WAIT: dict[str, Any] = {"wait_event": {"event": "go", "timeout": "1h", "on_timeout": "continue"}}
STAGES: list[dict[str, Any]] = [
    ACROSS,
    WAIT,
    {**PAYING, "when": 'stages[1].outcome == "timeout"'},
    {**ACROSS, "when": 'vars.again == "yes" or stages[2].outcome == "skipped"'},
]


def test_a_case_with_a_skipped_stage_is_certified(image: bytes) -> None:
    with ran({"stages": STAGES}, Plan({"again": "no"}), image, 1) as found:
        assert found is not None
        payload = found.certify()
        stages = found.case.last.stages
    assert [stage.decided for stage in stages] == [None, None, False, True]
    assert payload["instances"][0]["outcome"] == "succeeded"
    assert {effect["stage"] for effect in payload["effects"]} == {0, 2}


@pytest.mark.parametrize(
    "change",
    [
        {"decided": None},
        {"decided": False},
        {"decided": None, "is_skipped": True},
    ],
)
def test_a_decision_that_the_records_do_not_give_is_refused(image: bytes, change: dict[str, Any]) -> None:
    with ran({"stages": STAGES}, Plan({"again": "no"}), image, 1) as found:
        assert found is not None
        last = found.case.last
        stages = (*last.stages[:3], replace(last.stages[3], **change))
        assert refusal_of(found, Case((replace(last, stages=stages),))) == "replay_differs"


def test_nor_is_one_from_another_outcome(image: bytes) -> None:
    with ran({"stages": STAGES}, Plan({"again": "no"}), image, 1) as found:
        assert found is not None
        last = found.case.last
        stages = (last.stages[0], replace(last.stages[1], has_timed_out=False), *last.stages[2:])
        assert refusal_of(found, Case((replace(last, stages=stages),))) == "replay_differs"


def test_a_condition_that_failed_replays(image: bytes) -> None:
    stages = [ACROSS, {**PAYING, "when": "int(vars.again) > 1"}]
    with ran({"stages": stages}, Plan({"again": "no"}), image, 1) as found:
        assert found is not None
        assert found.certify()["instances"][0]["outcome"] == "failed"
