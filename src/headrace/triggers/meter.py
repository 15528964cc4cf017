"""What triggers report of themselves; `telemetry` counts it."""

from __future__ import annotations

from typing import Protocol


class TriggerMeter(Protocol):
    def occurrence(self, outcome: str) -> None:
        """A trigger matched an event. `outcome`: started or failed."""
        ...

    def filter_failed(self) -> None:
        """A filter could not be evaluated over an event, so it did not match."""
        ...
