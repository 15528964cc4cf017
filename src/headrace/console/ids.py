"""Ids as a person types them."""

from __future__ import annotations

import re

_UUID = re.compile(r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}")


def is_uuid(text: str) -> bool:
    return _UUID.fullmatch(text) is not None


def canonical_id(text: str) -> str:
    """A UUID in lower case, as ids are stored; any other text as it is."""
    return text.lower() if is_uuid(text) else text
