"""The comparison with other engines: its ratios, its locks, and what it records when a peer fails."""

from __future__ import annotations

import io
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.peers import __main__ as peers
from bench.peers import install
from bench.peers.ratios import Figures, summary
from bench.report import Report

HERE = Path(install.__file__).parent


def _figures(**rates: float) -> Figures:
    """`headrace_engine_W1=...` per second; 1 ms of CPU for each instance at 1,000 per second."""
    return {name.replace("_", "/"): {"per_s": per_s, "cpu_ms_each": 1_000 / per_s} for name, per_s in rates.items()}


def _ratios(rounds: list[Figures]) -> dict[str, Any]:
    return {record["name"]: record for record in summary(rounds) if record["record"] == "ratio"}


def test_each_round_is_compared_with_its_own_best_peer_and_the_median_counts() -> None:
    rounds = [
        _figures(headrace_engine_W1=1200, restate_W1=100, procrastinate_W1=50, floor_posts_W1=2400),
        _figures(headrace_engine_W1=600, restate_W1=20, procrastinate_W1=60, floor_posts_W1=2000),
        _figures(headrace_engine_W1=3300, restate_W1=300, procrastinate_W1=100, floor_posts_W1=6000),
    ]
    ratios = _ratios(rounds)
    assert ratios["headrace/engine/W1 per s / best peer"]["of_rounds"] == [12, 10, 11]
    assert ratios["headrace/engine/W1 per s / best peer"]["median"] == 11
    assert ratios["headrace/engine/W1 per s / raw POSTs"]["of_rounds"] == [0.5, 0.3, 0.55]
    assert ratios["least CPU of a peer / headrace/engine/W1"]["of_rounds"] == [12, 10, 11]
    assert ratios["restate CPU / headrace/engine/W1"]["of_rounds"] == [12, 30, 11]


def test_a_workload_is_compared_with_the_same_workload_only() -> None:
    ratios = _ratios([_figures(headrace_engine_W2=90, restate_W2=10, procrastinate_W1=1000)])
    assert ratios["headrace/engine/W2 per s / best peer"]["of_rounds"] == [9]
    assert "headrace/engine/W1 per s / best peer" not in ratios


def test_a_round_without_one_of_the_two_figures_has_no_ratio() -> None:
    ratios = _ratios([_figures(headrace_api_W1=70, restate_W1=10), _figures(headrace_api_W1=70)])
    assert ratios["headrace/api/W1 per s / restate"]["of_rounds"] == [7]


def test_the_locks_pin_by_hash_and_name_no_host() -> None:
    lock = (HERE / "requirements.txt").read_text()
    pinned = re.split(r"\n(?=\w)", lock)
    assert pinned and all("==" in each and "--hash=sha256:" in each for each in pinned)
    assert "://" not in lock
    packages: dict[str, dict[str, Any]] = json.loads((HERE / "package-lock.json").read_text())["packages"]
    assert all("integrity" in package and "resolved" not in package for name, package in packages.items() if name)
    assert "@restatedev/restate-server" in str(packages)


def test_a_failing_peer_is_recorded_and_the_others_are_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peers, "OUT", tmp_path)
    monkeypatch.setattr(install, "PYTHON", Path(sys.executable))
    report = Report(tmp_path / "report.jsonl", io.StringIO())
    cells = [
        peers.Cell("broken", "W1", 10, ("no_such_program",)),
        peers.Cell("headrace/engine", "W2", 20, level="engine"),
        peers.Cell("headrace/api", "W1", 20, level="api"),
    ]
    peers.Bench(report, cells).run(1)
    records = [json.loads(line) for line in report.path.read_text().splitlines()]
    failed, *measured = [record for record in records if record["record"] in ("failed", "figure")]
    assert failed["name"] == "broken" and "no_such_program" in failed["error"]
    assert [(record["name"], record["workload"]) for record in measured] == [
        ("headrace/engine", "W2"),
        ("headrace/api", "W1"),
    ]
    assert all(record["per_s"] > 0 for record in measured)
    assert [path.name for path in tmp_path.iterdir()] == ["report.jsonl"]
