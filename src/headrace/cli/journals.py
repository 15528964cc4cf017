"""The journal that a command works on, and the options that name it."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from headrace.cli import display
from headrace.cli.display import Output
from headrace.cli.errors import USAGE, Failure

if TYPE_CHECKING:
    from headrace.composition.resting import Place
    from headrace.journal.archive import Report

JournalFolderOption = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="FOLDER",
        help="The data folder with the journal.  [env: HEADRACE_DATA; default: .headrace]",
    ),
]
DatabaseOption = Annotated[
    str | None,
    typer.Option(
        "--database-url",
        metavar="URL",
        help="The journal in PostgreSQL: postgresql://user@host/name.  [env: HEADRACE_DATABASE_URL]",
    ),
]


def journal_place(data: Path | None, database_url: str | None) -> Place:
    """The journal that the options name, else the one that the settings of a server name."""
    from headrace.composition.resting import Place
    from headrace.settings import Settings

    if data is not None and database_url is not None:
        raise Failure("--data and --database-url exclude each other: give one", code=USAGE)
    settings = Settings.from_env(os.environ)
    if database_url is not None:  # the rule of the setting; its message shows no password
        Settings.from_env({"HEADRACE_DATABASE_URL": database_url})
    folder = (data or settings.data).expanduser().absolute()
    return Place(folder, database_url or (None if data is not None else settings.database_url))


@contextmanager
def showing_rows(output: Output) -> Generator[Report]:
    """Show how many rows of each table are done."""
    with display.progress("", is_shown=output is Output.TABLE) as show:
        yield lambda table, count: show(f"{table}: {count:,} rows")
