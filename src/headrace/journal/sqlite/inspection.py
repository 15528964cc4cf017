"""Inspection of a journal file: its owner and its schema. Nothing is created, locked or changed."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from headrace.journal.sqlite.faults import is_damage
from headrace.journal.sqlite.migrations import HEAD
from headrace.journal.transfer import about_closed

CHECK_STEPS, CHECK_ROUNDS = 1_000_000, 100
"""Instructions of SQLite between two looks at how long a check goes on, and how many of these it gets: seconds."""


@dataclass(frozen=True, slots=True)
class JournalState:
    """`owner`: the process that has the journal open, as text, or None. `problem`: why it cannot be read, or "".

    `is_damaged`: the file holds what SQLite never wrote. A large file is checked in part only. `closed`: why no server
    may run on it, or "".
    """

    exists: bool
    owner: str | None = None
    revision: str | None = None
    problem: str = ""
    is_damaged: bool = False
    closed: str = ""

    @property
    def is_current(self) -> bool:
        return self.revision == HEAD

    @property
    def is_newer(self) -> bool:
        return self.revision is not None and self.revision > HEAD


def inspect_journal(path: Path) -> JournalState:
    """Look at a journal without changing it, whether or not a server has it open."""
    if not path.exists():
        return JournalState(exists=False)
    owner = _owner(path.with_name(path.name + ".lock"))
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=1.0)) as connection:
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
            connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
            revision = None if row is None else row[0]
            sql = "SELECT closed, closed_at FROM journal_state"
            closed, closed_at = (connection.execute(sql).fetchone() if revision == HEAD else None) or (None, None)
            damage = _damage(connection)
    except sqlite3.Error as error:
        return JournalState(exists=True, owner=owner, problem=str(error), is_damaged=is_damage(error))
    about = "" if closed is None else about_closed(closed, closed_at)
    return JournalState(True, owner, revision, damage, is_damaged=bool(damage), closed=about)


def _damage(connection: sqlite3.Connection) -> str:
    """The first damaged place that SQLite's own check finds within its rounds; empty where there is none."""
    rounds = iter(range(CHECK_ROUNDS))
    connection.set_progress_handler(lambda: next(rounds, None) is None, CHECK_STEPS)
    try:
        found = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT:
            return ""
        raise
    return "" if found == "ok" else found.splitlines()[-1]


def _owner(lock: Path) -> str | None:
    """The process that wrote the lock file, if it lives and holds the lock.

    The lock is tried only where that process lives: a server that starts at this moment must find it free.
    """
    try:
        file = os.open(lock, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    holder = os.read(file, 64).decode(errors="replace").strip()
    try:
        if not _is_alive(holder):
            return None
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return holder
    finally:
        os.close(file)
    return None


def _is_alive(process: str) -> bool:
    try:
        os.kill(int(process), 0)
    except (ValueError, OverflowError, ProcessLookupError):
        return False
    except PermissionError:
        return True
    return True
