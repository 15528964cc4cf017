"""CPU milliseconds to lint a workflow: a small one, a large one, and one as long as the API accepts.

    python -m bench.lint            one JSON line per workflow

Each is read, checked and linted with its trigger as `headrace workflows validate` does, in several rounds: `ms` is the
median of CPU time, `lint_ms` the part of the rules alone. The first round, which imports and compiles, is not counted.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from headrace.cli.definitions import Checked, check_definitions
from headrace.cli.linting import lint
from headrace.cli.trigger_files import CheckedTrigger, check_triggers
from headrace.workflows.config import MAX_STAGES

ROUNDS = 11
WANTED_MS = 50
"""For a file. Printed beside the figure, never asserted."""

SEND = """\
  - send:
      source: {{account: {{id: "escrow:${{order}}", ledger: shop, throughAccount: "out:{0}"}}}}
      # headrace: allow overdraft-on: a figure needs a comment, too
      destination: {{account: {{id: "merchants:{0}", ledger: bank, allowOverdraft: true}}}}
      amount: {{asset: USD/2, amount: "${{amount}}"}}
      metadata: {{order: "${{order}}"}}
"""
TRIGGER = """\
event: ledger.committed_transactions
filter: event.ledger == "shop" and any(event.transactions, any(.postings, hasPrefix(.source, "orders:")))
vars: {order: "event.transactions[0].metadata.order", amount: "string(event.transactions[0].postings[0].amount)"}
"""


def workflows(folder: Path) -> Iterator[tuple[str, Path]]:
    for stages in (5, 50, MAX_STAGES):
        file = folder / f"{stages}.yaml"
        file.write_text("name: bench\nstages:\n" + "".join(map(SEND.format, range(stages))))
        yield f"{stages} sends", file


def rounds(file: Path, trigger: Path) -> Iterator[tuple[float, float, int]]:
    """Milliseconds of everything and of the rules, and the number of findings, once per round."""
    for _ in range(ROUNDS):
        started = time.process_time()
        checked: list[Checked] = list(check_definitions(str(file)))
        triggers: list[CheckedTrigger] = list(check_triggers(str(trigger)))
        read = time.process_time()
        found = lint(checked, triggers)
        ended = time.process_time()
        yield (ended - started) * 1e3, (ended - read) * 1e3, len(found)


def main() -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        trigger = folder / "trigger.yaml"
        trigger.write_text(TRIGGER)
        for label, file in workflows(folder):
            _, *measured = rounds(file, trigger)
            figure: dict[str, Any] = {
                "record": "figure",
                "name": f"lint/{label}",
                "bytes": file.stat().st_size,
                "findings": measured[0][2],
                "ms": round(statistics.median(each[0] for each in measured), 2),
                "lint_ms": round(statistics.median(each[1] for each in measured), 2),
                "wanted_ms": WANTED_MS,
            }
            print(json.dumps(figure), flush=True)


if __name__ == "__main__":
    main()
