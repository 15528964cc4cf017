"""The workflow of an instance, which runs in Temporal's sandbox: a step, a wait for a time or a nudge, and again.

It decides nothing: what a step returns says what to wait for. Histories of earlier releases are replayed with this
code, so a change of it must be guarded by `workflow.patched`.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from typing import Literal

import msgspec
from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError

RETRY = RetryPolicy(
    initial_interval=timedelta(seconds=1), backoff_coefficient=2.0, maximum_interval=timedelta(seconds=100)
)
ONCE = RetryPolicy(maximum_attempts=1)
SHORTEST_S = 0.2
"""A worker's clock may be behind Temporal's: a time that is over there may be to come here."""
FAILED_S = 60.0


class Task(msgspec.Struct, frozen=True):
    """The input. `step_s`: longest time of a step; `local`: a step is a local activity first."""

    instance_id: str
    heartbeat_s: float
    step_s: float
    local: bool = False


class Next(msgspec.Struct, frozen=True):
    """Order of a step for the time after it. `at`: microseconds since the epoch, 0 where no time ends the wait.

    again: take a normal step, once `at` is over; wait: for a nudge, or for `at`; ended: nothing is left to do.
    """

    kind: Literal["again", "wait", "ended"]
    at: int = 0


@workflow.defn(name="headrace.instance")
class InstanceWorkflow:
    """The workflow's id is that of the instance. A nudge says that the journal has news; a step reads them there."""

    def __init__(self) -> None:
        self._nudges = 0
        self._aborts = 0

    @workflow.signal
    def nudge(self, why: str) -> None:
        self._nudges += 1
        if why == "abort":
            self._aborts += 1

    @workflow.run
    async def run(self, task: Task) -> None:
        """Take steps until one says that the instance has ended, and wait in between as each of them says."""
        is_local = task.local
        while True:
            seen = self._nudges
            after = await (self._local_step(task) if is_local else self._step(task))
            if after.kind == "ended":
                return
            if workflow.info().is_continue_as_new_suggested():
                workflow.continue_as_new(task)
            is_local = task.local and after.kind != "again"
            if after.kind == "wait" or after.at:
                await self._wait(seen, after.at)

    async def _wait(self, seen: int, until_at: int) -> None:
        left_s = max(until_at / 1e6 - workflow.time(), SHORTEST_S) if until_at else None
        with suppress(TimeoutError):
            await workflow.wait_condition(lambda: self._nudges > seen, timeout=left_s)

    async def _local_step(self, task: Task) -> Next:
        try:
            return await workflow.execute_local_activity(
                "step",
                task.instance_id,
                result_type=Next,
                start_to_close_timeout=timedelta(seconds=task.step_s),
                retry_policy=ONCE,
            )
        except ActivityError:
            return Next("again")

    async def _step(self, task: Task) -> Next:
        """One step. An abort cancels it, which ends its pauses, and the wait for its next attempt."""
        aborts = self._aborts
        step = workflow.start_activity(
            "step",
            task.instance_id,
            result_type=Next,
            start_to_close_timeout=timedelta(seconds=task.step_s),
            heartbeat_timeout=timedelta(seconds=task.heartbeat_s),
            retry_policy=RETRY,
            cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
        )
        await workflow.wait_condition(lambda: step.done() or self._aborts > aborts)
        if not step.done():
            step.cancel()
        try:
            return await step
        except ActivityError:
            pause_s = 0.0 if self._aborts > aborts else FAILED_S
            return Next("again", int((workflow.time() + pause_s) * 1e6) if pause_s else 0)
