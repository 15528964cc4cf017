"""Convert the client's typed responses to plain documents with the API's member names."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]


def document(value: Any) -> Json:
    import msgspec

    return msgspec.to_builtins(value)


def documents(values: Any) -> list[Json]:
    return [document(value) for value in values]


def members(source: Json, *names: str) -> Json:
    """Return the named members that the document has."""
    return {name: source[name] for name in names if name in source}


def inner(source: Json, name: str) -> Json:
    """Return the object under this name, or an empty one."""
    return source.get(name) or {}
