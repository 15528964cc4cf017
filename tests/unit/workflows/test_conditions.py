"""Conditions of stages: what they see, what they refuse when a definition is created, and what they decide."""

from __future__ import annotations

import json
from typing import Any

import pytest

from headrace.errors import InvalidDefinition, Problem
from headrace.workflows.conditions import OUTCOMES, Condition, _Compiled, condition_of
from headrace.workflows.config import MAX_STAGES, open_delays, parse_config
from headrace.workflows.decisions import RUNS, Passed, Verdict, add_read, decide
from headrace.workflows.failures import INVALID
from headrace.workflows.interpreter import StageRunner
from headrace.workflows.variables import missing, names_in

Json = dict[str, Any]

WALLETS: Json = {
    "send": {
        "source": {"wallet": {"id": "${payer}"}},
        "destination": {"wallet": {"name": "shop"}},
        "amount": {"amount": 1, "asset": "USD/2"},
    }
}
WAIT: Json = {"wait_event": {"event": "go", "timeout": "1h", "on_timeout": "continue"}}
DELAY: Json = {"delay": {"duration": "1s"}}
BIG = 10**40


def problems(when: object, *before: Json) -> list[str]:
    found: list[Problem] = []
    try:
        parse_config({"stages": [*before, {"when": when, **DELAY}]})
    except InvalidDefinition as error:
        found = error.problems
    assert {(each.rule, each.path) for each in found} <= {("when", f"stages[{len(before)}].when")}
    return [each.reason for each in found]


def verdict(when: str, *before: Passed, **variables: str) -> Verdict:
    return decide({"when": when, **DELAY}, variables, before)


