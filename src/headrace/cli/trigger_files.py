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
    source = source_file(file)
    for number, read in source.documents():
        yield checked_trigger(source, number, read)


def checked_trigger(source: SourceFile, number: int, read: Document | Finding | None) -> CheckedTrigger:
    """Check a document that should be a trigger. It may have `kind: trigger`, and `workflow` for `workflowID`."""
    from headrace.triggers.definition import parse_definition

    if isinstance(read, Finding):
        return CheckedTrigger(source, number, findings=[read])
    value = None if read is None else read.value
    if isinstance(value, dict):
        value = as_created(cast("dict[str, Any]", value))
    try:
        return CheckedTrigger(source, number, read, parse_definition(value))
    except InvalidValue as invalid:
        named = invalid.problems if isinstance(invalid, InvalidDefinition) else [Problem("", invalid.reason)]
        problems = (Problem(each.path, each.reason, TRIGGER_RULE) for each in named)
        return CheckedTrigger(source, number, read, findings=[placed(problem, read) for problem in problems])


def as_created(members: dict[str, Any]) -> dict[str, Any]:
    """The members of a trigger's file as those that create a trigger. Without a workflow, it has any."""
    found = dict(members)
    if found.get("kind") == "trigger":
        del found["kind"]
    if "workflow" in found and "workflowID" not in found:
        found["workflowID"] = found.pop("workflow")
    found["workflowID"] = found.get("workflowID") or ANY_WORKFLOW
    return found
