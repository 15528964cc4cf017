"""An owner that is killed while its standby waits, and PostgreSQL too. At full size by hand: see `standby.py`."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from tests.crash.standby import Count, run
from tests.support.postgres import MISSING, programs


@pytest.mark.timeout(400)
@pytest.mark.skipif(programs() is None, reason=MISSING)
def test_every_effect_is_made_once_whoever_owns_the_journal() -> None:
    count = Count(instances=60, kills=3, postgres_kills=1, seed=5)
    with tempfile.TemporaryDirectory(prefix="hr-", dir="/tmp") as folder:
        Path(folder).chmod(0o755)  # PostgreSQL's own user must get in
        run(Path(folder), count)
    assert len(count.taken_over_s) == 3
    assert (count.effects, count.transactions) == (180, 180)