@pytest.mark.parametrize(
    ("when", "reason"),
    [
        (5, "must be text, an expression, not a number"),
        (True, "must be text, an expression, not a boolean"),
        (None, "must be text, an expression, not null"),
        ("", "is not a valid expression: unexpected token EOF (1:1)"),
        ("vars.a ==", "is not a valid expression: unexpected token EOF (1:9)"),
        ("x" * 9_000, "is not a valid expression: expression is longer than 8192 bytes"),
        ("1 + 1", "is true or false, not a value of the type int"),
        ("vars.a", "a variable is text, not true or false"),
        ('"${a}" == "x"', "holds no placeholder: vars.NAME is the variable NAME"),
        ('country == "DE"', "is not a valid expression: unknown name country (1:1)"),
        ('$env.vars.a == "x"', "$env is not known here"),
        ("now() > date('2024-01-01')", "now() is not known here: a condition reads no clock (1:1)"),
        ("::now() > date('2024-01-01')", "now() is not known here"),
        ("[1] | any(now().Year() > #)", "now() is not known here"),
        ('vars.p.id == "1"', "fromJSON(vars.p) has the members of the JSON in it"),
        ("vars[0] == 'x'", "cannot use int to get an element"),
        ("vars.n == 1", "a variable is text, and never equal to 1 (1:11)"),
        ("vars.n in [-1, 2]", "a variable is text, and never equal to -1"),
        ("true != vars.yes", "a variable is text, and never equal to true"),
        *(
            (
                f"vars.n {each} 1000",
                f"a variable is text, which {each} compares letter by letter: use int(vars.n) (1:1)",
            )
            for each in ("<", "<=", ">", ">=")
        ),
        ('vars.n > "1000"', "a variable is text, which > compares letter by letter: use int(vars.n)"),
        ("1000 < vars.n", "use int(vars.n) (1:8)"),
        ('int(vars.a) <= vars["n"]', "use int(vars.n)"),
        ('(vars["p.n"]) > 5', 'use int(vars["p.n"])'),
        ("vars?.n > 5", "use int(vars.n)"),
        ("+vars.n > 5", "use int(vars.n)"),
        ("5 > -(vars.n)", "use int(vars.n)"),
        ("1 < vars.n < 5", "use int(vars.n) (1:5)"),
        ('vars["a" + "b"] > 5', "use int(vars.NAME)"),
        ("any([1, 2], vars.n > #)", "use int(vars.n)"),
        ("2 * vars.n > 0", "a variable is text, with which * does not calculate: use int(vars.n)"),
        ("vars.n-1 > 0", "a variable is text, with which - does not calculate: use int(vars.n)"),
        ("vars.n + 1 > 0", "a variable is text, with which + does not calculate: use int(vars.n)"),
        ("int(vars.a) + vars.n > 0", "a variable is text, with which + does not calculate: use int(vars.n)"),
        ("-vars.n == 5", "a variable is text, with which - does not calculate: use int(vars.n)"),
        ("vars.n == int(vars.a)", "a variable is text, and never equal to a number: use int(vars.n)"),
        ("vars.n in 1..5", "a variable is text, and never equal to a number: use int(vars.n)"),
        ("!vars.yes", 'a variable is text, not true or false: vars.NAME == "true"'),
        ("not vars.yes", 'a variable is text, not true or false: vars.NAME == "true"'),
        ('vars.yes and vars.a == "x"', 'a variable is text, not true or false: vars.NAME == "true"'),
        ("vars.yes ? true : false", 'a variable is text, not true or false: vars.NAME == "true"'),
        ("len(stages) > 0", "stages is used as stages[0].outcome"),
        ('any(stages, .outcome == "done")', "stages is used as stages[0].outcome"),
        ('stages[int(vars.n)].outcome == "done"', "stages is used as stages[0].outcome"),
        ('stages[0]["out" + "come"] == "done"', "stages is used as stages[0].outcome"),
        ('stages[0].id == "x"', "stages is used as stages[0].outcome"),
        ("stages[0].reads == nil", "stages is used as stages[0].outcome"),
        ('stages[2].outcome == "done"', "stages[2] is no stage before this one, which has number 2"),
        ('stages[7].outcome == "done"', "stages[7] is no stage before this one, which has number 2"),
        ('stages[-3].outcome == "done"', "stages[-3] is no stage before this one, which has number 2"),
        ("stages[0].reads.GetAccount == nil", "stage 0 reads GetWallet, ListWallets, GetWallet2"),
        ("stages[1].reads.GetWallet == nil", "stages[1].reads.GetWallet is not known: stage 1 reads nothing"),
        ('stages[0].outcome == "skiped"', "an outcome is one of done, skipped, timeout, never skiped (1:22)"),
        ('"failed" != stages[0].outcome', "an outcome is one of done, skipped, timeout, never failed"),
        ('stages[0].outcome in ["done", "ok"]', "an outcome is one of done, skipped, timeout, never ok"),
    ],
)
def test_what_a_definition_must_not_say_is_refused_with_its_place(when: object, reason: str) -> None:
    found = problems(when, WALLETS, WAIT)
    assert any(reason in each for each in found), found


@pytest.mark.parametrize(
    "when",
    [
        'vars.country == "DE"',
        "vars?.country == nil",
        '"country" in vars',
        'vars["payment.id"] == "1"',
        "int(vars.amount) > 100 and int(vars.amount) < int(vars.limit)",
        'stages[0].outcome in ["done", "timeout"] or stages[-1].outcome != "skipped"',
        'stages[0].reads.GetWallet2.ledger == "main"',
        'fromJSON(vars.p).id == 12 ? vars.a == "x" : true',
        'vars.a + "x" == "bx" and vars.a + vars.b == "cd" and vars.a in ["x", vars.b]',
        "len(vars.a) > 3 and int(vars.a) + 1 > -int(vars.b) and date(vars.day) > date('2026-01-01')",
        'any([1, 2], # > int(vars.n)) && (let a = vars.b; a startsWith "x")',
    ],
)
def test_what_it_may_say(when: str) -> None:
    assert problems(when, WALLETS, WAIT) == []


