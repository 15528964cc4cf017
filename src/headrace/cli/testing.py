"""`headrace test` and `headrace prove`: options and exit codes. What they do is in `headrace.testing`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from headrace.cli.errors import REFUSED
from headrace.cli.session import Printer

CaseFiles = Annotated[list[Path], typer.Argument(metavar="FILE", help="YAML files of cases.")]


def run_cases(
    printer: Printer,
    files: CaseFiles,
    junit: Annotated[
        Path | None, typer.Option("--junit", metavar="FILE", help="Write the results as JUnit's XML, too.")
    ] = None,
) -> None:
    """Test workflows against what a file expects.

    Needs no server and no time: each case runs against services in memory, on a clock of its own. The exit code is 0 if
    every case passed, 1 if one failed, 2 if a file is wrong; then nothing runs.
    """
    from headrace.testing import report
    from headrace.testing.cases import read_suite
    from headrace.testing.checks import run_case

    suites = [read_suite(file) for file in files]
    verdicts = [(suite.file, [run_case(suite, case) for case in suite.cases]) for suite in suites]
    if junit is not None:
        report.write_junit(verdicts, junit)
    printer.show(report.document(verdicts), lambda: report.text_lines(verdicts))
    if any(verdict.differences for _, of_file in verdicts for verdict in of_file):
        raise typer.Exit(REFUSED)
