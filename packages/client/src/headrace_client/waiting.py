"""Waiting for an instance to end: polling that slows down while nothing moves."""

from __future__ import annotations

from collections.abc import Callable

from headrace_client.errors import WaitTimeout
from headrace_client.models import Result, WorkflowInstance
from headrace_client.wire import Steps, pause

FIRST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 2.0
GROWTH = 1.5

Progress = Callable[[WorkflowInstance], object]


class Waiting:
    """One wait. `on_progress` is told of the first look and of every change of stage."""

    def __init__(
        self,
        read: Callable[[], Steps[Result[WorkflowInstance]]],
        monotonic_s: Callable[[], float],
        timeout_s: float | None,
        on_progress: Progress | None,
    ) -> None:
        self._read = read
        self._monotonic_s = monotonic_s
        self._timeout_s = timeout_s
        self._on_progress = on_progress
        self._seen: tuple[int, int | None, bool] | None = None
        self._pause_s = FIRST_PAUSE_S

    def steps(self) -> Steps[WorkflowInstance]:
        started_s = self._monotonic_s()
        while True:
            instance = (yield from self._read()).data
            self._notice(instance)
            if instance.terminated:
                return instance
            yield from pause(self._next_pause_s(instance, self._monotonic_s() - started_s))

    def _notice(self, instance: WorkflowInstance) -> None:
        mark = (len(instance.status), instance.current_stage, instance.terminated)
        if mark == self._seen:
            return
        self._seen = mark
        self._pause_s = FIRST_PAUSE_S
        if self._on_progress is not None:
            self._on_progress(instance)

    def _next_pause_s(self, instance: WorkflowInstance, waited_s: float) -> float:
        pause_s = self._pause_s
        self._pause_s = min(pause_s * GROWTH, LONGEST_PAUSE_S)
        if self._timeout_s is None:
            return pause_s
        if waited_s >= self._timeout_s:
            raise WaitTimeout(instance, self._timeout_s)
        return min(pause_s, self._timeout_s - waited_s)