def test_the_conditions_of_a_definition_are_limited_together(monkeypatch: pytest.MonkeyPatch) -> None:
    whens = [f'vars.country == "DE" and vars.n != "{number:04}{"x" * 8_000}"' for number in range(10)]
    assert parse_config({"stages": [{"when": when, **DELAY} for when in whens[:8]]})
    compiled: list[str] = []
    monkeypatch.setattr(
        "headrace.workflows.config.condition_of", lambda source: compiled.append(source) or condition_of("true")
    )
    with pytest.raises(InvalidDefinition) as refused:
        parse_config({"stages": [DELAY, *({"when": when, **DELAY} for when in whens)]})
    reason = "the conditions up to this one have more than 65536 bytes together"
    assert [(each.path, each.reason) for each in refused.value.problems] == [("stages[9].when", reason)]
    assert compiled == whens[:8], "nothing beyond the limit is compiled"


def test_the_conditions_of_the_largest_definition_are_compiled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[str] = []
    found = Condition(None)
    monkeypatch.setattr("headrace.workflows.conditions._compiled", lambda source: compiled.append(source) or found)
    cache = _Compiled()
    many = [f"{number} == {number} and vars.country == '{'x' * 30}'" for number in range(MAX_STAGES)]
    long = [f"{number}" * 8_000 for number in range(8)]
    for source in (*many, *many, *long, *long):
        assert cache.of(source) is found
    assert compiled == [*many, *long]
    for number in range(100):
        cache.of(f"{number:03}" * 2_000)
    compiled.clear()
    cache.of(many[0])
    assert compiled == [many[0]], "the cache is bounded"


def test_a_stage_has_one_keyword_and_perhaps_a_condition() -> None:
    for stage in ({"when": "true"}, {"when": "true", **DELAY, **WAIT}, {"when": "true", "walk": {}}):
        with pytest.raises(InvalidDefinition):
            parse_config({"stages": [stage]})
    given = {"stages": [{"when": "true", **DELAY}, {**WAIT, "when": "false"}]}
    assert parse_config(given).definition == given


# what it decides


@pytest.mark.parametrize(("outcome", "when"), [(each, f'stages[0].outcome == "{each}"') for each in OUTCOMES])
def test_it_sees_how_stages_before_have_ended(outcome: str, when: str) -> None:
    for before in OUTCOMES:
        assert verdict(when, Passed(before, {})) == Verdict(before != outcome)


def test_it_sees_what_they_have_read_in_its_order() -> None:
    reads: Json = {}
    for ledger in ("a", "b"):
        add_read(reads, "GetWallet", {"ledger": ledger})
    add_read(reads, "ListWallets", {"pageSize": 1})
    when = 'stages[0].reads.GetWallet.ledger == "a" and stages[0].reads.GetWallet2.ledger == "b" and '
    assert verdict(when + "stages[0].reads.ListWallets.pageSize == 1", Passed("done", reads)) == Verdict(skips=False)


def test_a_variable_is_text_and_a_member_of_one_is_what_a_placeholder_would_be() -> None:
    assert verdict('vars.n == "1"', n="1") == verdict('vars["p.id"] == "7"', p='{"id": 7}') == Verdict(skips=False)
    assert verdict("vars?.n == nil") == Verdict(skips=False)
    assert decide(DELAY, {}, ()) == RUNS


@pytest.mark.parametrize(
    ("left", "operator", "right", "holds"),
    [
        (BIG, "<", BIG + 1, True),
        (BIG, "==", BIG + 1, False),
        (BIG, "==", BIG, True),
        (2**63, ">", 2**63 - 1, True),
        (2**53, "==", 2**53 + 1, False),
        (-BIG, ">", -BIG - 1, True),
        (10**999, "<=", 10**999, True),
    ],
)
def test_integers_compare_exactly_at_any_size(left: int, operator: str, right: int, holds: bool) -> None:
    assert verdict(f"int(vars.a) {operator} int(vars.b)", a=str(left), b=str(right)) == Verdict(not holds)
    when = f"stages[0].reads.GetWallet.n {operator} fromJSON(vars.b)"
    assert verdict(when, Passed("done", {"GetWallet": {"n": left}}), b=str(right)) == Verdict(not holds)
    when = "int(vars.a) in [int(vars.b)]"
    assert verdict(when, a=str(left), b=str(right)) == Verdict(left != right)


