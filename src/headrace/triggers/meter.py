"""Interface for metrics of triggers; `telemetry` implements it."""

from __future__ import annotations

from typing import Protocol


class TriggerMeter(Protocol):
    def occurrence(self, outcome: str) -> None:
        """Count a match of a trigger and an event. `outcome` is started or failed."""
        ...

    def filter_failed(self) -> None:
        """Count a filter that could not be evaluated for an event, which therefore did not match."""
        ...
