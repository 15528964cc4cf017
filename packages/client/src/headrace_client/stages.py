"""Stages in the history: the body without its keyword, with variables replaced."""

from __future__ import annotations

from typing import Any

import msgspec

from headrace_client.models import Model
from headrace_client.stage_types import *  # noqa: F403 - re-exports the class of every stage
from headrace_client.stage_types import BY_KEYWORD, BY_MEMBER, KnownStage


class UnknownStage(Model):
    """A stage that this client has no class for: its members as received."""

    members: dict[str, Any]


Stage = KnownStage | UnknownStage


def read_stage(name: str, body: dict[str, Any]) -> Stage:
    """Decode a stage by its name, or by its members if the name is unknown."""
    known = BY_KEYWORD.get(name) or _class_by_members(body)
    return UnknownStage(body) if known is None else msgspec.convert(body, known)


def _class_by_members(body: dict[str, Any]) -> type[KnownStage] | None:
    keywords = {BY_MEMBER[member] for member in body if member in BY_MEMBER}
    return BY_KEYWORD[keywords.pop()] if len(keywords) == 1 else None
