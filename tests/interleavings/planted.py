"""Plants each bug of `bugs.py` in a copy of the product, and lives until a life fails.

    python -m tests.interleavings.planted [--only TEXT] [--seeds 1000]

Writes the seed and the oracle that found each to `planted_bugs.md`; rows of bugs that were not planted this time stay.
Exits 1 where a bug was not found.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.interleavings.bugs import LIVES_BUGS
from tests.planted.bugs import Bug

ROOT = Path(__file__).parents[2]
TABLE = Path(__file__).with_name("planted_bugs.md")
HEAD = """\
# Planted bugs that lives by chance find

Written by `python -m tests.interleavings.planted`, which plants each bug in a copy of the product and lives one seed
after the other, from seed 1, until an oracle finds something.

| Bug | Changed | Seed | Oracle |
|---|---|---|---|
"""
_LIVES = """
import sys
from tests.interleavings.life import live, quiet
from tests.interleavings.schedule import schedule_of
with quiet():
    for seed in range(1, 1 + int(sys.argv[1])):
        try:
            problems = live(schedule_of(seed)).problems
        except Exception as error:
            problems = [f"{type(error).__name__}: {error}"]
        if problems:
            print(seed, problems[0].split(" ")[0].rstrip(":"))
            break
"""


def found(bug: Bug, seeds: int) -> str:
    """The seed and the first word of the problem; empty where no life fails."""
    with TemporaryDirectory(prefix="planted-") as folder:
        shutil.copytree(ROOT / "src", Path(folder) / "src", ignore=shutil.ignore_patterns("__pycache__"))
        for change in bug.changes:
            change.apply(Path(folder))
        paths = os.pathsep.join([f"{folder}/src", str(ROOT)])
        environ = {**os.environ, "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"}
        command = [sys.executable, "-c", _LIVES, str(seeds)]
        ran = subprocess.run(command, cwd=folder, env=environ, check=True, capture_output=True, text=True)
        return ran.stdout.strip()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.interleavings.planted", description=__doc__)
    parser.add_argument("--only", default="", metavar="TEXT", help="bugs whose names hold this text")
    parser.add_argument("--seeds", type=int, default=1_000)
    options = parser.parse_args()
    is_missed = False
    for bug in LIVES_BUGS:
        if options.only not in bug.name:
            continue
        seed, _, oracle = found(bug, options.seeds).partition(" ")
        is_missed = is_missed or not seed
        files = ", ".join(f"`{Path(change.file).name}`" for change in bug.changes)
        _write(bug.name, f"| {bug.name} | {files} | {seed or f'none of {options.seeds}'} | {oracle or '**none**'} |\n")
    return 1 if is_missed else 0


def _write(name: str, row: str) -> None:
    kept = TABLE.read_text("utf-8").splitlines(keepends=True) if TABLE.exists() else []
    rows = {line.split(" | ")[0].removeprefix("| "): line for line in kept} | {name: row}
    TABLE.write_text(HEAD + "".join(rows[bug.name] for bug in LIVES_BUGS if bug.name in rows), "utf-8")
    sys.stdout.write(row)
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
