"""V1's complete lists, which have no pages: how long they take, and what they add to the server's peak of memory.

    python -m bench.lists [--count 110000]

The journal is that of `bench.pages`; every tenth instance is running. `at once`: the caller reads without a pause.
`late`: the caller pauses for two seconds after the first bytes; a server without flow control would hold the whole
list meanwhile.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import uvloop

from bench import api_level, machine
from bench.pages import NOWHERE, OUT, journal_folder
from bench.report import Report

LISTS = {"all": "/instances", "running": "/instances?running=true"}
REST_S = 2.0


async def measure(report: Report, folder: Path, rounds: int) -> None:
    """Each list in a server of its own, as a peak never falls."""
    for number in range(1, rounds + 1):
        for name, path in LISTS.items():
            for manner in ("at once", "late"):
                async with api_level.served(folder, NOWHERE) as front:
                    before_mb = peak_mb(front.pid)
                    length, took_s = await _read(front.url + path, is_late=manner == "late")
                    figures = {
                        "took_s": round(took_s, 2),
                        "response_mb": round(length / 1e6, 1),
                        "peak_before_mb": round(before_mb, 1),
                        "grown_mb": round(peak_mb(front.pid) - before_mb, 1),
                    }
                report.write({"record": "figure", "round": number, "list": name, "caller": manner, **figures})


async def _read(url: str, *, is_late: bool) -> tuple[int, float]:
    """The response's length, and seconds from the request to its end."""
    started, length = time.perf_counter(), 0
    async with aiohttp.ClientSession(read_bufsize=1 << 16) as session, session.get(url) as response:
        assert response.status == 200, response.status
        async for piece in response.content.iter_any():
            if is_late and not length:
                await asyncio.sleep(REST_S)
            length += len(piece)
    return length, time.perf_counter() - started


def peak_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1e3 for line in lines if line.startswith("VmHWM:"))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.lists", description="V1's complete lists.")
    parser.add_argument("--count", type=int, default=110_000, help="instances in the journal")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, help="file of JSON lines  [default: bench/out/lists-TIME.jsonl]")
    chosen = parser.parse_args()
    OUT.mkdir(exist_ok=True)
    report = Report(chosen.out or OUT / f"lists-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.jsonl", sys.stdout)
    report.write({**machine.description(OUT), "command": " ".join(["python -m bench.lists", *sys.argv[1:]])})
    folder = journal_folder(chosen.count, is_fresh=False)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(measure(report, folder, chosen.rounds))


if __name__ == "__main__":
    main()
