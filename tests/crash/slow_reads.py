"""Starts, events and aborts at once, on a journal whose reads suspend.

    python -m tests.crash.slow_reads --seeds 1000

Each seed is an instance with callers of its own. Counted are second runs (two tasks that drive one instance), false
answers (an error that the journal contradicts, an event that is lost, an attempt after an abort was confirmed) and
double sends (an effect sent again although its answer was clear).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from headrace.clock import RandomIds
from headrace.effects.port import Request, Response
from headrace.engine.embedded import EmbeddedEngine
from headrace.engine.limits import EngineLimits
from headrace.errors import AlreadyEnded, HeadraceError
from headrace.events.outbox import Outbox
from headrace.journal.port import Unit
from headrace.journal.records import Instance, Workflow
from headrace.journal.sqlite import SqliteJournal
from headrace.journal.writes import AddWorkflow
from headrace.runner.policy import Policy
from headrace.runner.runners import Runners
from headrace.usecases import instances as usecases
from headrace.usecases.ports import Ports
from tests.support.in_process import FastClock
from tests.support.ports import instance_ports, start
from tests.support.slow_reads import SlowReads

AT_ONCE = 40
SEND: dict[str, Any] = {
    "send": {
        "source": {"account": {"id": "world", "ledger": "main"}},
        "destination": {"account": {"id": "bob", "ledger": "main"}},
        "amount": {"asset": "USD/2", "amount": 1},
    }
}
WAIT: dict[str, Any] = {"wait_event": {"event": "go"}}
PAUSE: dict[str, Any] = {"delay": {"duration": "1s"}}
SHAPES = (
    [WAIT, SEND, SEND],
    [SEND, WAIT, SEND],
    [PAUSE, SEND, WAIT, SEND],
    [WAIT, PAUSE, SEND, SEND],
    [SEND, SEND, WAIT, WAIT, SEND],
    [WAIT, WAIT, PAUSE, SEND],
)


@dataclass
class Findings:
    """What must not happen, each as a sentence with its seed."""

    second_runs: list[str] = field(default_factory=list)
    false_answers: list[str] = field(default_factory=list)
    double_sends: list[str] = field(default_factory=list)
    seen: Counter[str] = field(default_factory=Counter)

    @property
    def problems(self) -> list[str]:
        return [*self.second_runs, *self.false_answers, *self.double_sends]


class Ledger:
    """Answers every request, after 0 to 3 ms, and keeps when each key was sent."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self.sent: dict[str, list[float]] = {}

    async def send(self, request: Request) -> Response:
        self.sent.setdefault(request.key, []).append(asyncio.get_running_loop().time())
        await asyncio.sleep(self._random.uniform(0.0, 0.003))
        body = json.loads(request.body or b"{}")
        posting = {"source": "world", "destination": "bob", "amount": 1, "asset": "USD/2"}
        transaction = {
            "id": 1,
            "postings": body.get("postings") or [posting],
            "metadata": body.get("metadata") or {},
            "reference": body.get("reference", ""),
            "timestamp": "2024-01-01T00:00:00Z",
            "reverted": False,
        }
        text = json.dumps({"data": transaction}).encode()
        return Response(200, text, {"content-type": "application/json"})

    async def close(self) -> None: ...


class Watched(EmbeddedEngine):
    """Counts the tasks that drive each instance at one time."""

    driving: Counter[str]
    findings: Findings

    async def _drive(self, active: Any, *rest: Any) -> None:
        self.driving[active.id] += 1
        if self.driving[active.id] > 1:
            self.findings.second_runs.append(f"{active.id} is driven by {self.driving[active.id]} tasks")
        try:
            await super()._drive(active, *rest)
        finally:
            self.driving[active.id] -= 1


