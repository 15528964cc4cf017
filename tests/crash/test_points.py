"""Every shape of `send`, ended at every moment of its talk with journal and services, and started again.

The moments are found by a first run that counts them; then one process ends before, and one after, each of them.
Afterwards history and books must be those of a run that nothing happened to.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from headrace.demo.books import Ended, check_books
from headrace.demo.examples import Example, examples_folder, load_examples
from tests.support.in_process import CrashPoint, InProcess, SandboxStack, new_sandbox, running, stages_of

EXAMPLES = load_examples(examples_folder())


async def carry_through(alive: InProcess, example: Example, names: dict[str, str]) -> str:
    """What a careful caller does until the instance has ended; the same in every process."""
    workflow = await alive.workflow("w", stages_of(example))
    instance_id = await alive.run_once(workflow, example.variables(names))
    for number, event in enumerate(example.plan.events):
        await alive.send_event_once(instance_id, event, f"event {number}")
    await alive.ended(instance_id)
    return instance_id


async def _play(example: Example, journal_file: Path, crash_point: CrashPoint) -> CrashPoint:
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
    import json

    return json.loads(text)


def _output(name: str, text: str | None) -> dict[str, object]:
    return {} if text is None else {"output": {name: _decoded(text)}}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
async def test_a_crash_at_every_point(example: Example, tmp_path: Path) -> None:
    whole = await _play(example, tmp_path / "whole.db", CrashPoint())
    moments = len(whole.seen)
    assert moments >= 3
    for number in range(moments):
        for after in (False, True):
            crash_point = CrashPoint(number, after=after)
            await _play(example, tmp_path / f"{number}{after}.db", crash_point)
            assert crash_point.struck_at == number, whole.seen
