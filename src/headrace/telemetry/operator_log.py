"""The log lines of a running server that an operator works from: failing services and ended instances.

No line holds an amount, a token or a payload. Lines are bounded in number, whatever the load.
"""

from __future__ import annotations

from collections import Counter

import structlog

from headrace.clock import Clock
from headrace.engine.meter import FailedCall
from headrace.telemetry.outages import Line, Outage

log = structlog.get_logger("headrace")


class OperatorLog:
    """Called on the hot path: a line is rendered only after the bound on lines has let it pass."""

    def __init__(self, clock: Clock, instances_per_s: int) -> None:
        self._clock = clock
        self._per_s = instances_per_s
        self._outages: dict[str, Outage] = {}
        self._second = float("-inf")
        self._lines: Counter[bool] = Counter()
        self._unsaid: Counter[str] = Counter()

    # services

    def call_failed(self, failed: FailedCall) -> None:
        """Log a failed call, or count it towards an outage of its service."""
        outage = self._outages.get(failed.service)
        if outage is None:
            outage = self._outages[failed.service] = Outage(failed.service)
        fields = {
            "operation": f"look-up of {failed.operation}" if failed.is_look_up else failed.operation,
            "attempt": failed.attempt,
            "next_try_s": None if failed.next_s is None else round(failed.next_s, 1),
            "instance_id": failed.instance_id,
        }
        reason = failed.reason.removeprefix(f"{failed.service}: ")
        _warn(outage.failed(self._clock.monotonic_s(), self._clock.now_at(), reason, fields))

    def call_answered(self, service: str) -> None:
        outage = self._outages.get(service)
        if outage is not None and not outage.is_answering:
            _warn(outage.answered(self._clock.monotonic_s()))

    # instances

    def instance_ended(self, instance_id: str, workflow_id: str, outcome: str, seconds: float) -> None:
        """Instances that failed or were aborted have a bound of their own: many successes do not hide them."""
        now_s = self._clock.monotonic_s()
        if now_s - self._second >= 1.0:
            self.flush()
            self._second = now_s
            self._lines.clear()
        has_succeeded = outcome == "succeeded"
        if self._lines[has_succeeded] >= self._per_s:
            self._unsaid[outcome] += 1
            return
        self._lines[has_succeeded] += 1
        log.info(
            "instance ended",
            instance_id=instance_id,
            workflow_id=workflow_id,
            outcome=outcome,
            seconds=round(seconds, 3),
        )

    def flush(self) -> None:
        """Log the number of ended instances that had no line of their own."""
        if self._unsaid:
            counts, self._unsaid = self._unsaid, Counter()
            log.info("more instances ended", **{outcome: counts[outcome] for outcome in sorted(counts)})


def _warn(line: Line | None) -> None:
    if line is not None:
        log.warning(line.event, **line.fields)
