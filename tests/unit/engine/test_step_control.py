"""When a step of the engine of several processes gives way to others."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from headrace.engine.temporal.control import LONGEST_S, StepControl
from headrace.testing.virtual import VirtualClock


@pytest.mark.parametrize(
    ("opened", "gives_way"),
    [
        (None, True),
        (SimpleNamespace(begun=0, was_sent=False), True),
        (SimpleNamespace(begun=1, was_sent=True), False),
        (SimpleNamespace(begun=0, was_sent=True), False),
    ],
    ids=["between activities", "before the first attempt", "after an attempt", "after one of an earlier instance"],
)
def test_a_step_that_has_had_its_turn_stays_with_an_effect_that_may_be_booked(opened: Any, gives_way: bool) -> None:
    """The settle time counts anew in another step: given away, it would never be over."""
    clock, runner = VirtualClock(), SimpleNamespace(open=opened)
    control = StepControl(
        runner,  # pyright: ignore[reportArgumentType]
        0,
        clock,
        hold_s=2.0,
        permit_s=1.0,
        is_local=False,
        is_worker_stopping=lambda: False,
    )
    assert not control.is_stopping
    clock.advance_to(clock.now_at() + int((LONGEST_S + 1) * 1e6))
    assert control.is_stopping is gives_way
