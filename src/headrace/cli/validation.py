"""`headrace workflows validate` and `headrace workflows schema`: problems of definitions, and their JSON Schema."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from headrace.cli import display
from headrace.cli.definitions import Checked, check_definitions
from headrace.cli.errors import REFUSED
from headrace.cli.session import Printer
from headrace.cli.trigger_files import CheckedTrigger, check_triggers

if TYPE_CHECKING:
    from headrace.cli.linting import PlacedFinding

Json = dict[str, Any]
Document = TypeVar("Document")

DefinitionFiles = Annotated[
    list[str], typer.Argument(metavar="FILE|-", help="YAML or JSON files; - is standard input.")
]


TriggerFiles = Annotated[
    list[str] | None,
    typer.Option(
        "--trigger",
        metavar="FILE",
        help="A trigger that starts the workflow: the object that creates it, as YAML or JSON; repeatable.",
    ),
]
SarifFile = Annotated[
    str | None, typer.Option("--sarif", metavar="FILE", help="Write the report to FILE as SARIF 2.1.0, too.")
]
Strict = Annotated[bool, typer.Option("--strict", help="Exit with 1 for warnings, too.")]


def validate(
    printer: Printer,
    files: DefinitionFiles,
    trigger: TriggerFiles = None,
    sarif: SarifFile = None,
    strict: Strict = False,
) -> None:
    """Check definitions without a server, and lint them.

    Reports every problem with its line, column and rule, then the linter's findings about valid definitions: errors,
    warnings and notes. A YAML file may hold several documents. A comment `# headrace: allow RULE: reason` above a line
    allows a finding there. The exit code is 1 if there is a problem or an error, 2 if a file cannot be read.
    """
    from headrace.cli.linting import lint
    from headrace.linting.rule import Level

    # Every file is checked; the error of the first one that cannot be read is raised at the end.
    unread: list[OSError] = []
    checked = list(_read_each(files, check_definitions, unread))
    triggers = list(_read_each(trigger or [], check_triggers, unread))
    findings = lint(checked, triggers)
    if sarif is not None:
        _write_sarif(sarif, checked, triggers, findings)
    are_valid = all(each.definition is not None for each in (*checked, *triggers))
    report: Json = {"valid": are_valid, "definitions": [_for_a_program(each, findings) for each in checked]}
    if triggers:
        report["triggers"] = [_for_a_program(each, findings) for each in triggers]
    printer.show(report, lambda: _lines(checked, triggers, findings))
    if printer.is_for_people:
        for text in _summaries(checked, triggers, findings):
            display.note(text)
    if unread:
        raise unread[0]
    failing = (Level.ERROR, Level.WARNING) if strict else (Level.ERROR,)
    if not are_valid or any(each.level in failing and not each.is_allowed for each in findings):
        raise typer.Exit(REFUSED)


def schema() -> None:
    """Print the JSON Schema of definitions, for an editor."""
    display.line(schema_text().rstrip())


def schema_text() -> str:
    from importlib.resources import files

    from headrace.workflows.schema import FILE_NAME

    return files("headrace.workflows").joinpath(FILE_NAME).read_text("utf-8")


def _read_each(
    files: Sequence[str], read: Callable[[str], Iterator[Document]], unread: list[OSError]
) -> Iterator[Document]:
    for file in files:
        try:
            yield from read(file)
        except OSError as error:
            unread.append(error)


def _write_sarif(
    file: str, checked: Sequence[Checked], triggers: Sequence[CheckedTrigger], findings: Sequence[PlacedFinding]
) -> None:
    import json

    from headrace.api.version import VERSION
    from headrace.cli.sarif import sarif_of

    report = sarif_of(VERSION, checked, triggers, findings)
    Path(file).write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


def _for_a_program(checked: Checked | CheckedTrigger, findings: Sequence[PlacedFinding]) -> Json:
    from headrace.cli.lint_report import document_of

    found: Json = {"file": checked.file, "document": checked.document, "valid": checked.definition is not None}
    if isinstance(checked, CheckedTrigger):
        if checked.definition is not None:
            found |= {"name": checked.definition.name, "event": checked.definition.event}
    elif checked.definition is not None:
        config = checked.definition.config
        found |= {"name": config.name or "", "stages": len(config.stages)}
        found |= {"variables": sorted(checked.definition.variables)}
    found |= {"problems": [asdict(finding) for finding in checked.findings]}
    return found | {"findings": [document_of(each) for each in _findings_of(checked, findings)]}


def _findings_of(checked: Checked | CheckedTrigger, findings: Sequence[PlacedFinding]) -> list[PlacedFinding]:
    return [each for each in findings if each.source is checked.source and each.document == checked.document]


def _lines(
    checked: Sequence[Checked], triggers: Sequence[CheckedTrigger], findings: Sequence[PlacedFinding]
) -> Iterator[str]:
    from headrace.cli.lint_report import lines_of

    several = {each.file for each in (*checked, *triggers) if each.document > 1}
    for each in (*checked, *triggers):
        label = f"{each.file}, document {each.document}" if each.file in several else each.file
        for found in each.findings:
            yield f"{each.file}:{found.line}:{found.column}: {found} [{found.rule}]"
        for finding in _findings_of(each, findings):
            if not finding.is_allowed:
                yield from lines_of(finding)
        if isinstance(each, CheckedTrigger):
            if each.definition is not None:
                yield f"{label}: valid, a trigger on {each.definition.event}"
        elif each.definition is not None:
            yield f"{label}: valid, {_counted(len(each.definition.config.stages), 'stage')}"
            if each.definition.variables:
                yield f"Needs --variable {', '.join(sorted(each.definition.variables))}"


def _summaries(
    checked: Sequence[Checked], triggers: Sequence[CheckedTrigger], findings: Sequence[PlacedFinding]
) -> Iterator[str]:
    from headrace.cli.lint_report import summary

    read = [*checked, *triggers]
    problems = sum(len(each.findings) for each in read)
    if problems:
        wrong = sum(bool(each.findings) for each in read)
        yield f"{_counted(problems, 'problem')} in {wrong} of {_counted(len(read), 'definition')}"
    if counts := summary(findings):
        yield f"Linter: {counts}"


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
