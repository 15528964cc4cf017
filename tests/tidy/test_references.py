"""Every decision that code, tests or docs cite is on a page of docs/decisions."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.tidy import repository

GLOSSARY = repository.ROOT / "docs/decisions/glossary.md"
SUFFIXES = (".py", ".md", ".mjs", ".ts", ".go", ".sql", ".sh", ".toml", ".yml", ".yaml")
ROOTS = ("src/", "packages/", "tests/", "docs/", "examples/", "ops/", "deploy/", "README.md", "CONTRIBUTING.md")

_ID = r"(?:INV-\d{1,2}|[CEMQTWX]\d{1,2}[a-z]?)"
_LIST = rf"{_ID}(?:(?:,? and|,| to) {_ID}|, \d{{4}}| and \d{{4}})*"
CITATIONS = (
    re.compile(rf"\b[Dd]ecisions? ({_LIST})(?![\w/])"),
    re.compile(rf"\b[Tt]raps? ({_LIST})(?![\w/])"),
    re.compile(rf"\(({_LIST})\)"),
    re.compile(r"\b(INV-\d{1,2})\b(?!-?\d)"),
)
"""How an id is cited: after the word, or alone in parentheses. `W1` in prose is a workload of the bench."""
PAGES = re.compile(r"\b[Dd]ecisions? (?:[A-Z]\d+\w? and )?(\d{4})\b")


def ids_of(text: str) -> Iterator[str]:
    for pattern in CITATIONS:
        for found in pattern.finditer(text):
            yield from re.findall(rf"{_ID}", found[1])


def pages_of(text: str) -> Iterator[str]:
    for found in PAGES.finditer(text):
        yield found[1]


def explained() -> set[str]:
    """Ids of the first column of the glossary's tables."""
    rows = re.findall(r"^\| ([^|]+?) \|", GLOSSARY.read_text(), re.MULTILINE)
    return {each for row in rows for each in re.findall(rf"\b{_ID}\b", row)}


def cited_files() -> list[str]:
    """Without `bench/`, whose workloads W1 to W3 look like ids."""
    paths = [path for path in repository.committed_files() if path.startswith(ROOTS) and path.endswith(SUFFIXES)]
    return [path for path in paths if path != "tests/tidy/test_references.py"]


def test_every_cited_decision_is_explained() -> None:
    known = explained()
    pages = {path.name[:4] for path in GLOSSARY.parent.glob("[0-9]*.md")}
    found: list[str] = []
    for path in cited_files():
        text = (repository.ROOT / path).read_text()
        found += [f"{path}: {each} is not in docs/decisions/glossary.md" for each in ids_of(text) if each not in known]
        found += [f"{path}: there is no decision {each}" for each in pages_of(text) if each not in pages]
    assert not found, "\n" + "\n".join(sorted(set(found)))


def test_the_citations_of_the_product_are_found() -> None:
    """A pattern that finds nothing would let everything pass."""
    cited = {
        each
        for path in cited_files()
        if path.startswith("src/")
        for each in ids_of((repository.ROOT / path).read_text())
    }
    assert len(cited) > 15 and {"M2", "M6b", "Q19"} <= cited


def test_every_page_of_a_decision_is_listed() -> None:
    listed = (GLOSSARY.parent / "README.md").read_text()
    missing = [path.name for path in GLOSSARY.parent.glob("*.md") if f"({path.name})" not in listed]
    assert set(missing) <= {"README.md"}


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("kept once (decision M99).", ["M99"]),
        ("Decisions M2 to M6b, Q19, Q22 and E6 say", ["M2", "M6b", "Q19", "Q22", "E6"]),
        ("must stand (M2b).", ["M2b"]),
        ("(decisions E3 and 0019)", ["E3"]),
        ("tests INV-99 here", ["INV-99"]),
        ("(traps T7 to T12)", ["T7", "T12"]),
        ("invoice INV-2024-1, W1 in prose, call(x1)", []),
    ],
)
def test_a_citation_is_recognized(text: str, ids: list[str]) -> None:
    assert list(dict.fromkeys(ids_of(text))) == ids


def test_a_citation_of_a_missing_page_is_recognized() -> None:
    assert list(pages_of("see decision 0999")) == ["0999"]
    assert list(pages_of("(decisions E3 and 0019)")) == ["0019"]
