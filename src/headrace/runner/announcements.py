"""The events that an instance publishes, as the runner hands them to the outbox."""

from __future__ import annotations

from typing import Protocol

from headrace.journal.port import Unit


class Announcements(Protocol):
    """Each method adds an event to the unit that makes it true. `error` None: it succeeded."""

    def workflow_started(self, unit: Unit, at: int, workflow_id: str, instance_id: str) -> None: ...

    def workflow_ended(self, unit: Unit, at: int, workflow_id: str, instance_id: str, error: str | None) -> None: ...

    def stage_started(self, unit: Unit, at: int, workflow_id: str, instance_id: str, number: int) -> None: ...

    def stage_ended(
        self, unit: Unit, at: int, workflow_id: str, instance_id: str, number: int, error: str | None
    ) -> None: ...
