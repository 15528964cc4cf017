"""Stage bodies made ready once for each definition, for all runs of it.

A run fills in its variables and checks only what they have brought in. Where that is refused there is no answer, and
the plain way (`expand`, then `normalise`) says why: a template decides nothing that the plain way decides otherwise.
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
"""By the identity of the stored body, which is kept here so that no other object can take over its identity."""


def filled_in(stage: StageType, raw: Json, variables: Mapping[str, str]) -> Json | None:
    """The body of a stage as history shows it; None where something is to be refused.

    `raw` is the body in the stored definition, which never changes.
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
    """The oldest template is forgotten."""
    if len(_templates) >= MAX_TEMPLATES:
        del _templates[next(iter(_templates))]
    try:
        filler = cast("Filler", stage.shape.compiled(raw, ""))
    except InvalidValue:
        filler = None
    _templates[key] = raw, filler
    return raw, filler
