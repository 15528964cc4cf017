"""The parts that runners share, and a stored definition as they see it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import msgspec

from headrace.journal import writes
from headrace.runner.policy import Policy
from headrace.workflows.activities import Json
from headrace.workflows.conditions import has_conditions


class Announce(Protocol):
    """Makes an event that an instance publishes, of the types of `headrace.buses.event_types`.

    `number` is that of the stage that has started or ended; None: the instance has. `error` None: without an error.
    """

    def __call__(
        self, type_: str, at: int, workflow_id: str, instance_id: str, number: int | None, error: str | None, /
    ) -> writes.Publish: ...


@dataclass(frozen=True, slots=True)
class RunnerContext:
    """The parts that runners share. `now` reads the wall clock, in microseconds since the epoch."""

    now: Callable[[], int]
    policy: Policy
    announce: Announce


class Definition(msgspec.Struct, frozen=True, dict=True):
    """A stored definition. Its instances share it, and none changes it."""

    stages: list[Json]
    name: str | None = None
    on_failure: str | None = None

    @cached_property
    def has_conditions(self) -> bool:
        return has_conditions(self.stages)
