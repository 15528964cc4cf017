"""Pages and single reads, from a journal of a thousand instances and from one of a million, over HTTP.

    python -m bench.pages [--small 1000] [--large 1000000] [--requests 1000] [--rounds 5] [--fresh]

Each journal is filled by direct inserts and kept in `bench/out`, for the next run. One server is started on each, and
both are asked the same kinds of requests in turn, a few at a time, so that a machine's moods hit both alike. What is
read is drawn at random from the middle third of a journal: every page is a full one, and most of what is read of the
large journal is not in SQLite's cache. A figure is the median over the rounds; what counts is the ratio of the 99th
percentiles.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import shutil
import sqlite3
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import uvloop

from bench import api_level, machine
from bench.api_level import Front
from bench.report import Report
from headrace.api.cursors import Cursor, Seal
from headrace.journal.lists import InstanceList, OccurrenceList, Place
from headrace.journal.sqlite.migrations import migrate_sqlite

OUT = Path(__file__).parent / "out"
JOURNAL_FILE = "journal.db"
NOWHERE = "http://127.0.0.1:9"
"""The downstream: nothing runs here that would call it."""

WORKFLOWS = 2
PAGE = 15
RUNNING_EVERY = 10
MATCHED_EVERY = 10
BLOCK = 25
"""Requests of a kind to one server before the other has its turn."""

FIRST_AT = 1_700_000_000_000_000
APART_US = 40_000
TRIGGER = "01900000-0000-7000-8000-00000000000f"
WANTED = 2.0

CONFIG = (
    '{"name":"bench","stages":[{"send":{"source":{"account":{"id":"users:${user}","ledger":"main"}},"destination":'
    '{"account":{"id":"payouts","ledger":"main"}},"amount":{"amount":"${amount}","asset":"USD/2"}}},'
    '{"wait_event":{"event":"approved"}}]}'
)
SEND = (
    '{"source":{"account":{"id":"users:42","ledger":"main"}},"destination":{"account":{"id":"payouts","ledger":"main"}},'
    '"amount":{"amount":4199,"asset":"USD/2"}}'
)
POSTING = '{"source":"users:42","destination":"payouts","amount":4199,"asset":"USD/2"}'
INPUT = f'{{"ledger":"main","data":{{"metadata":{{}},"postings":[{POSTING}],"reference":"r"}}}}'
OUTPUT = (
    f'{{"data":{{"id":7,"reverted":false,"timestamp":"2024-05-01T10:00:00Z","metadata":{{}},"reference":"r",'
    f'"postings":[{POSTING}]}}}}'
)
EVENT = '{"id":"p1","type":"PAY-IN","status":"SUCCEEDED","amount":4199,"asset":"USD/2"}'


@dataclass(frozen=True)
class Row:
    """Instance `number` of a journal, which follows from its number alone."""

    number: int

    @property
    def at(self) -> int:
        return FIRST_AT + self.number * APART_US

    @property
    def id(self) -> str:
        """As UUIDv7 has it: time first, then chance."""
        milliseconds, chance = self.at // 1_000, random.Random(self.number).getrandbits(74)
        text = f"{milliseconds:012x}7{chance >> 62:03x}{8 + (chance >> 60 & 3):x}{chance & (1 << 60) - 1:015x}"
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"

    @property
    def place(self) -> Place:
        return Place(self.at, self.id)

    @property
    def is_running(self) -> bool:
        return self.number % RUNNING_EVERY == 0

    @property
    def is_matched(self) -> bool:
        return self.number % MATCHED_EVERY == 0

    @property
    def workflow_id(self) -> str:
        return workflow_id(self.number // RUNNING_EVERY % WORKFLOWS)


def workflow_id(number: int) -> str:
    return f"01900000-0000-7000-8000-0000000000{number:02x}"


# the journal


def journal_folder(count: int, *, is_fresh: bool) -> Path:
    """A data folder with `count` instances; one that was filled before is taken as it is."""
    folder = OUT / f"pages-{count}"
    if is_fresh:
        shutil.rmtree(folder, ignore_errors=True)
    path = folder / JOURNAL_FILE
    if not (folder / "filled").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        migrate_sqlite(str(path))
        _fill(path, count)
        (folder / "filled").touch()
    return folder


def _fill(path: Path, count: int) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=OFF")
    connection.execute("BEGIN")
    for number in range(WORKFLOWS):
        row = (workflow_id(number), "bench", CONFIG, FIRST_AT, FIRST_AT)
        connection.execute("INSERT INTO workflows (id, name, config, created_at, updated_at) VALUES (?,?,?,?,?)", row)
    connection.execute(
        "INSERT INTO triggers (id, name, event, event_name, workflow_id, created_at, after_seq) "
        "VALUES (?,'','E','e',?,?,0)",
        (TRIGGER, workflow_id(0), FIRST_AT),
    )
    rows = [Row(number) for number in range(count)]
    for statement, values in _tables(rows):
        connection.executemany(statement, values)
    connection.execute("COMMIT")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


def _tables(rows: list[Row]) -> Iterator[tuple[str, Iterator[tuple[Any, ...]]]]:
    yield (
        (
            "INSERT INTO instances (id, workflow_id, config, variables, created_at, updated_at, terminated_at) "
            "VALUES (?,?,?,?,?,?,?)"
        ),
        (
            (row.id, row.workflow_id, CONFIG, '{"user":"42"}', row.at, row.at, None if row.is_running else row.at + 9)
            for row in rows
        ),
    )
    yield "INSERT INTO stages VALUES (?,?,?,?,?,?,NULL)", (stage for row in rows for stage in _stages(row))
    yield (
        "INSERT INTO activities VALUES (?,0,0,'CreateTransaction',?,?,1,?,'POST','/x',?,?,NULL,NULL,NULL,0,?)",
        ((row.id, INPUT, row.at, f"headrace:{row.id}:0:0", INPUT.encode(), OUTPUT, row.at + 5) for row in rows),
    )
    yield (
        "INSERT INTO occurrences VALUES (?,?,?,?,?,1,?,NULL)",
        ((row.id, TRIGGER, f"k{row.number}", EVENT, row.at, row.id) for row in rows if row.is_matched),
    )


def _stages(row: Row) -> list[tuple[Any, ...]]:
    last = None if row.is_running else row.at + 9
    return [
        (row.id, 0, "send", SEND, row.at, row.at + 5),
        (row.id, 1, "wait_event", '{"event":"approved"}', row.at + 5, last),
    ]


# the requests


@dataclass
class Kind:
    """One kind of request; `path` draws one for a row."""

    name: str
    path: Callable[[Seal, Row], str]


def _page(rows: InstanceList | OccurrenceList, path: str, *, is_backward: bool = False) -> Callable[[Seal, Row], str]:
    def drawn(seal: Seal, row: Row) -> str:
        return f"{path}?cursor={seal.write(Cursor(rows, row.place, PAGE, is_backward))}"

    return drawn


INSTANCES = "/v2/instances"
KINDS = (
    Kind("instances, newest page", lambda _, __: f"{INSTANCES}?pageSize={PAGE}"),
    Kind("instances, any page", _page(InstanceList(), INSTANCES)),
    Kind("instances, any page before", _page(InstanceList(), INSTANCES, is_backward=True)),
    Kind("instances that run, any page", _page(InstanceList(running=True), INSTANCES)),
    Kind("instances of a workflow, any page", _page(InstanceList(workflow_id(1)), INSTANCES)),
    Kind("those of them that run, any page", _page(InstanceList(workflow_id(1), True), INSTANCES)),
    Kind("occurrences, any page", _page(OccurrenceList(TRIGGER), f"/v2/triggers/{TRIGGER}/occurrences")),
    Kind("one instance", lambda _, row: f"/instances/{row.id}"),
    Kind("its history", lambda _, row: f"/v2/instances/{row.id}/history"),
    Kind("a stage's history", lambda _, row: f"/v2/instances/{row.id}/stages/0/history"),
    Kind("one workflow", lambda _, row: f"/workflows/{row.workflow_id}"),
)


@dataclass
class Door:
    """A server on a journal of `count` instances, and the times of its answers in this round."""

    front: Front
    count: int
    seal: Seal
    chance: random.Random = field(default_factory=lambda: random.Random(1))
    times_ms: list[float] = field(default_factory=list[float])

    async def ask(self, kind: Kind, requests: int) -> None:
        third = self.count // 3
        rows = [Row(self.chance.randrange(third, 2 * third)) for _ in range(requests)]
        paths = [kind.path(self.seal, row) for row in rows]
        for path in paths:
            started = time.perf_counter()
            await self.front.get(path)
            self.times_ms.append((time.perf_counter() - started) * 1e3)


async def measured(folders: dict[int, Path], requests: int, report: Report, rounds: int) -> None:
    async with AsyncExitStack() as stack:
        doors: list[Door] = []
        for count, folder in folders.items():
            front = await stack.enter_async_context(api_level.served(folder, NOWHERE))
            doors.append(Door(front, count, Seal(_identity(folder))))
        for kind in KINDS:
            await _round(doors, kind, BLOCK)
        for _ in range(rounds):
            report.begin_round()
            for kind in KINDS:
                await _round(doors, kind, requests)
                report.measured(f"pages/{kind.name}", _figures(doors))


async def _round(doors: list[Door], kind: Kind, requests: int) -> None:
    for door in doors:
        door.times_ms.clear()
    for _ in range(requests // BLOCK):
        for door in doors:
            await door.ask(kind, BLOCK)


def _figures(doors: list[Door]) -> dict[str, float]:
    found: dict[str, float] = {}
    for door in doors:
        times = sorted(door.times_ms)
        found[f"{door.count}_median_ms"] = statistics.median(times)
        found[f"{door.count}_p99_ms"] = times[len(times) * 99 // 100]
    small, large = doors
    for figure in ("median", "p99"):
        found[f"{figure}_ratio"] = found[f"{large.count}_{figure}_ms"] / found[f"{small.count}_{figure}_ms"]
    return found


def _identity(folder: Path) -> str:
    connection = sqlite3.connect(folder / JOURNAL_FILE)
    identity = connection.execute("SELECT id FROM identity").fetchone()[0]
    connection.close()
    return identity


def _table(report: Report, large: int) -> None:
    for name in report.rounds[0]:
        rows = [figures[name] for figures in report.rounds]
        middle = {key: statistics.median(row[key] for row in rows) for key in rows[0]}
        word = "met" if middle["p99_ratio"] <= WANTED else "MISSED"
        report.screen.write(
            f"{name.removeprefix('pages/'):<36} median {middle[f'{large}_median_ms']:5.2f} ms"
            f" x {middle['median_ratio']:.2f}   p99 {middle[f'{large}_p99_ms']:6.2f} ms x {middle['p99_ratio']:.2f}"
            f"  wanted <= {WANTED:g}  {word}\n"
        )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.pages", description=__doc__)
    parser.add_argument("--small", type=int, default=1_000, help="instances in one journal")
    parser.add_argument("--large", type=int, default=1_000_000, help="instances in the other")
    parser.add_argument("--requests", type=int, default=1_000, help="of each kind, to each server, in each round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--fresh", action="store_true", help="fill the journals anew")
    parser.add_argument("--out", type=Path, help="file of JSON lines  [default: bench/out/TIME.jsonl]")
    chosen = parser.parse_args()
    OUT.mkdir(exist_ok=True)
    report = Report(chosen.out or OUT / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}.jsonl", sys.stdout)
    report.write({**machine.description(OUT), "command": " ".join(["python -m bench.pages", *sys.argv[1:]])})
    folders: dict[int, Path] = {}
    for count in (chosen.small, chosen.large):
        started = time.monotonic()
        folders[count] = journal_folder(count, is_fresh=chosen.fresh)
        size = (folders[count] / JOURNAL_FILE).stat().st_size
        about = {"instances": count, "bytes": size, "took_s": round(time.monotonic() - started, 1)}
        report.write({"record": "journal", **about})
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(measured(folders, chosen.requests, report, chosen.rounds))
    _table(report, chosen.large)


if __name__ == "__main__":
    main()
