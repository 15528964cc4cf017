"""Every query has a sentence that says what it does, and every record has its query."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from headrace.journal.postgres import statements as postgres
from headrace.journal.queries import read_texts
from headrace.journal.sqlite import statements as sqlite
from headrace.journal.writes import record_types

SENTENCE = re.compile(r"[A-Z`'].*\.", re.DOTALL)
FILES = [sqlite.QUERIES, postgres.QUERIES]


def comments(path: Path) -> dict[str, str]:
    """The comment above each query, by the query's name."""
    found: dict[str, str] = {}
    above: list[str] = []
    for line in path.read_text("utf-8").splitlines():
        if line.startswith("-- name: "):
            found[line.removeprefix("-- name: ")] = " ".join(above)
        above = [*above, line.removeprefix("-- ")] if line.startswith("-- ") else []
    return found


@pytest.mark.parametrize(
    ("name", "comment"),
    [(f"{path.parent.name} {name}", comment) for path in FILES for name, comment in comments(path).items()],
    ids=lambda each: str(each)[:40],
)
def test_a_query_has_a_sentence(name: str, comment: str) -> None:
    assert SENTENCE.fullmatch(comment), f"{name}: {comment!r}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.parent.name)
def test_every_record_has_a_query(path: Path) -> None:
    names = set(comments(path))
    assert len(names) > 70
    assert {each.__name__ for each in record_types()} <= names


def test_every_query_of_sqlite_is_used_by_its_name() -> None:
    names = set(comments(sqlite.QUERIES))
    assert {each.__name__ for each in record_types()} == names - set(sqlite.named_statements())
    assert {each.__name__ for each in sqlite.write_queries()} <= names


def test_a_query_that_leaves_out_a_field_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    text = postgres.QUERIES.read_text("utf-8").replace(
        "SET next_at = r.next_at FROM :rows", "SET next_at = 1 FROM :rows"
    )
    broken = tmp_path / "queries.sql"
    broken.write_text(text)
    monkeypatch.setattr(postgres, "QUERIES", broken)
    with pytest.raises(ValueError, match="the query ScheduleInstance must use exactly next_at, instance_id"):
        postgres.write_queries.__wrapped__()
    assert set(read_texts(broken)) == set(read_texts(postgres.QUERIES))
