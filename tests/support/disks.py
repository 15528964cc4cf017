"""A small disk of its own for a test: it can be filled, emptied and made read-only."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

SIZE_BYTES = 6 << 20


class Disk:
    def __init__(self, path: Path) -> None:
        self.path = path
        self._ballast = path / "ballast"

    def fill(self, left: int = 0) -> None:
        """Until so many bytes are left."""
        with self._ballast.open("ab") as file:
            for size in (1 << 16, 1 << 12):
                while self._free() >= left + size:
                    try:
                        file.write(b"\0" * size)
                        file.flush()
                    except OSError:
                        break

    def empty(self) -> None:
        self._ballast.unlink()

    def _free(self) -> int:
        disk = os.statvfs(self.path)
        return disk.f_bfree * disk.f_frsize

    def remount(self, mode: str) -> None:
        """`ro` or `rw`. Only where no file on it is open for writing."""
        _run("mount", "-o", f"remount,{mode}", str(self.path))


@contextmanager
def small_disk(path: Path) -> Iterator[Disk]:
    """Skips the test where this user may not mount one."""
    path.mkdir()
    try:
        _run("mount", "-t", "tmpfs", "-o", f"size={SIZE_BYTES}", "tmpfs", str(path))
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"a small disk cannot be mounted here (root is needed): {error}")
    try:
        yield Disk(path)
    finally:
        _run("umount", "--lazy", str(path))


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)
