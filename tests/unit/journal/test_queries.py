"""Every query has a sentence that says what it does, and every record has its query."""

from __future__ import annotations

import re

import pytest

from headrace.journal.sqlite import statements
from headrace.journal.writes import record_types

SENTENCE = re.compile(r"[A-Z`'].*\.", re.DOTALL)


def comments() -> dict[str, str]:
    """The comment above each query, by the query's name."""
    found: dict[str, str] = {}
    above: list[str] = []
    for line in statements.QUERIES.read_text("utf-8").splitlines():
        if line.startswith("-- name: "):
            found[line.removeprefix("-- name: ")] = " ".join(above)
        above = [*above, line.removeprefix("-- ")] if line.startswith("-- ") else []
    return found


@pytest.mark.parametrize(("name", "comment"), comments().items(), ids=lambda each: str(each)[:40])
def test_a_query_has_a_sentence(name: str, comment: str) -> None:
    assert SENTENCE.fullmatch(comment), f"{name}: {comment!r}"


def test_every_query_is_used_by_its_name() -> None:
    names = set(comments())
    assert len(names) > 70
    assert {each.__name__ for each in record_types()} == set(names) - set(statements.named_statements())
    assert {each.__name__ for each in statements.write_queries()} <= names
