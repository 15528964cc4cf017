"""The base of a stage type. Everything here is pure: no clock, network, randomness or async.

A stage's module says everything about it: what its body may hold, how it runs, and how it is shown. JSON Schema,
OpenAPI, the client's types, the command line, pictures and the reference are made from that.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from headrace.errors import Problem
from headrace.workflows.activities import Json
from headrace.workflows.commands import Command
from headrace.workflows.stages.shape import Object

StageRun = Generator[Command, Any, None]
"""Yields commands, is sent their results: a read's object (contract 3.7), an effect's output or None."""


@dataclass(frozen=True, slots=True)
class StageContext:
    """Input of a stage. `raw` is its body before expansion, so that it sees what came from a variable.

    `may_name_world`: whether a variable may bring in `world` as an account that pays (decision M9).
    """

    started_at: int
    raw: Json
    may_name_world: bool = True


@dataclass(frozen=True, slots=True)
class Display:
    """How a stage of a history is to be described: whether it ended without an error, and how a moment is written."""

    has_succeeded: bool
    moment: Callable[[str], str]


class StageType:
    """One type of stage. A subclass that leaves out a fact cannot be defined."""

    keyword: ClassVar[str]
    shape: ClassVar[Object]
    """Shape of a body. Its `about` describes the stage in JSON Schema, OpenAPI and the client."""
    about: ClassVar[str]
    """A paragraph for the reference, in Markdown."""
    example: ClassVar[str]
    """A workflow for the reference, in YAML."""
    label: ClassVar[str]
    """A few words for the legend of a picture."""
    color: ClassVar[str]
    """Strong colour in pictures on a light page."""
    pale: ClassVar[str]
    """Weak colour there."""
    dark_color: ClassVar[str]
    """Strong colour in pictures on a dark page."""
    dark_pale: ClassVar[str]
    """Weak colour there."""
    is_portable: ClassVar[bool] = True
    """Whether other servers of the Orchestration API know the stage; else schemas mark it with `x-headrace`."""
    headline: ClassVar[str] = ""
    """The member whose value follows the keyword where a run's progress is shown."""

    def __init_subclass__(cls) -> None:
        """Check the facts of a new stage type. Raises TypeError for a missing one."""
        colors = ("color", "pale", "dark_color", "dark_pale")
        for fact in ("keyword", "shape", "about", "example", "label", *colors, "run", "describe"):
            if fact not in cls.__dict__:
                raise TypeError(f"stage {cls.__name__} does not say its `{fact}`")

    def problems(self, body: object, path: str) -> Iterator[Problem]:
        """At creation: what is wrong with a body as far as it holds no placeholders."""
        return self.shape.problems(body, path)

    def normalise(self, body: Json, context: StageContext) -> Json:
        """After expansion: the body as history shows it (typed, exact integers, defaults not filled in).

        Raises InvalidValue or StageError: the stage ends with that text and nothing is sent.
        """
        return self.completed(self.shape.read(body, ""))

    def completed(self, body: Json) -> Json:
        """Add to the body, as its shape has read it, what history shows besides; it does not depend on variables."""
        return body

    def run(self, body: Json, context: StageContext) -> StageRun:
        """The commands, from the normalised body. Raises StageError to end the stage."""
        raise NotImplementedError

    def describe(self, body: Json, display: Display) -> list[str]:
        """Sentences about a stage of a history; the first stands alone. Other servers may leave out members."""
        raise NotImplementedError

    def sentence(self, body: Json) -> str:
        """A stage in few words, for a row of a run's timeline. `body`: also one in which variables have no value."""
        return self.describe(body, Display(has_succeeded=False, moment=str))[0]

    def reads(self, body: Json) -> tuple[str, ...]:
        """The names of the reads that a stage may make, in their order; `body` may hold anything. For conditions."""
        return ()

    def awaited_event(self, body: Json) -> str | None:
        """The name of the event that a stage with this body waits for, if it waits for one."""
        return None
