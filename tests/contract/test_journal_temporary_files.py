"""Commits of the SQLite journal write to its own files only: no page of it passes through a temporary file."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

from headrace.journal import writes
from headrace.journal.port import Unit
from headrace.journal.sqlite import SqliteJournal

INSTANCES = 600
AT = 1_700_000_000_000_000


def test_a_large_commit_creates_no_temporary_file(tmp_path: Path) -> None:
    """SQLite reads SQLITE_TMPDIR once in a process, so the commits are made in a process of their own."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    command = [sys.executable, str(Path(__file__)), str(tmp_path / "journal.db"), str(folder)]
    ended = subprocess.run(
        command, env={**os.environ, "SQLITE_TMPDIR": str(folder)}, capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout) == (0, "none\n"), ended.stderr


async def _commit(path: Path, folder: Path) -> None:
    """Print whether files were created in the folder: SQLite removes its own at once, which its time stamp shows."""
    journal = await SqliteJournal.open(path)
    unit = Unit()
    unit.add(writes.AddWorkflow(workflow_id="w", name=None, config="{}", created_at=AT, updated_at=AT))
    await journal.commit(unit)
    before = folder.stat().st_mtime_ns
    await asyncio.gather(*(journal.commit(_start(number)) for number in range(INSTANCES)))
    print("none" if folder.stat().st_mtime_ns == before else "some")
    await journal.close()


def _start(number: int) -> Unit:
    unit, instance_id = Unit(), f"instance {number:>6}"
    unit.add(
        writes.AddInstance(
            instance_id=instance_id,
            workflow_id="w",
            config="c" * 250,
            variables="v" * 60,
            created_at=AT + number,
            by_trigger=False,
        )
    )
    hashes = str([hash((number, each)) % 2**62 for each in range(50)])
    unit.add(writes.AddVariables(created_at=AT + number, instance_id=instance_id, fingerprints=hashes))
    return unit


if __name__ == "__main__":
    asyncio.run(_commit(Path(sys.argv[1]), Path(sys.argv[2])))
