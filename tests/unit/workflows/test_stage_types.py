"""A stage says everything about itself, and the client's classes follow from it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from headrace.workflows.stages import STAGES
from headrace.workflows.stages.shape import Object
from headrace.workflows.stages.stage import StageType
from headrace_client import stage_types
from headrace_client.stages import Stage
from tests.support import stage_types as written


def test_the_client_s_classes_are_current() -> None:
    assert written.FILE.read_text("utf-8") == written.stage_types(), "make schema"


@pytest.mark.parametrize("keyword", STAGES)
def test_the_client_has_a_class_for_each_stage(keyword: str) -> None:
    names = {field.encode_name for field in msgspec.structs.fields(stage_types.BY_KEYWORD[keyword])}
    assert names == set(STAGES[keyword].shape.members)
    assert stage_types.BY_KEYWORD[keyword] in Stage.__args__


def complete() -> dict[str, Any]:
    return {
        "keyword": "note",
        "shape": Object("Writes a note.", {}, name="Note"),
        "about": "Writes a note.",
        "example": "name: note\nstages:\n  - note: {}",
        "label": "note",
        "color": "#000000",
        "pale": "#ffffff",
        "run": lambda self, body, context: iter(()),
        "describe": lambda self, body, display: ["Write a note"],
    }


@pytest.mark.parametrize("fact", complete())
def test_a_stage_that_leaves_out_a_fact_is_refused(fact: str) -> None:
    members = complete()
    type("Note", (StageType,), dict(members))
    del members[fact]
    with pytest.raises(TypeError, match=f"stage Note does not say its `{fact}`"):
        type("Note", (StageType,), members)
