"""`python -m bench.peers`: measure Headrace and other engines in turn, and compare figures of the same round.

    python -m bench.peers --setup                 once: installs the peers below bench/out
    python -m bench.peers                         about 2 minutes a round, 5 rounds
    python -m bench.peers --against CHECKOUT      with an older checkout of Headrace too
    python -m bench.peers --own --against CHECKOUT      without the peers: nothing to install

Every measurement is a process of its own on an empty folder, and all call the same downstream.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import downstream, machine
from bench.peers import install
from bench.peers.ratios import Figures, summary
from bench.report import Report
from bench.workloads import post_request

ROOT = Path(__file__).parents[2]
OUT = ROOT / "bench" / "out"
CALLERS = 64
LIMIT_S = 420.0

MEASURE = """
import asyncio, json, pathlib, sys, uvloop
from bench import api_level, engine_level, floors
from bench.workloads import W1, W2
from headrace.runtime import tune_collector
tune_collector()
level = {"engine": engine_level, "api": api_level, "floor": None}[sys.argv[1]]
stages = {"W1": W1, "W2": W2}[sys.argv[2]]
folder, url, count = pathlib.Path(sys.argv[3]), sys.argv[4], int(sys.argv[5])
work = level.throughput(folder, url, stages, count) if level else floors.posts(url, count)
with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
    print(json.dumps(runner.run(work)))
"""


@dataclass(frozen=True)
class Cell:
    """One measurement of each round: a peer's `program`, or Headrace of the checkout `tree` at this `level`."""

    name: str
    workload: str
    count: int
    program: tuple[str, ...] = ()
    level: str = ""
    tree: Path = ROOT


def cells(against: Path | None) -> list[Cell]:
    all_cells = [
        Cell("floor/posts", "W1", 15_000, level="floor"),
        Cell("headrace/engine", "W1", 6_000, level="engine"),
        Cell("headrace/api", "W1", 4_000, level="api"),
        Cell("restate", "W1", 1_200, ("restate_peer",)),
        Cell("procrastinate", "W1", 600, ("procrastinate_peer",)),
        Cell("dbos/postgres", "W1", 400, ("dbos_peer",)),
        Cell("dbos/sqlite", "W1", 250, ("dbos_peer", "--sqlite")),
        Cell("temporal", "W1", 150, ("temporal_peer",)),
        Cell("headrace/engine", "W2", 2_000, level="engine"),
        Cell("headrace/api", "W2", 1_500, level="api"),
        Cell("restate", "W2", 400, ("restate_peer",)),
        Cell("dbos/postgres", "W2", 120, ("dbos_peer",)),
        Cell("dbos/sqlite", "W2", 80, ("dbos_peer", "--sqlite")),
        Cell("temporal", "W2", 80, ("temporal_peer",)),
    ]
    if against is not None:
        older = against.resolve()
        all_cells[3:3] = [
            Cell("older/engine", "W1", 6_000, level="engine", tree=older),
            Cell("older/api", "W1", 4_000, level="api", tree=older),
            Cell("older/engine", "W2", 2_000, level="engine", tree=older),
            Cell("older/api", "W2", 1_500, level="api", tree=older),
        ]
    return all_cells


class Bench:
    def __init__(self, report: Report, rows: list[Cell]) -> None:
        self.report = report
        self.rows = rows
        self.rounds: list[Figures] = []

    def run(self, rounds: int) -> None:
        """Every other round in reverse, so that no cell always follows the same one."""
        with downstream.running() as url:
            for number in range(1, rounds + 1):
                figures: Figures = {}
                for cell in self.rows if number % 2 else reversed(self.rows):
                    measured = self._measured(cell, url, number)
                    if measured is not None:
                        figures[f"{cell.name}/{cell.workload}"] = measured
                self.rounds.append(figures)
        for record in summary(self.rounds):
            self.report.write(record)

    def _measured(self, cell: Cell, url: str, number: int) -> dict[str, float] | None:
        """The figures; None if the process failed. A failure is recorded and does not end the run."""
        about: dict[str, Any] = {"round": number, "name": cell.name, "workload": cell.workload, "count": cell.count}
        with _folder() as folder:
            try:
                figures = _headrace(cell, folder, url) if cell.level else _peer(cell, folder, url)
            except (subprocess.SubprocessError, ValueError) as error:
                self.report.write({"record": "failed", **about, "error": f"{error}{_last_words(error)}"})
                return None
        rounded = {name: float(f"{value:.4g}") for name, value in figures.items()}
        load = round(os.getloadavg()[0], 1)
        self.report.write({"record": "figure", **about, **rounded, "load": load})
        return figures


