"""Workers on Temporal that are killed, and aborts against their attempts. At full size by hand: see `workers.py`."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from pathlib import Path

import pytest

from tests.crash.workers import Count, TooFewRaces, run
from tests.support import temporal
from tests.support.postgres import MISSING, programs

pytestmark = [
    pytest.mark.timeout(400),
    pytest.mark.skipif(programs() is None, reason=MISSING),
    pytest.mark.skipif(bool(temporal.missing()), reason=temporal.missing()),
]


def _ran(count: Count) -> Count:
    with tempfile.TemporaryDirectory(prefix="hr-", dir="/tmp") as folder:
        Path(folder).chmod(0o755)  # PostgreSQL's own user must get in
        run(Path(folder), count)
    return count


@pytest.mark.parametrize("scenario", ["kills", "wiped"])
def test_every_effect_is_made_once_and_no_attempts_overlap(scenario: str) -> None:
    count = _ran(Count(scenario, instances=60, seed=5, seconds_away=2.0))
    assert (count.effects, count.transactions, count.overlapping) == (180, 180, [])


def test_no_attempt_comes_after_the_answer_to_an_abort() -> None:
    """On a busy machine few of the aborts meet an attempt; how many did is for the run at full size to judge."""
    count = Count("aborts", instances=150, seed=5)
    with suppress(TooFewRaces):
        _ran(count)
    assert (count.races, count.late, count.overlapping) == (150, [], [])
    assert count.aborted > 0
