"""A look at a journal from outside: who has it, and which schema it is of. Nothing is created, locked or changed."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from headrace.journal.migrations import HEAD


@dataclass(frozen=True, slots=True)
class JournalState:
    """`owner`: the process that has the journal open, as text, or None. `problem`: why it cannot be read, or ""."""

    exists: bool
    owner: str | None = None
    revision: str | None = None
    problem: str = ""

    @property
    def is_current(self) -> bool:
        return self.revision == HEAD

    @property
    def is_newer(self) -> bool:
        return self.revision is not None and self.revision > HEAD


def inspect_journal(path: Path) -> JournalState:
    if not path.exists():
        return JournalState(exists=False)
    owner = _owner(path.with_name(path.name + ".lock"))
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=1.0)) as connection:
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
            connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    except sqlite3.Error as error:
        return JournalState(exists=True, owner=owner, problem=str(error))
    return JournalState(exists=True, owner=owner, revision=None if row is None else row[0])


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