def _headrace(cell: Cell, folder: Path, url: str) -> dict[str, float]:
    command = [sys.executable, "-c", MEASURE, cell.level, cell.workload, str(folder), url, str(cell.count)]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("HEADRACE_")}
    paths = (cell.tree / "src", cell.tree / "packages" / "client" / "src", cell.tree)
    return _output(command, {**inherited, "PYTHONPATH": os.pathsep.join(map(str, paths))}, cell.tree)


def _peer(cell: Cell, folder: Path, url: str) -> dict[str, float]:
    request = post_request()
    assert request.body is not None
    task = {
        "workload": cell.workload,
        "url": url + request.path,
        "body": request.body.decode(),
        "folder": str(folder),
        "count": cell.count,
        "callers": CALLERS,
    }
    module, *options = cell.program
    command = [str(install.PYTHON), "-m", f"bench.peers.programs.{module}", *options]
    environment = {**os.environ, "BENCH_TASK": json.dumps(task), "BENCH_NODE_MODULES": str(install.NODE_MODULES)}
    return _output(command, environment, ROOT)


def _output(command: list[str], environment: dict[str, str], folder: Path) -> dict[str, float]:
    """The JSON object on the last line of output. A process over the limit is interrupted and ends its children."""
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environment, cwd=folder) as process:
        try:
            output, errors = process.communicate(timeout=LIMIT_S)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)
            process.communicate()
            raise
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command[-2:], output, errors)
    return json.loads(output.splitlines()[-1])


def _last_words(error: Exception) -> str:
    text = error.stderr if isinstance(error, subprocess.CalledProcessError) else ""
    return f": {text.strip().splitlines()[-1]}" if text and text.strip() else ""


@contextmanager
def _folder() -> Iterator[Path]:
    """A temporary folder on the checkout's disk, readable by PostgreSQL's user."""
    OUT.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=OUT, prefix="data-", ignore_cleanup_errors=True) as name:
        path = Path(name)
        path.chmod(0o755)
        yield path


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.peers", description="Headrace and its peers in turn.")
    parser.add_argument("--setup", action="store_true", help="install the peers below bench/out, and end")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--against", type=Path, help="a checkout of an older version of Headrace")
    parser.add_argument("--own", action="store_true", help="only Headrace, and raw POSTs")
    parser.add_argument("--only", default="", metavar="TEXT", help="only cells whose name holds this: restate/W1")
    parser.add_argument("--out", type=Path, help="file of JSON lines  [default: bench/out/peers-TIME.jsonl]")
    chosen = parser.parse_args()
    if chosen.setup:
        install.install()
        return
    rows = [cell for cell in cells(chosen.against) if chosen.only in f"{cell.name}/{cell.workload}"]
    if chosen.own:
        rows = [cell for cell in rows if not cell.program]
    if any(cell.program for cell in rows) and not install.is_installed():
        sys.exit("The peers are not installed: python -m bench.peers --setup")
    OUT.mkdir(exist_ok=True)
    report = Report(chosen.out or OUT / f"peers-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.jsonl", sys.stdout)
    about = machine.description(OUT)
    about["command"] = " ".join(["python -m bench.peers", *sys.argv[1:]])
    about["versions"] |= install.versions() if install.is_installed() else {}
    if chosen.against is not None:
        about["against"] = machine.commit(chosen.against)
    report.write(about)
    started = time.monotonic()
    Bench(report, rows).run(chosen.rounds)
    report.write({"record": "end", "took_s": round(time.monotonic() - started, 1)})


if __name__ == "__main__":
    main()
