"""Commitments: what an effect does, without the id of its instance, its key and its time.

The request of an effect holds its key, so the requests of two instances differ even where they do the same. A
commitment is the request of the same effect prepared under a placeholder instead. Two effects with equal commitments
do the same; text is never substituted in a request.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from headrace.effects.services import prepare
from headrace.effects.wire import NO_SCHEMAS, stored
from headrace.planning.canonical import sha
from headrace.workflows.activities import Activity, Json, Service


@dataclass(frozen=True, slots=True)
class Commitment:
    """The content of one effect. `ordinal` counts the effects of its stage from 0; `body` is the request's JSON."""

    stage: int
    ordinal: int
    activity: str
    service: Service
    method: str
    path: str
    body: Json

    def shown(self) -> Json:
        return asdict(self)

    def sha(self) -> str:
        """The hash of everything that the commitment holds."""
        return sha(self.shown())


def placeholder(stage: int, ordinal: int) -> str:
    """The key under which the effect of a plan is prepared."""
    return f"headrace:plan:{stage}:{ordinal}"


def commitment_of(effect: Activity, stage: int, ordinal: int, schemas: Mapping[str, str] = NO_SCHEMAS) -> Commitment:
    """The commitment of an effect. `schemas`: the schema version of each ledger that has one.

    Raises InvalidValue, which names the field, where no request can be made of the effect.
    """
    request = prepare(effect, placeholder(stage, ordinal), 0, schemas)
    body: dict[str, Any] = stored(request)
    return Commitment(stage, ordinal, effect.name, request.service, request.method, request.path, body)
