"""Shapes: what a body may hold, said once.

`problems` looks at a definition: it reports everything and leaves alone what holds a placeholder.
`read` looks at a body after expansion: it returns it typed, without nulls, or raises InvalidValue.
`compiled` does the part of `read` that is the same for all instances of a definition, and returns the rest.
`schema` gives an editor the same, as JSON Schema, with the `about` of each member.
OpenAPI (`api/v1/stage_schemas.py`) and the client's classes (`tests/support/stage_types.py`) are made from it, too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

from headrace.errors import InvalidValue, Problem
from headrace.money import MAX_KEY_BYTES, opaque_id
from headrace.workflows.activities import Json
from headrace.workflows.stages.kinds import METADATA_VALUE, Kind
from headrace.workflows.variables import (
    MAX_VALUE_BYTES,
    Expansion,
    check_text,
    compiled,
    has_placeholder,
    shown,
)

_PLAIN_KEY = re.compile(r"(?!\.{1,2}\Z)[^\x00-\x1f\x7f\ud800-\udfff]{1,63}")
_PLAIN_CHARACTERS = MAX_VALUE_BYTES // 4
_UNSOUND = re.compile(r"[\x00\ud800-\udfff]")


class Fixed:
    """A value without placeholders, as `read` returns it."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


Filler = Callable[[Expansion], Any]
"""Fills in the placeholders and returns what `read` would. Raises InvalidValue where `expand` or `read` would."""


class Shape(Protocol):
    def read(self, value: object, path: str) -> Any: ...

    def compiled(self, value: object, path: str) -> Fixed | Filler:
        """Check a value before expansion. Raises InvalidValue if no variables can make it acceptable."""
        ...

    def problems(self, value: object, path: str) -> Iterator[Problem]: ...

    def schema(self) -> Json: ...


@dataclass(frozen=True, slots=True)
class Leaf:
    """One value of some kind. `default` is what is meant where it is left out, if that can be said.

    `is_blank`: a client reads an empty text, not None, where history leaves it out.
    """

    kind: Kind
    about: str
    default: object = None
    examples: tuple[object, ...] = ()
    is_blank: bool = False

    def read(self, value: object, path: str) -> Any:
        return self.kind.check(value, path)

    def compiled(self, value: object, path: str) -> Fixed | Filler:
        check = self.kind.check
        if not isinstance(value, str) or not has_placeholder(value):
            return Fixed(check(value, path))
        text = compiled(value)
        return lambda expansion: check(text(expansion), path)

    def problems(self, value: object, path: str) -> Iterator[Problem]:
        if isinstance(value, str) and has_placeholder(value):
            return
        try:
            self.kind.check(value, path)
        except InvalidValue as error:
            yield Problem(error.field, error.reason, self.kind.rule)

    def schema(self) -> Json:
        default = {} if self.default is None else {"default": self.default}
        examples = {"examples": list(self.examples)} if self.examples else {}
        return {"description": self.about, **self.kind.schema, **default, **examples}


Judge = Callable[[Json, bool], "str | None"]
"""Judges members together: (members, whether they are expanded) to what is wrong with them, if anything."""


@dataclass(frozen=True, slots=True)
class Rule:
    """Members judged together. `schema` says the same of an object in JSON Schema's keywords.

    `at` is the member that is named when the rule is broken; the object itself where there is none. `count` says how
    many members there may be, for OpenAPI, which is read by more programs than understand `schema`. `is_of_names`: the
    judge looks at the members' names alone, so one look at a definition is enough.
    """

    name: str
    judge: Judge
    schema: Json
    at: str = ""
    count: Json = field(default_factory=dict[str, Any])
    is_of_names: bool = False


def exactly_one(*names: str) -> Rule:
    """One of these members is given, no more."""

    def judge(given: Json, _is_expanded: bool) -> str | None:
        known = [name for name in names if name in given]
        return None if len(known) == 1 else f"must hold exactly one of {_listed(names)}, not {_listed(known) or 'none'}"

    schema: Json = {"oneOf": [holding(name) for name in names]}
    return Rule("exactly-one", judge, schema, count={"minProperties": 1, "maxProperties": 1}, is_of_names=True)


