"""One stage of one instance, command by command. Given the same journal it always arrives at the same command.

config + variables + what the activities answered  ->  the next command, or how the stage ended

The body of a stage is compiled once for each definition, for all its instances. An instance fills in its variables and
checks only the values that hold one. A template never reports an error: where a value is invalid, `expand` and
`normalise` raise it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from headrace.errors import HeadraceError, InvalidValue, StageError
from headrace.workflows.activities import Activity, Json
from headrace.workflows.commands import Amend, Command, WaitEvent
from headrace.workflows.conditions import DONE, SKIPPED, TIMEOUT, WHEN
from headrace.workflows.decisions import RUNS, Passed, Verdict, add_read
from headrace.workflows.failures import ABORTED, INVALID, OFF_PLAN, TIMED_OUT, TIMEOUT_TEXT, Failure
from headrace.workflows.stages import RUN
from headrace.workflows.stages.shape import Template
from headrace.workflows.stages.stage import StageContext, StageRun, StageType
from headrace.workflows.variables import expand

CANCELED = "canceled"
MAX_TEMPLATES = 5_000

_templates: dict[tuple[int, str], tuple[Json, Template | None]] = {}
"""By the `id()` of the body. The entry holds the body, so no other object can get the same `id()`."""


class JournalMismatch(HeadraceError):
    """The journal holds an activity that this definition would not perform at that place."""


class StageRunner:
    """Drives one stage. `command` is what it wants now; None when it has ended, then `error` and `failure` say how.

    `position` counts its activities from 0, `ordinal` its effects (decision M3); both are those of `command`. `skips`:
    what its condition has decided, or None; `is_skipped`: its condition or a person has left it out. `reads`: results
    of its reads by name, for the conditions of later stages.
    """

    __slots__ = (
        "_generator",
        "booked",
        "command",
        "error",
        "failure",
        "has_timed_out",
        "input",
        "is_skipped",
        "keyword",
        "number",
        "ordinal",
        "position",
        "reads",
        "skips",
    )

    def __init__(
        self,
        stages: list[Json],
        number: int,
        variables: Mapping[str, str],
        started_at: int,
        *,
        may_name_world: bool = True,
        verdict: Verdict = RUNS,
    ) -> None:
        self.keyword, raw = next(each for each in stages[number].items() if each[0] != WHEN)
        self.number = number
        self.command: Command | None = None
        self.error: str | None = None
        self.failure: Failure | None = None
        self.position = 0
        self.ordinal = 0
        self.booked: list[str] = []
        self.is_skipped = False
        self.has_timed_out = False
        self.reads: dict[str, Any] = {}
        self.skips = verdict.skips
        self._generator: StageRun | None = None
        self.input: Json = raw
        stage = RUN[self.keyword]
        if verdict.skips or verdict.error is not None:
            self.is_skipped = verdict.error is None
            self.input = filled_in(stage, raw, variables) or raw  # where a value is invalid: as it was given
            self.error, self.failure = verdict.error, None if verdict.error is None else INVALID
            return
        context = StageContext(started_at, raw, may_name_world)
        try:
            body = filled_in(stage, raw, variables)
            if body is None:
                self.input = expand(raw, variables)
                body = stage.normalise(self.input, context)
            self.input = body
            self._generator = stage.run(self.input, context)
            self.command = next(self._generator)
        except StopIteration:
            pass
        except (StageError, InvalidValue) as error:
            self.error, self.failure = str(error), INVALID

    def resume(self, output: Any = None) -> None:
        """Report the command as done and go on to the next. `output`: what history shows under an activity's name."""
        command = self.command
        assert command is not None and self._generator is not None
        if isinstance(command, Activity):
            self.position += 1
            if command.is_effect:
                self.ordinal += 1
                self.booked.append(command.booked(result_of(output) or {}))
            else:
                add_read(self.reads, command.name, result_of(output))
        elif isinstance(command, Amend):
            self.input = command.input
        try:
            self.command = self._generator.send(result_of(output))
        except StopIteration:
            self.command = None
        except (StageError, InvalidValue) as error:
            self._end(str(error), INVALID)

    def replay(self, name: str, output: Any) -> None:
        """Feed one closed activity of the journal."""
        self.skip_amendments()
        if not isinstance(self.command, Activity) or self.command.name != name:
            raise JournalMismatch(f"stage {self.number}, activity {self.position}: the journal holds {name}")
        self.resume(output)

    def skip_amendments(self) -> None:
        while isinstance(self.command, Amend):
            self.resume()

    def refuse(self, message: str, failure: Failure) -> None:
        """End the stage because its activity was refused. The error names what it has booked before (decision Q24)."""
        assert isinstance(self.command, Activity)
        self._end(f"{self.command.name}: {message}", failure)

    def leave_plan(self, message: str) -> None:
        """Fail the stage, even one that has succeeded, because it departs from the approved plan."""
        self._end(f"plan: {message}", OFF_PLAN)

    def time_out(self, wait: WaitEvent) -> None:
        """Fail the stage, or let it go on, without the event that has not come in time."""
        if wait.continues:
            self.has_timed_out = True
            self.resume()
        else:
            self._end(f"{TIMEOUT_TEXT}the event {wait.event!r} has not come in time", TIMED_OUT)

    def passed(self) -> Passed:
        """The stage, which has ended well, as conditions of later ones see it."""
        outcome = SKIPPED if self.is_skipped else TIMEOUT if self.has_timed_out else DONE
        return Passed(outcome, self.reads)

    def deny(self, message: str, failure: Failure) -> None:
        """End the stage because the approvals that it waited for were not given."""
        self._end(message, failure)

    def skip(self) -> None:
        """End the stage well before it has done anything: a person has left it out."""
        if self._generator is not None:
            self._generator.close()
        self.command, self.error, self.failure, self.is_skipped = None, None, None, True

    def cancel(self) -> None:
        """End the stage because its instance was aborted (decision E6)."""
        self._end(CANCELED, ABORTED)

    @property
    def already_booked(self) -> str:
        """The end of an error: what the stage has booked; empty where that is nothing (decision Q24)."""
        return f"; already booked: {', '.join(self.booked)}" if self.booked else ""

    def _end(self, error: str, failure: Failure) -> None:
        self.command, self.failure = None, failure
        self.error = f"{error}{self.already_booked}"
        if self._generator is not None:
            self._generator.close()


def result_of(output: Any) -> Any:
    """The result of an activity as its stage is sent it: the service's object, without what history wraps it in."""
    if not isinstance(output, dict):
        return output
    members = cast("Json", output)
    return members.get("data", members.get("cursor", members))


def filled_in(stage: StageType, raw: Json, variables: Mapping[str, str]) -> Json | None:
    """The body of a stage as history shows it; None where a value is invalid.

    `raw` is the body in the stored definition, which must not be changed afterwards.
    """
    key = (id(raw), stage.keyword)
    _, template = _templates.get(key) or _made(key, stage, raw)
    if template is None:
        return None
    try:
        return template.filled(variables)
    except InvalidValue:
        return None


def _made(key: tuple[int, str], stage: StageType, raw: Json) -> tuple[Json, Template | None]:
    """Compile the body. The oldest template is evicted."""
    if len(_templates) >= MAX_TEMPLATES:
        del _templates[next(iter(_templates))]
    try:
        template = stage.shape.template(raw)
        stage.completed(template.body)
    except InvalidValue:
        template = None
    _templates[key] = raw, template
    return raw, template
