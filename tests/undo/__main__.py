"""Undoes generated cases at full size: `python -m tests.undo [--cases 2000] [--seed 0] [--record]`.

Each case is cut after each of its effects and undone twice over: by the stages alone (`cases.py`), and by the product's
own runner in virtual time, killed before and after each interaction of the undo (`kills.py`). `--record` adds the
figures and the command to `results.jsonl`. Exits 1 where a balance is not restored.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

from tests.interleavings.life import quiet
from tests.undo.cases import Report, check_case
from tests.undo.kills import Counts, check_case_with_kills

RESULTS = Path(__file__).with_name("results.jsonl")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.undo", description=__doc__)
    parser.add_argument("--cases", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--record", action="store_true")
    options = parser.parse_args()
    began_s, began_cpu_s = time.monotonic(), time.process_time()
    total, counts = Report(), Counts()
    with quiet():
        for seed in range(options.seed, options.seed + options.cases):
            report = check_case(seed, faults=0.2 if seed % 2 else 0.0)
            for name, count in vars(report).items():
                setattr(total, name, getattr(total, name) + count)
            check_case_with_kills(seed, counts)
    for violation in counts.violations[:20]:
        sys.stdout.write(f"{violation}\n")
    command = f"python -m tests.undo --cases {options.cases} --seed {options.seed}"
    figures = {
        "command": command,
        "seed": options.seed,
        "stages alone": vars(total),
        "runner": {**vars(counts), "violations": len(counts.violations)},
        "seconds": round(time.monotonic() - began_s),
        "cpu_seconds": round(time.process_time() - began_cpu_s),
    }
    line = json.dumps(figures)
    sys.stdout.write(f"{line}\n")
    if options.record:
        with RESULTS.open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")
    return 1 if counts.violations else 0


if __name__ == "__main__":
    sys.exit(main())
