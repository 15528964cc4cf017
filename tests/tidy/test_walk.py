"""One request visits few files, changes package seldom and is never called upwards (`python -m tests.tidy.walk`)."""

from __future__ import annotations

import pytest

from tests.tidy import walk
from tests.tidy.walk import Step, Walk

MAX_FILES = 39
MAX_PACKAGE_CHANGES = 60
"""The product's own figures; they only fall. docs/decisions/0042-the-walk-of-a-request.md says where the floor is."""


@pytest.fixture(scope="module")
def walked() -> Walk:
    """The shortest of three: the engine's scheduler, which looks at the clock every second, may run during one."""
    return min((walk.measure() for _ in range(3)), key=lambda each: len(each.steps))


def test_the_walk_is_that_of_the_whole_program(walked: Walk) -> None:
    packages = {step.package for step in walked.steps}
    assert packages > {"api", "usecases", "engine", "runner", "workflows", "effects", "journal", "telemetry"}
    names = [step.function for step in walked.steps]
    assert names.index("start_instance") < names.index("InstanceRunner.start") < names.index("HttpDownstream.send")


def test_the_walk_is_short(walked: Walk) -> None:
    assert len(walked.files) <= MAX_FILES, walked.files
    assert walked.package_changes <= MAX_PACKAGE_CHANGES


def test_nothing_below_calls_what_is_above_it(walked: Walk) -> None:
    assert [f"{step.caller} -> {step.file} {step.function}" for step in walked.climbs()] == []


def test_a_climb_and_changes_are_counted() -> None:
    steps = [
        Step("api/routes.py", "call", 1, None),
        Step("api/v1/instances.py", "run", 1, "api/routes.py"),
        Step("engine/driver.py", "drive", 1, "api/v1/instances.py"),
        Step("api/v1/views.py", "show", 1, "engine/driver.py"),
        Step("telemetry/metrics.py", "count", 1, "engine/driver.py"),
    ]
    found = Walk(steps)
    assert [step.function for step in found.climbs()] == ["show"]
    assert (len(found.files), found.file_changes, found.package_changes) == (5, 4, 3)
