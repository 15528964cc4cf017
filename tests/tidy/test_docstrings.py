"""A docstring stands alone: it names its subject, is a sentence, and cites only errors that exist."""

from __future__ import annotations

import pytest

from tests.tidy import docstrings, repository

EXCLUDED: tuple[str, ...] = ()
"""Folders and files that do not keep the rule yet. The list only gets shorter."""


def checked_sources() -> list[repository.Source]:
    """Files of the product that keep the rule, without generated ones."""
    sources = [repository.read(path) for path in repository.product_files() if not path.startswith(EXCLUDED)]
    return [each for each in sources if not docstrings.is_generated(each)]


def test_docstrings_stand_alone() -> None:
    sources, errors = checked_sources(), docstrings.known_errors()
    assert len(sources) > 100
    found = [
        f"{source.path}:{line}: {message}"
        for source in sources
        for line, message in (*docstrings.missing(source), *docstrings.unclear(source, errors))
    ]
    assert not found, "\n" + "\n".join(found)


def test_every_exclusion_is_needed() -> None:
    """A folder that keeps the rule leaves the list."""
    errors = docstrings.known_errors()
    for excluded in EXCLUDED:
        sources = [repository.read(path) for path in repository.product_files() if path.startswith(excluded)]
        if sources:  # a package may be on a branch only
            assert any(
                any(docstrings.missing(source)) or any(docstrings.unclear(source, errors)) for source in sources
            ), f"{excluded} keeps the rule: remove it from EXCLUDED"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("For ever.", "at least 3 words"),
        ("Of a predicate or a closure.", "not with 'Of'"),
        ("None where there is no answer.", "not with 'None'"),
        ("What a definition gets wrong.", "not with 'What'"),
        ("Who asks, and what they may do.", "not with 'Who'"),
        ("Those of the definition.", "'Those' stands for"),
        ("Its secret was printed before.", "'Its' stands for"),
        ("Raises InvalidValue.", "not with 'Raises'"),
        ("Read the file. Raises NoSuchError, OSError.", "no error is called 'NoSuchError'"),
        ("Read the file. Raises `Failure` or NotThere.", "no error is called 'NotThere'"),
        ("Read the whole file", "full stop"),
        ("reads the whole file.", "capital letter"),
    ],
)
def test_a_bad_docstring_is_refused(text: str, reason: str) -> None:
    source = repository.Source.of("src/sample.py", f'def _read():\n    """{text}"""\n')
    assert [message for _, message in docstrings.unclear(source, docstrings.known_errors()) if reason in message]


@pytest.mark.parametrize(
    "text",
    [
        "Read the file. Raises Failure or OSError.",
        "Read the file. Raises NotAuthenticated, Unavailable.",
        "`headrace audit`: the audit trail.",
        "Run until cancelled.",
        "Raise the limit of a service.",
        "The names of a page:\n\n    a, b\n",
    ],
)
def test_a_good_docstring_is_accepted(text: str) -> None:
    source = repository.Source.of("src/sample.py", f'def _read():\n    """{text}"""\n')
    assert list(docstrings.unclear(source, docstrings.known_errors())) == []


def test_the_docstring_of_a_variable_may_be_short_but_not_a_riddle() -> None:
    source = repository.Source.of("src/sample.py", 'A = 1\n"""Newest first."""\nB = 2\n"""Of the newest one."""\n')
    assert [line for line, _ in docstrings.unclear(source, ())] == [4]


def test_a_long_public_definition_needs_a_docstring() -> None:
    body = "\n".join(f"    a{number} = {number}" for number in range(docstrings.MIN_LINES - 1))
    methods = f'    """Implements `Port`."""\n    def send(self):\n    {body.replace(chr(10), chr(10) + "    ")}'
    for definition, is_refused in (
        (f"def read():\n{body}", True),
        (f"class Reader:\n{body}", True),
        (f"def _read():\n{body}", False),
        (f'def read():\n    """Read the whole file."""\n{body}', False),
        (f"class Reader:\n{methods}", False),
        ("def read():\n    return 1", False),
    ):
        source = repository.Source.of("src/sample.py", definition + "\n")
        assert bool(list(docstrings.missing(source))) is is_refused, definition
