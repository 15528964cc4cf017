"""Certificates at full size: `python -m tests.certificates [--mutants 1000] [--honest 5000] [--periods N] [--record]`.

Honest cases must all be certified, mutants must all be refused. With `--periods N`, that of periods of several cases
instead: N / 3 honest ones, whose files both checkers accept; N mutants of one of their cases, which must be refused;
and files that do not hold, which both checkers must refuse. `--record` writes the counts to `results.jsonl`, a line for
each kind, and keeps those of the other run. Exits 1 where a mutant is certified or an honest case is refused.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from pathlib import Path

from headrace.certificates.envelope import sign
from headrace.errors import NotCertifiable
from tests.certificates.cases import certified, ran_case
from tests.certificates.mutants import of_case, refused
from tests.certificates.periods import file_mutants, honest_period, mutated_periods, some_cases
from tests.certificates.test_envelope import KEY, KID, both, pinned

Line = dict[str, object]
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


def periods(count: int) -> tuple[list[Line], list[str]]:
    """The lines of a third as many honest periods, of their files, and of this many mutants of their cases."""
    failures: list[str] = []
    files: Counter[str] = Counter()
    ended = refusals = 0
    honest_count = count // 3
    for seed in range(honest_count):
        with some_cases(seed) as rans:
            try:
                payload = honest_period(rans)
            except NotCertifiable as error:
                failures.append(f"seed {seed}: an honest period was refused: {error.code}: {error}")
                refusals += 1
                continue
        ended += len(payload["lines"])
        if both(sign(payload, KID, KEY).encode(), pinned()):
            failures.append(f"seed {seed}: the file of an honest period was refused")
            refusals += 1
        for name, mutant in file_mutants(payload):
            files[name] += 1
            if not both(sign(mutant, KID, KEY).encode(), pinned()):
                failures.append(f"seed {seed}: a file with {name} was accepted")
    codes, misses = mutated_periods(count)
    total = codes.total() + len(misses)
    lines: list[Line] = [
        {"periods": honest_count, "cases": ended, "refused": refusals},
        {"period_mutants": total, "certified": len(misses)},
        {"period_files": files.total(), "accepted": sum("was accepted" in each for each in failures)},
        *({"period_mutant": name, "refused": code, "count": codes[name, code]} for name, code in sorted(codes)),
        *({"period_file": name, "count": files[name]} for name in sorted(files)),
    ]
    return lines, [*failures, *misses]


def is_of_periods(line: str) -> bool:
    return line.startswith('{"period')


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.certificates")
    parser.add_argument("--mutants", type=int, default=1_000)
    parser.add_argument("--honest", type=int, default=5_000)
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--periods", type=int, default=0)
    options = parser.parse_args()
    began_s = time.monotonic()
    lines, failures = periods(options.periods) if options.periods else cases(options.honest, options.mutants)
    for failure in failures:
        sys.stdout.write(f"{failure}\n")
    text = "".join(f"{json.dumps(line)}\n" for line in lines)
    if options.record:
        recorded = RESULTS.read_text("utf-8").splitlines(keepends=True)
        others = "".join(line for line in recorded if is_of_periods(line) is not bool(options.periods))
        RESULTS.write_text(others + text if options.periods else text + others, encoding="utf-8")
    sys.stdout.write(f"{text}{time.monotonic() - began_s:.0f} s\n")
    return 1 if failures else 0


def cases(count: int, mutants: int) -> tuple[list[Line], list[str]]:
    """The lines of honest cases, and of mutants."""
    endings, refusals = honest(count)
    codes, misses = mutated(mutants)
    ended = sum(endings[name] for name in ("succeeded", "failed", "canceled"))
    lines: list[Line] = [
        {"honest": ended, "refused": len(refusals), **dict(sorted(endings.items()))},
        {"mutants": codes.total() + len(misses), "certified": len(misses)},
        *({"mutant": name, "refused": code, "count": codes[name, code]} for name, code in sorted(codes)),
    ]
    return lines, [*refusals, *misses]


if __name__ == "__main__":
    sys.exit(main())
