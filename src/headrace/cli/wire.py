"""The client's typed answers as plain documents under the names of the wire."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]


def document(value: Any) -> Json:
    import msgspec

    return msgspec.to_builtins(value)


def documents(values: Any) -> list[Json]:
    return [document(value) for value in values]


def members(source: Json, *names: str) -> Json:
    """Those of these members that are there."""
    return {name: source[name] for name in names if name in source}


def inner(source: Json, name: str) -> Json:
    """The object under this name; an empty one where there is none."""
    return source.get(name) or {}
