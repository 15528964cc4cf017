"""Read triggers from files: the object that creates a trigger, as JSON or YAML; `workflowID` may be left out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from headrace.cli.definitions import Finding, SourceFile, placed, source_file
from headrace.errors import InvalidDefinition, InvalidValue, Problem

if TYPE_CHECKING:
    from headrace.api.yaml import Document
    from headrace.triggers.definition import Definition

ANY_WORKFLOW = "*"
"""The workflow of a trigger whose file names none."""
TRIGGER_RULE = "trigger"
"""Name of the rule that a trigger breaks which the server would refuse."""


@dataclass(frozen=True, slots=True)
class CheckedTrigger:
    """One trigger of a file, counted from 1. It has a definition if and only if it has no findings."""

    source: SourceFile
    document: int
    read: Document | None = None
    definition: Definition | None = None
    findings: list[Finding] = field(default_factory=list[Finding])

    @property
    def file(self) -> str:
        return self.source.label


def check_triggers(file: str) -> Iterator[CheckedTrigger]:
    """Check every trigger of a file. Raises OSError."""
    from headrace.triggers.definition import parse_definition

    source = source_file(file)
    for number, read in source.documents():
        if isinstance(read, Finding):
            yield CheckedTrigger(source, number, findings=[read])
            continue
        value = None if read is None else read.value
        if isinstance(value, dict):
            members = cast("dict[str, Any]", value)
            value = {**members, "workflowID": members.get("workflowID") or ANY_WORKFLOW}
        try:
            yield CheckedTrigger(source, number, read, parse_definition(value))
        except InvalidValue as invalid:
            named = invalid.problems if isinstance(invalid, InvalidDefinition) else [Problem("", invalid.reason)]
            problems = (Problem(each.path, each.reason, TRIGGER_RULE) for each in named)
            yield CheckedTrigger(source, number, read, findings=[placed(problem, read) for problem in problems])
