"""Certificates at full size: `python -m tests.certificates [--mutants 1000] [--honest 5000] [--record]`.

Honest cases must all be certified, mutants must all be refused. `--record` writes the counts to `results.jsonl`, a line
for each kind. Exits 1 where a mutant is certified or an honest case is refused.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from pathlib import Path

from headrace.errors import NotCertifiable
from tests.certificates.cases import certified, ran_case
from tests.certificates.mutants import of_case, refused

RESULTS = Path(__file__).with_name("results.jsonl")


def honest(count: int, first: int = 0) -> tuple[Counter[str], list[str]]:
    """Certify this many cases by chance. Returns how they ended, and each that was refused."""
    counts: Counter[str] = Counter()
    failures: list[str] = []
    for seed in range(first, first + count):
        with ran_case(seed) as ran:
            if ran is None:
                counts["no case"] += 1
                continue
            try:
                payload = ran.certify()
            except NotCertifiable as error:
                failures.append(f"seed {seed}: {error.code}: {error}")
                continue
            counts[payload["instances"][0]["outcome"]] += 1
            counts.update(f"declared {each['kind']}" for each in payload["exceptions"])
            counts["effects"] += len(payload["effects"])
    return counts, failures


def mutated(count: int, first: int = 0) -> tuple[Counter[tuple[str, str]], list[str]]:
    """Try at least this many mutants. Returns how often each was refused with which code, and each that was not."""
    counts: Counter[tuple[str, str]] = Counter()
    failures: list[str] = []
    seed = first
    while counts.total() + len(failures) < count:
        with ran_case(seed) as ran:
            for mutant in () if ran is None else of_case(ran, seed):
                assert ran is not None
                try:
                    refused(ran, mutant, certified)
                except NotCertifiable as error:
                    counts[mutant.name, error.code] += 1
                else:
                    failures.append(f"seed {seed}: {mutant.name} was certified")
        seed += 1
    return counts, failures


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.certificates")
    parser.add_argument("--mutants", type=int, default=1_000)
    parser.add_argument("--honest", type=int, default=5_000)
    parser.add_argument("--record", action="store_true")
    options = parser.parse_args()
    began_s = time.monotonic()
    endings, refusals = honest(options.honest)
    codes, misses = mutated(options.mutants)
    for failure in [*refusals, *misses]:
        sys.stdout.write(f"{failure}\n")
    cases = sum(endings[name] for name in ("succeeded", "failed", "canceled"))
    lines: list[dict[str, object]] = [
        {"honest": cases, "refused": len(refusals), **dict(sorted(endings.items()))},
        {"mutants": codes.total() + len(misses), "certified": len(misses)},
        *({"mutant": name, "refused": code, "count": codes[name, code]} for name, code in sorted(codes)),
    ]
    text = "".join(f"{json.dumps(line)}\n" for line in lines)
    if options.record:
        RESULTS.write_text(text, encoding="utf-8")
    sys.stdout.write(f"{text}{time.monotonic() - began_s:.0f} s\n")
    return 1 if refusals or misses else 0


if __name__ == "__main__":
    sys.exit(main())
