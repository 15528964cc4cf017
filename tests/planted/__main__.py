"""Plants each bug in a copy of this repository and runs the tests that should catch it.

    python -m tests.planted                 every bug
    python -m tests.planted --only abort    those whose names hold this text

What was found is written to caught.md beside this file; rows of bugs that were not planted this time stay.

Exits 0 when every bug was caught, 1 when one was not, 2 when a run decides nothing: a change that does not apply, a
test that fails without a bug, a suite that cannot be collected.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.planted.bugs import Bug
from tests.planted.every import EVERY_BUG

ROOT = Path(__file__).parents[2]
TABLE = Path(__file__).with_name("caught.md")
LIMIT_S = 900.0
FAILED = re.compile(r"^(?:FAILED|ERROR) (.+?)(?: - .*)?$", re.MULTILINE)
CAUGHT, MISSED, UNDECIDED = 0, 1, 2

HEAD = """\
# Planted bugs

Written by `python -m tests.planted`, which plants each bug in a copy of the repository and runs the suites most likely
to catch it until the first failure. Not for editing by hand: change [bugs.py](bugs.py) and run it again.

| Bug | Changed | Caught by | Seconds |
|---|---|---|---|
"""


@dataclass(frozen=True, slots=True)
class Run:
    """What pytest said: its exit code, the first test that failed, and the end of its output."""

    code: int
    test: str
    seconds: float
    output: str


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.planted")
    parser.add_argument("--only", default="", metavar="TEXT", help="bugs whose names hold this text")
    only: str = parser.parse_args().only
    chosen = [bug for bug in EVERY_BUG if only in bug.name]
    with TemporaryDirectory(prefix="planted-") as folder:
        clean = copied(Path(folder) / "clean")
        return max((_planted_and_noted(bug, Path(folder), clean) for bug in chosen), default=UNDECIDED)


def _planted_and_noted(bug: Bug, folder: Path, clean: Path) -> int:
    verdict, run = _planted(bug, folder, clean)
    if verdict != UNDECIDED:
        _write({bug.name: _row(bug, run)})
    return verdict


def _planted(bug: Bug, folder: Path, clean: Path) -> tuple[int, Run]:
    """A test that fails catches the bug only if it passes without it."""
    problems = [problem for change in bug.changes if (problem := change.problem(ROOT))]
    if problems:
        _say(f"DOES NOT APPLY  {bug.name}: {'; '.join(problems)}")
        return UNDECIDED, Run(-1, "", 0.0, "")
    copy = copied(folder / "bug")
    for change in bug.changes:
        change.apply(copy)
    run = _run(copy, list(bug.suites))
    shutil.rmtree(copy)
    if run.code == 1 and run.test and _run(clean, [run.test]).code:
        _say(f"UNDECIDED  {bug.name}: {run.test} fails without it too")
        return UNDECIDED, run
    if run.code == 1 and run.test:
        _say(f"caught  {bug.name}: {run.test}  ({run.seconds:.0f} s)")
        return CAUGHT, run
    if run.code == 0:
        _say(f"NOT CAUGHT  {bug.name}")
        return MISSED, run
    _say(f"UNDECIDED  {bug.name}: pytest ended with {run.code}\n{run.output}")
    return UNDECIDED, run


def copied(target: Path) -> Path:
    """What git tracks or would add, as it is now."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout.decode()
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file() or (ROOT / name).is_symlink():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name, follow_symlinks=False)
    return target


def _run(copy: Path, suites: list[str]) -> Run:
    """The copy's own code, also in the servers that its tests start."""
    paths = [str(copy / "src"), str(copy / "packages/client/src")]
    environ = {name: value for name, value in os.environ.items() if name != "CI"}
    environ |= {"PYTHONPATH": os.pathsep.join(paths), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-rfE", "--no-header", "-p", "no:cacheprovider", *suites]
    started_s = time.monotonic()
    try:
        ran = subprocess.run(
            command, cwd=copy, env=environ, check=False, capture_output=True, text=True, timeout=LIMIT_S
        )
    except subprocess.TimeoutExpired:
        return Run(-1, "", LIMIT_S, f"no end within {LIMIT_S:g} s")
    found = FAILED.search(ran.stdout)
    return Run(ran.returncode, found.group(1) if found else "", time.monotonic() - started_s, ran.stdout[-2_000:])


def _write(found: dict[str, str]) -> None:
    """In the order of the bugs, with the kept rows of those that were not planted."""
    kept = TABLE.read_text("utf-8").splitlines(keepends=True) if TABLE.exists() else []
    rows = {line.split(" | ")[0].removeprefix("| "): line for line in kept} | found
    TABLE.write_text(HEAD + "".join(rows[bug.name] for bug in EVERY_BUG if bug.name in rows), "utf-8")


def _row(bug: Bug, run: Run) -> str:
    files = ", ".join(f"`{name}`" for name in dict.fromkeys(Path(change.file).name for change in bug.changes))
    caught = f"`{run.test.removeprefix('tests/')}`" if run.code == 1 else "**nothing**"
    return f"| {bug.name} | {files} | {caught} | {run.seconds:.0f} |\n"


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
