"""Read workflow definitions from files with the server's strict readers, and report each problem with its place."""

from __future__ import annotations

import sys
from codecs import BOM_UTF8
from collections.abc import Iterator
from dataclasses import dataclass, field
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


@dataclass(frozen=True, slots=True)
class Checked:
    """One document of a file, counted from 1. It has a definition if and only if it has no findings."""

    file: str
    document: int
    definition: Definition | None = None
    findings: list[Finding] = field(default_factory=list[Finding])


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


def check_definitions(file: str) -> Iterator[Checked]:
    """Check every document of a file. Of several documents, empty ones are skipped. Raises OSError."""
    label = "<stdin>" if file == STANDARD_INPUT else file
    body = sys.stdin.buffer.read() if file == STANDARD_INPUT else Path(file).read_bytes()
    is_json = file.endswith(".json") or body.removeprefix(BOM_UTF8).lstrip().startswith((b"{", b"["))
    read = _read_json(body) if is_json else _read_yaml(body)
    is_empty = True
    for number, document in enumerate(read, 1):
        if isinstance(document, Finding) or document.value is not None:
            is_empty = False
            yield _checked(label, number, document)
    if is_empty:
        yield _checked(label, 1, None)


def _read_yaml(body: bytes) -> Iterator[Document | Finding]:
    from headrace import json_text
    from headrace.api import yaml

    try:
        yield from yaml.decode_all(body)
    except json_text.Malformed as malformed:
        yield _unreadable(malformed)


def _read_json(body: bytes) -> Iterator[Document | Finding]:
    from headrace import json_text
    from headrace.api import yaml
    from headrace.cli.json_places import places_of

    places = places_of(body.decode("utf-8-sig", errors="replace"))
    try:
        yield yaml.Document(json_text.decode(body), places.marks)
    except json_text.Malformed as malformed:
        yield _unreadable(malformed, places.repeated or FIRST_PLACE)


def _unreadable(malformed: Malformed, place: tuple[int, int] = FIRST_PLACE) -> Finding:
    from headrace.workflows.rules import SYNTAX

    if malformed.line is None or malformed.column is None:
        return Finding(*place, "", SYNTAX, malformed.reason)
    reason = malformed.reason.removesuffix(f" (line {malformed.line}, column {malformed.column})")
    return Finding(malformed.line, malformed.column, "", SYNTAX, reason)


def _checked(label: str, number: int, read: Document | Finding | None) -> Checked:
    from headrace.workflows.config import parse_config
    from headrace.workflows.variables import names_in

    if isinstance(read, Finding):
        return Checked(label, number, findings=[read])
    try:
        config = parse_config(None if read is None else read.value)
    except InvalidDefinition as invalid:
        return Checked(label, number, findings=[_placed(problem, read) for problem in invalid.problems])
    return Checked(label, number, Definition(config, set(names_in(config.stages))))


def _placed(problem: Problem, document: Document | None) -> Finding:
    line, column = (document.locate(problem.path) if document is not None else None) or FIRST_PLACE
    return Finding(line, column, problem.path, problem.rule, problem.reason)
