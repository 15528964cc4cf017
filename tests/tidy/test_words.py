"""Prose uses the field's terms: words of the architecture's "Not" column are refused, root by root.

`ROOTS` are the files that keep the rule: prose of pages; names, docstrings, comments and messages of code.
`EXCLUDED` are the packages that do not keep it yet.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.tidy import repository

ROOTS = (
    "README.md",
    "CONTRIBUTING.md",
    "deploy/",
    "docs/",
    "src/headrace/",
    "packages/client/src/",
    "packages/client/README.md",
)
"""Prefixes of paths, Markdown and Python alike."""
EXCEPT = ("docs/reference/", "docs/generator/", "docs/decisions/00")
"""Pages generated from code, their generator, and decisions, which are never rewritten."""
INCLUDED = ("docs/reference/glossary.md",)
EXCLUDED = (
    "src/headrace/workflows/stages/send/body.py",  # texts of the JSON Schema, which `make schema` writes
)
"""Packages of code that do not keep the rule yet. The list only gets shorter."""

INSTEAD = {
    r"houses?": "the term of the field, such as package or product",
    r"rooms?": "package, module; memory budget",
    r"doors?": "authorization, authenticator",
    r"fates?": "outcome",
    r"of (?:ours|theirs|yours)": "a noun: the server's, Headrace's, your own",
    r"who(?:m?ever)": "a noun: the caller, the reader",
    r"(?:is|are|be|was|were) told": "receives, is notified, is logged, is reported",
    r"(?:take|takes|taken|took) up(?: again)?": "resume",
    r"for ever": "permanently, without a limit; until cancelled",
    r"(?:set|sets|setting) aside": "dead-letter",
    r"who gets in|who asks|who may": "authentication, the caller, the principal",
    r"another site's page": "cross-site request",
    r"(?:some|any|every|no)body": "a noun: a person, a caller, an operator",
    r"what (?:reads|writes|wants)": "a noun: reads, writes",
    r"gone on with": "resumed, continued",
    r"an answer that never came": "a lost response",
    r"repl(?:y|ies)": "response",
}
"""By pattern, what to write instead."""
WORDS = {re.compile(rf"\b(?:{pattern})\b", re.IGNORECASE): instead for pattern, instead in INSTEAD.items()}
_CODE = re.compile(r"^```.*?^```|`[^`]*`|<!--.*?-->|\]\([^)]*\)", re.MULTILINE | re.DOTALL)
"""What is no prose of a page: blocks, code, comments and the targets of links."""
_PUBLIC_NAMES = re.compile(r"set[-_]aside|setAside|SetAside")
"""Names of release 0.1.0 that stay: a metric and its label, a route and a table of the journal."""
_PROTOCOL_TERMS = {"src/headrace/buses/nats/": re.compile(r"\b(?:reply|replies)\b")}
"""By prefix of a path, terms that a protocol defines: NATS acknowledges a delivery on its reply subject."""
_WORDS_OF_NAMES = re.compile(r"_|(?<=[a-z])(?=[A-Z])")


def unwanted_words(path: str, text: str) -> Iterator[tuple[int, str]]:
    """Every unwanted word of a text, with its line. Code of a Markdown page is left out; names of Python are words."""
    for prefix, terms in _PROTOCOL_TERMS.items():
        text = terms.sub("", text) if path.startswith(prefix) else text
    if path.endswith(".md"):
        text = _CODE.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), text)
    else:
        text = _WORDS_OF_NAMES.sub(" ", _PUBLIC_NAMES.sub("", text))
    for pattern, instead in WORDS.items():
        for found in pattern.finditer(re.sub(r"\s", lambda blank: blank[0].replace("\n", " "), text)):
            yield text.count("\n", 0, found.start()) + 1, f"`{found[0]}`: write {instead}"


def kept_files() -> list[str]:
    return [
        path
        for path in repository.committed_files()
        if path in INCLUDED
        or (path.startswith(ROOTS) and not path.startswith(EXCEPT + EXCLUDED) and path.endswith((".md", ".py")))
    ]


def test_prose_uses_the_terms_of_the_field() -> None:
    files = kept_files()
    assert len(files) > 25
    found = [
        f"{path}:{line}: {message}"
        for path in files
        for line, message in unwanted_words(path, (repository.ROOT / path).read_text())
    ]
    assert not found, "\n" + "\n".join(found)


def first_paragraph(text: str) -> str:
    """Of a page: what follows its heading."""
    _, _, body = text.partition("\n")
    return body.strip().partition("\n\n")[0]


PAGES = ("docs", "docs/how-to", "docs/explanation", "docs/recipes")


def test_the_first_page_links_every_page_written_by_hand() -> None:
    """Its table is written by hand."""
    linked = set(re.findall(r"\]\(([^)#]+\.md)", (repository.ROOT / "docs/index.md").read_text()))
    pages = {
        str(page.relative_to(repository.ROOT / "docs"))
        for root in PAGES
        for page in (repository.ROOT / root).glob("*.md")
    }
    assert pages - linked == {"index.md"}


@pytest.mark.parametrize("root", PAGES)
def test_a_page_begins_with_what_it_is_for(root: str) -> None:
    """The first paragraph is a sentence: no heading, table, list or block."""
    pages = sorted((repository.ROOT / root).glob("*.md"))
    assert pages
    for page in pages:
        begins = first_paragraph(page.read_text())
        assert begins[0].isalpha() or begins[0] == "`", f"{page}: {begins[:40]!r}"
        assert re.search(r"[.:](\s|$)", begins), page


@pytest.mark.parametrize(
    "text",
    [
        "The house has rooms.",
        "Tokens of ours",
        "it is\ntold so",
        "Whoever asks",
        "kept for ever",
        "taken up again",
        "Nobody gets in",
        "an event is set aside",
        "OpenDoor",
        "is_told",
        "_who_gets_in",
        "NoReply",
    ],
)
def test_an_unwanted_word_is_found(text: str) -> None:
    if "_" not in text and " " in text:
        assert list(unwanted_words("docs/page.md", text))
    assert list(unwanted_words("src/module.py", f'"""{text}"""'))


def test_code_and_links_of_a_page_are_no_prose() -> None:
    text = (
        "See `GET /ext/events/set-aside`, [this](who-gets-in.md).\n\n```text\nanybody\n```\n<!-- not run: nobody -->\n"
    )
    assert list(unwanted_words("docs/page.md", text)) == []
    assert list(unwanted_words("docs/page.md", "The set-aside list, a warehouse, mushrooms, whole numbers")) == []
