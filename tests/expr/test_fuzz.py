"""Whatever the text and whatever the event: only our own errors come out, and no budget is passed by more than twice.

Four sources of expressions: any text, any row of the language's words, well-formed trees, and conformance cases with
something cut out or put in. HEADRACE_FUZZ_EXAMPLES says how many of each.
"""

from __future__ import annotations

import os
import sys
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headrace import expr
from headrace.expr.builtins import FUNCTIONS, WITH_PREDICATE
from headrace.expr.tokens import BINARY, UNARY
from headrace.expr.types import METHODS
from tests.expr import corpus

EXAMPLES = int(os.environ.get("HEADRACE_FUZZ_EXAMPLES", "150"))
LIMITS = expr.Limits(steps=2_000, memory_units=2_000)
CALLS_PER_STEP = 40
"""Calls that Python makes for a step, at most: measured, the dearest step is the reading of a date."""

fuzz = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

JSON: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["a", "1h", "2024-05-17"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["a", "b", "é"]), inner, max_size=3),
    max_leaves=8,
)
ENVIRONMENTS = st.dictionaries(st.sampled_from(["a", "b", "event", "len", "$x"]), JSON, max_size=4)

WORDS = [
    *BINARY, *UNARY, *FUNCTIONS, *WITH_PREDICATE, *(name for table in METHODS.values() for name in table),
    *("(", ")", "[", "]", "{", "}", ",", ";", ":", "::", "?", "?.", ".", "..", "#", "=", "let", "if", "else", "$env"),
    *("#index", "#acc", "true", "false", "nil", "a", "b", "event", "x", "0", "1", "2.5", "1e3", "0x1F", "''", '"é"'),
    *("b'a'", "'[a-z]+'", "'1h'", "'2024-05-17'", "'Europe/Paris'", "'asc'", "9223372036854775807", "`r`", "/**/"),
]  # fmt: skip

LEAVES = st.sampled_from(
    [
        *(
            "a",
            "b",
            "event",
            "event.a",
            "a?.b",
            "#",
            "#index",
            "#acc",
            ".a",
            "nil",
            "true",
            "false",
            "0",
            "1",
            "-1",
            "2.5",
        ),
        *(
            "1e308",
            "9223372036854775807",
            "''",
            "'a'",
            "'é'",
            "'1h'",
            "'2024-05-17'",
            "b'ab'",
            "[]",
            "{}",
            "1..5",
            "now()",
        ),
        *("$env", "1..1900", "repeat('ab', 300)", "date('2024-05-17')", "duration('1h')", "timezone('Europe/Paris')"),
        *("len", "'[a'", "'desc'"),
    ]
)


def _trees(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    some = st.lists(inner, min_size=1, max_size=3)
    return st.one_of(
        st.builds("({} {} {})".format, inner, st.sampled_from(sorted(BINARY.keys() - {"|"})), inner),
        st.builds("({} not {} {})".format, inner, st.sampled_from(["in", "matches", "contains"]), inner),
        st.builds("({}{} )".format, st.sampled_from(["-", "!", "not ", "+"]), inner),
        st.builds("({} ? {} : {})".format, inner, inner, inner),
        st.builds("({} ?: {})".format, inner, inner),
        st.builds("(let x = {}; [x, {}])".format, inner, inner),
        st.builds("{}({})".format, st.sampled_from(sorted(FUNCTIONS)), some.map(", ".join)),
        st.builds("{}({}, {})".format, st.sampled_from(sorted(WITH_PREDICATE)), inner, inner),
        st.builds("reduce({}, {}, {})".format, inner, inner, inner),
        st.builds("sortBy({}, {}, {})".format, inner, inner, inner),
        st.builds("({})[{}]".format, inner, inner),
        st.builds("({})?.[{}]".format, inner, inner),
        st.builds("({})[{}:{}]".format, inner, inner, inner),
        st.builds("({}).{}".format, inner, st.sampled_from(["a", "b", "Year", "__class__"])),
        st.builds("({})?.{}({})".format, inner, st.sampled_from(["a", "Add", "Format", "In"]), inner),
        some.map(lambda items: f"[{', '.join(items)}]"),
        st.builds("{{a: {}, ({}): {}}}".format, inner, inner, inner),
        st.builds("(if {} {{ {} }} else {{ {} }})".format, inner, inner, inner),
    )


TREES = st.recursive(LEAVES, _trees, max_leaves=12)
CASES = [case["expr"] for group in corpus.cases("corpus.jsonl").values() for case in group if len(case["expr"]) < 200]


@st.composite
def changed_cases(draw: st.DrawFn) -> str:
    source, other = draw(st.sampled_from(CASES)), draw(st.sampled_from(CASES))
    start, end = sorted((draw(st.integers(0, len(source))), draw(st.integers(0, len(source)))))
    cut = draw(st.integers(0, len(other)))
    return source[:start] + draw(st.sampled_from(["", other[:cut], other[cut:], source[start:end] * 2])) + source[end:]


class Calls:
    """Counts what Python calls while it is entered."""

    def __init__(self) -> None:
        self.count = 0

    def _called(self, frame: Any, event: str, argument: Any) -> None:
        if event in ("call", "c_call"):
            self.count += 1

    def __enter__(self) -> Calls:
        sys.setprofile(self._called)
        return self

    def __exit__(self, *error: object) -> None:
        sys.setprofile(None)


def tried(source: str, env: dict[str, Any]) -> None:
    try:
        program = expr.compile(source, limits=LIMITS)
    except expr.InvalidExpression:
        return
    meter = expr.Meter(LIMITS, lambda: 0, {}, None)
    with Calls() as calls:
        try:
            program.measured(env, meter)
        except expr.EvaluationFailed as error:
            assert str(error)  # noqa: PT017
    used = LIMITS.steps - max(0, meter.steps_left)
    allowed = min(LIMITS.steps, used + len(source)) + LIMITS.memory_units - max(0, meter.memory_left)
    assert calls.count <= 2 * CALLS_PER_STEP * max(50, allowed), source


@fuzz
@given(st.text(max_size=60), ENVIRONMENTS)
def test_any_text(source: str, env: dict[str, Any]) -> None:
    tried(source, env)


@fuzz
@given(st.lists(st.sampled_from(WORDS), max_size=20).map(" ".join), ENVIRONMENTS)
def test_any_words(source: str, env: dict[str, Any]) -> None:
    tried(source, env)


@fuzz
@given(TREES, ENVIRONMENTS)
def test_any_tree(source: str, env: dict[str, Any]) -> None:
    tried(source, env)


@fuzz
@given(changed_cases(), ENVIRONMENTS)
def test_any_change_of_a_case(source: str, env: dict[str, Any]) -> None:
    tried(source, env)


@fuzz
@given(TREES, ENVIRONMENTS)
def test_a_run_leaves_nothing_behind(source: str, env: dict[str, Any]) -> None:
    """Neither in the program nor in the environment: a second run ends as the first did."""
    try:
        program = expr.compile(source, limits=LIMITS)
    except expr.InvalidExpression:
        return
    before = repr(env)
    outcomes: list[str] = []
    for _ in range(2):
        try:
            outcomes.append(repr(program.run(env, now_ns=lambda: 0)))
        except expr.EvaluationFailed as error:
            outcomes.append(str(error))
    assert outcomes[0] == outcomes[1]
    assert repr(env) == before
