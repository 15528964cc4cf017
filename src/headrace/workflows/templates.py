"""Stage bodies compiled once for each definition, for all its instances.

An instance fills in its variables and checks only the values that hold one. A template never reports an error: where a
value is invalid it returns None, and `expand` and `normalise` raise the error.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from headrace.errors import InvalidValue
from headrace.workflows.activities import Json
from headrace.workflows.stages.shape import Filler
from headrace.workflows.stages.stage import StageType
from headrace.workflows.variables import Expansion

MAX_TEMPLATES = 5_000

_templates: dict[tuple[int, str], tuple[Json, Filler | None]] = {}
"""By the `id()` of the body. The entry holds the body, so no other object can get the same `id()`."""


def filled_in(stage: StageType, raw: Json, variables: Mapping[str, str]) -> Json | None:
    """The body of a stage as history shows it; None where a value is invalid.

    `raw` is the body in the stored definition, which must not be changed afterwards.
    """
    key = (id(raw), stage.keyword)
    _, filler = _templates.get(key) or _made(key, stage, raw)
    if filler is None:
        return None
    try:
        return stage.completed(filler(Expansion(variables)))
    except InvalidValue:
        return None


def _made(key: tuple[int, str], stage: StageType, raw: Json) -> tuple[Json, Filler | None]:
    """Compile the body. The oldest template is evicted."""
    if len(_templates) >= MAX_TEMPLATES:
        del _templates[next(iter(_templates))]
    try:
        filler = cast("Filler", stage.shape.compiled(raw, ""))
    except InvalidValue:
        filler = None
    _templates[key] = raw, filler
    return raw, filler
