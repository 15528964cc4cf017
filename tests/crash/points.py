"""Every moment of a run's talk with journal and services, at which its process ends and another one goes on.

    python -m tests.crash.points --journal postgres --engine steps     every example, every moment

The moments are found by a first run that counts them; then one process ends before, and one after, each of them.
Afterwards history and books must be those of a run that nothing happened to. The engine is the embedded one, or the
steps of the one with several processes, which commits that an attempt begins before each of them. Prints a JSON line
for each example.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from headrace.demo.books import Ended, check_books
from headrace.demo.examples import Example, examples_folder, load_examples
from tests.support import in_process, local_steps
from tests.support.in_process import CrashPoint, InProcess, SandboxStack, new_sandbox, running, stages_of

EXAMPLES = load_examples(examples_folder())
ENGINES = ("embedded", "steps")


@contextmanager
def assembled(journal: str, engine: str) -> Iterator[None]:
    """Processes have this journal (`tests/support/journals.py`) and engine meanwhile."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(in_process, "journal_name", journal)
        if engine == "steps":
            patch.setattr(in_process, "open_engine", local_steps.open_steps)
        yield


async def play_points(example: Example, folder: Path, *, every: int = 1, around: str = "") -> list[str]:
    """End a process before and after every `every`th moment, of those that have `around` in their names.

    Returns the names of the moments at which one has ended.
    """
    whole = await play(example, folder / "whole.db", CrashPoint())
    chosen = [number for number, name in enumerate(whole.seen) if around in name]
    struck: list[str] = []
    for number, after in itertools.product(chosen[::every], (False, True)):
        crash_point = CrashPoint(number, after=after)
        await play(example, folder / f"{number}{after}.db", crash_point)
        assert crash_point.struck_at == number, (whole.seen, crash_point.seen)
        struck.append(crash_point.seen[number])
    return struck


async def carry_through(alive: InProcess, example: Example, names: dict[str, str]) -> str:
    """What a careful caller does until the instance has ended; the same in every process."""
    workflow = await alive.workflow("w", stages_of(example))
    instance_id = await alive.run_once(workflow, example.variables(names))
    for number, event in enumerate(example.plan.events):
        await alive.send_event_once(instance_id, event, f"event {number}")
    await alive.ended(instance_id)
    return instance_id


async def play(example: Example, journal_file: Path, crash_point: CrashPoint) -> CrashPoint:
    sandbox = new_sandbox()
    stack = SandboxStack(sandbox)
    names = stack.seed(example, "r1")
    try:
        async with running(journal_file, sandbox, crash_point) as first:
            await crash_point.over(carry_through(first, example, names))
        async with running(journal_file, sandbox) as second:
            instance_id = await carry_through(second, example, names)
            await check(second, example, names, instance_id, stack)
    finally:
        stack.close()
        await sandbox.close()
    return crash_point


async def check(
    alive: InProcess, example: Example, names: dict[str, str], instance_id: str, stack: SandboxStack
) -> None:
    instance = await alive.ended(instance_id)
    assert instance.is_terminal and instance.error is None, instance
    activities = [await alive.journal.activities(instance_id, stage.number) for stage in instance.stages]
    assert all(row.terminated_at is not None for rows in activities for row in rows)
    for earlier, later in zip(instance.stages, instance.stages[1:], strict=False):
        assert earlier.terminated_at is not None and earlier.started_at <= earlier.terminated_at <= later.started_at
    shown = [
        [
            {
                "name": row.name,
                "input": {row.name: _decoded(row.input)},
                **_output(row.name, row.output),
                "attempt": row.attempt,
                "terminated": True,
            }
            for row in rows
        ]
        for rows in activities
    ]
    ledgers = ["shop", "bank"]
    ended = Ended("r1", {"id": instance_id, "terminated": True}, shown, example.expected(names))
    report = check_books(stack, ledgers, [ended])
    assert report.problems == []
    assert [[row.name for row in rows] for rows in activities] == [list(names) for names in ended.expected.stages]


def _decoded(text: str) -> object:
    return json.loads(text)


def _output(name: str, text: str | None) -> dict[str, object]:
    return {} if text is None else {"output": {name: _decoded(text)}}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.crash.points", description=__doc__)
    parser.add_argument("--journal", default="sqlite", help="sqlite, slow-sqlite or postgres")
    parser.add_argument("--engine", default="embedded", choices=ENGINES)
    parser.add_argument("--example", default="", metavar="TEXT", help="those whose names hold this text")
    parser.add_argument("--every", default=1, type=int, metavar="N", help="each Nth moment")
    given = parser.parse_args()
    with assembled(given.journal, given.engine):
        for example in (each for each in EXAMPLES if given.example in each.name):
            with TemporaryDirectory(prefix="points-") as folder:
                struck = asyncio.run(play_points(example, Path(folder), every=given.every))
            begun = sum("BeginAttempt" in name for name in struck)
            line = {"example": example.name, "journal": given.journal, "engine": given.engine}
            sys.stdout.write(json.dumps({**line, "crashes": len(struck), "at an attempt's begin": begun}) + "\n")
            sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
