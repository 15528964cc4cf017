"""A smaller run of `python -m tests.crash.order`."""

from __future__ import annotations

import pytest

from tests.crash.order import run
from tests.support import postgres


@pytest.mark.skipif(postgres.programs() is None, reason=postgres.MISSING)
def test_a_follower_passes_over_no_row_of_four_processes() -> None:
    figures = run(postgres.shared_server(), 4_000)
    assert (figures["rows"], figures["passed_over"]) == (4_000, 0)
