"""A workflow definition, checked when it is created (decision Q26).

Every problem is reported at once, each with its path. What holds a placeholder is checked after expansion.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, cast

from headrace.errors import InvalidDefinition, InvalidValue, Problem
from headrace.workflows.activities import Json
from headrace.workflows.conditions import MAX_ALL_BYTES, WHEN, condition_of
from headrace.workflows.decisions import numbered
from headrace.workflows.stages import STAGES
from headrace.workflows.variables import check_text, expand, kind_of, names_in, shown

MAX_STAGES = 1_000
MAX_NAME_BYTES = 1_024
ON_FAILURE = ("undo",)
"""The consequences of a failed run, as a definition names them."""
MAX_PROBLEMS = 1_000
"""Beyond these a definition is only told that there are more."""


@dataclass(frozen=True, slots=True)
class Config:
    """`stages` are as they were given: they are echoed unchanged, placeholders unexpanded.

    `on_failure`: what a run that fails leads to; None: nothing.
    """

    name: str | None
    stages: list[dict[str, Any]]
    on_failure: str | None = None

    @property
    def definition(self) -> Json:
        """The definition as it is stored, and echoed."""
        optional = {"name": self.name, "on_failure": self.on_failure}
        return {"stages": self.stages, **{name: value for name, value in optional.items() if value is not None}}


def parse_config(document: object) -> Config:
    """Parse a definition. Raises InvalidDefinition, and no other error, for any JSON."""
    found = list(islice(_problems(document), MAX_PROBLEMS + 1))
    if len(found) > MAX_PROBLEMS:
        found[-1] = Problem(
            "", f"there are more than {MAX_PROBLEMS} problems; the others are not listed", "too-many-problems"
        )
    if found:
        raise InvalidDefinition(found)
    config = cast("dict[str, Any]", document)
    return Config(config.get("name"), config["stages"], config.get("on_failure"))


def _problems(document: object) -> Iterator[Problem]:
    if not isinstance(document, dict):
        yield Problem("", "a workflow is an object with `stages` and perhaps a `name`", "workflow")
        return
    config = cast("dict[object, object]", document)
    for key in config:
        if key not in ("name", "stages", "on_failure"):
            known = "a workflow has `name`, `stages` and `on_failure`"
            yield Problem(shown(key), f"unknown key; {known}", "unknown-key")
    yield from _name_problems(config.get("name"))
    if config.get("on_failure") not in (None, *ON_FAILURE):
        yield Problem("on_failure", f"must be {' or '.join(ON_FAILURE)}", "on-failure")

    stages = config.get("stages")
    if not isinstance(stages, list):
        yield Problem("stages", "is missing" if stages is None else "must be a list", "stages")
        return
    items = cast("list[object]", stages)
    if not items:
        yield Problem("stages", "must not be empty", "stages")
    if len(items) > MAX_STAGES:
        yield Problem("stages", f"at most {MAX_STAGES} stages, not {len(items)}", "stages")
        return
    left = MAX_ALL_BYTES
    for index, stage in enumerate(items):
        yield from _stage_problems(stage, f"stages[{index}]")
        if not isinstance(stage, dict) or WHEN not in stage or left < 0:
            continue
        source, path = cast("Json", stage)[WHEN], f"stages[{index}].{WHEN}"
        left -= len(source.encode("utf-8", "surrogatepass")) if isinstance(source, str) else 0
        if left < 0:  # nothing of the rest is compiled
            yield Problem(path, f"the conditions up to this one have more than {MAX_ALL_BYTES} bytes together", WHEN)
        else:
            yield from _condition_problems(source, items[:index], path)


def _name_problems(name: object) -> Iterator[Problem]:
    if name is None:
        return
    try:
        text = check_text(name, "name")
    except InvalidValue as error:
        yield Problem("name", error.reason, "name")
        return
    if len(text.encode()) > MAX_NAME_BYTES:
        yield Problem("name", f"has at most {MAX_NAME_BYTES} bytes", "name")


def open_delays(stages: list[Json]) -> tuple[int, ...]:
    """The delays whose length or end is known only with the variables, and that no condition may leave out."""
    return tuple(
        index
        for index, stage in enumerate(stages)
        if WHEN not in stage and names_in(list(stage.get("delay", {}).values()))
    )


def check_delays(stages: list[Json], delays: Iterable[int], variables: Mapping[str, str]) -> None:
    """Such a delay is checked when a run is asked for (decision Q9). Raises InvalidValue naming it."""
    for index in delays:
        for problem in STAGES["delay"].problems(expand(stages[index]["delay"], variables), f"stages[{index}].delay"):
            raise InvalidValue(problem.path, problem.reason)


def _stage_problems(stage: object, path: str) -> Iterator[Problem]:
    if not isinstance(stage, dict):
        yield Problem(path, f"a stage is an object with one of {_known()}", "stage")
        return
    members = cast("dict[object, object]", stage)
    for key in members:
        if key not in STAGES and key != WHEN:
            yield Problem(f"{path}.{shown(key)}", f"unknown stage; a stage is one of {_known()}", "stage")
    known = [keyword for keyword in STAGES if keyword in members]
    if len(known) > 1 or members.keys() <= {WHEN}:
        reason = f"a stage is exactly one of {_known()}, not {', '.join(known) or 'empty'}"
        yield Problem(path, reason, "stage")
    for keyword in known:
        yield from STAGES[keyword].problems(members[keyword], f"{path}.{keyword}")


def _condition_problems(source: object, before: list[object], path: str) -> Iterator[Problem]:
    """Problems of a condition. `before`: the stages before its own, valid or not."""
    if not isinstance(source, str):
        yield Problem(path, f"must be text, an expression, not {kind_of(source)}", WHEN)
        return
    condition = condition_of(source)
    for problem in condition.problems:
        yield Problem(path, problem, WHEN)
    for reference in condition.references:
        number = reference.number if reference.number >= 0 else len(before) + reference.number
        name = f"stages[{reference.number}]"
        if not 0 <= number < len(before):
            yield Problem(path, f"{name} is no stage before this one, which has number {len(before)}", WHEN)
        elif reference.read is not None and reference.read not in (reads := _reads_of(before[number])):
            known = f"reads {', '.join(reads)}" if reads else "reads nothing"
            yield Problem(path, f"{name}.reads.{shown(reference.read)} is not known: stage {number} {known}", WHEN)


def _reads_of(stage: object) -> list[str]:
    """The names of the reads that a stage may record, valid or not."""
    members = cast("dict[object, object]", stage) if isinstance(stage, dict) else {}
    names: list[str] = []
    for keyword in STAGES:
        body = members.get(keyword)
        for name in STAGES[keyword].reads(cast("Json", body)) if isinstance(body, dict) else ():
            names.append(numbered(names, name))
    return names


def _known() -> str:
    return ", ".join(STAGES)