@pytest.mark.parametrize(
    ("when", "text"),
    [
        ("int(vars.a) + 1 > 0", "when: invalid operation: 9223372036854775807 + 1 does not fit 64 bits (1:13)"),
        ("int(vars.b) + 1 > 0", "when: invalid operation: an operand does not fit 64 bits (1:13)"),
        ("int(vars.b) * 2 > 0", "when: invalid operation: an operand does not fit 64 bits (1:13)"),
        ("-int(vars.b) < 0", "when: invalid operation: an operand does not fit 64 bits (1:1)"),
        ("sum([int(vars.a), int(vars.a)]) > 0", "does not fit 64 bits"),
        ("int(vars.word) > 0", "when: invalid operation: int('many') (1:1)"),
        ("vars.a > 1", "when: invalid operation: string > int"),
        ('vars?.none contains "x" or vars?.none > 1', "when: invalid operation: <nil> > int"),
        ('stages[0].reads.GetWallet.ledger == "x"', "when: cannot fetch ledger from <nil>"),
        ("fromJSON(vars.a)", "when: gives int, not true or false"),
        ("vars.word ?? true", "when: gives string, not true or false"),
        ("vars?.none", "when: gives nil, not true or false"),
        ("fromJSON(vars.word).a == 1", "when: invalid JSON at character 1"),
        ('fromJSON("{\\"a\\": 1, \\"a\\": 2}").a == 1', "when: JSON holds a member twice"),
        ("fromJSON('1e999') > 1", "when: JSON holds a number that is too large"),
        ("fromJSON('NaN') > 1", "when: JSON holds a number that is too large"),
        (f"len(fromJSON('{'[' * 201}{']' * 201}')) > 1", "when: JSON is nested more than 200 levels deep"),
        ("all(1..9, all(1..9999, # > 0))", "when: step budget exceeded"),
        ('vars?.none and vars.a == "x"', "when: "),
    ],
)
def test_an_error_or_no_boolean_is_a_failure_and_never_false(when: str, text: str) -> None:
    found = verdict(when, Passed("skipped", {}), a=str(2**63 - 1), b=str(BIG), word="many")
    assert found.skips is None and found.error is not None and text in found.error
    stage = StageRunner([{"when": when, **DELAY}], 0, {}, 0, verdict=found)
    assert (stage.command, stage.error, stage.failure, stage.is_skipped) == (None, found.error, INVALID, False)


@pytest.mark.parametrize(
    ("when", "holds"),
    [
        ("abs(int(vars.a)) == int(vars.b)", False),
        ("abs(-5) == 5 and abs(fromJSON(vars.low)) == int(vars.high)", True),
        ("toJSON(int(vars.a)) == toJSON(int(vars.b))", False),
        ("toJSON([int(vars.a)]) == toJSON([int(vars.b)])", False),
        ("string(int(vars.a)) == string(int(vars.b))", False),
        ("string(int(vars.a)) == vars.a", True),
        ("string([int(vars.b)]) == '[' + vars.b + ']'", True),
        ("groupBy([int(vars.a)], #)[int(vars.b)] != nil", False),
        ("groupBy([int(vars.a)], #)[int(vars.a)] != nil", True),
        ("int(vars.b) in fromPairs([[int(vars.a), 1]])", False),
        ("string(groupBy([int(vars.b), int(vars.a)], #)) startsWith 'map[' + vars.a", True),
        ("len(uniq([int(vars.a), int(vars.b), 1e20])) == 2", True),
        ("int(vars.b) > 1e20 and int(vars.a) >= 1e20 and 1e20 < int(vars.b)", True),
        ("int(vars.a) == 1e20 and int(vars.b) != 1e20 and 1e20 in [int(vars.a)]", True),
        ("1e20 < int(vars.b) < 2e20", True),
        ("fromJSON(vars.odd) == 9007199254740992.0", False),
        ("max(1e20, int(vars.b)) == int(vars.b) and min([int(vars.b), 1e20]) == int(vars.a)", True),
        ("sort([int(vars.b), 1e20, int(vars.a)])[2] == int(vars.b)", True),
        ('type(int(vars.a)) == "int"', True),
        ("int(float(int(vars.a))) == int(vars.a)", True),
    ],
)
def test_large_integers_are_kept_and_compared_exactly(when: str, holds: bool) -> None:
    large = {"a": 10**20, "b": 10**20 + 1, "odd": 2**53 + 1, "low": -(2**63), "high": 2**63}
    assert verdict(when, **{name: str(value) for name, value in large.items()}) == Verdict(not holds)


