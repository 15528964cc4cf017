"""The adaptive limit against the fixed one of an older checkout: on a healthy ledger, and on one that stands still.

    python -m bench.concurrency --against CHECKOUT

`W1` runs the benchmark of that name in both checkouts in turn, each in a process of its own, on the same downstream;
`W1/20ms` does so on a ledger that takes 20 ms to answer. `pile-up` starts `headrace serve` with default settings on a
ledger with a pool of 20 connections (tests/support/pooled_ledger.py), and starts runs over HTTP.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import uvloop

from bench import api_level, downstream, machine
from bench.report import Report
from bench.workloads import W1
from tests.support.pooled_ledger import PooledLedger

ROOT = Path(__file__).parents[1]
OUT = Path(__file__).parent / "out"
VARIANTS = ("adaptive", "fixed")

MEASURE = """
import asyncio, json, pathlib, sys, uvloop
from bench import engine_level
from bench.workloads import W1
from headrace.runtime import tune_collector
tune_collector()
folder, url, count = pathlib.Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
    print(json.dumps(runner.run(engine_level.throughput(folder, url, W1, count))))
"""


class Bench:
    def __init__(self, report: Report, trees: dict[str, Path], rounds: int, count: int) -> None:
        self.report = report
        self.trees = trees
        self.rounds = rounds
        self.count = count

    def healthy(self, name: str, latency_ms: int, count: int) -> None:
        """Both checkouts in turn, the first of a round alternating; the ratios within each round, and their median."""
        ratios: list[float] = []
        with downstream.running(latency_ms) as url:
            for number in range(self.rounds):
                rates: dict[str, float] = {}
                for variant in VARIANTS if number % 2 else reversed(VARIANTS):
                    figures = self._throughput(variant, url, count)
                    rates[variant] = figures["per_s"]
                    self._write("figure", name, variant, round=number + 1, **figures)
                ratios.append(rates["adaptive"] / rates["fixed"])
        shown = [round(ratio, 3) for ratio in ratios]
        self._write("ratio", name, "adaptive / fixed", median=round(statistics.median(ratios), 3), of_rounds=shown)

    def pile_up(self, variant: str, runs: int, limit_s: float) -> None:
        with _folder() as folder, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            figures = runner.run(_pile_up(self.trees[variant], folder, runs, limit_s))
        self._write("figure", "pile-up", variant, runs=runs, **figures)

    def _throughput(self, variant: str, url: str, count: int) -> dict[str, float]:
        tree = self.trees[variant]
        with _folder() as folder:
            command = [sys.executable, "-c", MEASURE, str(folder), url, str(count)]
            done = subprocess.run(command, cwd=tree, env=_environment(tree), check=True, capture_output=True)
        return json.loads(done.stdout)

    def _write(self, record: str, name: str, variant: str, **figures: Any) -> None:
        self.report.write({"record": record, "name": name, "variant": variant, **figures})


async def _pile_up(tree: Path, folder: Path, runs: int, limit_s: float) -> dict[str, Any]:
    """How long it takes until all runs have ended, and the values that the limit had."""
    limits: list[int] = []
    async with PooledLedger() as ledger, api_level.served(folder, ledger.url, _environment(tree)) as front:
        workflow_id = await front.create(W1)
        began = time.monotonic()
        starting = asyncio.gather(*(front.run(workflow_id) for _ in range(runs)))
        while (left := runs - len(ledger.booked)) and time.monotonic() < began + limit_s:
            limit = await front.metric('headrace_concurrency_limit{service="ledger"}')
            if limit is not None and limit != (limits or [None])[-1]:
                limits.append(int(limit))
            await asyncio.sleep(0.1)
        await starting
        while not left and await front.running(workflow_id):
            await asyncio.sleep(0.1)
        took_s = time.monotonic() - began
        failed = await front.failed(workflow_id)
    return {
        "booked": len(ledger.booked),
        "failed": failed,
        "took_s": round(took_s, 1),
        "requests": ledger.requests,
        "given_up": ledger.abandoned,
        "most_open": ledger.most_open,
        "limits_seen": limits,
    }


def _environment(tree: Path) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("HEADRACE_")}
    return {**inherited, "PYTHONPATH": f"{tree / 'src'}{os.pathsep}{tree}"}


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    OUT.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=OUT, prefix="data-") as name:
        yield Path(name)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.concurrency", description=__doc__)
    parser.add_argument("--against", type=Path, required=True, help="a checkout of an older version")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--count", type=int, default=10_000, help="instances of W1 for each measurement")
    parser.add_argument("--only", default="", metavar="NAME", help="W1, W1/20ms or pile-up")
    parser.add_argument("--out", type=Path, help="file of JSON lines  [default: bench/out/TIME.jsonl]")
    chosen = parser.parse_args()
    OUT.mkdir(exist_ok=True)
    report = Report(chosen.out or OUT / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}.jsonl", sys.stdout)
    report.write(machine.description(OUT))
    trees = {"adaptive": ROOT, "fixed": chosen.against.resolve()}
    bench = Bench(report, trees, chosen.rounds, chosen.count)
    if chosen.only in ("", "W1"):
        bench.healthy("W1", 0, chosen.count)
    if chosen.only in ("", "W1/20ms"):
        bench.healthy("W1/20ms", 20, chosen.count)
    if chosen.only in ("", "pile-up"):
        bench.pile_up("adaptive", 300, 300)
        bench.pile_up("fixed", 300, 150)
        bench.pile_up("adaptive", 10_000, 600)


if __name__ == "__main__":
    main()
