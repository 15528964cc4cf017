"""What a JSON value may look like, and what is wrong with one that does not."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

Report = Callable[[str], None]
"""Takes one thing that is wrong, without its place."""


class Shape:
    """Checks a value and reports what is wrong, by place."""

    def check(self, value: Any, place: str, found: list[str]) -> None:
        raise NotImplementedError


@dataclass(frozen=True)
class Text(Shape):
    allowed: tuple[str, ...] = ()
    minimum: int = 0

    def check(self, value: Any, place: str, found: list[str]) -> None:
        if not isinstance(value, str):
            found.append(f"{place}: text expected, not {value!r}")
        elif self.allowed and value not in self.allowed:
            found.append(f"{place}: {value!r} is not one of {', '.join(self.allowed)}")
        elif len(value) < self.minimum:
            found.append(f"{place}: must not be empty")


@dataclass(frozen=True)
class Integer(Shape):
    minimum: int | None = None

    def check(self, value: Any, place: str, found: list[str]) -> None:
        if isinstance(value, bool) or not isinstance(value, int):
            found.append(f"{place}: integer expected, not {value!r}")
        elif self.minimum is not None and value < self.minimum:
            found.append(f"{place}: {value} is below {self.minimum}")


class Boolean(Shape):
    def check(self, value: Any, place: str, found: list[str]) -> None:
        if not isinstance(value, bool):
            found.append(f"{place}: boolean expected, not {value!r}")


@dataclass(frozen=True)
class DateTime(Shape):
    """`is_ours`: written by the server, so UTC with `Z`; else as a caller gave it, with some offset."""

    is_ours: bool = True

    def check(self, value: Any, place: str, found: list[str]) -> None:
        pattern = _OUR_DATE if self.is_ours else _ANY_DATE
        if not isinstance(value, str) or not pattern.fullmatch(value) or not _is_date(value):
            found.append(f"{place}: RFC 3339 time expected, {'UTC with Z, ' if self.is_ours else ''}not {value!r}")


_OUR_DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z", re.ASCII)
_ANY_DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)", re.ASCII)


def _is_date(text: str) -> bool:
    try:
        datetime.fromisoformat(text[:19])
    except ValueError:
        return False
    return True


@dataclass(frozen=True)
class ListOf(Shape):
    item: Shape
    minimum: int = 0

    def check(self, value: Any, place: str, found: list[str]) -> None:
        if not isinstance(value, list):
            found.append(f"{place}: list expected, not {value!r}")
            return
        if len(value) < self.minimum:
            found.append(f"{place}: at least {self.minimum} expected")
        for index, item in enumerate(value):
            self.item.check(item, f"{place}[{index}]", found)


@dataclass(frozen=True)
class MapOf(Shape):
    value: Shape

    def check(self, value: Any, place: str, found: list[str]) -> None:
        if not isinstance(value, dict):
            found.append(f"{place}: object expected, not {value!r}")
            return
        for key, member in value.items():
            self.value.check(member, f"{place}.{key}", found)


@dataclass(frozen=True)
class Nullable(Shape):
    shape: Shape

    def check(self, value: Any, place: str, found: list[str]) -> None:
        if value is not None:
            self.shape.check(value, place, found)


@dataclass(frozen=True)
class Anything(Shape):
    """Free JSON, without null: what clients type as `any` they often cannot hold as nothing."""

    allows_null: bool = False

    def check(self, value: Any, place: str, found: list[str]) -> None:
        if value is None and not self.allows_null:
            found.append(f"{place}: null")
        members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for key, member in members:
            self.check(member, f"{place}.{key}", found)


@dataclass(frozen=True)
class Object(Shape):
    """`is_open`: other members may be there; they too are never null."""

    required: Mapping[str, Shape] = field(default_factory=dict)
    optional: Mapping[str, Shape] = field(default_factory=dict)
    is_open: bool = False
    exactly_one: bool = False
    rules: tuple[Callable[[dict[str, Any], Report], None], ...] = ()

    def check(self, value: Any, place: str, found: list[str]) -> None:
        if not isinstance(value, dict):
            found.append(f"{place}: object expected, not {value!r}")
            return
        before = len(found)
        found.extend(f"{place}: {name} is missing" for name in self.required if name not in value)
        for name, member in value.items():
            shape = self.required.get(name) or self.optional.get(name)
            if shape is None and not self.is_open:
                found.append(f"{place}: {name} is not in the description")
            (shape or Anything()).check(member, f"{place}.{name}", found)
        if self.exactly_one and len(value) != 1:
            found.append(f"{place}: exactly one member expected, not {', '.join(value) or 'none'}")
        if len(found) == before:
            for rule in self.rules:
                rule(value, lambda what: found.append(f"{place}: {what}"))
