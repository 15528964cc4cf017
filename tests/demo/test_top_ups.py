"""The demo's judge of triggers must see each way in which pay-ins and what came of them can differ."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from headrace.demo.top_up_report import problems
from headrace.demo.top_ups import Outcome, TopUp, TopUps
from headrace_client.models import TriggerOccurrence

KEY = '["event","payments","SAVED_PAYMENT","v3.0.0","backfill-jane-1"]'


def occurrence(payment_id: str, instance_id: str | None, error: str | None = None) -> TriggerOccurrence:
    at = datetime(2024, 5, 1, tzinfo=UTC)
    return TriggerOccurrence(
        date=at, trigger_id="t", event={"id": payment_id}, workflow_instance_id=instance_id, error=error
    )


def sent() -> TopUps:
    """Two pay-ins for one wallet, the first delivered six times."""
    top_ups = TopUps(cast("Any", None), cast("Any", Unused()), cast("Any", None), cast("Any", None))
    top_ups.all = [
        TopUp("jane-1", "jane", 2**53 + 1, "USD/2", "before the trigger", "p1", by_hand=6),
        TopUp("jane-2", "jane", 5, "USD/2", "before the kill", "p2"),
    ]
    return top_ups


class Unused:
    orchestration = cast("Any", type("Orchestration", (), {"v1": None, "ext": None}))


def read() -> Outcome:
    return Outcome(
        occurrences=[occurrence("p2", "i2"), occurrence("p1", "i1")],
        instance_ids=["i1", "i2"],
        balances={("jane", "USD/2"): 2**53 + 6},
        repeats={KEY: 5},
    )


def test_what_is_as_it_must_be_has_no_problems() -> None:
    assert problems(sent(), read()) == []


def fired_twice(outcome: Outcome) -> None:
    outcome.occurrences.append(occurrence("p1", "i3"))
    outcome.instance_ids.append("i3")


def not_fired(outcome: Outcome) -> None:
    outcome.occurrences.pop()
    outcome.instance_ids.remove("i1")


def failed_to_start(outcome: Outcome) -> None:
    outcome.occurrences[0] = occurrence("p2", None, "wallet: gives nil")
    outcome.instance_ids.remove("i2")


def fired_for_another(outcome: Outcome) -> None:
    outcome.occurrences.append(occurrence("gift", "i3"))
    outcome.instance_ids.append("i3")


def started_without_an_occurrence(outcome: Outcome) -> None:
    outcome.instance_ids.append("i3")


def started_one_for_two(outcome: Outcome) -> None:
    outcome.occurrences[0] = occurrence("p2", "i1")


def lost_a_cent_to_a_float(outcome: Outcome) -> None:
    outcome.balances["jane", "USD/2"] -= 1


def a_repeat_was_not_counted(outcome: Outcome) -> None:
    outcome.repeats[KEY] -= 1


def no_repeat_was_counted(outcome: Outcome) -> None:
    outcome.repeats.clear()


def something_else_came_again(outcome: Outcome) -> None:
    outcome.repeats["sandbox:s:7"] = 1


SPOILERS = [
    fired_twice,
    not_fired,
    failed_to_start,
    fired_for_another,
    started_without_an_occurrence,
    started_one_for_two,
    lost_a_cent_to_a_float,
    a_repeat_was_not_counted,
    no_repeat_was_counted,
    something_else_came_again,
]


@pytest.mark.parametrize("spoil", SPOILERS, ids=lambda spoil: spoil.__name__)
def test_each_difference_is_seen(spoil: Callable[[Outcome], None]) -> None:
    outcome = read()
    spoil(outcome)
    assert problems(sent(), outcome)
