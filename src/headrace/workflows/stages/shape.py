"""Shapes: what a body may hold, said once.

`problems` looks at a definition: it reports everything and leaves alone what holds a placeholder.
`read` looks at a body after expansion: it returns it typed, without nulls, or raises InvalidValue.
`compile` does the part of `read` that is the same for all instances of a definition; `Template` does the rest for each.
`schema` gives an editor the same, as JSON Schema, with the `about` of each member.
OpenAPI (`api/v1/stage_schemas.py`) and the client's classes (`tests/support/stage_types.py`) are made from it, too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol, cast

from headrace.errors import InvalidValue, Problem
from headrace.money import MAX_KEY_BYTES, opaque_id
from headrace.workflows.activities import Json
from headrace.workflows.stages.formats import METADATA_VALUE, Kind
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


MARK = "x-headrace"
"""Marks in a schema what other servers of the Orchestration API do not know."""


class Template:
    """A body before expansion: checked as far as it holds no placeholders, and copied and completed for each instance.

    `body` is the root. It holds None, or an empty text, in the place of each value that has placeholders. An object of
    the body is named by its number, that of the root is 0.
    """

    def __init__(self) -> None:
        self._objects: list[Json] = [{}]
        self._links: list[tuple[int, str, int]] = []
        self._texts: list[Callable[[Expansion], str]] = []
        self._checks: list[tuple[Callable[[object, str], Any], str]] = []
        self._places: list[tuple[int, str]] = []
        self._judges: list[tuple[int, Judge, str]] = []

    @property
    def body(self) -> Json:
        return self._objects[0]

    def members(self, number: int) -> Json:
        """The members of an object, to which more may be added."""
        return self._objects[number]

    def add_object(self, parent: int, name: str) -> int:
        """Add an empty object as a member of another one; returns its number."""
        number = len(self._objects)
        self._objects.append({})
        self._objects[parent][name] = self._objects[number]
        self._links.append((parent, name, number))
        return number

    def add_text(self, parent: int, name: str, text: str, check: Callable[[object, str], Any], path: str) -> None:
        """Add a text with placeholders as a member of an object; `check` judges the expanded text."""
        self._objects[parent][name] = None
        self._texts.append(compiled(text))
        self._checks.append((check, path))
        self._places.append((parent, name))

    def add_judge(self, number: int, judge: Judge, path: str) -> None:
        """Judge the members of an object together, once they are expanded."""
        self._judges.append((number, judge, path))

    def filled(self, variables: Mapping[str, str]) -> Json:
        """A new body with these variables. Raises InvalidValue where `expand` or `read` would."""
        expansion = Expansion(variables)
        texts = [text(expansion) for text in self._texts]
        values = [check(text, path) for (check, path), text in zip(self._checks, texts, strict=True)]
        objects = [members.copy() for members in self._objects]
        for parent, name, number in self._links:
            objects[parent][name] = objects[number]
        for (parent, name), value in zip(self._places, values, strict=True):
            objects[parent][name] = value
        for number, judge, path in self._judges:
            if (reason := judge(objects[number], True)) is not None:
                raise InvalidValue(path, reason)
        return objects[0]


class Shape(Protocol):
    def read(self, value: object, path: str) -> Any: ...

    def compile(self, value: object, path: str, template: Template, parent: int, name: str) -> None:
        """Put a value into an object of a template. Raises InvalidValue if no variables can make it acceptable."""
        ...

    def problems(self, value: object, path: str) -> Iterator[Problem]: ...

    def schema(self) -> Json: ...


@dataclass(frozen=True, slots=True)
class Leaf:
    """One value of some kind. `default` is what is meant where it is left out, if that can be said.

    `is_blank`: a client reads an empty text, not None, where history leaves it out. `is_portable`: other servers of the
    Orchestration API know it; else schemas mark it.
    """

    kind: Kind
    about: str
    default: object = None
    examples: tuple[object, ...] = ()
    is_blank: bool = False
    is_portable: bool = True

    def read(self, value: object, path: str) -> Any:
        return self.kind.check(value, path)

    def compile(self, value: object, path: str, template: Template, parent: int, name: str) -> None:
        if isinstance(value, str) and has_placeholder(value):
            template.add_text(parent, name, value, self.kind.check, path)
        else:
            template.members(parent)[name] = self.kind.check(value, path)

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
        mark = {} if self.is_portable else {MARK: True}
        return {"description": self.about, **self.kind.schema, **default, **examples, **mark}


Judge = Callable[[Json, bool], "str | None"]
"""Judges members together: (members, whether they are expanded) to what is wrong with them, if anything."""


@dataclass(frozen=True, slots=True)
class Rule:
    """Members judged together. `schema` says the same of an object in JSON Schema's keywords.

    `at` is the member that is named when the rule is broken; the object itself where there is none. `count` says how
    many members there may be, for OpenAPI, which is read by more programs than understand `schema`. `is_of_names`: the
    judge looks at the members' names alone, so one look at a definition is enough. `is_of_definitions`: a definition is
    judged when it is created, and never an expanded body.
    """

    name: str
    judge: Judge
    schema: Json
    at: str = ""
    count: Json = field(default_factory=dict[str, Any])
    is_of_names: bool = False
    is_of_definitions: bool = False


def exactly_one(*names: str) -> Rule:
    """One of these members is given, no more."""

    def judge(given: Json, _is_expanded: bool) -> str | None:
        known = [name for name in names if name in given]
        return None if len(known) == 1 else f"must hold exactly one of {_listed(names)}, not {_listed(known) or 'none'}"

    schema: Json = {"oneOf": [holding(name) for name in names]}
    return Rule("exactly-one", judge, schema, count={"minProperties": 1, "maxProperties": 1}, is_of_names=True)


def needs(name: str, other: str) -> Rule:
    """A member is given together with another one only."""

    def judge(given: Json, _is_expanded: bool) -> str | None:
        return f"is given with `{other}` only" if name in given and other not in given else None

    schema: Json = {"anyOf": [{"properties": {name: {"type": "null"}}}, holding(other)]}
    return Rule("needs", judge, schema, at=name, is_of_names=True)


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

    def compile(self, value: object, path: str, template: Template, parent: int, name: str) -> None:
        self._compile(value, path, template, template.add_object(parent, name))

    def template(self, body: object) -> Template:
        """Compile a whole body. Raises InvalidValue if no variables can make it acceptable."""
        template = Template()
        self._compile(body, "", template, 0)
        return template

    def _compile(self, value: object, path: str, template: Template, number: int) -> None:
        if not isinstance(value, dict):
            raise InvalidValue(path, self._what())
        for name, member in cast("Json", value).items():
            shape = self.members.get(name)
            if shape is None:
                raise InvalidValue(_join(path, shown(name)), self._unknown())
            if member is not None:
                shape.compile(member, _join(path, name), template, number, name)
        members = template.members(number)
        if not members.keys() >= set(self.required):
            raise InvalidValue(path, self._what())
        for rule in self.rules:
            if rule.is_of_names:
                if rule.judge(members, True):
                    raise InvalidValue(path, self._what())
            elif not rule.is_of_definitions:
                template.add_judge(number, rule.judge, path)

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
            if is_expanded and rule.is_of_definitions:
                continue
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
        return {key: self._text(key, text, path) for key, text in entries.items()}

    def compile(self, value: object, path: str, template: Template, parent: int, name: str) -> None:
        number = template.add_object(parent, name)
        for key, text in self._entries(value, path).items():
            if isinstance(text, str) and has_placeholder(text):
                self._key(key, path)
                template.add_text(number, key, text, partial(self._text, key), path)
            else:
                template.members(number)[key] = self._text(key, text, path)

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

    def _text(self, key: object, text: object, path: str) -> str:
        if self._is_plain(key, text):
            return cast("str", text)
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
