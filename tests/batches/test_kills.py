"""A batch whose server is killed: each item is started once. `python -m tests.batches` does it with 10,000 items."""

from __future__ import annotations

import json
from pathlib import Path

from tests.batches.__main__ import RESULTS, killed


def test_a_batch_whose_server_is_killed_starts_each_item_once(tmp_path: Path) -> None:
    figures = killed(tmp_path, items=400, kills=4)
    assert figures["problems"] == [] and figures["kills"] >= 1, figures


def test_the_full_runs_that_are_kept_lost_nothing_and_did_nothing_twice() -> None:
    kept = [json.loads(line) for line in RESULTS.read_text("utf-8").splitlines()]
    assert kept and all(run["problems"] == [] for run in kept)
    assert max(run["items"] for run in kept) >= 10_000
    for run in kept:
        assert run["kills"] >= 20 and run["kills"] == run["previewing"] + run["running"]
        assert run["previewing"] and run["running"], "it was killed in both states"
