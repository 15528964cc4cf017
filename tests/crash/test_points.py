"""Every shape of `send`, ended at every moment of its talk with journal and services, and started again.

The whole of it for each journal and engine: `python -m tests.crash.points`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from headrace.demo.examples import Example
from tests.crash.points import EXAMPLES, assembled, play_points
from tests.support import postgres

SEND, EVENT = (next(each for each in EXAMPLES if each.name.startswith(number)) for number in ("02", "03"))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
async def test_a_crash_at_every_point(example: Example, tmp_path: Path) -> None:
    assert len(await play_points(example, tmp_path)) >= 6


async def test_a_crash_around_the_begin_of_each_attempt(tmp_path: Path) -> None:
    """As in a worker: an API server has stored the intent, so a commit comes before the first byte."""
    with assembled("sqlite", "steps"):
        struck = await play_points(SEND, tmp_path, around="BeginAttempt")
    assert len(struck) >= 2


@pytest.mark.parametrize("engine", ["embedded", "steps"])
@pytest.mark.skipif(postgres.programs() is None, reason=postgres.MISSING)
async def test_crashes_on_postgres(engine: str, tmp_path: Path) -> None:
    """A sample: the database is the same however the journal's caller ends."""
    with assembled("postgres", engine):
        assert len(await play_points(SEND, tmp_path, every=3)) >= 4
