"""Headrace's engine on Temporal beside a workflow written by hand for the same work, on one server, in turn.

    python -m bench.temporal --rounds 5 --instances 120 [--workers 2]

Both do the same HTTP calls to the ledger that does nothing (`bench.downstream`): W1 is one, W2 three and an awaited
event. By hand means an activity for each call and no journal. Each has one worker process, or so many. Only ratios
within a round count: the machine is shared. Each line also has the CPU time of the workers of both, in milliseconds
for an instance.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
from aiohttp import ClientSession, TCPConnector
from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.worker import Worker

from bench import downstream
from bench.workloads import EVENT, VARIABLES, W1, W2, post_request
from tests.support.postgres import PostgresServer
from tests.support.server import free_port
from tests.support.temporal import NAMESPACES, TemporalServer

QUEUE = "by-hand"
CALLERS = 64
LIMIT = timedelta(seconds=60)


@workflow.defn(name="by-hand.w1", sandboxed=False)
class OneCall:
    @workflow.run
    async def run(self, body: str) -> str:
        return await workflow.execute_activity("post", body, result_type=str, start_to_close_timeout=LIMIT)


@workflow.defn(name="by-hand.w2", sandboxed=False)
class ThreeCallsAndAnEvent:
    def __init__(self) -> None:
        self._events = 0

    @workflow.signal
    def go(self) -> None:
        self._events += 1

    @workflow.run
    async def run(self, body: str) -> str:
        await workflow.execute_activity("post", body, result_type=str, start_to_close_timeout=LIMIT)
        await workflow.wait_condition(lambda: self._events > 0)
        await workflow.execute_activity("post", body, result_type=str, start_to_close_timeout=LIMIT)
        return await workflow.execute_activity("post", body, result_type=str, start_to_close_timeout=LIMIT)


async def work_by_hand(address: str, ledger: str) -> None:
    """The worker of the workflows by hand, until it is ended."""
    client = await Client.connect(address, namespace=NAMESPACES[0])
    async with ClientSession(connector=TCPConnector(limit=0)) as http:

        @activity.defn(name="post")
        async def post(body: str) -> str:
            url, headers = ledger + post_request().path, {"content-type": "application/json"}
            async with http.post(url, data=body.encode(), headers=headers) as answer:
                return str((await answer.json(content_type=None))["data"]["id"])

        worker = Worker(
            client,
            task_queue=QUEUE,
            workflows=[OneCall, ThreeCallsAndAnEvent],
            activities=[post],
            max_concurrent_activities=500,
            max_concurrent_workflow_tasks=200,
        )
        print("ready", flush=True)
        await worker.run()


class ByHand:
    def __init__(self, client: Client) -> None:
        self._client = client
        self._count = 0

    async def play(self, kind: str) -> None:
        self._count += 1
        run = OneCall.run if kind == "W1" else ThreeCallsAndAnEvent.run
        body = (post_request().body or b"").decode()
        handle: Any = await self._client.start_workflow(run, body, id=f"hand-{self._count}", task_queue=QUEUE)
        if kind == "W2":
            await handle.signal(ThreeCallsAndAnEvent.go)
        await handle.result()


class Ours:
    """An API server's part, in this process: use cases over the journal, and the wait for the end."""

    def __init__(self, ports: Any, workflows: dict[str, str]) -> None:
        self._ports = ports
        self._workflows = workflows

    async def play(self, kind: str) -> None:
        from headrace.usecases.instances import send_event, start_instance

        instance_id = (await start_instance(self._ports, None, self._workflows[kind], VARIABLES)).target
        if kind == "W2":
            await send_event(self._ports, None, instance_id, {"name": EVENT})
        await self._ports.engine.ended(instance_id, 120.0)


@contextlib.asynccontextmanager
async def ours(database: str, address: str) -> AsyncIterator[Ours]:
    from headrace.clock import RandomIds, SystemClock
    from headrace.engine.meter import NoMeter
    from headrace.engine.temporal.client import TemporalOptions
    from headrace.engine.temporal.engine import TemporalEngine
    from headrace.engine.temporal.nudger import Nudger
    from headrace.events.outbox import Outbox
    from headrace.journal.port import Unit
    from headrace.journal.postgres import PostgresJournal
    from headrace.journal.writes import AddWorkflow
    from headrace.runner.policy import Policy
    from headrace.runner.runners import Runners
    from tests.support.ports import instance_ports

    journal, clock, ids = await PostgresJournal.open(database), SystemClock(), RandomIds()
    runners = Runners(clock.now_at, ids.new, Outbox().announce, Policy())
    nudger = Nudger(TemporalOptions(address=address, namespace=NAMESPACES[0]), NoMeter(), step_s=300.0)
    engine = TemporalEngine(journal, nudger, clock, runners, begin_within_s=1.0, meter=NoMeter())
    await engine.start()
    unit = Unit()
    for name, stages in (("W1", W1), ("W2", W2)):
        config = json.dumps({"stages": stages})
        unit.add(AddWorkflow(workflow_id=name, name=name, config=config, created_at=1, updated_at=1))
    await journal.commit(unit)
    try:
        yield Ours(instance_ports(journal, engine, runners, clock, ids), {"W1": "W1", "W2": "W2"})
    finally:
        await engine.stop()
        await journal.close()


