"""Nudges on their way to Temporal: off the caller's path, bounded, and allowed to be lost.

The journal's nudge stays until a step has seen it, and the sweeper repeats it. So what does not fit into the queue, and
what Temporal does not take, is left to the sweeper.
"""

from __future__ import annotations

import asyncio
from collections import deque
from datetime import timedelta

import structlog
from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.service import RPCError

from headrace.engine.meter import Meter
from headrace.engine.temporal.client import TemporalOptions, connect
from headrace.engine.temporal.workflows import InstanceWorkflow, Task

log = structlog.get_logger("headrace.engine")

IN_FLIGHT = 256
WAITING = 10_000
CALL_S = 10.0


class TemporalAway(Exception):
    """Temporal did not take a nudge."""


class Nudger:
    """Starts and nudges workflows. `step_s`: longest time of a step."""

    def __init__(self, options: TemporalOptions, meter: Meter, *, step_s: float) -> None:
        self._client: Client | None = None
        self._options = options
        self._meter = meter
        self._step_s = step_s
        self._waiting: deque[tuple[str, str]] = deque()
        self._sending: set[asyncio.Task[None]] = set()
        self._is_reachable: bool | None = None

    async def open(self) -> None:
        """Prepare the connection, which the first call makes. Raises InvalidValue for a bad certificate."""
        self._client = await connect(self._options, lazy=True)

    def send(self, instance_id: str, why: str) -> None:
        """Soon start the workflow of an instance, or nudge it where it may be running already."""
        if len(self._sending) < IN_FLIGHT:
            task = asyncio.create_task(self._send_and_go_on(instance_id, why))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)
        elif self._is_reachable and len(self._waiting) < WAITING:
            self._waiting.append((instance_id, why))

    async def _send_and_go_on(self, instance_id: str, why: str) -> None:
        """One call, then those that have waited for its place."""
        try:
            await self.call(instance_id, why)
            while self._waiting:
                await self.call(*self._waiting.popleft())
        except TemporalAway:
            self._waiting.clear()

    async def call(self, instance_id: str, why: str) -> None:
        """Start the workflow, or nudge it. A second run of an instance that has ended does no harm.

        Raises TemporalAway, which is also logged once.
        """
        assert self._client is not None, "open() comes first"
        options, start = self._options, why == "start"
        task = Task(instance_id, options.heartbeat_s, self._step_s, options.local)
        try:
            await self._client.start_workflow(
                InstanceWorkflow.run,
                task,
                id=instance_id,
                task_queue=options.task_queue,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                start_signal=None if start else "nudge",
                start_signal_args=[] if start else [why],
                rpc_timeout=timedelta(seconds=CALL_S),
            )
        except (RPCError, RuntimeError, OSError) as error:  # RuntimeError: no connection was made yet
            self._report(is_reachable=False, reason=str(error))
            raise TemporalAway(str(error)) from None
        self._report(is_reachable=True)

    def _report(self, *, is_reachable: bool, reason: str = "") -> None:
        if is_reachable == self._is_reachable:
            return
        if not is_reachable:
            log.warning("Temporal does not answer; accepted work waits", reason=reason)
        elif self._is_reachable is not None:
            log.info("Temporal answers again")
        self._is_reachable = is_reachable
        self._meter.engine_reachable(is_reachable)

    async def stop(self) -> None:
        """End the calls under way; what they carried is in the journal."""
        self._waiting.clear()
        for task in self._sending:
            task.cancel()
        await asyncio.gather(*self._sending, return_exceptions=True)
