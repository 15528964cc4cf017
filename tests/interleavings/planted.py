"""Plants each bug of `bugs.py` in a copy of the product, and lives until its oracle finds it.

    python -m tests.interleavings.planted [--only TEXT] [--seeds 20000]

Writes the seed and the oracle that found each to `planted_bugs.md`, and what another oracle has said before; rows of
bugs that were not planted this time stay. Exits 1 where a bug was not found.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.interleavings.bugs import LIVES_BUGS, LivesBug

ROOT = Path(__file__).parents[2]
TABLE = Path(__file__).with_name("planted_bugs.md")
HEAD = """\
# Planted bugs that lives by chance find

Written by `python -m tests.interleavings.planted`, which plants each bug in a copy of the product and lives one seed
after the other, from seed 1, until the oracle that watches for it speaks. Another one may notice something sooner.

| Bug | Changed | Lives | Seed | Oracle | Sooner |
|---|---|---|---|---|---|
"""
_LIVES = """
import sys
from tests.interleavings.life import live, quiet
from tests.interleavings.schedule import schedule_of
from tests.interleavings.waits import wait, waits_of
KINDS = {"interleavings": lambda seed: live(schedule_of(seed)), "waits": lambda seed: wait(waits_of(seed))}
seeds, kind, oracle = int(sys.argv[1]), sys.argv[2], sys.argv[3]
sooner = ""
with quiet():
    for seed in range(1, 1 + seeds):
        try:
            problems = KINDS[kind](seed).problems
        except Exception as error:
            problems = [f"{type(error).__name__}: {error}"]
        words = [problem.split(" ")[0].rstrip(":") for problem in problems]
        if oracle in words:
            print(seed, oracle, sooner, sep="|")
            break
        if words and not sooner:
            sooner = f"{words[0]} at {seed}"
    else:
        print("", "", sooner, sep="|")
"""


def found(bug: LivesBug, seeds: int) -> tuple[str, str, str]:
    """The seed, the oracle, and the one that spoke sooner: each may be empty."""
    with TemporaryDirectory(prefix="planted-") as folder:
        shutil.copytree(ROOT / "src", Path(folder) / "src", ignore=shutil.ignore_patterns("__pycache__"))
        for change in bug.changes:
            change.apply(Path(folder))
        paths = os.pathsep.join([f"{folder}/src", str(ROOT)])
        environ = {**os.environ, "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"}
        command = [sys.executable, "-c", _LIVES, str(seeds), bug.lives, bug.oracle]
        ran = subprocess.run(command, cwd=folder, env=environ, check=True, capture_output=True, text=True)
        seed, oracle, sooner = ran.stdout.strip("\n").split("|")
        return seed, oracle, sooner


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.interleavings.planted", description=__doc__)
    parser.add_argument("--only", default="", metavar="TEXT", help="bugs whose names hold this text")
    parser.add_argument("--seeds", type=int, default=20_000)
    options = parser.parse_args()
    is_missed = False
    for bug in LIVES_BUGS:
        if options.only not in bug.name:
            continue
        seed, oracle, sooner = found(bug, options.seeds)
        is_missed = is_missed or not seed
        files = ", ".join(f"`{name}`" for name in dict.fromkeys(Path(change.file).name for change in bug.changes))
        how = f"{seed or f'none of {options.seeds}'} | {oracle or '**none**'} | {sooner}"
        _write(bug.name, f"| {bug.name} | {files} | {bug.lives} | {how} |\n")
    return 1 if is_missed else 0


def _write(name: str, row: str) -> None:
    kept = TABLE.read_text("utf-8").splitlines(keepends=True) if TABLE.exists() else []
    rows = {line.split(" | ")[0].removeprefix("| "): line for line in kept} | {name: row}
    TABLE.write_text(HEAD + "".join(rows[bug.name] for bug in LIVES_BUGS if bug.name in rows), "utf-8")
    sys.stdout.write(row)
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
