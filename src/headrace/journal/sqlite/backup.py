"""Copies of a journal's file: a backup beside the running server, and the file that a restore begins with."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path

from headrace.errors import Damaged, TransferError, Unusable
from headrace.journal.sqlite.faults import opening
from headrace.journal.sqlite.migrations import HEAD, migrate_sqlite
from headrace.journal.transfer import BACKUP


def back_up(journal: Path, target: Path, now_at: int) -> int:
    """Copy a journal to a new file, whether or not a server runs on it. Returns the size of the copy in bytes.

    The copy holds every commit that was confirmed before it began. It is closed: no server starts on it before it was
    restored. Raises TransferError where the target exists, else Unusable, Damaged, Unavailable or OSError.
    """
    if not journal.exists():
        raise Unusable(f"{journal} does not exist")
    if target.exists():
        raise TransferError(f"{target} exists already, and a backup overwrites nothing")
    with _unfinished(target) as copy:
        _copy(journal, copy)
        with opening(copy), closing(sqlite3.connect(copy, isolation_level=None)) as connection:
            if _revision(connection) == HEAD:  # an earlier schema has no column for it
                _close(connection, now_at)
    return target.stat().st_size


def put_in_place(backup: Path, journal: Path) -> None:
    """Copy a backup to where a journal is to be, in this release's schema and closed: the next step opens it.

    Raises TransferError where there is a journal or a remnant of one, else Unusable, Damaged, Unavailable or OSError.
    """
    if not backup.exists():
        raise TransferError(f"{backup} does not exist")
    for name in (journal.name, f"{journal.name}-wal", f"{journal.name}-shm"):
        there = journal.with_name(name)
        if there.exists():
            raise TransferError(f"{there} exists already, and a restore overwrites nothing: move it to another folder")
    journal.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _unfinished(journal) as copy:
        _copy(backup, copy)
        with opening(copy):
            migrate_sqlite(str(copy))
            with closing(sqlite3.connect(copy, isolation_level=None)) as connection:
                (closed,) = connection.execute("SELECT closed FROM journal_state").fetchone()
                if closed is None:
                    _close(connection, None)


@contextmanager
def _unfinished(target: Path) -> Generator[Path]:
    """A path beside the target, whose file gets the target's name at the end, unless something has that name."""
    copy = target.with_name(f"{target.name}.part")
    copy.unlink(missing_ok=True)
    try:
        os.close(os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        yield copy
        for path in (copy, target.absolute().parent):
            number = os.open(path, os.O_RDONLY)
            try:
                os.fsync(number)
            finally:
                os.close(number)
        os.link(copy, target)
    except FileExistsError as error:
        raise TransferError(f"{error.filename2 or error.filename} exists already") from error
    finally:
        copy.unlink(missing_ok=True)


def _copy(source: Path, target: Path) -> None:
    """All pages in one read of the source, so that a server that goes on writing does not make it begin again."""
    address = f"{source.absolute().as_uri()}?mode=ro"
    with (
        opening(source),
        closing(sqlite3.connect(address, uri=True, timeout=60.0)) as reader,
        closing(sqlite3.connect(target, isolation_level=None)) as writer,
    ):
        if not _revision(reader):
            raise Unusable("it is no journal of Headrace")
        reader.backup(writer)
        writer.execute("PRAGMA journal_mode=DELETE")
        (found,) = writer.execute("PRAGMA integrity_check(1)").fetchone()
        if found != "ok":
            raise Damaged(f"it is damaged ({str(found).splitlines()[-1]}); keep it, and restore an earlier backup")


def _revision(connection: sqlite3.Connection) -> str:
    row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return row[0] if row else ""


def _close(connection: sqlite3.Connection, now_at: int | None) -> None:
    connection.execute("UPDATE journal_state SET closed = ?, closed_at = ? WHERE closed IS NULL", (BACKUP, now_at))
