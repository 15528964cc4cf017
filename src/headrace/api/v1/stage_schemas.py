"""The schemas of stages in `/openapi.json` and `/docs`, made from the shapes that validate them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from headrace.workflows.conditions import WHEN
from headrace.workflows.schema import condition_schema
from headrace.workflows.stages import STAGES
from headrace.workflows.stages.shape import MARK, Leaf, Object, Shape, TextMap

Json = dict[str, Any]


def add_stages(components: Json) -> None:
    """Add the schemas of all stages, and refer to them in the schema of a workflow."""
    stages: Json = {keyword: _reference(stage.shape) for keyword, stage in STAGES.items()}
    stages[WHEN] = condition_schema()
    components["WorkflowConfig"]["properties"]["stages"]["items"] = {"$ref": "#/components/schemas/Stage"}
    components["Stage"] = {
        "title": "Stage",
        "description": "One step: exactly one of these, perhaps with `when` beside it.",
        "type": "object",
        "properties": stages,
        "required": [],
        "additionalProperties": False,
        "minProperties": 1,
        "maxProperties": 2,
    }
    for stage in STAGES.values():
        for shape in objects_in(stage.shape):
            components[shape.name] = _component(shape, is_portable=stage.is_portable)
        if not stage.is_portable:
            components[stage.shape.name][MARK] = True


def objects_in(shape: Shape) -> Iterator[Object]:
    """Yield this object and those below it; an object that is used in several places comes several times."""
    if isinstance(shape, Object):
        yield shape
        for member in shape.members.values():
            yield from objects_in(member)


def _component(shape: Object, *, is_portable: bool) -> Json:
    """The schema of an object. A member of Headrace's own may be null, which responses repeat; it is then left out."""
    own = {
        name
        for name, member in shape.members.items()
        if name not in shape.required and (not is_portable or (isinstance(member, Leaf) and not member.is_portable))
    }
    component: Json = {
        "title": shape.name,
        "description": shape.about,
        "type": "object",
        "properties": {
            name: _or_null(_member(member)) if name in own else _member(member)
            for name, member in shape.members.items()
        },
        "required": list(shape.required),
        "additionalProperties": False,
    }
    for rule in shape.rules:
        component |= rule.count
    return component


def _member(shape: Shape) -> Json:
    match shape:
        case Object():
            return _reference(shape)
        case Leaf(about=about, kind=kind, default=default, examples=examples):
            types: str | list[str] = kind.schema["type"]
            typed: Json = {"type": types} if isinstance(types, str) else {"anyOf": [{"type": each} for each in types]}
            described: Json = {"description": about}
            if default is not None:
                described["default"] = default
            if examples:
                described["examples"] = list(examples)
            if not shape.is_portable:
                described[MARK] = True
            # Text may hold placeholders: what the kind allows is checked once they are expanded.
            return described | typed
        case TextMap(about=about, examples=examples):
            described = {"description": about, **({"examples": list(examples)} if examples else {})}
            return {**described, "type": "object", "additionalProperties": {"type": "string"}}
        case _:
            raise TypeError(f"no schema is known for {shape!r}")


def _or_null(schema: Json) -> Json:
    """A schema that also allows null."""
    kinds: list[Json] = schema.pop("anyOf", None) or [{"type": schema.pop("type")}]
    return {**schema, "anyOf": [*kinds, {"type": "null"}]}


def _reference(shape: Object) -> Json:
    return {"$ref": f"#/components/schemas/{shape.name}"}
