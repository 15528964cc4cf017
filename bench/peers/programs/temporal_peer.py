"""Temporal: its development server on a SQLite file (WAL, `synchronous=FULL`), one worker in the callers' process."""

from __future__ import annotations

import os
import sys
import uuid
from datetime import timedelta
from pathlib import Path

from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

with workflow.unsafe.imports_passed_through():
    from bench.peers.programs.common import Poster, Task, child, free_ports, measure, run, until

QUEUE = "bench"
LIMIT = timedelta(seconds=30)
TUNED = (
    "system.enableActivityEagerExecution=true",
    "matching.numTaskqueueReadPartitions=1",
    "matching.numTaskqueueWritePartitions=1",
    "frontend.namespaceRPS=100000",
    "frontend.rps=100000",
    "history.rps=100000",
    "matching.rps=100000",
    "frontend.persistenceMaxQPS=100000",
    "history.persistenceMaxQPS=100000",
    "matching.persistenceMaxQPS=100000",
)
"""For one node under load: no request is held back by a rate limit, no task by a second partition of its queue."""


@workflow.defn(name="one_post")
class OnePost:
    @workflow.run
    async def run(self, key: str) -> None:
        await workflow.execute_activity("post", f"{key}:0", start_to_close_timeout=LIMIT)


@workflow.defn(name="three_posts")
class ThreePosts:
    def __init__(self) -> None:
        self._may_go = False

    @workflow.signal(name="go")
    def go(self) -> None:
        self._may_go = True

    @workflow.run
    async def run(self, key: str) -> None:
        await workflow.execute_activity("post", f"{key}:0", start_to_close_timeout=LIMIT)
        await workflow.wait_condition(lambda: self._may_go)
        await workflow.execute_activity("post", f"{key}:1", start_to_close_timeout=LIMIT)
        await workflow.execute_activity("post", f"{key}:2", start_to_close_timeout=LIMIT)


async def main() -> None:
    task = Task.given()
    port, http_port, metrics_port = free_ports(3)
    log = task.folder / "temporal.log"
    command = [str(Path(sys.executable).parent / "temporal"), "server", "start-dev", "--headless"]
    command += ["--ip", "127.0.0.1", "--port", str(port), "--http-port", str(http_port)]
    command += ["--metrics-port", str(metrics_port), "--log-level", "error"]
    command += ["--db-filename", str(task.folder / "temporal.db")]
    command += ["--sqlite-pragma", "journal_mode=WAL", "--sqlite-pragma", "synchronous=FULL"]
    for setting in TUNED:
        command += ["--dynamic-config-value", setting]
    clients: list[Client] = []

    async def connect() -> None:
        client = await Client.connect(f"127.0.0.1:{port}")
        await client.count_workflows("")
        clients.append(client)

    with child(command, log, TEMPORAL_DISABLE_UPDATE_CHECK="1", DO_NOT_TRACK="1") as server:
        await until(connect, server, log)
        client = clients[0]
        poster = Poster(task.url, task.body)

        @activity.defn(name="post")
        async def post(key: str) -> int:
            return await poster.post(key)

        async def one(number: int) -> None:
            key = str(uuid.uuid4())
            if task.workload == "W2":
                handle = await client.start_workflow("three_posts", key, id=key, task_queue=QUEUE, start_signal="go")
            else:
                handle = await client.start_workflow("one_post", key, id=key, task_queue=QUEUE)
            await handle.result()

        worker = Worker(
            client,
            task_queue=QUEUE,
            workflows=[OnePost, ThreePosts],
            activities=[post],
            workflow_runner=UnsandboxedWorkflowRunner(),
            max_concurrent_activities=task.callers * 2,
        )
        async with worker:
            await measure(task, one, [os.getpid()])
        await poster.close()


if __name__ == "__main__":
    run(main())
