"""Documents as YAML: every reader has back what was written."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headrace.api.yaml import decode
from headrace.cli.yaml_text import yaml_text

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
SCALARS = st.none() | st.booleans() | st.integers(-(10**30), 10**30) | TEXTS
DOCUMENTS = st.dictionaries(
    TEXTS, st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4))
)

BUSY = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""A machine that is busy fails no test."""


@BUSY
@given(DOCUMENTS)
def test_readers_of_yaml_1_1_have_it_back(document: Any) -> None:
    assert yaml.safe_load(yaml_text(document)) == document


@BUSY
@given(DOCUMENTS)
def test_the_server_has_it_back(document: Any) -> None:
    assert decode(yaml_text(document).encode()).value == document


@BUSY
@given(DOCUMENTS)
def test_nothing_in_it_moves_a_cursor(document: Any) -> None:
    assert all(line.isprintable() for line in yaml_text(document).split("\n"))


@pytest.mark.parametrize(
    "text",
    [
        "no",
        "1e3",
        "0100",
        "0o10",
        "1:30",
        "2024-01-01",
        "null",
        "~",
        "",
        " a ",
        "a: b",
        "- a",
        "#",
        "y",
        ".inf",
        "=",
        "<<",
    ],
)
def test_text_stays_text(text: str) -> None:
    told = yaml_text({"a": text})
    assert told in (f'a: "{text}"', f"a: '{text}'")
    assert yaml.safe_load(told) == {"a": text}


def test_amounts_are_exact_and_nothing_is_shared_or_folded() -> None:
    amount = {"amount": 10**999 + 1}
    told = yaml_text({"a": amount, "b": amount, "text": "word " * 100})
    assert told.count(str(10**999 + 1)) == 2
    assert "&" not in told
    assert len(told.split("\n")) == 5


def test_plain_words_are_plain() -> None:
    assert yaml_text({"name": "order", "stages": [{"send": {"metadata": {"a b": "users:1"}}}]}) == (
        "name: order\nstages:\n  - send:\n      metadata:\n        a b: users:1"
    )
