"""What became of each condition: the same as without looking, part by part."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from headrace import expr
from headrace.expr.explanation import NotHere, Outcome, Part, explain
from tests.expr.test_fuzz import ENVIRONMENTS, LIMITS, TREES, fuzz

EVENT: dict[str, Any] = {
    "type": "PAY-IN", "amount": 50, "asset": "EUR/2", "flag": 3, "links": [{"name": "a"}], "at": "2024-01-02",
}  # fmt: skip


def explained(source: str) -> Part:
    def link(*_: Any) -> Any:
        raise NotHere

    program = expr.compile(source, env={"event": {}}, functions={"link"}, wraps=False)
    return explain(program, {"event": EVENT}, functions={"link": link}, now_ns=lambda: 0, wraps=False)


def drawn(part: Part) -> str:
    """On one line: a letter for each outcome, groups in brackets."""
    letters = {Outcome.OTHER: "x", Outcome.FAILED: "!", Outcome.SKIPPED: "-", Outcome.ELSEWHERE: "?"}
    letter = letters.get(part.outcome) or part.outcome.value[0]
    return letter + (f"({' '.join(drawn(each) for each in part.parts)})" if part.parts else "")


@pytest.mark.parametrize(
    ("source", "shape"),
    [
        ('event.type == "PAY-IN" && event.amount > 100 && event.asset in ["EUR/2"]', "f(t f -)"),
        ('event.type == "X" or event.amount < 100 or event.never.here', "t(f t -)"),
        ("event.amount == 1 || (event.amount == 2 || event.amount == 3)", "f(f f f)"),
        ("not (event.amount > 3 and event.amount > 100) and true", "t(t(f(t f)) t)"),
        ('event.asset not in ["USD/2"]', "t"),
        ("event.amount > 3 ? event.amount > 100 : true", "f(t f -)"),
        ("if event.amount < 3 { true } else if event.amount < 4 { true } else { event.amount > 5 }", "t(f - t(f - t))"),
        ("event.amount > 3 ?: false", "t(t -)"),
        ("event.amount < 3 ?: false", "f(f f)"),
        ("event.flag", "x"),
        ("true and event.flag", "x(t x)"),
        ("event.flag and true", "!(x -)"),
        ("not event.flag", "!(x)"),
        ("event.flag ? true : false", "!(x - -)"),
        ("event.none.of == 1 or true", "!(! -)"),
        ("let a = event.amount; let b = 2; a > b and a > 100", "f(t f)"),
        ('any(event.links, .name == "a" and #.none == nil)', "t"),
        ('link(event, "a").x == 1 and event.amount > 100', "f(? f)"),
        ('link(event, "a").x == 1 and event.amount > 10', "?(? t)"),
        ('link(event, "a").x == 1 or event.amount > 100', "?(? f)"),
        ('link(event, "a").x == 1 or event.amount > 10', "t(? t)"),
        ('not link(event, "a").x or event.amount > 100', "?(?(?) f)"),
        ('(link(event, "a").x ? true : false) and true', "?(?(? - -) -)"),
        ('let l = link(event, "a"); l.x == 1', "?"),
        ('let l = link(event, "a"); l.x == 1 and true', "?(- -)"),
        (" and ".join(["event.amount == 50"] * 200), f"t({' '.join('t' * 200)})"),
    ],
)
def test_outcomes(source: str, shape: str) -> None:
    assert drawn(explained(source)) == shape


@pytest.mark.parametrize(
    ("source", "values"),
    [
        ("event.amount > 100", {"event.amount": 50}),
        ("10 < event.amount * 2 < 90", {"event.amount * 2": 100, "event.amount": 50}),
        ("(event.amount) in 1..3", {"(event.amount)": 50}),
        ("event.nothing == nil", {"event.nothing": None}),
        ("event?.no?.thing == 1", {"event?.no?.thing": None}),
        ("len( event.links )>1", {"len( event.links )": 1, "event.links": [{"name": "a"}]}),
        ("event.amount | string() == '50'", {"event.amount | string()": "50", "event.amount": 50}),
        ("date(event.at).Year() == 2023", {"date(event.at).Year()": 2024, "event.at": "2024-01-02"}),
        ("event . amount /* of money */ == 1", {"event . amount": 50}),
        ("event['type'] /**/ matches `USD`", {"event['type']": "PAY-IN"}),
        ("let a = event.amount + 1; a > 100", {"a": 51}),
        ("all(event.links, event.amount == 1)", {"event.links": [{"name": "a"}]}),
        ("1 == 2", {}),
        ("event.flag", {"event.flag": 3}),
    ],
)
def test_values_that_were_looked_at(source: str, values: dict[str, Any]) -> None:
    assert dict(explained(source).values) == values


def test_a_part_is_shown_by_its_source() -> None:
    top = explained('(event.amount > 1 /* : ) */ and  event["type"] == "é)") or not ( event.flag == 3 )')
    assert [part.source for part in top.parts[0].parts] == ["event.amount > 1", 'event["type"] == "é)"']
    assert top.parts[0].source == '(event.amount > 1 /* : ) */ and  event["type"] == "é)")'
    assert top.parts[1].source == "not ( event.flag == 3 )"


def test_errors_stand_where_they_arose() -> None:
    top = explained("event.amount > 1 and event.none.of == 1")
    assert top.error is None
    assert top.parts[1].error == "cannot fetch of from <nil> (1:33)"
    assert explained("event.flag and true").error == "interface conversion: interface {} is int, not bool (1:12)"


@fuzz
@given(TREES, ENVIRONMENTS)
def test_looking_changes_nothing(source: str, env: dict[str, Any]) -> None:
    try:
        program = expr.compile(source, limits=LIMITS)
    except expr.InvalidExpression:
        return
    top = explain(program, env, functions={}, now_ns=lambda: 0)
    try:
        result = program.run(env, now_ns=lambda: 0)
    except expr.EvaluationFailed:
        assert top.outcome in (Outcome.FAILED, Outcome.OTHER)  # OTHER: the result itself is refused
        return
    wanted = {"True": Outcome.TRUE, "False": Outcome.FALSE}.get(repr(result), Outcome.OTHER)
    assert top.outcome is wanted
