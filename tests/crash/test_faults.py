"""Services that commit and then fail to answer, race, or refuse to work: each posting is made exactly once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.crash import players, scenarios
from tests.crash.soak import FAULTS

pytestmark = pytest.mark.timeout(400)

COUNT = 3


@pytest.mark.parametrize("name", FAULTS)
def test_each_posting_is_made_exactly_once(name: str, tmp_path: Path) -> None:
    outcome = scenarios.under_fault(tmp_path / "data", FAULTS[name], players.all_examples(), COUNT)
    assert outcome.verdict.repeated >= COUNT, "history shows too few repeated attempts for this fault"
