"""`headrace migrate`: the journal's schema."""

from __future__ import annotations

from typing import Annotated

import typer

from headrace.cli.errors import REFUSED
from headrace.cli.journals import DatabaseOption, JournalFolderOption, journal_place
from headrace.cli.session import Printer


def migrate(
    printer: Printer,
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing; exit code 1 if there is something to do.")
    ] = False,
    data: JournalFolderOption = None,
    database_url: DatabaseOption = None,
) -> None:
    """Bring the journal to this release's schema.

    A journal that does not exist is created. Back it up first: an earlier release refuses the new schema. Exit code 5:
    a server runs on the journal. Exit code 6: the journal is damaged, or a newer release wrote it.
    """
    from headrace.composition import resting

    place = journal_place(data, database_url)
    before = resting.revision(place)
    is_current = before == resting.HEAD
    if not check and not is_current:
        resting.migrate(place)
    values = {
        "journal": place.address,
        "before": before,
        "after": before if check else resting.HEAD,
        "head": resting.HEAD,
    }
    if is_current:
        text = f"{place.address} has schema {before} already: nothing to do."
    elif check:
        found = "does not exist" if before is None else f"has schema {before}"
        text = f"{place.address} {found}: `headrace migrate` brings it to {resting.HEAD}."
    elif before is None:
        text = f"{place.address} was created with schema {resting.HEAD}."
    else:
        text = f"{place.address} was migrated from schema {before} to {resting.HEAD}."
    printer.show({"migration": values}, text)
    if check and not is_current:
        raise typer.Exit(REFUSED)
