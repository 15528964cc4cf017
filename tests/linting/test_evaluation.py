"""Evaluation over an event that is known in part covers every event that fits, as the language itself evaluates it."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from headrace import expr
from headrace.linting.evaluation import may_hold, value_of
from headrace.linting.partial import ANY_TEXT, FRESH_ID, UNKNOWN, PartialText, Record, Value, expanded, joined
from headrace.linting.workflow import Trigger
from headrace.triggers.expressions import check_source

WORDS = ["", "a", "ab", "PAY-IN", "PAYOUT", "PAY", "IN", "b:a", "7"]
TEXTS = st.sampled_from(WORDS)
SCALARS = TEXTS | st.integers(-2, 3) | st.booleans() | st.none() | st.sampled_from([1.0, 2.5])
POSTINGS = st.lists(st.fixed_dictionaries({"source": TEXTS, "amount": st.integers(0, 3)}), max_size=2)
EVENTS = st.fixed_dictionaries(
    {"type": TEXTS, "x": SCALARS, "meta": st.dictionaries(st.sampled_from(["k", "j"]), TEXTS), "postings": POSTINGS}
)

VALUES = [
    *("event.type", "event.x", "event.meta.k", "event.meta", "event.none", "event.none?.k", "event.postings", "event"),
    *("event.postings[0].source", "event.postings[-1]?.amount", "event.meta?.j", "nil", "true", "1", "2.5"),
    *("[1, event.x]", '{"k": event.type}', "len(event.postings)", "event.meta.k ?? event.type"),
]
LEAVES = st.one_of(
    st.sampled_from(VALUES),
    TEXTS.map(lambda text: f'"{text}"'),
)
PREDICATES = ["any", "all", "none", "one", "filter"]
BINARY = [
    *("==", "!=", "and", "or", "&&", "||", "in", "not in", "startsWith", "endsWith", "contains", "+", "<", ">=", "??"),
    *("-", "matches", "<=", ">"),
]


def _trees(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.builds("({} {} {})".format, inner, st.sampled_from(BINARY), inner),
        st.builds("({} {} {})".format, inner, st.sampled_from(["==", "and", "or", "in", "+"]), inner),
        inner.map("(not {})".format),
        st.builds("({} ? {} : {})".format, inner, inner, inner),
        st.builds("({} ?: {})".format, inner, inner),
        st.builds("(let v = {}; v == {})".format, inner, inner),
        st.builds("{}(event.postings, {{.source == {}}})".format, st.sampled_from(PREDICATES), inner),
        st.builds("{}(event.postings, {{# == {} or .amount > 1}})".format, st.sampled_from(PREDICATES), inner),
        st.builds("hasPrefix({}, {})".format, inner, inner),
        st.builds("hasSuffix({}, {})".format, inner, inner),
        st.builds("{}({})".format, st.sampled_from(["string", "len", "lower", "upper", "trim", "int"]), inner),
        st.builds("({})[{}]".format, inner, inner),
    )


EXPRESSIONS = st.recursive(LEAVES, _trees, max_leaves=6)


@st.composite
def loosened(draw: st.DrawFn, value: Any) -> Value:
    """The value, with parts of it unknown."""
    if draw(st.integers(0, 4)) == 0:
        return UNKNOWN
    if isinstance(value, str) and draw(st.booleans()):
        start, end = sorted((draw(st.integers(0, len(value))), draw(st.integers(0, len(value)))))
        return PartialText((value[:start], value[end:]))
    if isinstance(value, dict):
        members = {name: draw(loosened(member)) for name, member in value.items()}
        if draw(st.booleans()):
            return Record(members)
        return Record({name: member for name, member in members.items() if draw(st.booleans())}, is_open=True)
    return [draw(loosened(item)) for item in value] if isinstance(value, list) else value


def covers(known: Value, value: Any) -> bool:
    if known is UNKNOWN:
        return True
    if isinstance(known, PartialText):
        return isinstance(value, str) and known.may_be(value)
    if isinstance(known, Record):
        return isinstance(value, dict) and all(covers(known.member(name), value.get(name)) for name in known.members)
    if isinstance(known, list):
        return isinstance(value, list) and len(known) == len(value) and all(map(covers, known, value))
    return isinstance(known, bool) == isinstance(value, bool) and known == value


@given(EXPRESSIONS, EVENTS, st.data())
def test_what_is_computed_covers_what_the_language_computes(source: str, event: Any, data: st.DataObject) -> None:
    try:
        program = check_source(source)
    except Exception:
        return
    node = Trigger("X", source).condition
    assert node is not None
    known = data.draw(loosened(event))
    try:
        value = program.run({"event": event})
    except expr.EvaluationFailed:
        return
    assert covers(value_of(node, known), value), (source, event, known, value)
    assert may_hold(node, known) or value is not True


@given(st.lists(TEXTS, min_size=2, max_size=4), TEXTS, TEXTS)
@example(["ab", "ab"], "ab", "")
@example(["", "a", "a", ""], "a", "b")
def test_a_partial_text_is_every_text_that_fits(segments: list[str], text: str, more: str) -> None:
    partial = PartialText(tuple(segments))
    fitting = re.compile(".*".join(map(re.escape, segments)))
    for each in (text, text + more, more.join(segments)):
        assert partial.may_be(each) is (fitting.fullmatch(each) is not None)
        assert partial.starts_with(each) in ((True, UNKNOWN) if any_fits(fitting, each, "{}.*") else (False,))
    assert partial.may_be("x".join(segments))
    assert not PartialText(tuple(segments), is_fresh=True).may_be("".join(segments))


def any_fits(fitting: re.Pattern[str], prefix: str, form: str) -> bool:
    """Whether some text of the pattern begins with this prefix: its known beginning and the prefix agree."""
    known = re.sub(r"\\(.)", r"\1", fitting.pattern.partition(".*")[0])
    return known.startswith(prefix) or prefix.startswith(known)


@pytest.mark.parametrize(
    ("text", "bindings", "value"),
    [
        ("users:${u}", {}, PartialText(("users:", ""))),
        ("users:${u}", {"u": "7"}, "users:7"),
        ("${u}:${v}:x", {"u": "a"}, PartialText(("a:", ":x"))),
        ("${u}", {"u": UNKNOWN}, ANY_TEXT),
        ("${u}", {"u": 5}, ANY_TEXT),
        ("plain", {}, "plain"),
        ("a${u}", {"u": FRESH_ID}, PartialText(("a", ""), is_fresh=True)),
    ],
)
def test_a_text_is_expanded_as_far_as_its_variables_are_known(text: str, bindings: Any, value: Value) -> None:
    assert expanded(text, bindings) == value
    assert joined(5, "a") is UNKNOWN


@pytest.mark.parametrize(
    "source", ["not " * 500 + "true", " + ".join(["event.a"] * 900), "[" * 60 + "]" * 60, "(", "a.b"]
)
def test_deep_and_invalid_expressions_are_unknown_or_nil(source: str) -> None:
    node = Trigger("X", source).condition
    assert node is not None
    assert value_of(node, Record({})) in (UNKNOWN, None) or isinstance(value_of(node, Record({})), list | bool)


def test_an_evaluation_ends() -> None:
    inner = "true"
    for _ in range(40):
        inner = f"all(event.l, {inner})"
    node = Trigger("X", inner).condition
    assert node is not None
    assert value_of(node, Record({"l": [1] * 50})) is UNKNOWN
