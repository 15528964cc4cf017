"""Reading the members of a decoded document: each of them is known, and a mistake is named with its place."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any, cast

from headrace.errors import InvalidValue
from headrace.money import MAX_DIGITS

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*", re.ASCII)
_KINDS: tuple[tuple[type[Any], str], ...] = (
    (str, "text"),
    (bool, "true or false"),
    (int, "a number"),
    (float, "a number"),
    (list, "a list"),
    (dict, "an object"),
)


def members(value: object, path: str, known: Collection[str]) -> dict[str, Any]:
    """The members of an object, all of them known; nothing at all has none."""
    found = {name: member for name, _, member in entries(value, path)}
    for name in found:
        if name not in known:
            raise InvalidValue(member_path(path, name), f"is not known here; known are {', '.join(known)}")
    return found


def entries(value: object, path: str) -> Iterator[tuple[str, str, Any]]:
    """Name, place and value of each member."""
    if value is None:
        return
    if not isinstance(value, dict):
        raise InvalidValue(path, f"must be an object, not {_kind(value)}")
    for name, member in cast("dict[object, object]", value).items():
        if not isinstance(name, str):
            raise InvalidValue(path, f"the name {name!r} of a member must be text")
        yield name, member_path(path, name), member


def items(value: object, path: str) -> Iterator[tuple[str, Any]]:
    """Place and value of each item."""
    if value is None:
        return
    if not isinstance(value, list):
        raise InvalidValue(path, f"must be a list, not {_kind(value)}")
    for number, item in enumerate(cast("list[object]", value)):
        if item is None:
            raise InvalidValue(f"{path}[{number}]", "must be an object")
        yield f"{path}[{number}]", item


def member_path(path: str, name: str) -> str:
    """The place of a member: `given.ledgers`, or `given.ledgers.main["users:jane"]` where the name is no plain word.

    The path of the whole document is empty.
    """
    if not _NAME.fullmatch(name):
        return f"{path}[{_shown(name)}]"
    return f"{path}.{name}" if path else name


def _shown(name: str) -> str:
    short = name if len(name) <= 80 else name[:77] + "..."
    return '"' + short.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _kind(value: object) -> str:
    return next((name for kind, name in _KINDS if isinstance(value, kind)), type(value).__name__)


def text(fields: Mapping[str, Any], name: str, path: str, default: str | None = None) -> str:
    value = fields.get(name, default)
    if value is None:
        raise InvalidValue(member_path(path, name), "is required")
    if not isinstance(value, str):
        raise InvalidValue(member_path(path, name), f"must be text, not {_kind(value)}: write {quoted(value)}")
    if not value and default != "":
        raise InvalidValue(member_path(path, name), "must not be empty")
    return value


def choice(fields: Mapping[str, Any], name: str, path: str, allowed: Collection[str], default: str) -> str:
    value = text(fields, name, path, default)
    if value not in allowed:
        raise InvalidValue(member_path(path, name), f"must be one of {', '.join(allowed)}")
    return value


def quoted(value: object) -> str:
    is_plain = isinstance(value, int | float) and not isinstance(value, bool)
    return f'"{value}"' if is_plain and len(str(value)) <= MAX_DIGITS else "it in quotes"
