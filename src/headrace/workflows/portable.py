"""The part of a definition that every server of the Orchestration API knows: without what Headrace adds to it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import cast

from headrace.errors import InvalidValue
from headrace.workflows.activities import Json
from headrace.workflows.conditions import WHEN, parts_of
from headrace.workflows.durations import duration_us
from headrace.workflows.stages import STAGES
from headrace.workflows.stages.formats import DURATION
from headrace.workflows.stages.shape import Leaf, Object

MOVES_OTHERWISE = frozenset({"approve", "on_failure", WHEN})
"""Additions without which money moves that would not, or stays where it would not."""
_OWN_UNITS = re.compile(r"[0-9.](?:d|w)")
_HOUR_US, _SECOND_US = 3_600_000_000, 1_000_000


@dataclass(slots=True)
class Portable:
    """A definition without additions. `removed`: paths of what is left out; `changed`: of what is written otherwise.

    `dangers`: the paths among the removed ones without which money moves otherwise.
    """

    definition: Json
    removed: list[str] = field(default_factory=list[str])
    changed: list[str] = field(default_factory=list[str])
    dangers: list[str] = field(default_factory=list[str])

    def remove(self, path: str, name: str) -> None:
        self.removed.append(path)
        if name in MOVES_OTHERWISE:
            self.dangers.append(path)


def portable(definition: Json) -> Portable:
    """The definition without what only Headrace knows. `definition` is valid; it is not changed."""
    found = Portable({name: value for name, value in definition.items() if name in ("name", "stages")})
    for name in definition.keys() - {"name", "stages"}:
        if definition[name] is not None:
            found.remove(name, name)
    stages: list[Json] = []
    for number, stage in enumerate(cast("list[Json]", definition["stages"])):
        keyword, body = parts_of(stage)
        path = f"stages[{number}].{keyword}"
        if WHEN in stage:
            found.remove(f"stages[{number}].{WHEN}", WHEN)
        if not STAGES[keyword].is_portable:
            found.remove(path, keyword)
            continue
        stages.append({keyword: dict(_members(found, STAGES[keyword].shape, body, path))})
    found.definition["stages"] = stages
    return found


def _members(found: Portable, shape: Object, body: Json, path: str) -> Iterator[tuple[str, object]]:
    for name, value in body.items():
        member, place = shape.members[name], f"{path}.{name}"
        if isinstance(member, Object) and isinstance(value, dict):
            yield name, dict(_members(found, member, cast("Json", value), place))
        elif isinstance(member, Leaf) and not member.is_portable:
            found.remove(place, name)
        elif isinstance(member, Leaf) and member.kind is DURATION and (hours := _in_hours(value)) is not None:
            found.changed.append(place)
            yield name, hours
        else:
            yield name, value


def _in_hours(value: object) -> str | None:
    """A length of time with days or weeks, in hours, or in seconds where they are no whole hours; None: it has none."""
    if not isinstance(value, str) or not _OWN_UNITS.search(value):
        return None
    try:
        length_us = duration_us(value)
    except InvalidValue:  # a placeholder: what it holds is known when it runs
        return None
    if length_us % _HOUR_US == 0:
        return f"{length_us // _HOUR_US}h"
    return f"{length_us // _SECOND_US}s" if length_us % _SECOND_US == 0 else f"{length_us}us"
