"""`headrace demo`: options and exit codes. The demo itself is in `headrace.demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from headrace.cli import display
from headrace.cli.errors import UNFINISHED, USAGE, Failure


def demo(
    stop: Annotated[
        bool, typer.Option("--exit", help="Stop at the end instead of leaving the server running.")
    ] = False,
    runs: Annotated[int, typer.Option("--runs", metavar="N", min=1, max=50, help="Instances per example.")] = 3,
    examples: Annotated[
        Path | None, typer.Option("--examples", metavar="FOLDER", help="Folder of the examples.")
    ] = None,
    picture: Annotated[
        Path | None,
        typer.Option("--picture", metavar="FILE", help="File of the drawing.  [default: in the data folder]"),
    ] = None,
) -> None:
    """Kill a server during payments, then check the books.

    Real workflows move money through a double-entry ledger, some of them started by a trigger when a pay-in appears.
    The server is killed with SIGKILL while effects are in flight and started again; every instance ends, every event
    has started its workflow once, and the books are compared with the histories.
    """
    from headrace.demo.errors import NoExamples, NotInTime
    from headrace.demo.show import Choices, show

    try:
        show(Choices(should_stop=stop, runs_of_each=runs, examples=examples, picture=picture), display)
    except NoExamples as error:
        hint = "Without --examples, the demo runs the examples of the package."
        raise Failure(str(error), code=USAGE, hint=hint) from None
    except NotInTime as error:
        raise Failure(str(error), code=UNFINISHED) from None
