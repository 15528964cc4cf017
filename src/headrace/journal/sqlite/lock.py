"""One owner per journal (decisions E3 and 0019): two locks, held for as long as the process runs.

The first is on a file beside the journal, which names the owner. The second is on one byte of the journal itself, far
behind its end, so that removing the file beside it lets no second server in. `kill -9` frees both; a paused owner
keeps them.
"""

from __future__ import annotations

import fcntl
import os
import struct
from pathlib import Path

from headrace.errors import AlreadyOwned, Unavailable

__all__ = ["AlreadyOwned", "JournalLock"]

LOCKED_BYTE = 1 << 62
"""SQLite locks bytes from 1 GiB on, and in another way: its locks belong to the process, this one to the open file."""


class JournalLock:
    """Creates both files where they are missing. Raises AlreadyOwned, or OSError."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._journal = -1
        try:
            self._lock_file()
            self._journal = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            self._lock_journal()
            os.ftruncate(self._file, 0)
            os.write(self._file, f"{os.getpid()}\n".encode())
        except BaseException:
            self.release()
            raise

    def _lock_file(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(self._file, 64).decode(errors="replace").strip() or "unknown"
            raise self._owned(f"process {holder}") from None

    def _lock_journal(self) -> None:
        """On Linux only: elsewhere such locks are missing, and the first one stands alone."""
        set_lock = getattr(fcntl, "F_OFD_SETLK", None)
        if set_lock is None:
            return
        try:
            fcntl.fcntl(self._journal, set_lock, struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, LOCKED_BYTE, 1, 0))
        except (BlockingIOError, PermissionError):
            raise self._owned("its lock file was removed") from None

    def _owned(self, about: str) -> AlreadyOwned:
        return AlreadyOwned(
            f"{self._path} is in use by another Headrace server ({about}). "
            "Stop that one, or choose another data folder."
        )

    def require_place(self) -> None:
        """Require that the journal's path still leads to the locked file. Raises Unavailable, without the path."""
        mine = os.fstat(self._journal)
        try:
            there = self._path.stat()
        except FileNotFoundError:
            there = None
        if there is None or (there.st_dev, there.st_ino) != (mine.st_dev, mine.st_ino):
            raise Unavailable("the journal was removed or replaced while this server has it; stop the server")

    def release(self) -> None:
        """Closing a file frees its lock. SQLite's connections to the journal must be closed before."""
        for file in (self._journal, self._file):
            if file >= 0:
                os.close(file)
        self._journal = self._file = -1
