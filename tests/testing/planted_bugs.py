"""Plants each bug of the code that every engine shares, and proves the examples: `headrace prove` must refute one.

Bugs of plans, redrives, undos and decisions have their own suites: no schedule of a proof holds one.

    python -m tests.testing.planted_bugs                 every such bug
    python -m tests.testing.planted_bugs --only abort    those whose names hold this text

What was found is written to planted_bugs.md beside this file; rows of bugs that were not planted this time stay.

Exits 0 when every bug was found but for those of `UNSEEN`, which says why no proof can see them; 1 when one was not.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.planted.__main__ import copied
from tests.planted.bugs import BUGS, Bug

ROOT = Path(__file__).parents[2]
TABLE = Path(__file__).with_name("planted_bugs.md")
LIMIT_S = 300.0
SHARED = (
    "src/headrace/engine/driver.py",
    "src/headrace/runner/instance.py",
    "src/headrace/effects/settlement.py",
    "src/headrace/effects/services.py",
    "src/headrace/workflows/activity.py",
    "src/headrace/workflows/activities.py",
)
"""What a run in virtual time shares with the engines. An engine's own schedule is not part of a proof."""

FOLDER = "src/headrace/examples"
EXAMPLES = sorted(path.parent.name for path in (ROOT / FOLDER).glob("*/workflow.yaml"))

ONE_PROCESS = "a run has one process at a time"
ONLY_UNDO = "only an undo reverts"
UNSEEN = {
    "a transaction that is reverted already is a failed revert": ONLY_UNDO,
    "a revert refused after an unknown attempt is taken as final": ONLY_UNDO,
    "a reversal is sent again without a look-up": ONLY_UNDO,
    "an attempt that waited for its turn begins after an abort": "no attempt waits for its turn",
    "an answer that meets a Conflict is forgotten": ONE_PROCESS,
    "a commit permits an attempt without a limit of time": ONE_PROCESS,
    "an intent that another process stored is sent without a commit": ONE_PROCESS,
    "the version of an instance is compared after its other writes": ONE_PROCESS,
    "a permit of an attempt never expires": ONE_PROCESS,
    "an activity that says no family is a read": "every activity says its family: the guard is for a new one",
    "an ingestion is settled as any transaction": "only two runs for one payment share its ingestion",
}
"""Bugs that no proof of a workflow can see, and why."""

HEAD = """\
# Planted bugs that a proof finds

Written by `python -m tests.testing.planted_bugs`, which plants each bug of the code that every engine shares and runs
`headrace prove` on the examples until one is refuted.

| Bug | Example | Schedule that refutes it | Seconds |
|---|---|---|---|
"""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.testing.planted_bugs")
    parser.add_argument("--only", default="", metavar="TEXT", help="bugs whose names hold this text")
    only: str = parser.parse_args().only
    missed: list[str] = []
    for bug in (bug for bug in BUGS if bug.changes[0].file in SHARED and only in bug.name):
        started_s = time.monotonic()
        example, schedule = _found(bug) if bug.name not in UNSEEN else ("not to be seen", UNSEEN[bug.name])
        row = f"| {bug.name} | {example or '**none**'} | {schedule} | {time.monotonic() - started_s:.0f} |\n"
        sys.stdout.write(row)
        sys.stdout.flush()
        _write({bug.name: row})
        if not example:
            missed.append(bug.name)
    return 1 if missed else 0


def _found(bug: Bug) -> tuple[str, str]:
    """The example that is refuted, and under which schedule; two empty texts where none is."""
    with TemporaryDirectory(prefix="planted-") as folder:
        copy = copied(Path(folder) / "bug")
        for change in bug.changes:
            change.apply(copy)
        for example in EXAMPLES:
            if schedule := _refuted(copy, example):
                return example, schedule
    return "", ""


def _refuted(copy: Path, example: str) -> str:
    """Under which schedule; empty where the proof holds. A proof without an end refutes nothing."""
    files = copy / "src/headrace/examples" / example
    command = [
        sys.executable,
        "-c",
        "from headrace.cli.main import main; main()",
        "prove",
        str(files / "workflow.yaml"),
    ]
    command += ["--cases", str(files / "workflow.test.yaml")]
    paths = [str(copy / "src"), str(copy / "packages/client/src")]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        ran = subprocess.run(command, env=environ, check=False, capture_output=True, text=True, timeout=LIMIT_S)
    except subprocess.TimeoutExpired:
        return ""
    found = re.search(r"^  schedule\n    (.+)$", ran.stdout, re.MULTILINE)
    return found.group(1) if ran.returncode == 1 and found else ""


def _write(found: dict[str, str]) -> None:
    """In the order of the bugs, with the kept rows of those that were not planted."""
    kept = TABLE.read_text("utf-8").splitlines(keepends=True) if TABLE.exists() else []
    rows = {line.split(" | ")[0].removeprefix("| "): line for line in kept} | found
    TABLE.write_text(HEAD + "".join(rows[bug.name] for bug in BUGS if bug.name in rows), "utf-8")


if __name__ == "__main__":
    sys.exit(main())
