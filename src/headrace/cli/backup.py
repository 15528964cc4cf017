"""`headrace backup` and `headrace restore`."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from headrace.cli import display
from headrace.cli.errors import USAGE, Failure
from headrace.cli.journals import DatabaseOption, JournalFolderOption, journal_place
from headrace.cli.session import Printer

if TYPE_CHECKING:
    from headrace.journal.transfer import Outlook

SHOWN = 20
"""Waiting instances that are listed."""
CHECKS = (
    (
        "Before the start: let no broker and no caller repeat what was sent since then. Keys of callers and "
        "identities of events since then are unknown, so a repeat starts a new instance, which pays again."
    ),
    (
        "Before the start: instances that were aborted since then are running again. Abort them while the services "
        "cannot be reached."
    ),
    "After the start: send the events again that waiting instances have received since then.",
    (
        "After the start: compare the books with the journal. Instances that began since then have moved money, and "
        "this journal does not know them."
    ),
)
"""Steps that no command can take, in this order. `docs/how-to/backup.md` explains each."""
_ABOUT_POSTGRESQL = (
    "Back up the database with `pg_dump --format=custom`, or with base backups and archived WAL. After restoring it, "
    "run `headrace restore --database-url URL`."
)


def backup(
    printer: Printer,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="File to create.")],
    data: JournalFolderOption = None,
    database_url: DatabaseOption = None,
) -> None:
    """Copy the journal of a data folder, while its server runs.

    The copy holds every request that was answered before it began, and was checked. `headrace restore` restores it.
    """
    from headrace.clock import SystemClock, date_time
    from headrace.composition.resting import back_up

    place = journal_place(data, database_url)
    if place.database_url is not None:
        raise Failure("headrace backup copies a SQLite journal", code=USAGE, hint=_ABOUT_POSTGRESQL)
    now_at = SystemClock().now_at()
    size = back_up(place.file, file, now_at)
    printer.show(
        {"backup": {"file": str(file), "bytes": size, "createdAt": date_time(now_at)}},
        f"{file}: {size:,} bytes, checked. It is the journal of {display.moment(date_time(now_at))}.",
    )


def restore(
    printer: Printer,
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="[FILE]",
            help="Backup to put into the data folder. Without it, the journal there was restored by other means.",
            show_default=False,
        ),
    ] = None,
    data: JournalFolderOption = None,
    database_url: DatabaseOption = None,
) -> None:
    """Restore a backup, and list what a person must check.

    Nothing is overwritten: move the old journal away first. With --database-url, or without FILE: after the database
    or the volume was restored by its own means.
    """
    from headrace.clock import RandomIds, SystemClock, date_time
    from headrace.composition.resting import open_resting, operator, put_in_place
    from headrace.journal.transfer import restored

    place = journal_place(data, database_url)
    if file is not None:
        if place.database_url is not None:
            raise Failure("FILE is for a data folder", code=USAGE, hint=_ABOUT_POSTGRESQL)
        put_in_place(file, place.file)
    with closing(open_resting(place)) as journal:
        outlook = journal.outlook(SHOWN)
        backup_at = restored(journal, operator(RandomIds()), SystemClock())
    since_at = backup_at or outlook.last_at
    since = None if since_at is None else date_time(since_at)
    values = {
        "journal": journal.address,
        "backupAt": None if backup_at is None else date_time(backup_at),
        "lastChangeAt": None if outlook.last_at is None else date_time(outlook.last_at),
        "running": outlook.running,
        "unsettled": outlook.unsettled,
        "needingAttention": outlook.attention,
        "delayed": outlook.delayed,
        "waiting": outlook.waiting_count,
        "triggers": outlook.triggers,
    }
    printer.show({"restore": values}, lambda: _report(journal.address, display.moment(since), outlook))


def _report(address: str, since: str, outlook: Outlook) -> list[str]:
    """Lines that say what the journal holds, and what a person must do before and after the start."""
    facts = [
        ("Restored", address),
        ("As of", since or "an empty journal"),
        ("Running", f"{outlook.running:,} instances go on from there when the server starts"),
        ("Unsettled", f"{outlook.unsettled:,} of them repeat an effect with its key, and it is booked once"),
        ("In a delay", f"{outlook.delayed:,}"),
        ("Waiting", f"{outlook.waiting_count:,} for an event"),
        ("Attention", f"{outlook.attention:,} need a person's decision"),
        ("Triggers", f"{outlook.triggers:,}"),
    ]
    lines = [*display.fact_lines(facts), ""]
    if outlook.waiting:
        lines += display.table_lines(
            ["Instance", "Waits for"], [[each.instance_id, each.event or ""] for each in outlook.waiting]
        )
        if (more := outlook.waiting_count - len(outlook.waiting)) > 0:
            lines.append(f"and {more:,} more")
        lines.append("")
    for number, text in enumerate(CHECKS, start=1):
        first, *others = display.wrapped(text, display.terminal_width() or 80, indent="   ")
        lines += [f"{number}. {first.strip()}", *others]
    return lines
