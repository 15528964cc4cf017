"""Errors of SQLite and the disk: some pass by themselves, for others a person must act.

A full, read-only or failing disk and a locked file are `Unavailable`: the next attempt may succeed. A damaged file, one
that may not be opened and one of a newer release are `Unusable` at the start, and `Damaged` while a server runs.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
from collections.abc import Generator
from pathlib import Path

from headrace.errors import Damaged, HeadraceError, Unavailable, Unusable

MIN_FREE_BYTES = 1 << 20
"""Less than this on the disk counts as full: a commit that fits now is followed by one that does not."""

_PASSING = frozenset(
    getattr(errno, name)
    for name in ("ENOSPC", "EDQUOT", "EROFS", "EIO", "EAGAIN", "EBUSY", "EMFILE", "ENFILE", "ENOMEM", "ESTALE")
    if hasattr(errno, name)
)
_BUGS = (sqlite3.ProgrammingError, sqlite3.IntegrityError, sqlite3.DataError, sqlite3.InternalError)


def is_damage(error: Exception) -> bool:
    """The file holds what SQLite never wrote."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def damaged(error: Exception) -> Damaged:
    return Damaged(f"the journal is damaged ({error}); stop the server, keep the file, and restore a backup")


def fault_of(error: Exception) -> HeadraceError | None:
    """The fault behind an error of SQLite or the disk at the start; None for an error of the program."""
    error = getattr(error, "orig", None) or error  # as SQLAlchemy wraps it
    if isinstance(error, HeadraceError):
        return error
    if isinstance(error, OSError):
        about = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        return Unavailable(about) if error.errno in _PASSING else Unusable(about)
    if not isinstance(error, sqlite3.Error) or isinstance(error, _BUGS):
        return None
    if is_damage(error):
        return damaged(error)
    if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_ERROR:
        return Unusable(f"it is no journal of Headrace ({error})")
    return Unavailable(str(error))


@contextlib.contextmanager
def opening(path: Path) -> Generator[None]:
    """Turn an error at this file into Unusable, Damaged or Unavailable, which name the file."""
    try:
        yield
    except Exception as error:
        fault = fault_of(error)
        if fault is None or (fault is error and not isinstance(error, Unusable | Damaged)):
            raise
        raise type(fault)(f"{path} cannot be opened: {fault}") from error


def require_space(folder: Path) -> None:
    """Require some free space on the disk of a folder. Raises Unavailable, without the path: callers see its text."""
    disk = os.statvfs(folder)
    blocks = disk.f_bfree if os.geteuid() == 0 else disk.f_bavail
    left = blocks * disk.f_frsize
    if disk.f_blocks and left < MIN_FREE_BYTES:
        raise Unavailable(f"the disk of the journal is full: {left} bytes are left")
