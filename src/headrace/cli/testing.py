"""`headrace test` and `headrace prove`: options and exit codes. What they do is in `headrace.testing`."""

from __future__ import annotations

import json
import logging
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from headrace.cli.errors import REFUSED, UNFINISHED, Failure
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
    with _silent_log():
        verdicts = [(suite.file, [run_case(suite, case) for case in suite.cases]) for suite in suites]
    if junit is not None:
        report.write_junit(verdicts, junit)
    printer.show(report.document(verdicts), lambda: report.text_lines(verdicts))
    if any(verdict.differences for _, of_file in verdicts for verdict in of_file):
        raise typer.Exit(REFUSED)


def prove(
    printer: Printer,
    workflow: Annotated[Path, typer.Argument(metavar="FILE", help="YAML file of a workflow.")],
    cases: Annotated[Path, typer.Option("--cases", metavar="FILE", help="YAML file of its cases.")],
    pairs: Annotated[bool, typer.Option("--pairs", help="Also a fault and a kill after it, each with each.")] = False,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Seed of ids, back-off and order of pairs.")] = 0,
    report: Annotated[
        Path | None, typer.Option("--report", metavar="FILE", help="Write the proof as JSON, too.")
    ] = None,
    max_runs: Annotated[
        int, typer.Option("--max-runs", metavar="N", min=1, help="Bound of the runs of all cases.")
    ] = 20_000,
) -> None:
    """Prove that nothing pays twice or gets lost: kill the server at each point, fail each attempt, abort everywhere.

    A plain run of each case lists its interactions with journal and services. Then, in virtual time, one run for a kill
    before and after each of them, one for each fault of each attempt, one for each moment of an event, and an abort at
    each: all must end with the books and the history of the plain run. The exit code is 0 if they do, 1 with the
    shortest schedule under which one does not, 2 if a file is wrong, 4 if the bound was reached.
    """
    from headrace.testing import proving
    from headrace.testing.cases import read_suite
    from headrace.testing.checks import NotStarted

    suite = read_suite(cases, workflow=workflow, seed=seed)
    try:
        with _silent_log():
            proof = proving.prove(suite, pairs=pairs, max_runs=max_runs)
    except NotStarted as error:
        raise Failure(str(error), code=REFUSED) from None
    document = proving.document(proof)
    if report is not None:
        report.write_text(json.dumps(document, indent=2) + "\n", "utf-8")
    printer.show(document, lambda: proving.text_lines(str(workflow), proof))
    if proof.refutation is not None:
        raise typer.Exit(REFUSED)
    if proof.left:
        raise typer.Exit(UNFINISHED)


@contextmanager
def _silent_log() -> Generator[None]:
    """Drop the lines that an engine logs under faults: the report says what came of them."""
    import structlog

    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        yield
    finally:
        structlog.configure(**before)
