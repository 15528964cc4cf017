"""The port of an engine. It only schedules: `runner` and `effects` decide about money, whichever engine runs, and the
journal holds what is true.

A use case composes a unit, commits it, and then the engine goes on with the instance. An engine adds nothing to that
unit, calls nothing back, and knows neither callers nor responses; where it needs nudges, the use case adds them.
`begin`, `abort` and `resolve` are entered before the commit and left after it, so that the engine can keep its own work
on the instance away meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from headrace.runner.instance import InstanceRunner


class Engine(Protocol):
    """Drives the instances of a journal, each by one process or task at a time.

    `needs_nudges`: other processes drive, so a unit that gives an instance something to do holds a nudge for them
    (`journal.writes.AddNudge`). `duties`: work for the journal that one process at a time does, by name.
    """

    @property
    def needs_nudges(self) -> bool: ...

    @property
    def duties(self) -> Mapping[str, Callable[[], Coroutine[None, None, None]]]: ...

    async def start(self) -> None:
        """Resume every instance of the journal that has something to do."""
        ...

    async def stop(self) -> None:
        """Begin nothing new, let attempts under way finish (bounded), record their outcomes."""
        ...

    @property
    def active_instances(self) -> int:
        """Instances in the memory of this process, which have something to do."""
        ...

    @property
    def sends_at_once(self) -> bool:
        """True where a start counts its first attempt as begun, as this process sends it right after the commit."""
        ...

    def begin(self, runner: InstanceRunner) -> AbstractAsyncContextManager[None]:
        """Drive a new instance once its start is committed, which happens within this context.

        The runner is the one that made the unit of the start, so that nothing is read back. Where the context is left
        with an error, the instance is not driven; after a cancellation the engine looks whether it was stored.
        """
        ...

    def wake(self, instance_id: str) -> None:
        """Look at the instance soon: a commit has put an event into its mailbox."""
        ...

    def abort(self, instance_id: str) -> AbstractAsyncContextManager[InstanceRunner]:
        """Keep an instance still while it is aborted: commit the unit of the given runner within this context.

        From entering it until the unit is committed or has failed, no attempt of the instance begins and no unit of it
        is committed. The runner stands where the journal does, and knows which attempt of this process was sent. Where
        the context is left without an error no attempt begins any more, and what was sent is settled. Where it is left
        with one, the instance goes on as before.

        Entering raises NotFound, AlreadyEnded, or Unavailable when the instance cannot be read or is busy for too long.
        """
        ...

    def resolve(self, instance_id: str) -> AbstractAsyncContextManager[InstanceRunner]:
        """Keep an instance still while a person decides about it: commit the unit of the given runner.

        The decision is about its open effect, or about the approvals that it waits for. As `abort`, but the instance
        may have ended. Where the context is left without an error, no attempt of that effect begins any more, and the
        engine goes on with the instance. Raises AlreadyEnded where it has ended and no effect is open.
        """
        ...

    async def ended(self, instance_id: str, timeout_s: float) -> None:
        """Return when the instance has ended, or after the time-out."""
        ...
