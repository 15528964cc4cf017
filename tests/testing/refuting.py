"""Proves examples until one is refuted, and prints which, and under which schedule; exits 1 then, 0 where all hold.

    python -m tests.testing.refuting 01-ledger-transfer 15-saga

The first of them is proved first. Plain runs come before proofs: they cost little, and many bugs show in them.
"""

from __future__ import annotations

import json
import sys
from functools import cache

from headrace.demo.examples import examples_folder
from headrace.testing.cases import Suite, read_suite
from headrace.testing.proving import DEFAULT_RUNS, Refutation, prove


@cache
def suite_of(example: str) -> Suite:
    """The cases of an example, by the name of its folder."""
    folder = examples_folder() / example
    return read_suite(folder / "workflow.test.yaml", workflow=folder / "workflow.yaml")


def refuted(examples: list[str]) -> tuple[str, Refutation] | None:
    for chosen in (examples[:1], examples):
        for runs in (0, DEFAULT_RUNS):
            for example in chosen:
                if (found := prove(suite_of(example), max_runs=runs).refutation) is not None:
                    return example, found
    return None


def main() -> int:
    found = refuted(sys.argv[1:])
    if found is None:
        return 0
    example, refutation = found
    told = {"example": example, "case": refutation.case, "schedule": "; ".join(refutation.schedule.about)}
    sys.stdout.write(json.dumps(told) + "\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
