"""Definitions: everything wrong is reported at once, and nothing but InvalidDefinition ever comes out."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.errors import InvalidDefinition
from headrace.workflows.config import MAX_PROBLEMS, parse_config
from headrace.workflows.stages import STAGES

WAIT = {"wait_event": {"event": "x"}}
SEND: dict[str, Any] = {
    "send": {
        "source": {"account": {"id": "a", "ledger": "main"}},
        "destination": {"account": {"id": "${b}"}},
        "amount": {"asset": "USD/2", "amount": 10**30},
    }
}

KEYS = st.sampled_from(
    [
        "name",
        "on_failure",
        "stages",
        *STAGES,
        "source",
        "destination",
        "amount",
        "asset",
        "account",
        "wallet",
        "payment",
        "id",
        "ledger",
        "metadata",
        "timestamp",
        "duration",
        "until",
        "event",
        "psp",
        "type",
        "balance",
        "allowOverdraft",
        "",
        "\ud800",
        "x",
    ]
)
SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just("${a}") | st.just("\ud800")
)
ANY = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=25,
)
DEFINITIONS = ANY | st.fixed_dictionaries(
    {"stages": st.lists(st.dictionaries(st.sampled_from([*STAGES]), ANY, max_size=2), max_size=3)}
)


def problems_of(document: object) -> dict[str, str]:
    with pytest.raises(InvalidDefinition) as caught:
        parse_config(document)
    return {problem.path: problem.reason for problem in caught.value.problems}


@given(DEFINITIONS)
def test_arbitrary_json_is_a_workflow_or_an_invalid_definition(document: object) -> None:
    before = repr(document)
    try:
        config = parse_config(document)
    except InvalidDefinition as error:
        str(error).encode()  # what is shown can be sent
    else:
        assert config.stages
        assert all(len(stage) == 1 and stage.keys() <= STAGES.keys() for stage in config.stages)
    assert repr(document) == before


def test_stages_are_echoed_as_they_were_given() -> None:
    document = {"name": "x", "stages": [copy.deepcopy(SEND), WAIT]}
    config = parse_config(document)
    assert (config.name, config.stages) == ("x", [SEND, WAIT])


@pytest.mark.parametrize("name", [{}, {"name": None}])
def test_a_name_is_optional(name: dict[str, Any]) -> None:
    assert parse_config({"stages": [WAIT], **name}).name is None


@pytest.mark.parametrize("document", [None, [], "stages", 5, True])
def test_a_workflow_is_an_object(document: object) -> None:
    assert list(problems_of(document)) == [""]


def test_every_problem_is_reported() -> None:
    found = problems_of(
        {
            "name": 5,
            "version": 1,
            "stages": [
                {},
                "send",
                {"sent": {}},
                {**WAIT, "delay": {"duration": "5s"}},
                {"delay": {}},
                {"wait_event": None},
            ],
        }
    )
    assert list(found) == [
        "version",
        "name",
        "stages[0]",
        "stages[1]",
        "stages[2].sent",
        "stages[3]",
        "stages[4].delay",
        "stages[5].wait_event",
    ]
    assert "wait_event" in found["stages[3]"] and "delay" in found["stages[3]"]


@pytest.mark.parametrize(
    ("stages", "reason"),
    [(None, "is missing"), ({}, "must be a list"), ([], "must not be empty"), ([WAIT] * 1_001, "at most 1000 stages")],
)
def test_stages_are_a_list_of_bounded_length(stages: object, reason: str) -> None:
    assert reason in problems_of({"stages": stages})["stages"]


def test_a_thousand_stages_are_accepted() -> None:
    assert len(parse_config({"stages": [WAIT] * 1_000}).stages) == 1_000


@pytest.mark.parametrize("name", ["\0", "\ud800", "x" * 1_025, 5, ["x"]])
def test_a_name_is_text(name: object) -> None:
    assert list(problems_of({"name": name, "stages": [WAIT]})) == ["name"]


def test_the_list_of_problems_is_bounded() -> None:
    with pytest.raises(InvalidDefinition) as caught:
        parse_config({"stages": [WAIT], **{f"k{n}": 1 for n in range(5_000)}})
    assert len(caught.value.problems) == MAX_PROBLEMS + 1
    assert "more than" in caught.value.problems[-1].reason


def test_strange_keys_are_shown_escaped_and_short() -> None:
    found = problems_of({"stages": [{"wait_event": {"event": "x", "a b\n": 1, "z" * 500: 1, "\ud800": 1}}]})
    assert next(iter(found)) == "stages[0].wait_event.'a b\\n'"
    assert all(len(path) < 120 and path.isascii() for path in found)


@pytest.mark.parametrize("value", ["redrive", "", 1, True, ["undo"], {"undo": {}}])
def test_a_failed_run_leads_to_an_undo_or_to_nothing(value: Any) -> None:
    document = {"stages": [WAIT], "on_failure": value}
    with pytest.raises(InvalidDefinition) as caught:
        parse_config(document)
    assert [(problem.path, problem.rule) for problem in caught.value.problems] == [("on_failure", "on-failure")]


def test_a_definition_is_stored_as_it_was_given() -> None:
    for document in ({"stages": [WAIT]}, {"stages": [WAIT], "name": "n", "on_failure": "undo"}):
        assert parse_config(document).definition == document
    assert parse_config({"stages": [WAIT], "name": None, "on_failure": None}).definition == {"stages": [WAIT]}
