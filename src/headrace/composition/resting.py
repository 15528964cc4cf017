"""Opens the journal that a command works on while no server runs: the file of a data folder, or a database."""

from __future__ import annotations

import contextlib
import getpass
from collections.abc import AsyncGenerator, Generator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from headrace.clock import Ids
from headrace.errors import AlreadyOwned, InvalidValue, Unusable
from headrace.journal.port import Journal
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
    "open_new",
    "open_resting",
    "open_to_write",
    "operator",
    "owner",
    "put_in_place",
    "revision",
]

JOURNAL_FILE = "journal.db"
FILES = ("-wal", "-shm", "-journal", "", ".lock")
"""Endings of the names of a journal's files."""


@dataclass(frozen=True, slots=True)
class Place:
    """The place of a journal: a database if there is a URL, else a data folder."""

    data: Path
    database_url: str | None = None

    @property
    def file(self) -> Path:
        return self.data / JOURNAL_FILE

    @property
    def address(self) -> str:
        """For messages: without a password."""
        return str(self.file) if self.database_url is None else _postgres().address_of(self.database_url)


def open_resting(place: Place) -> RestingJournal:
    """Hold a journal of this release's schema. Raises AlreadyOwned while a server runs on it, Unusable, Unavailable."""
    if place.database_url is not None:
        return _postgres().RestingPostgresJournal.open(place.database_url)
    return RestingSqliteJournal.open(place.file)


@contextlib.asynccontextmanager
async def open_to_write(place: Place) -> AsyncGenerator[Journal]:
    """Open a journal as a server does, to write to it: the file of a data folder alone, a database beside servers.

    Raises AlreadyOwned, Unusable, Damaged or Unavailable.
    """
    if place.database_url is None:
        from headrace.journal.sqlite import SqliteJournal

        journal = await SqliteJournal.open(place.file)
    else:
        from headrace.journal.postgres import PostgresJournal

        journal = await PostgresJournal.open(place.database_url)
    try:
        yield journal
    finally:
        await journal.close()


def open_beside(place: Place) -> RestingJournal:
    """Open a journal on which servers may be running: a SQLite file to read only, a database also for nudges.

    Raises Unusable or Unavailable.
    """
    if place.database_url is not None:
        return _postgres().RestingPostgresJournal.open(place.database_url, is_alone=False)
    return RestingSqliteJournal.open(place.file, only_reads=True)


def owner(place: Place) -> str | None:
    """The process that owns the journal, as text; None where none does."""
    if place.database_url is not None:
        return _postgres().read_owner(place.database_url)
    state = inspect_journal(place.file)
    return None if state.owner is None else f"process {state.owner}"


def migrate(place: Place) -> None:
    """Bring a journal to this release's schema; one that does not exist is created.

    Servers of the earlier release may be running on a database. Raises AlreadyOwned while a server runs on a file,
    Unusable for a journal of a newer release, Damaged or Unavailable.
    """
    if revision(place) == HEAD:
        return
    if place.database_url is not None:
        _postgres().migrate(place.database_url)
        return
    place.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    with opening(place.file):
        lock = JournalLock(place.file)
        try:
            migrate_sqlite(str(place.file))
        finally:
            lock.release()


@contextlib.contextmanager
def open_new(place: Place) -> Generator[RestingJournal]:
    """Migrate a journal and hold it. A file that did not exist is removed again where the block raises.

    Raises what `migrate` and `open_resting` raise.
    """
    is_new = place.database_url is None and not place.file.exists()
    is_new_folder = not place.data.exists()
    try:
        migrate(place)
        with contextlib.closing(open_resting(place)) as journal:
            yield journal
    except AlreadyOwned:  # another process has made it meanwhile
        raise
    except BaseException:
        if is_new:
            for suffix in FILES:
                place.file.with_name(place.file.name + suffix).unlink(missing_ok=True)
        if is_new and is_new_folder:
            with contextlib.suppress(OSError):  # someone has put a file there
                place.data.rmdir()
        raise


def revision(place: Place) -> str | None:
    """The schema of a journal, of which nothing is changed or locked; None where there is no journal.

    Raises Unusable for one of a newer release, and for a file that cannot be read.
    """
    if place.database_url is not None:
        return _postgres().read_revision(place.database_url)
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


def _postgres() -> Any:
    """The module of journals in PostgreSQL, whose driver is an extra. Raises InvalidValue where that is missing."""
    try:
        from headrace.journal.postgres import resting
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != "psycopg":
            raise
        raise InvalidValue("--database-url", "PostgreSQL needs an extra: pip install 'headrace[postgres]'") from error
    return resting
