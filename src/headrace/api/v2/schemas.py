"""The shapes that V2 has beside those of V1."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType


class _Shape(msgspec.Struct, rename="camel", omit_defaults=True):
    """What is not set is left out."""


EventPayload = Annotated[dict[str, Any], Meta(description="An event's payload.", examples=[{"type": "PAY-IN"}])]


class FilterTrial(_Shape, kw_only=True):
    match: bool | UnsetType = UNSET
    error: Annotated[str, Meta(description="Why the filter gives nothing over this event.")] | UnsetType = UNSET


class VariableTrial(_Shape, kw_only=True):
    value: str | UnsetType = UNSET
    error: Annotated[str, Meta(description="Why the variable has no value.")] | UnsetType = UNSET


class TriggerTest(_Shape, kw_only=True):
    filter: FilterTrial
    variables: dict[str, VariableTrial]


class TriggerTestReply(_Shape, kw_only=True):
    data: TriggerTest
