"""Canonical JSON: one spelling of a value, so that equal values have equal hashes on any machine and in any language.

UTF-8, members ordered by code point, no blanks, integers exact, no floats.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any, cast

import msgspec

from headrace.errors import InvalidValue

_encode = msgspec.json.Encoder(order="sorted").encode


def canonical_json(value: Any) -> bytes:
    """The canonical JSON of objects, lists, texts, integers, booleans and None.

    Raises InvalidValue for any other value, among them floats and texts that UTF-8 cannot carry.
    """
    waiting: list[object] = [value]
    while waiting:
        found = waiting.pop()
        if isinstance(found, dict):
            members = cast("dict[object, object]", found)
            if not all(isinstance(name, str) for name in members):
                raise InvalidValue("", "an object whose names are not all texts has no canonical JSON")
            waiting.extend(members.values())
        elif isinstance(found, list | tuple):
            waiting.extend(cast("list[object]", found))
        elif found is not None and not isinstance(found, str | int):
            raise InvalidValue("", f"a {type(found).__name__} has no canonical JSON")
    try:
        return _encode(value)
    except (TypeError, ValueError):
        raise InvalidValue("", "a text that UTF-8 cannot carry has no canonical JSON") from None


def sha(value: Any) -> str:
    """`sha256:` and the hash of the canonical JSON in hexadecimal. Raises InvalidValue as `canonical_json` does."""
    return f"sha256:{sha256(canonical_json(value)).hexdigest()}"
