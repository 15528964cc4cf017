"""What a stage type offers. Everything here is pure: no clock, network, randomness or async."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from headrace.errors import Problem
from headrace.workflows.activities import Json
from headrace.workflows.commands import Command
from headrace.workflows.stages.shape import Shape

StageRun = Generator[Command, Any, None]
"""Yields commands, is sent their results: a read's object (contract 3.7), an effect's output or None."""


@dataclass(frozen=True, slots=True)
class StageContext:
    """What a stage is told. `raw` is its body before expansion, so that it sees what came from a variable.

    `may_name_world`: whether a variable may bring in `world` as an account that pays (decision M9).
    """

    started_at: int
    raw: Json
    may_name_world: bool = True


class StageType(Protocol):
    keyword: str

    @property
    def shape(self) -> Shape:
        """What a body may hold: the source of its part of the JSON Schema."""
        ...

    def problems(self, body: object, path: str) -> Iterator[Problem]:
        """At creation: what is wrong with a body as far as it holds no placeholders."""
        ...

    def normalise(self, body: Json, context: StageContext) -> Json:
        """After expansion: the body as history shows it (typed, exact integers, defaults not filled in).

        Raises InvalidValue or StageError: the stage ends with that text and nothing is sent.
        """
        ...

    def run(self, body: Json, context: StageContext) -> StageRun:
        """The commands, from the normalised body. Raises StageError to end the stage."""
        ...
