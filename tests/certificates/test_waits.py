"""Certificates of cases whose wait for an event had a time."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from headrace.certificates.case import Case
from headrace.testing.runs import Plan
from headrace.workflows.stages import RUN
from tests.certificates import test_checks
from tests.certificates.cases import ran
from tests.certificates.test_checks import ACROSS, PAYING, refusal_of

image = test_checks.image  # a fixture


@pytest.mark.parametrize(("then", "outcome"), [("fail", "failed"), ("continue", "succeeded")])
def test_a_wait_that_was_over_replays(image: bytes, then: str, outcome: str) -> None:
    wait = {"wait_event": {"event": "go", "timeout": "1h", "on_timeout": then}}
    with ran({"stages": [ACROSS, wait, PAYING]}, Plan({}), image, 1) as found:
        assert found is not None
        payload = found.certify()
    assert payload["instances"][0]["outcome"] == outcome
    assert len(payload["effects"]) == (2 if then == "fail" else 4)


def test_a_wait_without_a_time_does_not_end_by_one(image: bytes) -> None:
    wait = {"wait_event": {"event": "go", "timeout": "1h"}}
    with ran({"stages": [ACROSS, wait, PAYING]}, Plan({}), image, 1) as found:
        assert found is not None
        last = found.case.last
        stages = list(last.definition["stages"])
        stages[1] = {"wait_event": {"event": "go"}}
        case = Case((replace(last, definition={**last.definition, "stages": stages}),))
        assert refusal_of(found, case) == "replay_differs"


@dataclass(frozen=True)
class Hold:
    """A command that no stage yields."""


def test_a_command_that_is_not_known_is_not_passed_over(image: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    with ran({"stages": [{"delay": {"duration": "1s"}}]}, Plan({}), image, 1) as found:
        assert found is not None
        monkeypatch.setattr(type(RUN["delay"]), "run", lambda self, body, context: iter([Hold()]))  # pyright: ignore[reportUnknownLambdaType,reportUnknownArgumentType]
        with pytest.raises(AssertionError, match="Hold"):
            found.certify()