async def many(play: Callable[[], Awaitable[None]], count: int) -> float:
    """Instances per second, with 64 callers."""
    numbers, began_s = iter(range(count)), time.perf_counter()

    async def caller() -> None:
        for _ in numbers:
            await play()

    await asyncio.gather(*(caller() for _ in range(CALLERS)))
    return count / (time.perf_counter() - began_s)


def cpu_s(processes: list[subprocess.Popen[bytes]]) -> float:
    times = [psutil.Process(each.pid).cpu_times() for each in processes]
    return sum(each.user + each.system for each in times)


async def measure(folder: Path, rounds: int, count: int, worker_count: int) -> None:
    from headrace.journal.postgres import migrate

    temporal = TemporalServer(folder / "temporal")
    await asyncio.to_thread(temporal.start)
    workers: list[subprocess.Popen[bytes]] = []
    with PostgresServer(folder / "pg") as postgres, downstream.running() as ledger, contextlib.ExitStack() as stack:
        stack.callback(temporal.kill)
        stack.callback(lambda: [worker.kill() for worker in workers])
        database = postgres.create("bench")
        migrate(database)
        environment = {
            **os.environ,
            "HEADRACE_DATABASE_URL": database,
            "HEADRACE_TEMPORAL_ADDRESS": temporal.address,
            "HEADRACE_TEMPORAL_NAMESPACE": NAMESPACES[0],
            "HEADRACE_LEDGER_URL": ledger,
            "HEADRACE_LOG_INSTANCES_PER_S": "0",
        }
        hand = [sys.executable, "-m", "bench.temporal", "--by-hand", temporal.address, "--ledger", ledger]
        own = [sys.executable, "-m", "headrace.cli", "worker", "--health-port"]
        by_hand = [subprocess.Popen(hand, stdout=subprocess.PIPE) for _ in range(worker_count)]
        of_ours = [
            subprocess.Popen([*own, str(free_port())], env=environment, stdout=subprocess.DEVNULL)
            for _ in range(worker_count)
        ]
        workers += [*by_hand, *of_ours]
        for worker in by_hand:
            assert worker.stdout is not None
            worker.stdout.readline()
        client = await Client.connect(temporal.address, namespace=NAMESPACES[0])
        async with ours(database, temporal.address) as headrace:
            sides: dict[str, Any] = {
                "by hand": (ByHand(client), by_hand),
                "headrace": (headrace, of_ours),
            }
            ratios: dict[str, list[float]] = {"W1": [], "W2": []}
            for number in range(-1, rounds):
                for kind, of_kind in ratios.items():
                    found: dict[str, tuple[float, float]] = {}
                    for name in sorted(sides, reverse=bool(number % 2)):
                        side, own_workers = sides[name]
                        before_s, instances = cpu_s(own_workers), count if kind == "W1" else count // 2
                        per_s = await many(lambda side=side, kind=kind: side.play(kind), instances)
                        found[name] = per_s, (cpu_s(own_workers) - before_s) * 1e3 / instances
                    if number < 0:
                        continue  # the first round warms up
                    ratio = found["headrace"][0] / found["by hand"][0]
                    of_kind.append(ratio)
                    line = {
                        "round": number,
                        "kind": kind,
                        "workers": worker_count,
                        "ratio": round(ratio, 2),
                        "per_s": {name: round(each[0], 1) for name, each in found.items()},
                        "worker_cpu_ms": {name: round(each[1], 1) for name, each in found.items()},
                        "load": round(os.getloadavg()[0], 1),
                    }
                    print(json.dumps(line), flush=True)
            print(json.dumps({kind: round(statistics.median(found), 2) for kind, found in ratios.items()}), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.temporal", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--instances", type=int, default=120)
    parser.add_argument("--workers", type=int, default=1, help="of each side")
    parser.add_argument("--by-hand", metavar="ADDRESS", help=argparse.SUPPRESS)
    parser.add_argument("--ledger", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.by_hand:
        asyncio.run(work_by_hand(chosen.by_hand, chosen.ledger))
        return
    with tempfile.TemporaryDirectory(prefix="bench-", dir="/tmp") as folder:
        Path(folder).chmod(0o755)  # PostgreSQL's own user must get in
        asyncio.run(measure(Path(folder), chosen.rounds, chosen.instances, chosen.workers))


if __name__ == "__main__":
    main()
