"""Four processes publish into one outbox while a fifth follows it: how many rows it passes over.

    python -m tests.crash.order [--rows 60000] [--out tests/crash/order.jsonl]

Each process has a journal of its own on one PostgreSQL with fsync, which the script starts. The follower reads what
comes after the last number that it has seen, as a relay does. No row may be passed over.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import time
from collections.abc import Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path

import psycopg

from headrace.journal.port import Unit
from headrace.journal.postgres import PostgresJournal, migrate
from headrace.journal.writes import ConfirmPosition, Publish, WantType
from tests.support.postgres import PostgresServer, short_folder

WRITERS = 4
ROWS_EACH = 5
"""Events of one unit."""
AT_ONCE = 8
"""Units that a process has under way."""


async def _publish(url: str, writer: int, units: int) -> None:
    journal = await PostgresJournal.open(url)
    remaining = iter(range(units))

    async def caller() -> None:
        for number in remaining:
            unit = Unit()
            unit.add(ConfirmPosition(source=f"writer {writer}"))
            for _ in range(ROWS_EACH):
                unit.add(Publish(type="E", happened_at=number, payload="{}", instance_id=None, depth=0))
            await journal.commit(unit)

    await asyncio.gather(*(caller() for _ in range(AT_ONCE)))
    await journal.close()


def _writer(url: str, writer: int, units: int) -> None:
    asyncio.run(_publish(url, writer, units))


async def _follow(url: str, processes: Sequence[BaseProcess]) -> int:
    """The number of rows seen when all is written and read."""
    journal = await PostgresJournal.open(url)
    seen = position = 0
    is_over = False
    while True:
        found = await journal.outbox(position, 500)
        seen += len(found)
        position = found[-1].seq if found else position
        if not found:
            if is_over:
                break
            is_over = not any(process.is_alive() for process in processes)
            await asyncio.sleep(0.001)
    await journal.close()
    return seen


def run(server: PostgresServer, rows: int) -> dict[str, float]:
    """Figures of one run on a new database of this server."""
    url = server.create(f"order_{time.monotonic_ns()}")
    migrate(url)

    async def want() -> None:
        journal = await PostgresJournal.open(url)
        unit = Unit()
        unit.add(WantType(type="E"))
        await journal.commit(unit)
        await journal.close()

    asyncio.run(want())
    units = rows // WRITERS // ROWS_EACH
    context = multiprocessing.get_context("spawn")
    started = time.perf_counter()
    processes = [context.Process(target=_writer, args=(url, number, units)) for number in range(WRITERS)]
    for process in processes:
        process.start()
    seen = asyncio.run(_follow(url, processes))
    took_s = time.perf_counter() - started
    for process in processes:
        process.join()
        assert process.exitcode == 0, f"a writer failed: {process.exitcode}"
    with psycopg.connect(url) as connection:
        stored = connection.execute("SELECT count(*) FROM outbox").fetchall()[0][0]
    assert stored == units * ROWS_EACH * WRITERS
    return {"rows": stored, "seen": seen, "passed_over": stored - seen, "took_s": round(took_s, 1)}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.crash.order", description=__doc__)
    parser.add_argument("--rows", type=int, default=60_000)
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    with PostgresServer(short_folder()) as server:
        figures = {"writers": WRITERS, **run(server, chosen.rows)}
    line = json.dumps({"command": f"python -m tests.crash.order --rows {chosen.rows}", **figures})
    print(line)
    if chosen.out is not None:
        with chosen.out.open("a") as file:
            file.write(line + "\n")
    assert not figures["passed_over"], "rows were passed over"


if __name__ == "__main__":
    main()
