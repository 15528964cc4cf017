"""Opens the journal that a command works on while no server runs: the file of a data folder, or a database."""

from __future__ import annotations

import getpass
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from headrace.clock import Ids
from headrace.errors import Unusable
from headrace.journal.sqlite.backup import back_up, put_in_place
from headrace.journal.sqlite.faults import opening
from headrace.journal.sqlite.inspection import inspect_journal
from headrace.journal.sqlite.lock import JournalLock
from headrace.journal.sqlite.migrations import HEAD, migrate_sqlite
from headrace.journal.sqlite.resting import RestingSqliteJournal
from headrace.journal.transfer import Operator, RestingJournal

__all__ = [
    "HEAD",
    "Place",
    "back_up",
    "migrate",
    "open_beside",
    "open_resting",
    "operator",
    "owner",
    "put_in_place",
    "revision",
]

JOURNAL_FILE = "journal.db"


@dataclass(frozen=True, slots=True)
class Place:
    """The place of a journal: a database if there is a URL, else a data folder."""

    data: Path
    database_url: str | None = None

    @property
    def file(self) -> Path:
        """Raises Unusable for a database, which no adapter serves yet."""
        if self.database_url is not None:
            raise Unusable("this release keeps journals in SQLite files only: --database-url cannot be used yet")
        return self.data / JOURNAL_FILE

    @property
    def address(self) -> str:
        """For messages: without a password."""
        return str(self.file)


def open_resting(place: Place) -> RestingJournal:
    """Hold a journal of this release's schema. Raises AlreadyOwned while a server runs on it, Unusable, Unavailable."""
    return RestingSqliteJournal.open(place.file)


def open_beside(place: Place) -> RestingJournal:
    """Open a journal on which servers may be running: a SQLite file to read only, a database also for nudges.

    Raises Unusable or Unavailable.
    """
    return RestingSqliteJournal.open(place.file, only_reads=True)


def owner(place: Place) -> str | None:
    """The process that owns the journal, as text; None where none does."""
    state = inspect_journal(place.file)
    return None if state.owner is None else f"process {state.owner}"


def migrate(place: Place) -> None:
    """Bring a journal to this release's schema; one that does not exist is created.

    Raises AlreadyOwned while a server runs on it, Unusable for one of a newer release, Damaged or Unavailable.
    """
    if revision(place) == HEAD:
        return
    place.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    with opening(place.file):
        lock = JournalLock(place.file)
        try:
            migrate_sqlite(str(place.file))
        finally:
            lock.release()


def revision(place: Place) -> str | None:
    """The schema of a journal, of which nothing is changed or locked; None where there is no journal.

    Raises Unusable for one of a newer release, and for a file that cannot be read.
    """
    state = inspect_journal(place.file)
    if not state.exists:
        return None
    if state.revision is None:
        raise Unusable(f"{place.file} cannot be read: {state.problem}")
    if state.is_newer:
        raise Unusable(
            f"{place.file} was written by a newer release of Headrace (schema {state.revision}; this release knows "
            f"up to {HEAD}). Run that release."
        )
    return state.revision


def operator(ids: Ids) -> Operator:
    """This command in the audit trail."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a user id without a name
        user = "unknown"
    return Operator(f"operator:{user}", version("headrace"), ids.new())
