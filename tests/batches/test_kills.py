"""A batch whose server is killed: each item is started once. `python -m tests.batches` does it with 10,000 items."""

from __future__ import annotations

from pathlib import Path

from tests.batches.__main__ import killed


def test_a_batch_whose_server_is_killed_starts_each_item_once(tmp_path: Path) -> None:
    figures = killed(tmp_path, items=400, kills=4)
    assert figures["problems"] == [] and figures["kills"] >= 1, figures
