"""Plants each bug of the code that every engine shares, and proves the examples: a proof must refute one of them.

    python -m tests.testing.planted_bugs                 every such bug
    python -m tests.testing.planted_bugs --only abort    those whose names hold this text
    python -m tests.testing.planted_bugs --first 15      begin with examples whose names begin so

What was found is written to planted_bugs.md beside this file; rows of bugs that were not planted this time stay. An
example that has found a bug before is proved first.

Exits 0 when every bug was found but for those of `UNSEEN`, which says why no proof can see them; 1 when one was not.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.planted.bugs import Bug
from tests.planted.every import EVERY_BUG

ROOT = Path(__file__).parents[2]
TABLE = Path(__file__).with_name("planted_bugs.md")
LIMIT_S = 600.0
SHARED = frozenset(
    f"src/headrace/{name}.py"
    for name in (
        "effects/services",
        "effects/settlement",
        "engine/driver",
        "engine/sagas",
        "engine/services",
        "runner/instance",
        "runner/recovery",
        "workflows/activities",
        "workflows/activity",
        "workflows/decisions",
        "workflows/interpreter",
        "workflows/stages/wait_event",
        "workflows/undo",
    )
)
"""What a run in virtual time shares with the engines. An engine's own schedule is not part of a proof."""
BUGS = tuple(bug for bug in EVERY_BUG if bug.changes[0].file in SHARED)

EXAMPLES = sorted(path.parent.name for path in (ROOT / "src/headrace/examples").glob("*/workflow.yaml"))

ONE_PROCESS = "a run has one process at a time"
NO_REDRIVE = "no run is continued: a redrive is asked for by a person"
NO_RESOLVING = "no person decides about an effect whose outcome is unknown"
NOTHING_ELSE_WRITES = "nobody else writes to the services, so each effect is as it was signed"
FEW_STEPS = "no example has conditions of 20,000 steps, after which another unit goes on"
UNSEEN = {
    "an effect without an entry is found when a case is undone": "every effect has one: the guard is for a new one",
    "the approvals of the rest are for one send": "the cases of an example have no approval rules",
    "a transaction that is reverted already is a failed revert": "nobody else reverts what an undo is to revert",
    "a revert refused after an unknown attempt is taken as final": "a revert that is done is refused as done only",
    "a reversal is sent again without a look-up": "the undo of a failing run asks for no reversal: only a person does",
    "an attempt that waited for its turn begins after an abort": "no attempt waits for its turn",
    "an answer that meets a Conflict is forgotten": ONE_PROCESS,
    "a commit permits an attempt without a limit of time": ONE_PROCESS,
    "an intent that another process stored is sent without a commit": ONE_PROCESS,
    "the version of an instance is compared after its other writes": ONE_PROCESS,
    "a permit of an attempt never expires": ONE_PROCESS,
    "an activity that says no family is a read": "every activity says its family: the guard is for a new one",
    "an ingestion is settled as any transaction": "only two runs for one payment share its ingestion",
    "what a person calls not booked is sent again": NO_RESOLVING,
    "the effect after a resolved one is not due": NO_RESOLVING,
    "an undo reverts the ingestion of a payment": "its revert ends by the reference; no case says how an undo ended",
    "an undo that a failing run has begun waits for a restart": "when an engine looks at an undo is its own schedule",
    "an effect is compared with its plan after its intent is stored": NOTHING_ELSE_WRITES,
    "a stage may leave out what was signed": NOTHING_ELSE_WRITES,
    "a continuation sends again what is done": NO_REDRIVE,
    "a continuation forgets over a crash that an attempt may still arrive": NO_REDRIVE,
    "a continuation by a plan of the rest compares what is done with the plan": NO_REDRIVE,
    "a continuation does not see how inherited stages have ended": NO_REDRIVE,
    "what a person leaves out of an undo is reverted all the same": NO_REDRIVE,
    "a condition is evaluated again after a restart": "one release evaluates it to the same both times",
    "a delay that is over and left open is due at no time": FEW_STEPS,
    "one unit evaluates any number of conditions": FEW_STEPS,
    "a stage whose condition failed is left to another unit, where it runs": FEW_STEPS,
    "a booking does not find its run": "a proof compares the books, and searches for nothing",
    "a pinned run runs what was signed to be skipped": "what runs against its plan has an effect, which is compared",
}
"""Bugs that no proof of an example can see, and why."""
NOT_SEEN = "not to be seen"

