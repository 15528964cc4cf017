"""How long `headrace prove` takes: for the example with the most effects, and for one case with ten effects.

    python -m bench.prove [--rounds 3]

The command is run as a user runs it, from its start to its end. A life is one run of a proof: with a kill, a fault, an
abort or an event at another moment. `s_for_300` is what 300 of them take at that rate, the start of the command
included; wanted are at most 10 seconds on two cores.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench import machine
from bench.report import Report
from headrace.demo.examples import examples_folder
from headrace.testing.cases import read_suite
from headrace.testing.proving import prove

OUT = Path(__file__).parent / "out"
EFFECTS = 10
LIVES = 300
WANTED_S = 10.0
"""Printed beside the figure, never asserted."""

SEND = """\
  - send:
      source: {{account: {{id: "users:jane", ledger: main}}}}
      destination: {{account: {{id: "shops:{number}", ledger: main}}}}
      amount: {{asset: USD/2, amount: "${{amount}}"}}
"""
CASES = """\
workflow: workflow.yaml
given:
  ledgers: {main: {users:jane: {balance: {USD/2: 5000}}}}
cases:
  - name: pays ten shops
    run: {amount: "100"}
    expect: {outcome: succeeded, balances: {main: {users:jane: {USD/2: 4000}}}}
"""


def richest_example() -> Path:
    """The folder of the example whose cases have the most effects in all, undisturbed."""
    folders = sorted(path.parent for path in examples_folder().glob("*/workflow.test.yaml"))
    return max(folders, key=lambda folder: prove(read_suite(folder / "workflow.test.yaml"), max_runs=0).effects)


def generated(folder: Path) -> Path:
    """A workflow of ten sends with one case, in this folder."""
    stages = "".join(SEND.format(number=number) for number in range(EFFECTS))
    (folder / "workflow.yaml").write_text(f"name: ten-effects\nstages:\n{stages}")
    (folder / "workflow.test.yaml").write_text(CASES)
    return folder


def measure(folder: Path) -> dict[str, Any]:
    """One proof of the cases in a folder."""
    command = [sys.executable, "-m", "headrace.cli", "prove", str(folder / "workflow.yaml"), "-o", "json"]
    before, started_s = _cpu_s(), time.monotonic()
    ran = subprocess.run(
        [*command, "--cases", str(folder / "workflow.test.yaml")], capture_output=True, text=True, check=True
    )
    wall_s, cpu_s = time.monotonic() - started_s, _cpu_s() - before
    proof = json.loads(ran.stdout)["data"]
    lives = proof["runs"]
    return {
        "effects": proof["effects"],
        "interactions": proof["interactions"],
        "lives": lives,
        "wall_s": round(wall_s, 2),
        "cpu_s": round(cpu_s, 2),
        "cpu_ms_each": round(cpu_s / lives * 1e3, 1),
        "s_for_300": round(wall_s / lives * LIVES, 2),
        "wanted_s": WANTED_S,
    }


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.prove", description="How long proofs take.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, help="file of JSON lines  [default: bench/out/prove-TIME.jsonl]")
    chosen = parser.parse_args()
    OUT.mkdir(exist_ok=True)
    report = Report(chosen.out or OUT / f"prove-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.jsonl", sys.stdout)
    report.write({**machine.description(OUT), "command": " ".join(["python -m bench.prove", *sys.argv[1:]])})
    example = richest_example()
    with TemporaryDirectory() as name:
        cases = {example.name: example, "ten effects": generated(Path(name))}
        for number in range(1, chosen.rounds + 1):
            for label, folder in cases.items():
                report.write({"record": "figure", "round": number, "case": label, **measure(folder)})


if __name__ == "__main__":
    main()
