"""Reports of an engine about its work: `telemetry` counts them and writes the log lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from headrace.runner.instance import InstanceRunner
from headrace.workflows.interpreter import CANCELED


@dataclass(frozen=True, slots=True)
class FailedCall:
    """An attempt or a look-up that proved nothing. No member holds an amount, a token or a payload.

    `reason`: the HTTP status, or why there was no answer. `next_s`: the pause before the next call, if there is one.
    """

    service: str
    operation: str
    reason: str
    attempt: int
    next_s: float | None
    instance_id: str
    is_look_up: bool = False


class Meter(Protocol):
    """Receives the reports. It never raises and never waits.

    `attempts_begun`, by service, and `effects_closed`, by service and outcome, are counted up by the engine itself, and
    read with the metrics. Outcomes of effects: done or refused; canceled: aborted and proven not booked; undecided:
    aborted, without proof.
    """

    attempts_begun: Counter[tuple[str]]
    effects_closed: Counter[tuple[str, str]]

    def instance_started(self, workflow_id: str) -> None: ...

    def instance_ended(self, instance_id: str, workflow_id: str, outcome: str, seconds: float) -> None: ...

    def attempt_ended(self, service: str, outcome: str, seconds: float) -> None:
        """`outcome`: done, refused or unknown; after the first two the service counts as answering."""
        ...

    def call_failed(self, failed: FailedCall) -> None: ...

    def call_answered(self, service: str) -> None: ...

    def watch_attempts(self, service: str, in_flight: Callable[[], int]) -> None: ...

    def concurrency_limit(self, service: str, limit: int) -> None: ...

    def effect_unknown(self, key: str, since_at: int) -> None: ...

    def effect_settled(self, key: str) -> None: ...

    def needs_attention(self, change: int) -> None: ...

    def timer_lag(self, seconds: float) -> None: ...

    def engine_reachable(self, is_reachable: bool) -> None:
        """Whether the cluster of a distributed engine answers; reported when that changes."""
        ...


class NoMeter:
    """A meter that reports nothing."""

    def __init__(self) -> None:
        self.attempts_begun: Counter[tuple[str]] = Counter()
        self.effects_closed: Counter[tuple[str, str]] = Counter()

    def instance_started(self, workflow_id: str) -> None: ...

    def instance_ended(self, instance_id: str, workflow_id: str, outcome: str, seconds: float) -> None: ...

    def attempt_ended(self, service: str, outcome: str, seconds: float) -> None: ...

    def call_failed(self, failed: FailedCall) -> None: ...

    def call_answered(self, service: str) -> None: ...

    def watch_attempts(self, service: str, in_flight: Callable[[], int]) -> None: ...

    def concurrency_limit(self, service: str, limit: int) -> None: ...

    def effect_unknown(self, key: str, since_at: int) -> None: ...

    def effect_settled(self, key: str) -> None: ...

    def needs_attention(self, change: int) -> None: ...

    def timer_lag(self, seconds: float) -> None: ...

    def engine_reachable(self, is_reachable: bool) -> None: ...


def report_end(meter: Meter, runner: InstanceRunner) -> None:
    """Report that an instance has ended: succeeded, failed or aborted."""
    outcome = "aborted" if runner.error == CANCELED else "failed" if runner.error else "succeeded"
    seconds = ((runner.ended_at or runner.created_at) - runner.created_at) / 1e6
    meter.instance_ended(runner.id, runner.workflow_id, outcome, seconds)
