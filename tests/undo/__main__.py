"""Undoes generated cases: `python -m tests.undo [CASES] [FIRST_SEED]`. Exits 1 where a balance is not restored."""

from __future__ import annotations

import sys

from tests.undo.cases import Report, check_case


def main() -> int:
    given = [int(text) for text in sys.argv[1:3]]
    cases, first = [*given, *(2_000, 0)[len(given) :]]
    total = Report()
    for seed in range(first, first + cases):
        report = check_case(seed, faults=0.2 if seed % 2 else 0.0)
        for name, count in vars(report).items():
            setattr(total, name, getattr(total, name) + count)
    sys.stdout.write(f"{cases} cases: {vars(total)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
