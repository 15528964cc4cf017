"""`headrace workflows strip`: a definition without what only Headrace knows."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from headrace.cli import display
from headrace.cli.errors import REFUSED
from headrace.cli.session import Printer

Json = dict[str, Any]


def strip(
    printer: Printer,
    file: Annotated[str, typer.Argument(metavar="FILE|-", help="YAML or JSON; - is standard input.")],
    force: Annotated[
        bool, typer.Option("--force", help="Also where money would move otherwise without what is left out.")
    ] = False,
) -> None:
    """Print a definition as other servers of the Orchestration API know it.

    Leaves out stages and members of Headrace only, and writes days and weeks as hours. What is left out is named on
    standard error. The exit code is 1, and nothing is printed, where money would move otherwise: without an `approve`
    stage, `on_failure` or `when`. --force prints it all the same.
    """
    from headrace.cli.definitions import read_definition
    from headrace.cli.yaml_text import yaml_text
    from headrace.workflows.portable import portable

    found = portable(read_definition(file).config.definition)
    for path in found.removed:
        display.note(f"left out: {path}" + (" (money moves otherwise without it)" if path in found.dangers else ""))
    for path in found.changed:
        display.note(f"written in hours: {path}")
    if found.dangers and not force:
        display.note("Nothing is printed: --force prints it without these.")
        raise typer.Exit(REFUSED)
    named = {name: found.definition[name] for name in ("name", "stages") if found.definition.get(name) is not None}
    printer.show({"workflow": named}, lambda: yaml_text(named).split("\n"))