def holding(*names: str, **more: Json) -> Json:
    """The JSON Schema of objects that hold these members; null counts as left out."""
    given: Json = {name: {"not": {"type": "null"}, **more.get(name, {})} for name in names}
    return {"type": "object", "required": list(names), "properties": given}


@dataclass(frozen=True, slots=True)
class Object:
    """Members by name. A member that is null counts as left out.

    `name` is the object's own in OpenAPI. `client_name` is the name of its class in the client, where Formance's
    description gives it another name than `Stage` and `name`.
    """

    about: str
    members: Mapping[str, Shape]
    required: tuple[str, ...] = ()
    rules: tuple[Rule, ...] = ()
    name: str = field(kw_only=True)
    client_name: str = field(default="", kw_only=True)

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

    def compiled(self, value: object, path: str) -> Fixed | Filler:
        """Compile the object; its filler returns a new object each time, which the caller may change."""
        if not isinstance(value, dict):
            raise InvalidValue(path, self._what())
        template: Json = {}
        open_members: list[tuple[str, Filler]] = []
        for name, member in cast("Json", value).items():
            shape = self.members.get(name)
            if shape is None:
                raise InvalidValue(_join(path, shown(name)), self._unknown())
            if member is None:
                continue
            part = shape.compiled(member, _join(path, name))
            template[name] = part.value if isinstance(part, Fixed) else None
            if not isinstance(part, Fixed):
                open_members.append((name, part))
        judges = [rule.judge for rule in self.rules if not rule.is_of_names]
        if not template.keys() >= set(self.required) or any(
            rule.is_of_names and rule.judge(template, True) for rule in self.rules
        ):
            raise InvalidValue(path, self._what())

        def fill(expansion: Expansion) -> Json:
            filled = template.copy()
            for name, part in open_members:
                filled[name] = part(expansion)
            for judge in judges:
                if (reason := judge(filled, True)) is not None:
                    raise InvalidValue(path, reason)
            return filled

        return fill

    def problems(self, value: object, path: str) -> Iterator[Problem]:
        if not isinstance(value, dict):
            yield Problem(path, self._what(), "object")
            return
        given: Json = {}
        for name, member in cast("Json", value).items():
            shape = self.members.get(name)
            if shape is None:
                yield Problem(_join(path, shown(name)), self._unknown(), "unknown-key")
            elif member is not None:
                given[name] = member
                yield from shape.problems(member, _join(path, name))
        yield from self._gaps(given, path, is_expanded=False)

    def schema(self) -> Json:
        described: Json = {
            "description": self.about,
            "type": "object",
            "properties": {name: self._member_schema(name, shape) for name, shape in self.members.items()},
            "additionalProperties": False,
        }
        if self.required:
            described["required"] = list(self.required)
        for rule in self.rules:
            assert not described.keys() & rule.schema.keys(), rule.name
            described |= rule.schema
        return described

    def _member_schema(self, name: str, shape: Shape) -> Json:
        schema = shape.schema()
        return schema if name in self.required else _or_null(schema)

    def _gaps(self, given: Json, path: str, *, is_expanded: bool) -> Iterator[Problem]:
        for name in self.required:
            if name not in given:
                yield Problem(_join(path, name), "is missing", "missing")
        for rule in self.rules:
            reason = rule.judge(given, is_expanded)
            if reason is not None:
                yield Problem(_join(path, rule.at), reason, rule.name)

    def _what(self) -> str:
        return f"must be an object with {_listed(self.members)}"

    def _unknown(self) -> str:
        return f"unknown key; known are {_listed(self.members)}"


def one_of(about: str, members: Mapping[str, Shape], *, name: str) -> Object:
    """An object that holds exactly one of these."""
    return Object(about, members, rules=(exactly_one(*members),), name=name)


