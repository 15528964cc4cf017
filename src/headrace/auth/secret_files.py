"""Small files with secrets: readable by their owner only, changed atomically."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Generator
from pathlib import Path

MAX_BYTES = 1 << 24


def write_private(path: Path, content: bytes) -> None:
    """Replace a file durably and atomically: a concurrent reader sees the old content or the new."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    file = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(file, "wb") as stream:
            os.fchmod(stream.fileno(), 0o600)
            _hand_over(stream.fileno(), path)
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        beside.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise
    _sync_folder(path.parent)


@contextlib.contextmanager
def locked(path: Path) -> Generator[None]:
    """Hold a lock on a file beside `path`, so that one process writes at a time."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = _opened_lock(path)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)


def _opened_lock(path: Path) -> int:
    lock, flags = path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        file = os.open(lock, flags | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return os.open(lock, flags)
    _hand_over(file, path)
    return file


def _hand_over(file: int, path: Path) -> None:
    """Keep the owner of a file that an administrator changes, so that the server can still read it."""
    if os.geteuid() != 0:
        return
    owner = (path if path.exists() else path.parent).stat()
    os.fchown(file, owner.st_uid, owner.st_gid)


def _sync_folder(folder: Path) -> None:
    file = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)
