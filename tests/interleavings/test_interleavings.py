"""Lives by chance keep MS-1 to MS-10. `python -m tests.interleavings` lives 20,000 of them."""

from __future__ import annotations

import pytest

from tests.interleavings.__main__ import lived
from tests.interleavings.bugs import LIVES_BUGS
from tests.interleavings.planted import ROOT, TABLE

SEEDS_EACH = 40


@pytest.mark.parametrize("first", range(1, 1 + 6 * SEEDS_EACH, SEEDS_EACH))
def test_interleavings_of_persons_batches_kills_and_servers(first: int) -> None:
    figures = lived(SEEDS_EACH, first)
    assert figures["violations"] == 0, "\n".join(
        [f"seed {figures['failed']}", *figures["schedule"], *figures["shortest"], *figures["problems"]]
    )
    assert figures["attempts"] > 0 and figures["commits"] > figures["instances"]


def test_the_planted_bugs_apply_and_each_was_found() -> None:
    """`python -m tests.interleavings.planted` writes the table."""
    assert [problem for bug in LIVES_BUGS for change in bug.changes if (problem := change.problem(ROOT))] == []
    rows = [line.split(" | ") for line in TABLE.read_text("utf-8").splitlines() if line.startswith("| ")][1:]
    assert [row[0].removeprefix("| ") for row in rows] == [bug.name for bug in LIVES_BUGS]
    assert all(row[2].isdigit() for row in rows), "a bug was not found"
