"""What an engine offers: it only schedules. What is decided about money is decided in `workflows`, `effects`
and by the journal, whichever engine runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from headrace.journal.port import Caller, Unit
from headrace.journal.records import Instance, Workflow


class Engine(Protocol):
    async def start(self) -> None:
        """Take up every instance the journal holds that has not ended."""
        ...

    async def stop(self) -> None:
        """Begin nothing new, let attempts under way finish (bounded), record their outcomes."""
        ...

    async def run(
        self,
        workflow: Workflow,
        variables: dict[str, str],
        *,
        started_by_trigger: bool = False,
        caller: Caller | None = None,
        answer: Callable[[Instance], bytes] | None = None,
        also: Callable[[Instance, Unit], None] | None = None,
    ) -> Instance:
        """Start an instance; durable on return.

        In the same commit: that the caller asked for it, and the body that `answer` makes for its key. `also` adds
        what else must happen with the start or not at all. What its entries raise is raised here, and nothing was
        started.
        Raises InvalidValue (naming every missing variable), RepeatedKey, Unavailable.
        """
        ...

    async def wait(self, instance_id: str, timeout_s: float) -> None:
        """Return when the instance has ended, or after the time-out."""
        ...

    async def send_event(self, instance_id: str, name: str, *, caller: Caller | None = None) -> None:
        """Durable on return. Raises NotFound, AlreadyEnded, RepeatedKey, Unavailable."""
        ...

    async def abort(self, instance_id: str, *, caller: Caller | None = None) -> None:
        """Final on return: no attempt begins after it. Raises NotFound, AlreadyEnded, RepeatedKey, Unavailable."""
        ...
