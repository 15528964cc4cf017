"""Memory of instances that wait for an event, in a process of its own.

    python -m bench.memory FOLDER COUNT       prints one JSON object

Resident memory is read after a warm-up (so that caches and the allocator have their size), after COUNT more
instances wait, and by a second process that opens the same journal as after a restart.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import subprocess
import sys
from pathlib import Path

import uvloop

from bench.engine_level import Rooms, opened
from bench.workloads import WAIT
from headrace.journal.records import Workflow

WARM_UP = 5_000
CALLERS = 500
NOWHERE = "http://127.0.0.1:9"


def per_instance(folder: Path, count: int) -> dict[str, float]:
    """Bytes of resident memory for each waiting instance, and resident megabytes after a restart with all of them."""
    lived = _child(folder, count)
    again = _child(folder, 0)
    return {
        "bytes_each": (lived["after"] - lived["before"]) / count,
        "resident_mb": lived["after"] / 1e6,
        "resident_after_restart_mb": again["after"] / 1e6,
        "bytes_each_after_restart": (again["after"] - again["empty"]) / (count + WARM_UP),
    }


def _child(folder: Path, count: int) -> dict[str, int]:
    command = [sys.executable, "-m", "bench.memory", str(folder), str(count)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


async def _measure(folder: Path, count: int) -> dict[str, int]:
    async with opened(folder, NOWHERE) as setup:
        empty = resident_bytes()
        if not count:
            await asyncio.sleep(1.0)
            return {"empty": empty, "before": empty, "after": resident_bytes()}
        workflow = await setup.create([WAIT])
        await _start(setup, workflow, WARM_UP)
        before = resident_bytes()
        await _start(setup, workflow, count)
        return {"empty": empty, "before": before, "after": resident_bytes()}


async def _start(setup: Rooms, workflow: Workflow, count: int) -> None:
    remaining = iter(range(count))

    async def caller() -> None:
        for _ in remaining:
            await setup.start(workflow, {})

    await asyncio.gather(*(caller() for _ in range(CALLERS)))
    await asyncio.sleep(0.5)
    gc.collect()


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(runner.run(_measure(Path(sys.argv[1]), int(sys.argv[2])))))
