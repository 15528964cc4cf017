"""The page of models: every shape of requests and answers, from the OpenAPI description."""

from __future__ import annotations

from docs.generator.markdown import page, sentence
from docs.generator.operations import description
from docs.generator.types import Json, members, type_of

INTRODUCTION = """What requests and answers are made of, in alphabetical order. What is not required is left out where
there is nothing to say, never null. The same for programs: `GET /openapi.json` on a running server."""


def models_page() -> str:
    shapes: Json = description()["components"]["schemas"]
    return page("Models", INTRODUCTION, *(_section(name, shapes[name]) for name in sorted(shapes)))


def _section(name: str, shape: Json) -> str:
    parts = [f"## {name}", sentence(shape.get("description", "")), members(shape, "")]
    if "properties" not in shape:
        parts.append(f"Is {type_of(shape, '')}.")
    return "\n\n".join(part for part in parts if part)
