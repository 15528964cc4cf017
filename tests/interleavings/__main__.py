"""Lives by chance at full size: `python -m tests.interleavings [--seeds 20000] [--seed 1] [--record]`.

Each seed is one life: persons, batches, kills and faults around one server or two, in virtual time. After each, the
oracles of `oracles.py` compare what was committed, what was sent and what is booked. `--record` adds the figures and
the command to `results.jsonl`. The first failing life is made as short as leaving out steps makes it, and printed.
Exits 1 where a life fails.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from tests.interleavings.life import live, quiet, shortest
from tests.interleavings.schedule import schedule_of

RESULTS = Path(__file__).with_name("results.jsonl")
CLOSED_EVERY = 1_000


def lived(seeds: int, first: int) -> dict[str, Any]:
    """The figures of so many lives, up to the first that fails: then its seed, its problems and its shortest form."""
    counts: Counter[str] = Counter()
    began_s, began_cpu_s = time.monotonic(), time.process_time()
    figures: dict[str, Any] = {"seed": first, "seeds": seeds, "violations": 0}
    with quiet():
        for seed in range(first, first + seeds):
            life = live(schedule_of(seed))
            counts.update(life.counts)
            if life.problems:
                found = shortest(life)
                figures |= {"violations": 1, "failed": seed, "problems": life.problems}
                figures |= {"schedule": found.schedule.lines(), "shortest": found.problems, "seeds": seed - first + 1}
                break
            if (seed - first) % CLOSED_EVERY == CLOSED_EVERY - 1:
                sys.stderr.write(f"{seed - first + 1} lives\n")
    cpu_ms = 1_000 * (time.process_time() - began_cpu_s) / figures["seeds"]
    took: dict[str, Any] = {"seconds": round(time.monotonic() - began_s), "cpu_ms_per_life": round(cpu_ms, 1)}
    return {**figures, **took, **dict(sorted(counts.items()))}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.interleavings", description=__doc__)
    parser.add_argument("--seeds", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--record", action="store_true")
    options = parser.parse_args()
    figures = lived(options.seeds, options.seed)
    command = f"python -m tests.interleavings --seeds {options.seeds} --seed {options.seed}"
    for name in ("schedule", "shortest", "problems"):
        for line in figures.get(name, ()):
            sys.stdout.write(f"{name}: {line}\n")
    line = json.dumps({"command": command, **figures})
    sys.stdout.write(f"{line}\n")
    if options.record:
        with RESULTS.open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")
    return 1 if figures["violations"] else 0


if __name__ == "__main__":
    sys.exit(main())
