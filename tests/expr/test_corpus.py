"""Every conformance case, as written and with the names of its environment declared."""

from __future__ import annotations

import pytest

from tests.expr import corpus

CORPUS = corpus.cases("corpus.jsonl")
TRIGGERS = corpus.cases("triggers.jsonl")
OWN = corpus.cases("own.jsonl")
DIFFERENCES = corpus.cases("differences.jsonl")


def complaints(found: list[corpus.Case], *, is_strict: bool = False) -> list[str]:
    return [text for case in found if (text := corpus.complaint(case, is_strict=is_strict))]


def test_no_case_is_missing() -> None:
    assert sum(map(len, CORPUS.values())) == 2953
    assert sum(map(len, TRIGGERS.values())) == 44


@pytest.mark.parametrize("category", CORPUS)
def test_outcomes_are_those_of_the_reference(category: str) -> None:
    assert complaints(CORPUS[category]) == []


@pytest.mark.parametrize("category", CORPUS)
def test_declared_names_and_types_are_checked_as_by_the_reference(category: str) -> None:
    assert complaints(CORPUS[category], is_strict=True) == []


@pytest.mark.parametrize("category", TRIGGERS)
def test_triggers_over_money_events(category: str) -> None:
    assert complaints(TRIGGERS[category]) == []
    assert complaints(TRIGGERS[category], is_strict=True) == []


@pytest.mark.parametrize("category", OWN)
def test_expressions_of_our_own_end_as_the_reference_ends_them(category: str) -> None:
    assert complaints(OWN[category]) == []
    assert complaints(OWN[category], is_strict=True) == []


@pytest.mark.parametrize("reason", DIFFERENCES)
def test_where_we_differ_we_do_so_knowingly(reason: str) -> None:
    """The file says what the reference does (`reference`) and what we do."""
    for case in DIFFERENCES[reason]:
        assert complaints([case]) == []
        reference = {name: case[name] for name in ("id", "expr", "env")} | case["reference"]
        assert complaints([reference]) != []


def test_a_wrong_outcome_is_noticed() -> None:
    case = {"id": "x", "expr": "1 + 1", "env": None, "expect": 3}
    assert complaints([case])
    assert complaints([{**case, "expect": 2.0}])
    assert complaints([{**case, "error": "runtime", "message": ""}])
    assert complaints([{**case, "error": "compile", "stage": "check", "message": ""}])
    assert complaints([{**case, "expr": "1 +", "error": "compile", "stage": "check", "message": ""}])
