"""Shapes: what a body may hold, said once and used twice.

`problems` looks at a definition: it reports everything and leaves alone what holds a placeholder.
`read` looks at a body after expansion: it returns it typed, without nulls, or raises InvalidValue.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, cast

from headrace.errors import InvalidValue, Problem
from headrace.money import MAX_KEY_BYTES, opaque_id
from headrace.workflows.commands import Json
from headrace.workflows.variables import MAX_VALUE_BYTES, check_text, has_placeholder, shown

Check = Callable[[object, str], Any]
"""A value and its path; returns the typed value, raises InvalidValue."""

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_-]{0,254}", re.ASCII)
_ID = re.compile(r"[a-zA-Z0-9_=+/.:|~@-]{1,1024}", re.ASCII)


class Shape(Protocol):
    def read(self, value: object, path: str) -> Any: ...

    def problems(self, value: object, path: str) -> Iterator[Problem]: ...


@dataclass(frozen=True, slots=True)
class Leaf:
    """One value, judged by a check."""

    check: Check

    def read(self, value: object, path: str) -> Any:
        return self.check(value, path)

    def problems(self, value: object, path: str) -> Iterator[Problem]:
        if isinstance(value, str) and has_placeholder(value):
            return
        try:
            self.check(value, path)
        except InvalidValue as error:
            yield Problem(error.field, error.reason)


Rule = Callable[[Json, bool], "str | None"]
"""Judges members together: (members, whether they are expanded) to what is wrong with them, if anything."""


@dataclass(frozen=True, slots=True)
class Object:
    """Members by name. A member that is null counts as left out."""

    members: Mapping[str, Shape]
    required: tuple[str, ...] = ()
    rule: Rule | None = None

    def read(self, value: object, path: str) -> Json:
        if not isinstance(value, dict):
            raise InvalidValue(path, self._what())
        read: Json = {}
        for name, member in cast("Json", value).items():
            shape = self.members.get(name)
            if shape is None:
                raise InvalidValue(_join(path, shown(name)), self._unknown())
            if member is not None:
                read[name] = shape.read(member, f"{path}.{name}" if path else name)
        for problem in self._gaps(read, path, is_expanded=True):
            raise InvalidValue(problem.path, problem.reason)
        return read

    def problems(self, value: object, path: str) -> Iterator[Problem]:
        if not isinstance(value, dict):
            yield Problem(path, self._what())
            return
        given: Json = {}
        for name, member in cast("Json", value).items():
            shape = self.members.get(name)
            if shape is None:
                yield Problem(_join(path, shown(name)), self._unknown())
            elif member is not None:
                given[name] = member
                yield from shape.problems(member, _join(path, name))
        yield from self._gaps(given, path, is_expanded=False)

    def _gaps(self, given: Json, path: str, *, is_expanded: bool) -> Iterator[Problem]:
        for name in self.required:
            if name not in given:
                yield Problem(_join(path, name), "is missing")
        reason = self.rule(given, is_expanded) if self.rule is not None else None
        if reason is not None:
            yield Problem(path, reason)

    def _what(self) -> str:
        return f"must be an object with {_listed(self.members)}"

    def _unknown(self) -> str:
        return f"unknown key; known are {_listed(self.members)}"


def one_of(members: Mapping[str, Shape]) -> Object:
    """An object that holds exactly one of these."""

    def rule(given: Json, _is_expanded: bool) -> str | None:
        known = [name for name in members if name in given]
        return (
            None if len(known) == 1 else f"must hold exactly one of {_listed(members)}, not {_listed(known) or 'none'}"
        )

    return Object(members, rule=rule)


@dataclass(frozen=True, slots=True)
class TextMap:
    """Metadata: texts by key. Only its values are expanded. Keys with the reserved prefix are ours."""

    reserved_prefix: str | None = None

    def read(self, value: object, path: str) -> dict[str, str]:
        entries = self._entries(value, path)
        return {self._key(key, path): metadata_text(text, _join(path, shown(key))) for key, text in entries.items()}

    def problems(self, value: object, path: str) -> Iterator[Problem]:
        try:
            entries = self._entries(value, path)
        except InvalidValue as error:
            yield Problem(error.field, error.reason)
            return
        for key, text in entries.items():
            try:
                self._key(key, path)
            except InvalidValue as error:
                yield Problem(error.field, error.reason)
            yield from Leaf(metadata_text).problems(text, _join(path, shown(key)))

    def _entries(self, value: object, path: str) -> dict[str, object]:
        if not isinstance(value, dict):
            raise InvalidValue(path, "must be an object of texts")
        return cast("dict[str, object]", value)

    def _key(self, key: object, path: str) -> str:
        field = _join(path, shown(key))
        text = opaque_id(check_text(key, field), field, max_bytes=MAX_KEY_BYTES)
        if self.reserved_prefix is not None and text.startswith(self.reserved_prefix):
            raise InvalidValue(field, f"keys that begin with {self.reserved_prefix} are written by the workflow itself")
        return text


def metadata_text(value: object, path: str) -> str:
    text = check_text(value, path)
    if len(text.encode()) > MAX_VALUE_BYTES:
        raise InvalidValue(path, f"has at most {MAX_VALUE_BYTES} bytes")
    return text


def label(value: object, path: str) -> str:
    """A name people choose: any text without control characters."""
    return opaque_id(check_text(value, path), path)


def plain_name(value: object, path: str) -> str:
    """A name or id without punctuation, such as a UUID, a balance or a provider."""
    text = check_text(value, path)
    if not _NAME.fullmatch(text):
        raise InvalidValue(path, f"{shown(text)} is not a name of a-z, A-Z, 0-9, _ and -")
    return text


def foreign_id(value: object, path: str) -> str:
    """An id of the payments service: often base64, so `/`, `+` and `=` occur. No part of it may be `.` or `..`."""
    text = check_text(value, path)
    if not _ID.fullmatch(text) or any(part in (".", "..") for part in text.split("/")):
        raise InvalidValue(path, f"{shown(text)} is not an id of at most 1024 letters, digits and _=+/.:|~@-")
    return text


def truth(value: object, path: str) -> bool:
    """A boolean, or the text of one: variables are texts."""
    if isinstance(value, bool):
        return value
    if value in ("true", "false"):
        return value == "true"
    raise InvalidValue(path, "must be true or false")


def choice(*choices: str) -> Check:
    def check(value: object, path: str) -> str:
        text = check_text(value, path)
        if text not in choices:
            raise InvalidValue(path, f"{shown(text)} is not one of {', '.join(choices)}")
        return text

    return check


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _listed(names: Mapping[str, Any] | list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
