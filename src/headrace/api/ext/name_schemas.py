"""Schemas of names with versions, of triggers that are kept under names, and of apply."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from headrace.api.ext.schemas import Shape
from headrace.api.v1.schemas import DateTime, WorkflowConfig, WorkflowId
from headrace.api.v2.schemas import Page
from headrace.usecases.names import NAME_PATTERN

Name = Annotated[str, Meta(pattern=NAME_PATTERN, description="No id, and without the ending of a file.")]
Set = Annotated[
    str,
    Meta(pattern=NAME_PATTERN, description="The set of `headrace apply` that makes it, which alone may prune it."),
]
Vars = Annotated[dict[str, str], Meta(description="Expressions by the names of variables.")]


class NamedDefinition(Shape, kw_only=True):
    """A definition to put under a name."""

    definition: Annotated[WorkflowConfig, Meta(description="Its `name` is that of the path, or missing.")]
    if_version: (
        Annotated[
            int,
            Meta(ge=0, le=2**31 - 1, description="The version that must be current until then; 0: the name is new."),
        ]
        | UnsetType
    ) = UNSET
    set: Set | UnsetType = UNSET


class NamedVersion(Shape, kw_only=True):
    """An immutable version of a name: an ordinary workflow."""

    version: Annotated[int, Meta(ge=1)]
    workflow_id: WorkflowId = msgspec.field(name="workflowID")
    hash: Annotated[str, Meta(description="Of the definition's canonical JSON.")]
    created_at: DateTime
    created_by: Annotated[str, Meta(description="The principal that put it first.")]
    deleted: Annotated[bool, Meta(description="Its workflow was deleted by its id: it starts no more.")] = False


class NamedWorkflow(Shape, kw_only=True):
    """A name, its current version, and all versions, the newest first."""

    name: Name
    version: Annotated[int, Meta(ge=1, description="The number of the current version.")]
    workflow_id: WorkflowId = msgspec.field(name="workflowID")
    created_at: DateTime
    updated_at: DateTime
    versions: list[NamedVersion]
    set: Set | UnsetType = UNSET


class NamedWorkflowResponse(Shape, kw_only=True):
    data: NamedWorkflow


class NamedWorkflowPage(Page, kw_only=True):
    data: list[NamedWorkflow]


class NamedWorkflowPageResponse(Shape, kw_only=True):
    cursor: NamedWorkflowPage


class TriggerDefinition(Shape, kw_only=True):
    """A trigger. It starts the current version of `workflow`, a name, or the one workflow `workflowID`."""

    event: Annotated[str, Meta(min_length=1, max_length=1_024, examples=["SAVED_PAYMENT"])]
    workflow: Name | UnsetType = UNSET
    workflow_id: WorkflowId | UnsetType = msgspec.field(default=UNSET, name="workflowID")
    filter: str | UnsetType = UNSET
    version: str | UnsetType = UNSET
    vars: Vars | UnsetType = UNSET


class PutTriggerRequest(TriggerDefinition, kw_only=True):
    """A trigger to put under a name."""

    if_revision: (
        Annotated[
            int,
            Meta(ge=0, le=2**31 - 1, description="The revision that must be there until then; 0: the name is new."),
        ]
        | UnsetType
    ) = UNSET
    set: Set | UnsetType = UNSET


class KeptTrigger(Shape, kw_only=True):
    """A trigger under a name. `workflowID` is the workflow that an event would start now."""

    id: Annotated[str, Meta(description="The trigger's id, which stays when its definition is replaced.")]
    name: Name
    revision: Annotated[int, Meta(ge=1, description="The number of its definition.")]
    event: str
    workflow_id: WorkflowId = msgspec.field(name="workflowID")
    created_at: DateTime
    workflow: Name | UnsetType = UNSET
    filter: str | UnsetType = UNSET
    version: str | UnsetType = UNSET
    vars: (
        Annotated[msgspec.Raw, Meta(extra_json_schema={"type": "object", "additionalProperties": {"type": "string"}})]
        | UnsetType
    ) = UNSET
    set: Set | UnsetType = UNSET


class KeptTriggerResponse(Shape, kw_only=True):
    data: KeptTrigger


class KeptTriggerPage(Page, kw_only=True):
    data: list[KeptTrigger]


class KeptTriggerPageResponse(Shape, kw_only=True):
    cursor: KeptTriggerPage


class ApplyRequest(Shape, kw_only=True):
    """Documents by their names, up to 1,000."""

    workflows: Annotated[dict[str, WorkflowConfig], Meta(description="Definitions by name.")] | UnsetType = UNSET
    triggers: Annotated[dict[str, TriggerDefinition], Meta(description="Triggers by name.")] | UnsetType = UNSET
    set: Annotated[str, Meta(pattern=NAME_PATTERN, description="`default` without one.")] | UnsetType = UNSET
    prune: Annotated[bool, Meta(description="Delete what this set has made, and this request does not name.")] = False
    dry_run: Annotated[bool, Meta(description="Only find out what would be done.")] = False


class AppliedDocument(Shape, kw_only=True):
    """The action on one document."""

    kind: Literal["workflow", "trigger"]
    name: Name
    action: Literal["created", "updated", "unchanged", "pruned"]
    version: Annotated[int, Meta(ge=1, description="The version of a workflow, the revision of a trigger.")]
    id: Annotated[str, Meta(description="Of the workflow or the trigger; of a trial, it may be none.")]


class Applied(Shape, kw_only=True):
    """The result of an apply, or of a trial."""

    set: Set
    documents: list[AppliedDocument]
    dry_run: bool = False


class AppliedResponse(Shape, kw_only=True):
    data: Applied
