"""A stage says everything about itself, and the client's classes follow from it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from headrace.workflows.activities import ACTIVITIES
from headrace.workflows.stages import STAGES
from headrace.workflows.stages.shape import Object
from headrace.workflows.stages.stage import StageType
from headrace_client import stage_types
from headrace_client.activity_types import V2WorkflowInstanceHistoryStageInput, WorkflowInstanceHistoryStageInput
from headrace_client.stages import Stage
from tests.support import activity_types as activity_file
from tests.support import stage_types as stage_file


def test_the_client_s_classes_are_current() -> None:
    assert stage_file.FILE.read_text("utf-8") == stage_file.stage_types(), "make schema"
    assert activity_file.FILE.read_text("utf-8") == activity_file.activity_types(), "make schema"


@pytest.mark.parametrize("keyword", STAGES)
def test_the_client_has_a_class_for_each_stage(keyword: str) -> None:
    names = {field.encode_name for field in msgspec.structs.fields(stage_types.BY_KEYWORD[keyword])}
    assert names == set(STAGES[keyword].shape.members)
    assert stage_types.BY_KEYWORD[keyword] in Stage.__args__


@pytest.mark.parametrize("name", ACTIVITIES)
def test_the_client_reads_the_input_of_each_activity(name: str) -> None:
    shown = {name: ACTIVITIES[name].example().input("key")}
    documents = {"v1": WorkflowInstanceHistoryStageInput, "v2": V2WorkflowInstanceHistoryStageInput}
    for document in (documents[version] for version in ACTIVITIES[name].versions):
        read = msgspec.convert(shown, document).activity
        assert isinstance(read, msgspec.Struct)
        fields = {field.encode_name for field in msgspec.structs.fields(type(read))}
        assert shown[name].keys() <= fields


def complete() -> dict[str, Any]:
    return {
        "keyword": "note",
        "shape": Object("Writes a note.", {}, name="Note"),
        "about": "Writes a note.",
        "example": "name: note\nstages:\n  - note: {}",
        "label": "note",
        "color": "#000000",
        "dark_color": "#ffffff",
        "dark_pale": "#222222",
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
