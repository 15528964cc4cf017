"""`headrace export` and `headrace import`: a journal moves to another database."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from headrace.cli import display
from headrace.cli.errors import USAGE, Failure
from headrace.cli.journals import DatabaseOption, JournalFolderOption, journal_place, showing_rows
from headrace.cli.session import Printer


def export(
    printer: Printer,
    file: Annotated[Path | None, typer.Argument(metavar="FILE", help="File to create.", show_default=False)] = None,
    copy: Annotated[
        bool, typer.Option("--copy", help="Leave the journal open: the file is for tests, not for a move.")
    ] = False,
    undo: Annotated[
        bool, typer.Option("--undo", help="Open a journal again whose export was not imported. Takes no FILE.")
    ] = False,
    data: JournalFolderOption = None,
    database_url: DatabaseOption = None,
) -> None:
    """Write the whole journal to a file, for `headrace import`.

    No server may run on the journal. Afterwards none starts on it again, as its instances go on in the other
    database: two servers would send every effect twice.
    """
    from headrace.clock import RandomIds, SystemClock
    from headrace.composition.resting import open_resting, operator
    from headrace.journal.archive import export_journal, undo_export

    if (file is None) is not undo or (copy and undo):
        raise Failure("give FILE (with --copy, if it is a copy), or --undo alone", code=USAGE)
    clock = SystemClock()
    with closing(open_resting(journal_place(data, database_url))) as journal:
        if file is None:
            undo_export(journal, operator(RandomIds()), clock)
            printer.show(
                {"undone": journal.address},
                f"{journal.address} is open again: servers may run on it. Delete the exported file.",
            )
            return
        with showing_rows(printer.output) as report:
            header = export_journal(journal, file, operator(RandomIds()), clock, is_copy=copy, report=report)
    facts = [
        ("Exported", journal.address),
        ("File", str(file)),
        ("Rows", f"{sum(header.counts.values()):,}"),
        ("Instances", f"{header.counts['instances']:,}"),
        ("Export ID", header.export_id),
    ]
    printer.show(
        {"export": {"file": str(file), "kind": header.kind, "exportID": header.export_id, "counts": header.counts}},
        lambda: [
            *display.fact_lines(facts),
            "The journal stays open, so use the copy without access to the real services."
            if copy
            else "No server starts on this journal any more. Import the file once, then delete it.",
        ],
    )


def import_(
    printer: Printer,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="File of `headrace export`.")],
    data: JournalFolderOption = None,
    database_url: DatabaseOption = None,
) -> None:
    """Load an exported journal into a new data folder or database.

    Everything is loaded in one transaction: after an error, nothing is, and no new data folder is left. A journal that
    has rows already is refused. Afterwards a server continues every instance where it was.
    """
    from headrace.clock import RandomIds, SystemClock
    from headrace.composition.resting import open_new, operator
    from headrace.journal.archive import import_journal

    place = journal_place(data, database_url)
    if not file.exists():
        raise Failure(f"{file} does not exist", code=USAGE)
    with open_new(place) as journal, showing_rows(printer.output) as report:
        header = import_journal(journal, file, operator(RandomIds()), SystemClock(), report=report)
    facts = [
        ("Imported", str(file)),
        ("Into", journal.address),
        ("Rows", f"{sum(header.counts.values()):,}"),
        ("Instances", f"{header.counts['instances']:,}"),
        ("Exported at", display.moment(header.created_at)),
    ]
    printer.show(
        {
            "import": {
                "journal": journal.address,
                "kind": header.kind,
                "exportID": header.export_id,
                "counts": header.counts,
            }
        },
        lambda: display.fact_lines(facts),
    )
    if header.kind == "copy":
        printer.warn(
            "this is a copy: the original may still run, and its running instances run here too. Start it without "
            "access to the real services."
        )
