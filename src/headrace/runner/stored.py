"""Texts of the journal: JSON as it is stored, and the stages of a stored definition."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import msgspec

from headrace.workflows.activities import Json

_encode = msgspec.json.Encoder().encode

decode = msgspec.json.decode


def json_text(value: Any) -> str:
    return _encode(value).decode()


@lru_cache(maxsize=256)
def stages_in(config: str) -> list[Json]:
    """The stages of a stored definition. Its instances share them, and none changes them."""
    return decode(config)["stages"]
