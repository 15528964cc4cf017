"""Reads a workflow definition from a file, by the server's own strict readers, and says what is wrong where."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from headrace.cli.exits import REFUSED, Failure
from headrace.errors import InvalidDefinition

if TYPE_CHECKING:
    from headrace.api.codec import Malformed
    from headrace.api.yaml import Document
    from headrace.workflows.config import Config

STANDARD_INPUT = "-"


@dataclass(frozen=True, slots=True)
class Definition:
    """`variables` are the names its placeholders use."""

    config: Config
    variables: set[str]


def read_definition(file: str) -> Definition:
    """Raises Failure with every problem as `file:line:column path: reason`, OSError for what cannot be opened."""
    from headrace.workflows.config import parse_config
    from headrace.workflows.variables import names_in

    label = "<stdin>" if file == STANDARD_INPUT else file
    document = _decoded(_bytes_of(file), label, is_json=file.endswith(".json"))
    try:
        config = parse_config(document.value)
    except InvalidDefinition as invalid:
        lines = _located(label, document, invalid)
        raise Failure("\n  ".join([f"{label} is not a valid definition", *lines]), code=REFUSED) from None
    return Definition(config, set(names_in(config.stages)))


def _bytes_of(file: str) -> bytes:
    return sys.stdin.buffer.read() if file == STANDARD_INPUT else Path(file).read_bytes()


def _decoded(body: bytes, label: str, *, is_json: bool) -> Document:
    from headrace.api import codec, yaml

    try:
        if is_json or body.lstrip().startswith((b"{", b"[")):
            return yaml.Document(codec.decode(body))
        return yaml.decode(body)
    except codec.Malformed as malformed:
        raise Failure(_malformed(label, malformed), code=REFUSED) from None


def _malformed(label: str, malformed: Malformed) -> str:
    if malformed.line is None:
        return f"{label}: {malformed.reason}"
    reason = malformed.reason.removesuffix(f" (line {malformed.line}, column {malformed.column})")
    return f"{label}:{malformed.line}:{malformed.column}: {reason}"


def _located(label: str, document: Document, invalid: InvalidDefinition) -> list[str]:
    lines: list[str] = []
    for problem in invalid.problems:
        mark = document.locate(problem.path)
        place = label if mark is None else f"{label}:{mark[0]}:{mark[1]}"
        lines.append(f"{place}: {problem}")
    return lines
