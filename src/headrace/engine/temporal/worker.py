"""The worker: the process that takes steps for Temporal, as many at once as it may."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from datetime import timedelta

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
    async with worker:
        try:
            yield
        finally:
            ending = asyncio.ensure_future(worker.shutdown())  # first no more work is taken
            await asyncio.sleep(0)
            steps.stop()
            await asyncio.wait((ending,), timeout=stop_s)
            steps.give_up()
            await ending
