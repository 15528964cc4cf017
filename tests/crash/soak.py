"""The crash tests at full size: `make soak`, or a part of it: `make soak ARGS="--only drop --instances 50 --seed 7"`.

Prints a JSON line for each scenario with its seed, its figures and how long it took. Exit 0: nothing violated;
1: violated; 2: inconclusive.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.crash import players, scenarios
from tests.crash.books import Inconclusive
from tests.crash.scenarios import Outcome

FAULTS = {
    "drop": ("ledger:drop:0.2", "wallets:drop:0.2", "payments:drop:0.2"),
    "overlap": ("ledger:overlap:0.2", "wallets:overlap:0.2"),
    "500": ("ledger:500:0.2", "wallets:500:0.2", "payments:500:0.2"),
    "429": ("ledger:429:0.2", "wallets:429:0.2", "payments:429:0.2"),
    "mixed": ("ledger:drop:0.1", "ledger:overlap:0.1", "ledger:503:0.1", "wallets:drop:0.2", "payments:drop:0.2"),
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.crash.soak", description=__doc__)
    parser.add_argument("--instances", type=int, default=200, help="of each example")
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="scenarios whose name holds this")
    chosen = parser.parse_args()
    exits = [_carry_out(name, scenario, chosen) for name, scenario in _scenarios(chosen) if chosen.only in name]
    return max(exits, default=2)


def _scenarios(chosen: argparse.Namespace) -> Iterator[tuple[str, Callable[[Path], Outcome]]]:
    examples = players.all_examples()
    for name, faults in FAULTS.items():
        yield name, lambda folder, f=faults: scenarios.under_fault(folder, f, examples, chosen.instances)
    sizes = (examples, chosen.instances, chosen.kills, chosen.seed)
    yield "kills", lambda folder: scenarios.under_kills(folder, *sizes)
    yield "kills and mixed", lambda folder: scenarios.under_kills(folder, *sizes, FAULTS["mixed"])


def _carry_out(name: str, scenario: Callable[[Path], Outcome], chosen: argparse.Namespace) -> int:
    started, word, shown, kills = time.monotonic(), "clean", "", {}
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        try:
            outcome = scenario(Path(folder) / "data")
            shown, kills = outcome.verdict.shown(), {"kills": outcome.kills, "kills_in_flight": outcome.kills_in_flight}
        except Inconclusive as error:
            word, shown = "inconclusive", str(error)
        except Exception as error:
            word, shown = "violated", f"{type(error).__name__}: {error}"
    sizes = {"instances": chosen.instances, "seed": chosen.seed, **(kills if "kills" in name else {})}
    took_s = round(time.monotonic() - started, 1)
    about = {"scenario": name, "result": word, **sizes, "took_s": took_s, "commit": _commit()}
    print(json.dumps({**about, "figures": shown}), flush=True)
    return {"clean": 0, "violated": 1, "inconclusive": 2}[word]


def _commit() -> str:
    """Read after the scenario: a tree that changed under it says so as `-dirty` or another commit."""
    command = ["git", "describe", "--always", "--dirty"]
    folder = Path(__file__).parent
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False).stdout.strip() or "unknown"


if __name__ == "__main__":
    sys.exit(main())