HEAD = """\
# Planted bugs that a proof finds

Written by `python -m tests.testing.planted_bugs`, which plants each bug of the code that every engine shares and proves
the examples until one is refuted.

| Bug | Example | Schedule that refutes it | Seconds |
|---|---|---|---|
"""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.testing.planted_bugs")
    parser.add_argument("--only", default="", metavar="TEXT", help="bugs whose names hold this text")
    parser.add_argument("--first", default="", metavar="TEXT", help="prove first the examples whose names begin so")
    chosen = parser.parse_args()
    missed: list[str] = []
    with TemporaryDirectory(prefix="planted-") as folder:
        copy = Path(folder) / "src"
        shutil.copytree(ROOT / "src", copy, ignore=shutil.ignore_patterns("__pycache__"))
        for bug in (bug for bug in BUGS if chosen.only in bug.name):
            started_s = time.monotonic()
            example, schedule = NOT_SEEN, UNSEEN.get(bug.name, "")
            if not schedule:
                with _planted(bug, Path(folder)):
                    example, schedule = _found(Path(folder), _ordered(bug, chosen.first))
            row = f"| {bug.name} | {example or '**none**'} | {schedule} | {time.monotonic() - started_s:.0f} |\n"
            sys.stdout.write(row)
            sys.stdout.flush()
            _write({bug.name: row})
            if not example:
                missed.append(bug.name)
    return 1 if missed else 0


@contextmanager
def _planted(bug: Bug, copy: Path) -> Iterator[None]:
    """The copy has this bug meanwhile. A changed file is as old as no other version of it, for Python's caches."""
    files = {change.file: (copy / change.file).read_bytes() for change in bug.changes}
    for change in bug.changes:
        change.apply(copy)
    for file in files:
        os.utime(copy / file, (number := 1 + BUGS.index(bug), number))
    try:
        yield
    finally:
        for file, content in files.items():
            (copy / file).write_bytes(content)
            shutil.copystat(ROOT / file, copy / file)


def _ordered(bug: Bug, first: str) -> list[str]:
    """The examples: those named first, the one that has found the bug before, and then the others."""
    before = _rows().get(bug.name, "")
    chosen = [name for name in EXAMPLES if first and name.startswith(first)]
    chosen += [name for name in EXAMPLES if f"| {name} |" in before]
    return list(dict.fromkeys([*chosen, *EXAMPLES]))


def _found(copy: Path, examples: list[str]) -> tuple[str, str]:
    """The example that is refuted, and under which schedule; two empty texts where none is, or a proof has no end."""
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join((str(copy / "src"), str(ROOT / "packages/client/src")))}
    environ.pop("PYTHONDONTWRITEBYTECODE", None)  # to compile all of the package takes longer than most proofs
    command = [sys.executable, "-m", "tests.testing.refuting", *examples]
    try:
        ran = subprocess.run(
            command, cwd=ROOT, env=environ, check=False, capture_output=True, text=True, timeout=LIMIT_S
        )
    except subprocess.TimeoutExpired:
        return "", ""
    if ran.returncode != 1 or not ran.stdout:
        sys.stderr.write(ran.stderr)
        return "", ""
    told = json.loads(ran.stdout)
    return told["example"], told["schedule"]


def _rows() -> dict[str, str]:
    kept = TABLE.read_text("utf-8").splitlines(keepends=True) if TABLE.exists() else []
    return {found.group(1): line for line in kept if (found := re.match(r"\| (.+?) \| ", line))}


def _write(found: dict[str, str]) -> None:
    """In the order of the bugs, with the kept rows of those that were not planted."""
    rows = _rows() | found
    TABLE.write_text(HEAD + "".join(rows[bug.name] for bug in BUGS if bug.name in rows), "utf-8")


if __name__ == "__main__":
    sys.exit(main())
