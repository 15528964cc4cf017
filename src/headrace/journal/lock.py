"""One owner per journal file (decision E3): a lock on a file beside it, held for the life of the process.

`kill -9` frees it; a paused owner keeps it.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from headrace.errors import HeadraceError


class AlreadyOwned(HeadraceError):
    """Another server owns this journal."""


class FileLock:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(self._file, 64).decode(errors="replace").strip() or "unknown"
            os.close(self._file)
            raise AlreadyOwned(
                f"{path.with_suffix('')} is in use by another Headrace server (process {holder}). "
                "Stop that one, or choose another data folder."
            ) from None
        os.ftruncate(self._file, 0)
        os.write(self._file, f"{os.getpid()}\n".encode())

    def release(self) -> None:
        os.close(self._file)
