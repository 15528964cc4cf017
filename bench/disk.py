"""What a W1 run takes on the disk, by the length of its metadata, and which tables and indexes take it.

    python -m bench.disk [--runs 5000] [--out FILE]

Metadata is given either in the definition (`workflow`) or as variables of the run (`variables`). A case runs on a
journal of its own. The log is checkpointed and truncated before the file is measured; nothing is compacted. What an
empty journal takes is counted too: with 5,000 runs that is less than 0.1 KB each.
"""

from __future__ import annotations

import argparse
import asyncio
import sqlite3
import sys
import tempfile
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import uvloop

from bench import downstream, engine_level, machine
from bench.report import Report
from bench.workloads import SEND, VARIABLES, Stages

OUT = Path(__file__).parent / "out"
CASES = [(0, "workflow"), (60, "workflow"), (100, "workflow"), (300, "workflow"), (300, "variables")]
WANTED_BYTES = 3_500
"""Of a run with 300 bytes of metadata."""
WORDS = ["order", "invoice", "customer", "channel", "campaign", "branch", "region", "tariff"]


def metadata(length: int) -> dict[str, str]:
    """Some members whose names and values have this length together."""
    found: dict[str, str] = {}
    while (left := length - sum(len(name) + len(value) for name, value in found.items())) > 0:
        name = WORDS[len(found) % len(WORDS)] + (str(len(found)) if len(found) >= len(WORDS) else "")
        found[name[: max(left - 1, 1)]] = "0123456789abcdefghijklmnopqrstuvwxyz"[: max(min(36, left - len(name)), 1)]
    return found


def workload(length: int, given_as: str) -> tuple[Stages, dict[str, str]]:
    """The stages and the variables of such a run."""
    members = metadata(length)
    named = {f"m{number}": value for number, value in enumerate(members.values())}
    shown = dict(zip(members, (f"${{{name}}}" for name in named), strict=True))
    if given_as == "workflow":
        shown, named = members, {}
    send = {**SEND["send"], **({"metadata": shown} if members else {})}
    return [{"send": send}], {**VARIABLES, **named}


async def fill(folder: Path, url: str, stages: Stages, variables: dict[str, str], runs: int) -> None:
    async with engine_level.opened(folder, url) as setup:
        workflow = await setup.create(stages)
        remaining = iter(range(runs))

        async def caller() -> None:
            for _ in remaining:
                instance_id = await setup.start(workflow, variables)
                await setup.engine.ended(instance_id, engine_level.PATIENCE_S)
                ended: Any = await setup.journal.instance(instance_id)
                assert ended.is_terminal and ended.error is None, ended

        await asyncio.gather(*(caller() for _ in range(engine_level.IN_FLIGHT)))


def taken(path: Path) -> tuple[int, dict[str, int]]:
    """Bytes of the file, and of each table and index."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        rows = connection.execute("SELECT name, sum(pgsize) FROM dbstat GROUP BY name ORDER BY 2 DESC").fetchall()
    return path.stat().st_size, dict(rows)


def measure(report: Report, runs: int) -> None:
    OUT.mkdir(exist_ok=True)
    with downstream.running() as url:
        for length, given_as in CASES:
            stages, variables = workload(length, given_as)
            with tempfile.TemporaryDirectory(dir=OUT, prefix="data-") as name:
                with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                    runner.run(fill(Path(name), url, stages, variables, runs))
                size, parts = taken(Path(name) / "journal.db")
            figures: dict[str, Any] = {
                "record": "figure",
                "metadata_bytes": length,
                "given_as": given_as,
                "bytes_each": round(size / runs),
                "parts": {part: round(bytes_ / runs) for part, bytes_ in parts.items() if bytes_ >= 10 * runs},
            }
            if length == 300:
                figures |= {"wanted": WANTED_BYTES, "is_met": size / runs <= WANTED_BYTES}
            report.write(figures)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.disk", description=__doc__)
    parser.add_argument("--runs", type=int, default=5_000, help="of each case")
    parser.add_argument("--out", type=Path, help="file of JSON lines  [default: bench/out/disk-TIME.jsonl]")
    chosen = parser.parse_args()
    OUT.mkdir(exist_ok=True)
    report = Report(chosen.out or OUT / f"disk-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.jsonl", sys.stdout)
    report.write({**machine.description(OUT), "command": " ".join(["python -m bench.disk", *sys.argv[1:]])})
    measure(report, chosen.runs)


if __name__ == "__main__":
    main()
