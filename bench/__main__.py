"""`python -m bench`: floors and workloads in turn, round after round, so that a machine's moods hit all alike."""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import pstats
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import uvloop

from bench import api_level, downstream, engine_level, floors, machine, memory, triggers
from bench.report import Report
from bench.workloads import W1, W2
from headrace.runtime import tune_collector

OUT = Path(__file__).parent / "out"


@dataclass(frozen=True)
class Sizes:
    rounds: int
    posts: int
    floor_s: float
    w1: int
    w2: int
    seq: int
    delays: int
    delay_lead_s: float
    waiting: int


FULL = Sizes(
    rounds=5, posts=20_000, floor_s=2.0, w1=10_000, w2=3_000, seq=1_000, delays=5_000, delay_lead_s=8, waiting=100_000
)
QUICK = Sizes(
    rounds=2, posts=4_000, floor_s=0.5, w1=2_000, w2=600, seq=200, delays=5_000, delay_lead_s=6, waiting=8_000
)


class Bench:
    """One run: `measurements` are taken in turn in each round, `once` after the last."""

    def __init__(self, sizes: Sizes, report: Report, only: str) -> None:
        self.sizes = sizes
        self.report = report
        self.only = only

    def run(self) -> None:
        with downstream.running() as url:
            for _ in range(self.sizes.rounds):
                self.report.begin_round()
                self._round(url)
            self._once(url)
        self.report.summarise()

    def _round(self, url: str) -> None:
        sizes = self.sizes
        self._floors(url)
        for name, stages, count in (("W1", W1, sizes.w1), ("W2", W2, sizes.w2)):
            self._measure(
                f"{name}/engine", lambda folder, s=stages, n=count: engine_level.throughput(folder, url, s, n)
            )
            self._measure(f"{name}/api", lambda folder, s=stages, n=count: api_level.throughput(folder, url, s, n))
        self._measure("SEQ/engine", lambda folder: engine_level.one_by_one(folder, url, W1, sizes.seq))
        self._measure("SEQ/api", lambda folder: api_level.one_by_one(folder, url, W1, sizes.seq))

    def _floors(self, url: str) -> None:
        sizes = self.sizes
        with _folder() as folder:
            self.report.measured("floor/posts", _run(floors.posts(url, sizes.posts)))
            self.report.measured("floor/post", {"median_ms": _run(floors.post_ms(url, sizes.seq))})
            self.report.measured("floor/commits", {"per_s": floors.commits_per_s(folder, sizes.floor_s)})
            self.report.measured("floor/commit", {"median_ms": floors.commit_ms(folder, sizes.floor_s)})

    def _once(self, url: str) -> None:
        sizes = self.sizes
        self._measure(
            "W3/engine",
            lambda folder: engine_level.wake_up(folder, url, sizes.delays, sizes.delay_lead_s),
            delays=sizes.delays,
        )
        self._measure(
            "W3-burst/engine",
            lambda folder: engine_level.wake_up(folder, url, sizes.delays, sizes.delay_lead_s, spread_s=0.0),
            delays=sizes.delays,
        )
        self._measure("triggers/match", triggers.matching, triggers=triggers.TRIGGERS)
        if self.only in "memory/engine":
            with _folder() as folder:
                figures = memory.per_instance(folder, sizes.waiting)
            self.report.measured("memory/engine", figures, waiting=sizes.waiting)

    def _measure(
        self, name: str, measure: Callable[[Path], Coroutine[Any, Any, dict[str, float]]], **about: Any
    ) -> None:
        if self.only in name:
            with _folder() as folder:
                self.report.measured(name, _run(measure(folder)), **about)


@contextmanager
def _folder() -> Iterator[Path]:
    """On the disk that the project is on: a temporary file system in memory would make commits free."""
    OUT.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=OUT, prefix="data-") as name:
        yield Path(name)


def _run(measurement: Awaitable[Any]) -> Any:
    async def awaited() -> Any:
        return await measurement

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(awaited())


def _profile(sizes: Sizes) -> None:
    """Where the time of W1 at engine level goes, on the event loop's thread."""
    profile = cProfile.Profile()
    with downstream.running() as url, _folder() as folder:
        profile.enable()
        figures = _run(engine_level.throughput(folder, url, W1, sizes.w1))
        profile.disable()
    print(figures)
    stats = pstats.Stats(profile)
    for package, seconds in _by_room(stats):
        print(f"{seconds / sizes.w1 * 1e6:9.1f} us each  {package}")
    stats.sort_stats("tottime").print_stats(45)


def _by_room(stats: pstats.Stats) -> list[tuple[str, float]]:
    """Own time of all functions of a file of ours, or of a library, longest first."""
    packages: dict[str, float] = {}
    table: dict[tuple[str, int, str], Any] = stats.stats  # type: ignore[attr-defined] # not in the stubs
    for (file, _, name), (_, _, own_s, _, _) in table.items():
        parts = Path(file).parts
        if "site-packages" in parts:
            package = parts[parts.index("site-packages") + 1]
        elif "headrace" in parts:
            package = "/".join(parts[len(parts) - 1 - parts[::-1].index("headrace") :])
        else:
            package = name if file == "~" else Path(file).name
        packages[package] = packages.get(package, 0.0) + own_s
    return sorted(packages.items(), key=lambda row: -row[1])[:30]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes, under a minute")
    parser.add_argument("--only", default="", metavar="NAME", help="only measurements whose name holds this: W1/engine")
    parser.add_argument("--rounds", type=int, help="how often all is measured")
    parser.add_argument("--profile", action="store_true", help="profile W1 at engine level instead")
    parser.add_argument("--out", type=Path, help="file of JSON lines  [default: bench/out/TIME.jsonl]")
    chosen = parser.parse_args()
    sizes = QUICK if chosen.quick else FULL
    if chosen.rounds:
        sizes = Sizes(**{**vars(sizes), "rounds": chosen.rounds})
    if chosen.profile:
        _profile(sizes)
        return
    path = chosen.out or OUT / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}.jsonl"
    OUT.mkdir(exist_ok=True)
    report = Report(path, sys.stdout)
    started = time.monotonic()
    report.write({**machine.description(OUT), "sizes": vars(sizes)})
    tune_collector()  # as a server does; the floors profit too
    Bench(sizes, report, chosen.only).run()
    report.write({"record": "end", "took_s": round(time.monotonic() - started, 1)})


if __name__ == "__main__":
    main()
