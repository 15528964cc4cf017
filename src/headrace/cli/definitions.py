"""Read workflow definitions from files with the server's strict readers, and report each problem with its place."""

from __future__ import annotations

import sys
from codecs import BOM_UTF8
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from headrace.cli.errors import REFUSED, Failure
from headrace.errors import InvalidDefinition, Problem

if TYPE_CHECKING:
    from headrace.api.yaml import Document
    from headrace.json_text import Malformed
    from headrace.workflows.config import Config

STANDARD_INPUT = "-"
FIRST_PLACE = (1, 1)
"""Line and column of a problem with the whole file."""


@dataclass(frozen=True, slots=True)
class Definition:
    """A valid definition. `variables` are the names that its placeholders use."""

    config: Config
    variables: set[str]


@dataclass(frozen=True, slots=True)
class Finding:
    """One problem and its place: line and column from 1."""

    line: int
    column: int
    path: str
    rule: str
    reason: str

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}" if self.path else self.reason


@dataclass(frozen=True)
class SourceFile:
    """A file of definitions. `label` is its name in reports."""

    label: str
    body: bytes
    is_json: bool

    @cached_property
    def lines(self) -> list[str]:
        """The lines that places count, without their ends."""
        from headrace.api.yaml import LINE_BREAK

        return self._text.split("\n") if self.is_json else LINE_BREAK.split(self._text)

    @property
    def _text(self) -> str:
        return self.body.decode("utf-8-sig", errors="replace")

    def documents(self) -> Iterator[tuple[int, Document | Finding | None]]:
        """Yield each document and its number, from 1; a Finding for one that cannot be read.

        Of several documents, empty ones are skipped. A file without any has one that is None.
        """
        is_empty = True
        for number, document in enumerate(self._read_json() if self.is_json else self._read_yaml(), 1):
            if isinstance(document, Finding) or document.value is not None:
                is_empty = False
                yield number, document
        if is_empty:
            yield 1, None

    def _read_yaml(self) -> Iterator[Document | Finding]:
        from headrace import json_text
        from headrace.api import yaml

        try:
            yield from yaml.decode_all(self.body)
        except json_text.Malformed as malformed:
            yield _unreadable(malformed)

    def _read_json(self) -> Iterator[Document | Finding]:
        from headrace import json_text
        from headrace.api import yaml
        from headrace.cli.json_places import places_of

        places = places_of(self._text)
        try:
            yield yaml.Document(json_text.decode(self.body), places.marks)
        except json_text.Malformed as malformed:
            yield _unreadable(malformed, places.repeated or FIRST_PLACE)


@dataclass(frozen=True, slots=True)
class Checked:
    """One document of a file, counted from 1. It has a definition if and only if it has no findings."""

    source: SourceFile
    document: int
    read: Document | None = None
    definition: Definition | None = None
    findings: list[Finding] = field(default_factory=list[Finding])

    @property
    def file(self) -> str:
        return self.source.label


def read_definitions(file: str) -> list[Definition]:
    """Read every definition of a file that `validate` accepts.

    Raises Failure with every problem of every document, OSError if the file cannot be opened.
    """
    checked = list(check_definitions(file))
    lines = [f"{each.file}:{found.line}:{found.column}: {found}" for each in checked for found in each.findings]
    if lines:
        raise Failure("\n  ".join([f"{checked[0].file} is not a valid definition", *lines]), code=REFUSED)
    return [each.definition for each in checked if each.definition is not None]


def read_definition(file: str) -> Definition:
    """Read the only definition of a file. Raises as `read_definitions`, and Failure if it holds several."""
    definitions = read_definitions(file)
    if len(definitions) != 1:
        raise Failure(f"{file} holds {len(definitions)} definitions; name a file that holds one", code=REFUSED)
    return definitions[0]


def source_file(file: str) -> SourceFile:
    """Read a file, or standard input for `-`. Raises OSError."""
    label = "<stdin>" if file == STANDARD_INPUT else file
    body = sys.stdin.buffer.read() if file == STANDARD_INPUT else Path(file).read_bytes()
    is_json = file.lower().endswith(".json") or body.removeprefix(BOM_UTF8).lstrip().startswith((b"{", b"["))
    return SourceFile(label, body, is_json)


def check_definitions(file: str) -> Iterator[Checked]:
    """Check every document of a file. Raises OSError."""
    source = source_file(file)
    for number, document in source.documents():
        yield checked_document(source, number, document)


def placed(problem: Problem, document: Document | None) -> Finding:
    """A problem with the place of its path in a document."""
    line, column = (document.locate(problem.path) if document is not None else None) or FIRST_PLACE
    return Finding(line, column, problem.path, problem.rule, problem.reason)


def _unreadable(malformed: Malformed, place: tuple[int, int] = FIRST_PLACE) -> Finding:
    from headrace.workflows.rules import SYNTAX

    if malformed.line is None or malformed.column is None:
        return Finding(*place, "", SYNTAX, malformed.reason)
    reason = malformed.reason.removesuffix(f" (line {malformed.line}, column {malformed.column})")
    return Finding(malformed.line, malformed.column, "", SYNTAX, reason)


def checked_document(source: SourceFile, number: int, read: Document | Finding | None) -> Checked:
    """Check a document that should be a workflow."""
    from headrace.workflows.config import parse_config
    from headrace.workflows.variables import names_in

    if isinstance(read, Finding):
        return Checked(source, number, findings=[read])
    try:
        config = parse_config(None if read is None else read.value)
    except InvalidDefinition as invalid:
        return Checked(source, number, read, findings=[placed(problem, read) for problem in invalid.problems])
    return Checked(source, number, read, Definition(config, set(names_in(config.stages))))
