"""The engine on PostgreSQL against the engine on SQLite, in turn in each round.

    python -m bench.postgres [--rounds 5] [--w1 4000] [--w2 1200] [--seq 300] [--only NAME] [--apart] [--out FILE]

It starts a PostgreSQL of its own, with fsync, in `bench/out`, on the disk of the checkout; each measurement has a
database and a file of its own. On two cores PostgreSQL, this process and the downstream compete. What counts is the
ratio of instances per second within a round, and of these the median. `--apart` measures once more with a statement for
each read of an instance, to show what shared ones are worth.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import statistics
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch

import uvloop

from bench import downstream, engine_level, machine
from bench.report import Report
from bench.workloads import W1, W2
from headrace.journal.postgres import PostgresJournal, migrate, shared_reads
from headrace.runtime import tune_collector
from tests.support.postgres import PostgresServer

OUT = Path(__file__).parent / "out"
WANTED = 0.5
"""Of the instances per second on SQLite."""


def _measured(
    name: str, folder: Path, downstream_url: str, count: int, journal: engine_level.OpenJournal | None
) -> Any:
    given = {} if journal is None else {"open_journal": journal}
    if name == "SEQ":
        return engine_level.one_by_one(folder, downstream_url, W1, count, **given)
    return engine_level.throughput(folder, downstream_url, W1 if name == "W1" else W2, count, **given)


def _measure(
    report: Report, server: PostgresServer, sizes: dict[str, int], rounds: int, *, apart: bool
) -> dict[str, list[float]]:
    ratios: dict[str, list[float]] = {}
    journals = {"sqlite": 0, "postgres": shared_reads.MAX_IDS, **({"postgres-apart": 1} if apart else {})}
    numbers = itertools.count(1)
    with downstream.running() as url:
        for _ in range(rounds):
            report.begin_round()
            for name, count in sizes.items():
                found: dict[str, dict[str, float]] = {}
                for journal, reads in journals.items():
                    with (
                        patch.object(shared_reads, "MAX_IDS", reads),
                        tempfile.TemporaryDirectory(dir=OUT, prefix="data-") as folder,
                        _database(server, f"bench_{next(numbers)}") as database,
                    ):

                        async def opened(_: Path, database: str = database) -> PostgresJournal:
                            return await PostgresJournal.open(database)

                        opening = None if journal == "sqlite" else opened
                        found[journal] = _run(_measured(name, Path(folder), url, count, opening))
                    report.measured(f"{name}/{journal}", found[journal])
                key = "median_ms" if name == "SEQ" else "per_s"
                for journal in list(journals)[1:]:
                    ratio = round(found[journal][key] / found["sqlite"][key], 2)
                    ratios.setdefault(f"{name}/{journal}", []).append(ratio)
    return ratios


@contextlib.contextmanager
def _database(server: PostgresServer, name: str) -> Iterator[str]:
    url = server.create(name)
    migrate(url)
    yield url
    server.drop(name)


def _run(measurement: Any) -> dict[str, float]:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(measurement)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.postgres", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--w1", type=int, default=4_000, help="instances of W1 for each measurement")
    parser.add_argument("--w2", type=int, default=1_200, help="instances of W2 for each measurement")
    parser.add_argument("--seq", type=int, default=300, help="instances of W1, one after another")
    parser.add_argument("--only", default="", metavar="NAME", help="W1, W2 or SEQ")
    parser.add_argument("--apart", action="store_true", help="also with a statement for each read of an instance")
    parser.add_argument("--out", type=Path, help="file of JSON lines  [default: bench/out/postgres-TIME.jsonl]")
    chosen = parser.parse_args()
    OUT.mkdir(exist_ok=True)
    report = Report(chosen.out or OUT / f"postgres-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.jsonl", sys.stdout)
    tune_collector()
    sizes = {
        name: count
        for name, count in (("W1", chosen.w1), ("W2", chosen.w2), ("SEQ", chosen.seq))
        if chosen.only in name
    }
    with tempfile.TemporaryDirectory(dir=OUT, prefix="postgres-") as name, PostgresServer(Path(name)) as server:
        report.write({**machine.description(OUT), "postgres": server.version(), "sizes": sizes})
        ratios = _measure(report, server, sizes, chosen.rounds, apart=chosen.apart)
    for workload, found in ratios.items():
        median = statistics.median(found)
        report.write({"record": "ratio", "workload": workload, "by_round": found, "median": median})
        print(f"{workload} / SQLite by round {found}, median {median}")


if __name__ == "__main__":
    main()
