"""The decisions of an engine while the driver drives one instance: the seam between scheduling and doing.

The driver holds no lock and knows no task. An engine within one process keeps other drives and aborts away by a lock,
and forbids attempts by what it has in memory. An engine of several processes has neither: its units fail with Conflict
where another process was faster, and a commit permits an attempt for a short time only.
"""

from __future__ import annotations

import enum
from contextlib import AbstractAsyncContextManager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Protocol

from headrace.runner.instance import InstanceRunner


class Control(Protocol):
    """One instance that is driven. `is_stopping`: begin nothing new."""

    @property
    def runner(self) -> InstanceRunner:
        """The instance where it stands. An abort, and a Conflict, replace it by what the journal holds."""
        ...

    @runner.setter
    def runner(self, runner: InstanceRunner) -> None: ...

    is_woken: bool
    """True while an event may have come since the mailbox was last looked into. The driver sets it to False."""

    @property
    def is_stopping(self) -> bool: ...

    @property
    def gives_way(self) -> bool:
        """True where the drive ends after the next commit: an intent that this stores is not counted as begun."""
        ...

    @property
    def permit_s(self) -> float | None:
        """The time for which the commit that counts an attempt as begun permits it; then another commit is needed.

        None: without a limit, as an abort is in this process's memory before it is answered.
        """
        ...

    def exclusive(self) -> AbstractAsyncContextManager[Any]:
        """Held from a decision to the end of its commit, so that no other unit of this process comes between."""
        ...

    async def may_begin(self) -> bool:
        """Whether this process may send: asked as the last thing before it. It waits for an abort under way."""
        ...

    async def pause(self, seconds: float, *, is_settling: bool) -> bool:
        """Wait before the next attempt or look-up; an abort or a stop ends the wait.

        False: the drive ends here, and the engine drives the instance again after the pause. Only a pause that is not
        `is_settling` may end so: a settle time counts anew in another drive.
        """
        ...


class Halt(enum.Enum):
    """Why a drive has ended."""

    ENDED = enum.auto()
    DELAY = enum.auto()
    EVENT = enum.auto()
    ATTENTION = enum.auto()
    BACKOFF = enum.auto()
    STOPPED = enum.auto()


@dataclass(frozen=True, slots=True)
class Halted:
    """`until_at`: the end of the delay, or of the back-off that the engine waits for by itself."""

    why: Halt
    until_at: int = 0


DRIVEN: ContextVar[Control] = ContextVar("headrace_driven")
"""The instance that the current task drives: the one that a request to a service belongs to."""