@pytest.mark.parametrize(
    "when",
    [
        *("int(vars.b) / 1 == int(vars.b)", "1 / int(vars.b) == 0", "int(vars.b) % 2 == 0", "7 % int(vars.b) == 7"),
        *("int(vars.b) ** 1 == int(vars.b)", "2 ^ int(vars.b) == 0", "round(int(vars.b)) == int(vars.b)"),
        *("floor(int(vars.b)) == int(vars.b)", "ceil(int(vars.b)) > 0", "mean([int(vars.b)]) == int(vars.b)"),
        *("median(int(vars.b), 1) > 0", "vars.b[0:int(vars.b)] == ''", "[1][int(vars.b)] == 1"),
        *("len(int(vars.b)..int(vars.b)) == 1", "int(vars.b) - 1 > 0", "sum([int(vars.b)]) > 0"),
    ],
)
def test_arithmetic_that_would_round_a_large_integer_fails(when: str) -> None:
    found = verdict(when, b=str(10**20 + 1))
    assert found.skips is None and found.error is not None and "does not fit 64 bits" in found.error, found


LARGE = json.dumps({"n": 1, "x": ["y"] * 13_000})


@pytest.mark.parametrize(
    "when",
    [
        "all(1..4000, int(vars.zeros) == 0)",
        'any(["v0", "v1", "v2", "v3", "v4", "v5"], fromJSON(vars[#]).n > 1)',
        'vars["v0.n"] == vars["v1.n"] and vars["v2.n"] == vars["v3.n"] and vars["v4.n"] == vars["v5.n"]',
    ],
)
def test_what_a_condition_decodes_is_paid_for(when: str) -> None:
    """The bound is on work, not on time: the same case gives the same verdict on a busy machine."""
    different = {f"v{number}": LARGE + " " * number for number in range(6)}
    variables = {"zeros": "0" * 65_536, **different}
    found = verdict(when, **variables)
    assert found.skips is None and found.error is not None and "budget exceeded" in found.error, found


def test_a_text_is_decoded_once_in_an_evaluation() -> None:
    assert verdict("all(1..4900, fromJSON(vars.a).n == 1)", a=LARGE) == Verdict(skips=False)


def test_a_skipped_stage_shows_its_input_and_asks_for_nothing() -> None:
    stage = {"when": "false", "send": {**WALLETS["send"], "amount": {"amount": "${n}", "asset": "USD/2"}}}
    found = StageRunner([stage], 0, {"n": "12", "payer": "w1"}, 0, verdict=Verdict(skips=True))
    assert (found.command, found.error, found.is_skipped, found.passed().outcome) == (None, None, True, "skipped")
    assert found.input["amount"]["amount"] == 12
    broken = StageRunner([stage], 0, {"n": "many", "payer": "w1"}, 0, verdict=Verdict(skips=True))
    assert (broken.error, broken.input) == (None, stage["send"]), "what it would do is not checked"


def test_a_run_needs_the_variables_that_it_names() -> None:
    when = 'vars.country == "DE" and vars["p.id"] == "1" and vars?.maybe == nil'
    stages = [{"when": when, **DELAY}]
    assert names_in(stages) == {"country", "p.id"}
    assert missing(stages, {"p": '{"id": 1}'}) == ["country"]
    condition = condition_of(when)
    assert (condition.others, condition.may_name_any) == ({"maybe"}, False)
    assert condition_of("len(vars) > 0").may_name_any


def test_a_delay_with_a_condition_is_checked_when_it_runs() -> None:
    delay = {"delay": {"duration": "${d}"}}
    assert open_delays([delay, {"when": 'vars.d != ""', **delay}]) == (0,)