@dataclass(frozen=True, slots=True)
class TextMap:
    """Metadata: texts by key. Only its values are expanded. Keys with the reserved prefix are ours."""

    about: str
    reserved_prefix: str = ""
    examples: tuple[object, ...] = ()

    def read(self, value: object, path: str) -> dict[str, str]:
        entries = self._entries(value, path)
        return {
            key: cast("str", text) if self._is_plain(key, text) else self._entry(key, text, path)
            for key, text in entries.items()
        }

    def compiled(self, value: object, path: str) -> Fixed | Filler:
        entries = self._entries(value, path)
        is_open = {key: isinstance(text, str) and has_placeholder(text) for key, text in entries.items()}
        fixed = self.read({key: text for key, text in entries.items() if not is_open[key]}, path)
        template = {key: fixed.get(key, "") for key in entries}
        texts = [(key, compiled(cast("str", text))) for key, text in entries.items() if is_open[key]]

        def fill(expansion: Expansion) -> dict[str, str]:
            filled = template.copy()
            if texts:
                filled.update(self.read({key: text(expansion) for key, text in texts}, path))
            return filled

        return fill

    def problems(self, value: object, path: str) -> Iterator[Problem]:
        try:
            entries = self._entries(value, path)
        except InvalidValue as error:
            yield Problem(error.field, error.reason, "metadata")
            return
        for key, text in entries.items():
            if self._is_plain(key, text):
                continue
            try:
                self._key(key, path)
            except InvalidValue as error:
                yield Problem(error.field, error.reason, "metadata-key")
            yield from Leaf(METADATA_VALUE, "").problems(text, _join(path, shown(key)))

    def schema(self) -> Json:
        reserved = f"(?!{self.reserved_prefix})" if self.reserved_prefix else ""
        keys = rf"^{reserved}(?!\.{{1,2}}$)[^\x00-\x1f\x7f]{{1,{MAX_KEY_BYTES}}}$"
        return {
            "description": self.about,
            "type": "object",
            "propertyNames": {"pattern": keys},
            "additionalProperties": METADATA_VALUE.schema,
            **({"examples": list(self.examples)} if self.examples else {}),
        }

    def _entries(self, value: object, path: str) -> dict[str, object]:
        if not isinstance(value, dict):
            raise InvalidValue(path, "must be an object of texts")
        return cast("dict[str, object]", value)

    def _is_plain(self, key: object, text: object) -> bool:
        """Fine at a glance: a megabyte may hold a hundred thousand of them."""
        if not (isinstance(key, str) and isinstance(text, str) and _PLAIN_KEY.fullmatch(key)):
            return False
        is_reserved = bool(self.reserved_prefix) and key.startswith(self.reserved_prefix)
        return not is_reserved and len(text) <= _PLAIN_CHARACTERS and not _UNSOUND.search(text)

    def _entry(self, key: object, text: object, path: str) -> str:
        self._key(key, path)
        return METADATA_VALUE.check(text, _join(path, shown(key)))

    def _key(self, key: object, path: str) -> str:
        field = _join(path, shown(key))
        text = opaque_id(check_text(key, field), field, max_bytes=MAX_KEY_BYTES)
        if self.reserved_prefix and text.startswith(self.reserved_prefix):
            raise InvalidValue(field, f"keys that begin with {self.reserved_prefix} are written by the workflow itself")
        return text


def _or_null(schema: Json) -> Json:
    """The same, or null. What `anyOf` and `oneOf` ask for is asked of objects only, and of nothing else here."""
    kinds: str | list[str] = schema["type"]
    nullable: Json = {**schema, "type": [*([kinds] if isinstance(kinds, str) else kinds), "null"]}
    for keyword in ("anyOf", "oneOf"):
        if keyword in schema:
            nullable[keyword] = [*schema[keyword], {"type": "null"}]
    return nullable


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path and name else path or name


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
