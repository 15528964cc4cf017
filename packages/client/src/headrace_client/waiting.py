"""Wait for an instance to end: polling that slows down while nothing changes."""

from __future__ import annotations

from collections.abc import Callable

from headrace_client.errors import WaitTimeout
from headrace_client.models import Result, WorkflowInstance
from headrace_client.steps import Steps, pause

FIRST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 2.0
GROWTH = 1.5
LEAST_READ_S = 1.0

Progress = Callable[[WorkflowInstance], object]
Read = Callable[[float | None], Steps[Result[WorkflowInstance]]]


class Waiting:
    """One wait. `on_progress` is called with the first state and after every change of stage.

    `read` reads the instance; its argument limits the time of the response, so that a silent server does not
    extend the wait.
    """

    def __init__(
        self,
        read: Read,
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
        """Poll until the instance has ended. Raises WaitTimeout."""
        started_s = self._monotonic_s()
        while True:
            left_s = self._left_s(started_s)
            result = yield from self._read(None if left_s is None else max(left_s, LEAST_READ_S))
            instance = result.data
            mark = (len(instance.status), instance.current_stage, instance.terminated)
            if mark != self._seen:
                self._seen = mark
                self._pause_s = FIRST_PAUSE_S
                if self._on_progress is not None:
                    self._on_progress(instance)
            if instance.terminated:
                return instance

            pause_s = self._pause_s
            self._pause_s = min(pause_s * GROWTH, LONGEST_PAUSE_S)
            left_s = self._left_s(started_s)
            if left_s is not None and self._timeout_s is not None:
                if left_s <= 0:
                    raise WaitTimeout(instance, self._timeout_s)
                pause_s = min(pause_s, left_s)
            yield from pause(pause_s)

    def _left_s(self, started_s: float) -> float | None:
        return None if self._timeout_s is None else started_s + self._timeout_s - self._monotonic_s()
