"""A JSON Schema in a few words, with links to the shapes that have a name."""

from __future__ import annotations

from typing import Any

from docs.generator.markdown import code, slug, table

Json = dict[str, Any]


def type_of(schema: Json, models: str = "models.md") -> str:
    """`models` is the page that holds the shapes."""
    if "$ref" in schema:
        name: str = schema["$ref"].rsplit("/", 1)[-1]
        return f"[{name}]({models}#{slug(name)})"
    if "anyOf" in schema:
        return " or ".join(type_of(choice, models) for choice in schema["anyOf"])
    if "enum" in schema:
        return " or ".join(code(value) for value in schema["enum"])
    kind = schema.get("type", "any JSON")
    if kind == "array":
        return f"list of {type_of(schema.get('items', {}), models)}"
    if kind == "object" and schema.get("additionalProperties"):
        return f"object of {type_of(schema['additionalProperties'], models)}"
    return str(schema.get("format", kind))


def members(shape: Json, models: str = "models.md") -> str:
    """A table of an object's members."""
    required = shape.get("required", [])
    rows = [
        (code(name), type_of(schema, models), "yes" if name in required else "", _about(schema))
        for name, schema in shape.get("properties", {}).items()
    ]
    return table(("Member", "Type", "Required", "Meaning"), rows)


def bounds(schema: Json) -> str:
    """The limits that a type does not say."""
    named = {"minLength": "at least {} characters", "maxLength": "at most {} characters"}
    named |= {"minItems": "at least {} items", "maxItems": "at most {} items"}
    named |= {"minimum": "at least {}", "maximum": "at most {}", "maxProperties": "at most {} members"}
    found = [text.format(f"{schema[name]:,}") for name, text in named.items() if name in schema]
    return ", ".join("not empty" if text.endswith("least 1 characters") else text for text in found)


def _about(schema: Json) -> str:
    parts = [schema.get("description", ""), f"{limit[0].upper()}{limit[1:]}." if (limit := bounds(schema)) else ""]
    if "default" in schema:
        parts.append(f"Default: {code(_compact(schema['default']).strip(chr(34)))}.")
    if schema.get("examples"):
        example = schema["examples"][0]
        parts.append(f"Such as {code(example if isinstance(example, str) else _compact(example))}.")
    return " ".join(part for part in parts if part)


def _compact(value: Any) -> str:
    import json

    return json.dumps(value, ensure_ascii=False)
