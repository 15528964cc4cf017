"""A trigger's definition, parsed from a request and checked as far as possible before any event arrives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, cast

import msgspec

from headrace.errors import InvalidDefinition, InvalidValue, Problem
from headrace.events.envelope import MAX_NAME_CHARACTERS
from headrace.triggers.expressions import InvalidSource, check_source
from headrace.workflows.variables import check_text, check_variables, shown

MAX_VARS = 1_000
MAX_SOURCE_BYTES = 8 * 1024
MAX_SOURCES_BYTES = 32 * 1024
"""Bytes of all expressions of a trigger: compiling them takes about 10 ms per KiB."""
MAX_PROBLEMS = 100

Json = dict[str, Any]

_MEMBERS = ("event", "workflowID", "name", "filter", "vars", "version")


@dataclass(frozen=True, slots=True)
class Definition:
    """A valid definition. `vars` is None if absent; its values are expressions. An empty filter becomes None."""

    event: str
    workflow_id: str
    name: str = ""
    version: str | None = None
    filter: str | None = None
    vars: Mapping[str, str] | None = None

    @property
    def vars_text(self) -> str | None:
        return None if self.vars is None else msgspec.json.encode(self.vars).decode()


def parse_definition(value: object) -> Definition:
    """Parse a definition. Raises InvalidDefinition with every problem; for expressions, with position and reason."""
    if not isinstance(value, dict):
        raise InvalidValue("body", 'must be a trigger: {"event": ..., "workflowID": ...}')
    return _Reader(cast("dict[str, Any]", value)).definition()


class _Reader:
    def __init__(self, given: dict[str, Any]) -> None:
        self._given = given
        self._problems: list[Problem] = []

    def definition(self) -> Definition:
        for name in islice((name for name in self._given if name not in _MEMBERS), MAX_PROBLEMS):
            self._add(shown(name), f"is unknown; a trigger has {', '.join(_MEMBERS)}")

        # The size is checked before any of them is compiled.
        variables = self._given.get("vars")
        sources = [
            self._given.get("filter"),
            *(cast("Json", variables).values() if isinstance(variables, dict) else ()),
        ]
        if sum(len(_bytes(source)) for source in sources) > MAX_SOURCES_BYTES:
            reason = f"filter and vars have more than {MAX_SOURCES_BYTES} bytes together"
            raise InvalidDefinition([*self._problems, Problem("vars", reason)])

        made = Definition(
            event=self._text("event", is_required=True),
            workflow_id=self._text("workflowID", is_required=True),
            name=self._text("name"),
            version=self._text("version") or None,
            filter=self._filter(),
            vars=self._vars(),
        )
        if self._problems:
            raise InvalidDefinition(self._problems)
        return made

    def _add(self, path: str, reason: str) -> None:
        self._problems.append(Problem(path[:200], reason))

    def _text(self, name: str, *, is_required: bool = False) -> str:
        value = self._given.get(name)
        if value is None or value == "":
            if is_required:
                self._add(name, "is required")
            return ""
        if not isinstance(value, str) or len(value) > MAX_NAME_CHARACTERS:
            self._add(name, f"must be text of at most {MAX_NAME_CHARACTERS} characters")
            return ""
        return self._checked(value, name)

    def _checked(self, value: str, name: str) -> str:
        try:
            return check_text(value, name)
        except InvalidValue as error:
            self._add(name, error.reason)
            return ""

    def _filter(self) -> str | None:
        value = self._given.get("filter")
        if value is None or value == "":
            return None
        return self._source(value, "filter")

    def _vars(self) -> dict[str, str] | None:
        value = self._given.get("vars")
        if value is None:
            return None
        if not isinstance(value, dict):
            self._add("vars", "must be an object of names and expressions")
            return None
        named = cast("dict[str, Any]", value)
        if len(named) > MAX_VARS:
            self._add("vars", f"has more than {MAX_VARS} members")
            return None
        try:
            check_variables(dict.fromkeys(named, ""))
        except InvalidValue as error:
            self._add(f"vars.{error.field}", error.reason)
        return {name: self._source(source, f"vars.{name}") for name, source in named.items()}

    def _source(self, value: object, path: str) -> str:
        """Check an expression by compiling it once."""
        if not isinstance(value, str) or not value.strip():
            self._add(path, "must be an expression, as text; a constant text stands in quotes: \"'USD/2'\"")
        elif len(_bytes(value)) > MAX_SOURCE_BYTES:
            self._add(path, f"has more than {MAX_SOURCE_BYTES} bytes")
        elif self._checked(value, path):
            try:
                check_source(value)
            except InvalidSource as error:
                self._problems.append(Problem(path[:200], str(error)))
        return value if isinstance(value, str) else ""


def _bytes(source: object) -> bytes:
    return source.encode(errors="replace") if isinstance(source, str) else b""
