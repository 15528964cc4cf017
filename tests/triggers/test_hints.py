"""Hints for expressions that take a number in text for a number."""

from __future__ import annotations

from typing import Any

import pytest

from headrace.clock import SystemClock
from headrace.triggers.expressions import EvaluationFailed, Evaluator, no_links
from headrace.triggers.hints import MAX_HINTS, text_hints

EVENT: dict[str, Any] = {
    "amount": "8000",
    "initialAmount": "9000",
    "number": 5,
    "type": "PAY-IN",
    "many": ["1", "x"],
    "inner": {"amount": "-3"},
}


@pytest.mark.parametrize(
    ("source", "member"),
    [
        ("event.amount > 1000", "event.amount"),
        ('event.type == "PAY-IN" and event.amount > 1000', "event.amount"),
        ("1000 < event.amount <= 5000", "event.amount"),
        ("event.amount == 8000", "event.amount"),
        ("8000 != event.amount", "event.amount"),
        ("event.amount == event.number", "event.amount"),
        ("event.amount in [8000, 9000]", "event.amount"),
        ("event.amount not in [8000]", "event.amount"),
        ("event.amount + 1", "event.amount"),
        ("event.amount * 2", "event.amount"),
        ("-event.amount", "event.amount"),
        ("max(event.amount, 1)", "event.amount"),
        ('event["amount"] > 1', 'event["amount"]'),
        ("event?.inner.amount < 0", "event?.inner.amount"),
        ("(event.many[0]) > 1", "event.many[0]"),
        ('event.amount > "1000"', "event.amount"),
        ("any(event.many, event.amount > 7)", "event.amount"),
    ],
)
def test_a_number_in_text_that_is_taken_for_a_number(source: str, member: str) -> None:
    (hint,) = text_hints(source, EVENT)
    assert hint.startswith(f"{member} is text in this event") and hint.endswith(f"int({member})")
    assert "8000" not in hint.replace(source, "")


@pytest.mark.parametrize(
    "source",
    [
        "int(event.amount) > 1000",
        'event.amount == "8000"',
        'event.amount + " cents"',
        '"EUR " + event.amount',
        "event.amount + event.initialAmount",
        "event.number > 1",
        "event.type > 3",
        "event.amount > event.type",
        "event.nothing > 3",
        "event.many[7] > 3",
        "event.amount.x > 3",
        "event.amount in event.many",
        "event.amount >",
        "event",
    ],
)
def test_what_is_right_or_wrong_otherwise_gets_no_hint(source: str) -> None:
    assert text_hints(source, EVENT) == []


def test_hints_are_few_and_short() -> None:
    payload = {f"m{number}": "1" for number in range(9)} | {"x" * 100: "1"}
    assert len(text_hints(" or ".join(f"event.{name} > 0" for name in payload), payload)) == MAX_HINTS
    assert text_hints(f"event.{'x' * 100} > 0", payload) == []


async def test_an_error_of_an_expression_carries_them() -> None:
    evaluator = Evaluator(SystemClock(), no_links)
    try:
        with pytest.raises(EvaluationFailed, match=r"string > int .*use int\(event\.amount\)") as failed:
            await evaluator.over(EVENT).value("event.amount > 1000")
        assert failed.value.hints == text_hints("event.amount > 1000", EVENT)
        with pytest.raises(EvaluationFailed) as failed:
            await evaluator.over(EVENT).value("event.type > 3")
        assert failed.value.hints == []
        long = "event.amount > 1000" + " " * 600
        with pytest.raises(EvaluationFailed) as failed:
            await evaluator.over(EVENT).value(long)
        assert failed.value.hints == [], "a long source is not parsed again for each event"
    finally:
        evaluator.close()
