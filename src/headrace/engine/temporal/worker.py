"""The worker: the process that takes steps for Temporal, as many at once as it may."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from datetime import timedelta
from typing import Protocol

import structlog
from temporalio.client import Client
from temporalio.worker import PollerBehaviorAutoscaling, Worker
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from headrace.clock import Clock
from headrace.engine.temporal.client import TemporalOptions, connect
from headrace.engine.temporal.steps import Steps
from headrace.engine.temporal.workflows import InstanceWorkflow
from headrace.errors import Unusable
from headrace.journal.port import Journal

log = structlog.get_logger("headrace.engine")

AGAIN_S = 2.0
MOST_SKEW_S = 2.0
WORKFLOW_TASKS = 200
LAST_S = 3.0
"""Time for the SDK to report to Temporal how the steps have ended, after the time for the attempts is over."""
CANCEL_S = 1.0
NAMED = 10

SANDBOX = SandboxedWorkflowRunner(SandboxRestrictions.default.with_passthrough_modules("headrace", "msgspec"))
"""Modules that the workflow's file uses are not imported anew for each run; a test limits what it may import."""


async def check_clock(journal: Journal, clock: Clock) -> None:
    """Refuse a clock that differs from the database's: delays would end early or late. Raises Unusable, Unavailable."""
    off_s = (clock.now_at() - await journal.clock_at()) / 1e6
    if abs(off_s) > MOST_SKEW_S:
        raise Unusable(f"the clock of this machine is {off_s:+.1f} s off the database's; synchronize both, as with NTP")


async def connected(options: TemporalOptions, clock: Clock) -> Client:
    """Connect, however long Temporal is away. Raises InvalidValue for a bad certificate."""
    is_first = True
    while True:
        try:
            return await connect(options, lazy=False)
        except RuntimeError as error:
            if is_first:
                log.warning("Temporal does not answer; trying again", address=options.address, reason=str(error))
            is_first = False
            await clock.sleep(AGAIN_S)


@contextlib.asynccontextmanager
async def taking_steps(
    client: Client,
    steps: Steps,
    options: TemporalOptions,
    *,
    at_once: int,
    cached_workflows: int,
    stop_s: float,
) -> AsyncGenerator[None]:
    """Take steps until the block ends, which waits up to `stop_s` for attempts under way.

    `at_once`: most steps under way; `cached_workflows`: most workflows in memory.
    """
    worker = Worker(
        client,
        task_queue=options.task_queue,
        workflows=[InstanceWorkflow],
        activities=[steps.step],
        workflow_runner=SANDBOX,
        max_concurrent_activities=at_once,
        max_concurrent_local_activities=at_once,
        max_concurrent_workflow_tasks=WORKFLOW_TASKS,
        max_cached_workflows=cached_workflows,
        workflow_task_poller_behavior=PollerBehaviorAutoscaling(),
        activity_task_poller_behavior=PollerBehaviorAutoscaling(),
        graceful_shutdown_timeout=timedelta(seconds=stop_s),
    )
    async with running(worker, steps, stop_s=stop_s):
        yield


class SdkWorker(Protocol):
    """The part of the SDK's worker that is used: `run` returns after `shutdown`, and raises where it cannot go on."""

    async def run(self) -> None: ...

    async def shutdown(self) -> None: ...


@contextlib.asynccontextmanager
async def running(worker: SdkWorker, steps: Steps, *, stop_s: float) -> AsyncGenerator[None]:
    """Run the worker until the block ends, which takes at most `stop_s`, LAST_S and CANCEL_S.

    The SDK's own context manager waits without a limit where a poll does not end: https://github.com/temporalio/sdk-rust/issues/1297.
    An error that ends the worker cancels the block and is raised from it.
    """
    block = asyncio.current_task()
    assert block is not None, "a worker runs within a task"
    run = asyncio.ensure_future(worker.run())
    is_in_block = True

    def end_block(_: asyncio.Future[None]) -> None:
        if is_in_block:
            block.cancel()

    run.add_done_callback(end_block)
    try:
        yield
    except asyncio.CancelledError:
        if run.done():
            block.uncancel()
            run.result()
            raise RuntimeError("the worker has ended by itself") from None
        raise
    finally:
        is_in_block = False
        await _stop(worker, run, steps, stop_s)


async def _stop(worker: SdkWorker, run: asyncio.Future[None], steps: Steps, stop_s: float) -> None:
    ending = asyncio.ensure_future(worker.shutdown())  # first no more work is taken
    await asyncio.sleep(0)
    steps.stop()
    await asyncio.wait((run,), timeout=stop_s)
    steps.give_up()
    await asyncio.wait((run,), timeout=LAST_S)
    if not run.done():
        left = sorted(steps.driven)
        log.warning(
            "Temporal's client library does not stop; ending without it. The journal has every attempt that began",
            waited_s=stop_s + LAST_S,
            steps_left=len(left),
            instances=left[:NAMED],
        )
    tasks = (run, ending)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks, timeout=CANCEL_S)
    for task in tasks:
        if task.done() and not task.cancelled() and (error := task.exception()) is not None:
            log.error("Temporal's client library has ended with an error", reason=str(error))
