"""`headrace workflows validate` and `headrace workflows schema`: problems of definitions, and their JSON Schema."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Annotated, Any

import typer

from headrace.cli import display
from headrace.cli.definitions import Checked, check_definitions
from headrace.cli.errors import REFUSED
from headrace.cli.session import Printer

Json = dict[str, Any]

DefinitionFiles = Annotated[
    list[str], typer.Argument(metavar="FILE|-", help="YAML or JSON files; - is standard input.")
]


def validate(printer: Printer, files: DefinitionFiles) -> None:
    """Check definitions without a server.

    Reports every problem with its line, column and rule; a YAML file may hold several documents.
    The exit code is 1 if there is a problem, 2 if a file cannot be read.
    """
    # Every file is checked; the error of the first one that cannot be read is raised at the end.
    checked: list[Checked] = []
    unread: OSError | None = None
    for file in files:
        try:
            checked.extend(check_definitions(file))
        except OSError as error:
            unread = unread or error
    definitions = [_for_a_program(each) for each in checked]
    printer.show({"valid": _are_valid(checked), "definitions": definitions}, lambda: _lines(checked))
    problems = sum(len(each.findings) for each in checked)
    if problems and printer.is_for_people:
        wrong = sum(bool(each.findings) for each in checked)
        display.note(f"{_counted(problems, 'problem')} in {wrong} of {_counted(len(checked), 'definition')}")
    if unread is not None:
        raise unread
    if not _are_valid(checked):
        raise typer.Exit(REFUSED)


def schema() -> None:
    """Print the JSON Schema of definitions, for an editor."""
    display.line(schema_text().rstrip())


def schema_text() -> str:
    from importlib.resources import files

    from headrace.workflows.schema import FILE_NAME

    return files("headrace.workflows").joinpath(FILE_NAME).read_text("utf-8")


def _are_valid(checked: Sequence[Checked]) -> bool:
    return all(each.definition is not None for each in checked)


def _for_a_program(checked: Checked) -> Json:
    found: Json = {"file": checked.file, "document": checked.document, "valid": checked.definition is not None}
    if checked.definition is not None:
        config = checked.definition.config
        found |= {"name": config.name or "", "stages": len(config.stages)}
        found |= {"variables": sorted(checked.definition.variables)}
    return found | {"problems": [asdict(finding) for finding in checked.findings]}


def _lines(checked: Sequence[Checked]) -> Iterator[str]:
    several = {each.file for each in checked if each.document > 1}
    for each in checked:
        label = f"{each.file}, document {each.document}" if each.file in several else each.file
        for found in each.findings:
            yield f"{each.file}:{found.line}:{found.column}: {found} [{found.rule}]"
        if each.definition is not None:
            yield f"{label}: valid, {_counted(len(each.definition.config.stages), 'stage')}"
            if each.definition.variables:
                yield f"Needs --variable {', '.join(sorted(each.definition.variables))}"


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
