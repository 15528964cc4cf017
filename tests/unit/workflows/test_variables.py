"""Placeholders: one pass, values only, members exact."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.errors import InvalidValue
from headrace.json_depth import is_nested_deeper
from headrace.workflows.variables import (
    MAX_DOTS,
    MAX_EXPANDED_CHARACTERS,
    MAX_MEMBERS,
    MAX_NESTING,
    PLACEHOLDER,
    amount_assets,
    check_variables,
    expand,
    missing,
    names_in,
)

NAMES = st.sampled_from(["a", "b", "a.b", "long name", "é"])
TEXTS = st.text(st.sampled_from("ab${}.:é "), max_size=12)
PIECES = st.one_of(TEXTS, NAMES.map(lambda name: f"${{{name}}}"))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


def test_expands_in_the_middle_of_a_text() -> None:
    assert expand({"id": ["users:${user}:${user}"]}, {"user": "42"}) == {"id": ["users:42:42"]}


def test_never_expands_keys() -> None:
    assert names_in([{"send": {"${a}": "${b}"}}]) == {"b"}
    assert expand({"${a}": "${b}"}, {"a": "x", "b": "y"}) == {"${a}": "y"}


@pytest.mark.parametrize("text", ["${}", "${a", "$a", "{a}", "$ {a}", "${{a}}x"])
def test_what_is_no_placeholder_stays(text: str) -> None:
    assert expand(text, {"a": "x"}) == text


@given(st.lists(PIECES, max_size=6), st.fixed_dictionaries(dict.fromkeys(["a", "b", "a.b", "long name", "é"], TEXTS)))
def test_expansion_is_a_single_pass(pieces: list[str], variables: dict[str, str]) -> None:
    template = "".join(pieces)
    expected, end = [], 0
    for match in PLACEHOLDER.finditer(template):
        if match[1] not in variables:
            return
        expected += [template[end : match.start()], variables[match[1]]]
        end = match.end()
    assert expand(template, variables) == "".join([*expected, template[end:]])


@given(JSON)
def test_without_variables_everything_stays(value: Any) -> None:
    if not names_in([value]):
        assert repr(expand(value, {})) == repr(value)


@given(JSON, st.dictionaries(NAMES, TEXTS))
def test_what_is_not_missing_expands(value: Any, variables: dict[str, str]) -> None:
    if missing([value], variables):
        with pytest.raises(InvalidValue):
            expand(value, variables)
    else:
        expand(value, variables)


@given(st.integers() | st.booleans() | st.text(st.characters(exclude_categories=["Cs"])))
def test_scalar_members_become_exact_text(value: Any) -> None:
    expected = value if isinstance(value, str) else json.dumps(value)
    assert expand("${a.b.c}", {"a": json.dumps({"b": {"c": value}})}) == expected


@pytest.mark.parametrize("literal", ["1.50", "1e400", "-0", "0.1000000000000000055511151231257827", "9" * 5_000])
def test_numbers_keep_their_literal_text(literal: str) -> None:
    assert expand("${a.b}", {"a": f'{{"b": {literal}}}'}) == literal


@pytest.mark.parametrize(
    "text",
    [
        "",
        "b",
        "[1]",
        '"b"',
        '{"b": null}',
        '{"b": {}}',
        '{"b": []}',
        '{"c": 1}',
        '{"b": 1, "b": 2}',
        '{"b": NaN}',
        "[" * 60_000,
        '{"b":' * 10_000,
        '{"b": 1',
    ],
)
def test_members_that_are_not_there(text: str) -> None:
    assert missing(["${a.b}"], {"a": text}) == ["a.b"]


@pytest.mark.parametrize("frames", [0, 500])
@pytest.mark.parametrize("brackets", ["[]", '"][', '\\"[['])
def test_how_deep_json_may_be_nested_is_the_same_for_every_caller(brackets: str, frames: int) -> None:
    """A text in it may hold any brackets."""

    def found(levels: int, frames: int) -> list[str]:
        if frames:
            return found(levels, frames - 1)
        inner = "[" * (levels - 1) + json.dumps(brackets * 200) + "]" * (levels - 1)
        return missing(["${a.b}"], {"a": f'{{"c": {inner}, "b": "x"}}'})

    assert found(MAX_NESTING, frames) == []
    assert found(MAX_NESTING + 1, frames) == ["a.b"]


@pytest.mark.parametrize("text", ['"' + '\\"' * 32_000 + "\\", '"' * 65_535, '\\"' * 32_767])
def test_the_nesting_of_a_text_that_is_no_json_takes_no_time(text: str) -> None:
    assert is_nested_deeper("[[" + text, 1)  # a search that begins anew at each quote would take minutes
    assert not is_nested_deeper("[[" + text, 2)


def test_longest_variable_name_wins() -> None:
    variables = {"a": '{"b": {"c": "far"}}', "a.b": '{"c": "near"}'}
    assert expand("${a.b.c}", variables) == "near"
    assert expand("${a.b.c}", {**variables, "a.b": "no object"}) == "far"
    assert expand("${a.b.c}", {**variables, "a.b.c": "literal"}) == "literal"


def test_missing_names_are_sorted_and_named_once() -> None:
    assert missing([{"x": "${c}${a}"}, {"x": ["${b}", "${a}"]}], {"b": ""}) == ["a", "c"]


def test_expansion_is_bounded() -> None:
    large = "x" * 65_536
    body = ["${v}"] * (MAX_EXPANDED_CHARACTERS // len(large))
    expand(body, {"v": large})
    with pytest.raises(InvalidValue, match="more than 1048576 characters"):
        expand([*body, "${v}"], {"v": large})


def test_variables_of_other_clients_become_text_exactly() -> None:
    given_ = {"i": 10**999, "n": -1, "t": True, "f": False, "d": 1.5, "s": "x", "e": ""}
    expected = {"i": str(10**999), "n": "-1", "t": "true", "f": "false", "d": "1.5", "s": "x", "e": ""}
    assert check_variables(given_) == expected


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "null"),
        ({}, "an object"),
        ([], "a list"),
        ("a\0", "NUL"),
        ("\ud800", "surrogate"),
        ("x" * 65_537, "65536 bytes"),
        ("é" * 32_769, "65536 bytes"),
        (10**1_000, "1000 digits"),
        (-(10**1_000), "1000 digits"),
        (float("nan"), "not a number"),
        (float("inf"), "not a number"),
    ],
)
def test_refused_variables_are_named(value: object, reason: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        check_variables({"fine": "x", "order": value})
    assert caught.value.field == "order"
    assert reason in caught.value.reason


@pytest.mark.parametrize("variables", [None, [], "a=b", 5])
def test_variables_are_an_object(variables: object) -> None:
    with pytest.raises(InvalidValue, match="an object of texts"):
        check_variables(variables)


def test_there_are_at_most_a_thousand_variables() -> None:
    assert len(check_variables({str(n): "" for n in range(1_000)})) == 1_000
    with pytest.raises(InvalidValue, match="at most 1000"):
        check_variables({str(n): "" for n in range(1_001)})


@pytest.mark.parametrize("name", ["\0", "\udfff", "x" * 1_025])
def test_names_of_variables_are_text(name: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        check_variables({name: ""})
    str(caught.value).encode()  # what is shown can be sent
    assert len(str(caught.value)) < 300


@pytest.mark.timeout(20)
def test_a_placeholder_of_very_many_dots_has_no_value_and_takes_no_time() -> None:
    for dots in (MAX_DOTS + 1, 400_000):
        assert missing([f"${{a{'.b' * dots}}}"], {"a": "{}"}) == [f"a{'.b' * dots}"]
    deepest = f"a{'.b' * MAX_DOTS}"
    assert missing([f"${{{deepest}}}"], {"a": '{"b":' * MAX_DOTS + "1" + "}" * MAX_DOTS}) == []
    literal = f"a{'.b' * 100}"
    assert expand(f"${{{literal}}}", {literal: "x"}) == "x"


def test_members_asked_for_are_bounded() -> None:
    variables = {"a": json.dumps({str(number): number for number in range(MAX_MEMBERS + 1)})}
    asked = [f"${{a.{number}}}" for number in range(MAX_MEMBERS)]
    assert missing([*asked, *asked], variables) == []
    with pytest.raises(InvalidValue, match=f"more than {MAX_MEMBERS} members"):
        missing([*asked, f"${{a.{MAX_MEMBERS}}}"], variables)


def test_the_asset_of_an_amount_is_found_where_the_variables_say_it_and_nothing_is_raised_elsewhere() -> None:
    def stage(asset: str) -> dict[str, Any]:
        return {"send": {"amount": {"amount": "${n}", "asset": asset}}}

    variables = {"n": "400", "asset": "EUR/2", "big": "x" * 600_000}
    assert amount_assets([{"delay": {"duration": "1s"}}, stage("${asset}")], variables) == {"n": "EUR/2"}
    assert amount_assets([stage("${big}${big}"), stage("${gone}"), stage("no asset")], variables) == {}