async def _play(
    ports: Ports, engine: Watched, journal: SqliteJournal, workflows: list[Workflow], seed: int, ledger: Ledger
) -> None:
    chance, findings = random.Random(seed), engine.findings
    number = chance.randrange(len(SHAPES))
    waits = SHAPES[number].count(WAIT)
    aborts = chance.choice((0, 0, 1, 2))
    instance_id = (await start(ports, workflows[number], {})).id
    aborted_at: list[float] = []
    refused: list[str] = []

    async def send_event(name: str) -> None:
        await asyncio.sleep(chance.uniform(0.0, 0.02))
        try:
            await usecases.send_event(ports, None, instance_id, {"name": name})
        except AlreadyEnded:
            if name == "go":
                refused.append("event")
        except HeadraceError as error:
            findings.false_answers.append(f"seed {seed}: an event is answered {error!r}")

    async def abort() -> None:
        await asyncio.sleep(chance.uniform(0.0, 0.02))
        try:
            await usecases.abort_instance(ports, None, instance_id)
            aborted_at.append(asyncio.get_running_loop().time())
        except AlreadyEnded:
            refused.append("abort")
        except HeadraceError as error:
            findings.false_answers.append(f"seed {seed}: an abort is answered {error!r}")

    noise = chance.randrange(5)  # each is a reason to read the instance
    names = ["go"] * waits + ["noise"] * noise
    await asyncio.gather(*(send_event(name) for name in names), *(abort() for _ in range(aborts)))
    await engine.ended(instance_id, 20)
    instance = await journal.instance(instance_id)
    assert instance is not None
    _judge(findings, ledger, seed, instance, aborts, aborted_at, refused)


def _judge(
    findings: Findings,
    ledger: Ledger,
    seed: int,
    instance: Instance,
    aborts: int,
    aborted_at: list[float],
    refused: list[str],
) -> None:
    outcome = "aborted" if instance.error == "canceled" else instance.error or "succeeded"
    findings.seen[outcome if instance.is_terminal else "running"] += 1
    if not instance.is_terminal:
        findings.false_answers.append(f"seed {seed}: all events are answered, and the instance still waits")
    if len(aborted_at) != (1 if instance.error == "canceled" else 0):
        findings.false_answers.append(f"seed {seed}: {len(aborted_at)} aborts are confirmed; it ended: {outcome}")
    if instance.is_terminal and outcome not in {"aborted", "succeeded"}:
        findings.false_answers.append(f"seed {seed}: it ended with {outcome}")
    if aborts == 0 and refused:
        findings.false_answers.append(f"seed {seed}: refused as ended, and nothing had ended it")
    for key, times in ledger.sent.items():
        if not key.startswith(f"headrace:{instance.id}:"):
            continue
        if len(times) > 1:
            findings.double_sends.append(f"seed {seed}: {key} is sent {len(times)} times")
        if aborted_at and times[-1] > aborted_at[0]:
            findings.false_answers.append(f"seed {seed}: an attempt begins after the abort is confirmed")


async def examine(folder: Path, seeds: range) -> Findings:
    """Play these seeds, some of them at once."""
    findings, ledger, clock = Findings(), Ledger(seeds.start), FastClock()
    journal = await SqliteJournal.open(folder / "journal.db")
    slow: Any = SlowReads(journal, seeds.start)
    ids = RandomIds()
    runners = Runners(clock.now_at, ids.new, Outbox().announce, Policy())
    engine = Watched(slow, ledger, clock, runners, EngineLimits(settle_s=5.0), jitter=lambda: 1.0)
    ports = instance_ports(slow, engine, runners, clock, ids)
    engine.driving, engine.findings = Counter(), findings
    workflows: list[Workflow] = []
    for number, stages in enumerate(SHAPES):
        unit = Unit()
        config = json.dumps({"stages": stages})
        unit.add(AddWorkflow(workflow_id=f"w{number}", name=None, config=config, created_at=1, updated_at=1))
        await journal.commit(unit)
        stored = await journal.workflow(f"w{number}")
        assert stored is not None
        workflows.append(stored)
    await engine.start()
    slots = asyncio.Semaphore(AT_ONCE)

    async def one(seed: int) -> None:
        async with slots:
            await _play(ports, engine, journal, workflows, seed, ledger)

    await asyncio.gather(*(one(seed) for seed in seeds))
    await engine.stop()
    await journal.close()
    return findings


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=1_000)
    seeds = range(parser.parse_args().seeds)
    with tempfile.TemporaryDirectory() as folder:
        findings = asyncio.run(examine(Path(folder), seeds))
    counts = {name: len(getattr(findings, name)) for name in ("second_runs", "false_answers", "double_sends")}
    print(json.dumps({"seeds": len(seeds), **counts, "ended": dict(findings.seen)}))
    for problem in findings.problems[:20]:
        print(problem)


if __name__ == "__main__":
    main()
