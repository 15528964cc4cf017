"""Matching one event against a thousand triggers, ten of them on its type: the time until it is known which fire.

    python -m bench.triggers        JSON lines; `python -m bench --only triggers` measures the same

All that the dispatcher does for an event before it starts something: the stored envelope is decoded, the triggers on
its type are read from the journal (SQLite, on disk), the record of earlier firings is looked at for each, and each
filter of two terms is evaluated over the event of about 1 KB. Every filter has a text of its own. Compiled filters are
kept, as they are in a server; `cold_ms` is the first event after a start, which finds none (and
imports what compiles them).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import uvloop

from bench.expr import EVENT
from headrace.clock import RandomIds, SystemClock
from headrace.events.envelope import stored_envelope
from headrace.journal.port import Unit
from headrace.journal.sqlite import SqliteJournal
from headrace.journal.writes import AddTrigger, AddWorkflow
from headrace.triggers.expressions import Evaluator, no_links
from headrace.triggers.firing import Firing
from headrace.triggers.matching import is_on

TRIGGERS = 1_000
ON_TYPE = 10
TYPE = "SAVED_PAYMENT"
EVENTS = 2_000
WARM_UP = 50
WANTED_MS = 1.0
"""Printed beside the figure, never asserted."""

ENVELOPE = json.dumps(
    {
        "date": "2024-05-17T09:30:15Z", "app": "payments", "version": "v3.0.0", "type": TYPE,
        "payload": EVENT["event"],
    }
)  # fmt: skip


async def matching(folder: Path, events: int = EVENTS) -> dict[str, float]:
    """Times of events one after another, and how many triggers fire on each."""
    journal = await SqliteJournal.open(folder / "triggers.db")
    evaluator = Evaluator(SystemClock(), no_links)
    try:
        await _create(journal)
        cold_ms = (await _timed_ms(journal, evaluator, 1))[0]
        await _timed_ms(journal, evaluator, WARM_UP)
        times = sorted(await _timed_ms(journal, evaluator, events))
        firing = len(await _matched(journal, evaluator, "counted"))
    finally:
        evaluator.close()
        await journal.close()
    p99_ms = times[len(times) * 99 // 100]
    return {"median_ms": statistics.median(times), "p99_ms": p99_ms, "cold_ms": cold_ms, "firing": firing}


async def _create(journal: SqliteJournal) -> None:
    """Every other trigger on the type fires. The rest is on types of their own, a hundred to a type."""
    now_at = SystemClock().now_at()
    unit = Unit()
    unit.add(AddWorkflow(workflow_id="w", name="bench", config='{"stages": []}', created_at=now_at, updated_at=now_at))
    for number in range(TRIGGERS):
        event = TYPE if number < ON_TYPE else f"OTHER_{number // 100}"
        source = f'event.status == "SUCCEEDED" and event.amount >= {25_000 - 4 + number % 2 * 10 - number // 2}'
        unit.add(
            AddTrigger(
                trigger_id=RandomIds().new(),
                name="",
                event=event,
                event_name=event.lower(),
                workflow_id="w",
                version=None,
                filter=source,
                vars=None,
                created_at=now_at,
            )
        )
    await journal.commit(unit)


async def _timed_ms(journal: SqliteJournal, evaluator: Evaluator, events: int) -> list[float]:
    times: list[float] = []
    for number in range(events):
        started = time.perf_counter()
        await _matched(journal, evaluator, f"event-{number}")
        times.append((time.perf_counter() - started) * 1e3)
    return times


async def _matched(journal: SqliteJournal, evaluator: Evaluator, key: str) -> list[str]:
    """As the dispatcher: which triggers would fire."""
    envelope = stored_envelope(ENVELOPE)
    found: list[str] = []
    on_type = [each for each in await journal.triggers_on(envelope.names, 2**62) if is_on(each, envelope)]
    assert len(on_type) == ON_TYPE
    for trigger in on_type:
        is_new = await journal.occurrence(trigger.id, key) is None
        if is_new and await Firing(evaluator, trigger, envelope.payload).matches():
            found.append(trigger.id)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.triggers", description=__doc__)
    parser.add_argument("--events", type=int, default=EVENTS, help="how many are matched")
    chosen = parser.parse_args()
    out = Path(__file__).parent / "out"
    out.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory(dir=out, prefix="data-") as folder,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        figures: dict[str, Any] = runner.run(matching(Path(folder), chosen.events))
    rounded = {name: float(f"{value:.4g}") for name, value in figures.items()}
    about = {"triggers": TRIGGERS, "on_type": ON_TYPE, "event_bytes": len(ENVELOPE), "wanted_ms": WANTED_MS}
    print(json.dumps({"record": "figure", "name": "triggers/match", **rounded, **about}))


if __name__ == "__main__":
    main()
