"""Schemas of requests and responses of V1: they decode, encode and describe (`/openapi.json`) what is on the wire."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

_DATE_TIME: dict[str, Any] = {"format": "date-time", "examples": ["2024-05-01T10:00:00.123456Z"]}

DateTime = Annotated[str, Meta(description="RFC 3339, UTC, with microseconds.", extra_json_schema=_DATE_TIME)]
WorkflowId = Annotated[str, Meta(description="The workflow's id.")]
InstanceId = Annotated[str, Meta(description="The instance's id.")]
Failure = Annotated[str, Meta(description="The reason of the failure; absent without one.")]


class _Shape(msgspec.Struct, rename="camel", omit_defaults=True):
    """Fields are in camel case on the wire; those without a value are left out, never null."""


# workflows


class WorkflowConfig(_Shape, kw_only=True, forbid_unknown_fields=True):
    """A workflow's definition."""

    stages: Annotated[
        list[dict[str, Any]],
        Meta(
            min_length=1,
            max_length=1_000,
            description="Run in order.",
            examples=[[{"wait_event": {"event": "approved"}}]],
        ),
    ]
    name: Annotated[str, Meta(max_length=1_024, description="A name for people.")] | UnsetType = UNSET
    on_failure: (
        Annotated[
            Literal["undo"],
            Meta(
                description="`undo`: a run that fails is undone, the last effect first. Exists in Headrace only.",
                extra_json_schema={"x-headrace": True},
            ),
        ]
        | UnsetType
    ) = msgspec.field(default=UNSET, name="on_failure")


class StoredConfig(_Shape, kw_only=True):
    """A stored definition as far as a response needs it: the stages are copied unread."""

    stages: list[msgspec.Raw]


class Workflow(_Shape, kw_only=True):
    """A stored, immutable definition."""

    id: WorkflowId
    config: Annotated[msgspec.Raw, Meta(extra_json_schema={"$ref": "#/components/schemas/WorkflowConfig"})]
    created_at: DateTime
    updated_at: Annotated[DateTime, Meta(description="As `createdAt`, or the time of its deletion.")]


class WorkflowResponse(_Shape, kw_only=True):
    data: Workflow


class WorkflowListResponse(_Shape, kw_only=True):
    data: list[Workflow]


# instances


class StageStatus(_Shape, kw_only=True):
    """The status of a started stage."""

    stage: Annotated[int, Meta(ge=0, description="The stage's number, from 0.")]
    instance_id: Annotated[str, Meta(description="The instance's id.")] = msgspec.field(name="instanceID")
    started_at: DateTime
    terminated_at: DateTime | UnsetType = UNSET
    error: Failure | UnsetType = UNSET


class Instance(_Shape, kw_only=True):
    """One run of a workflow."""

    id: InstanceId
    workflow_id: WorkflowId = msgspec.field(name="workflowID")
    created_at: DateTime
    updated_at: DateTime
    terminated: bool
    terminated_at: Annotated[DateTime, Meta(description="Present once it has ended.")] | UnsetType = UNSET
    error: Annotated[str, Meta(description='The reason of the failure; "canceled" when aborted.')] | UnsetType = UNSET
    status: Annotated[list[StageStatus], Meta(description="One entry for each started stage, in order.")]


class InstanceResponse(_Shape, kw_only=True):
    data: Instance


class InstanceListResponse(_Shape, kw_only=True):
    data: list[Instance]


Variables = Annotated[
    dict[str, str],
    Meta(
        max_length=1_000,
        description="A value for each `${name}` of the workflow; further ones are ignored.",
        examples=[{"userID": "42"}],
    ),
]


class SendEventRequest(_Shape, kw_only=True, forbid_unknown_fields=True):
    """An event for one instance."""

    name: Annotated[str, Meta(min_length=1, max_length=1_024, description="The `event` of the wait_event stage.")]


# histories


class StageHistory(_Shape, kw_only=True):
    """A started stage."""

    name: Annotated[str, Meta(description="The stage's keyword.", examples=["send"])]
    input: Annotated[
        msgspec.Raw,
        Meta(
            description="The stage's body without its keyword, variables expanded.",
            extra_json_schema={"type": "object", "examples": [{"event": "approved"}]},
        ),
    ]
    terminated: bool
    started_at: DateTime
    terminated_at: DateTime | UnsetType = UNSET
    error: Failure | UnsetType = UNSET


class HistoryResponse(_Shape, kw_only=True):
    data: Annotated[list[StageHistory], Meta(description="One entry for each started stage, in order.")]


class ActivityHistory(_Shape, kw_only=True):
    """An activity of a stage: a named read or effect on a downstream service."""

    name: Annotated[str, Meta(description="The activity's name.", examples=["CreateTransaction"])]
    input: Annotated[
        dict[str, msgspec.Raw],
        Meta(description="One member, named like the activity.", extra_json_schema={"minProperties": 1}),
    ]
    output: (
        Annotated[dict[str, msgspec.Raw], Meta(description="One member, named like the activity, once it succeeded.")]
        | UnsetType
    ) = UNSET
    error: Failure | UnsetType = UNSET
    terminated: bool
    started_at: DateTime
    terminated_at: DateTime | UnsetType = UNSET
    last_failure: Annotated[str, Meta(description="The latest failed attempt, while retrying.")] | UnsetType = UNSET
    attempt: Annotated[int, Meta(ge=1, description="Attempts begun.")]
    next_execution: (
        Annotated[DateTime, Meta(description="When the next attempt is due, while retrying.")] | UnsetType
    ) = UNSET


class ActivityHistoryResponse(_Shape, kw_only=True):
    data: Annotated[list[ActivityHistory], Meta(description="One entry for each activity, in order.")]


# triggers


Source = Annotated[
    str,
    Meta(max_length=8_192, description="An expression over `event`, the event's payload.", examples=["event.id"]),
]


class TriggerData(_Shape, kw_only=True, forbid_unknown_fields=True):
    """An event rule."""

    event: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=1_024,
            description="The event's type, or its app and type: `payments.saved_payment`.",
            examples=["SAVED_PAYMENT"],
        ),
    ]
    workflow_id: Annotated[str, Meta(min_length=1, description="The workflow to start.")] = msgspec.field(
        name="workflowID"
    )
    name: Annotated[str, Meta(max_length=1_024, description="A name for people.")] | UnsetType = UNSET
    filter: Annotated[Source, Meta(examples=['event.type == "PAY-IN"'])] | UnsetType = UNSET
    vars: (
        Annotated[
            dict[str, Source],
            Meta(max_length=1_000, description="An expression for each of the workflow's variables."),
        ]
        | UnsetType
    ) = UNSET
    version: (
        Annotated[str, Meta(max_length=1_024, description="Only events of this version of their format.")] | UnsetType
    ) = UNSET


class Trigger(_Shape, kw_only=True):
    """A stored event rule."""

    id: Annotated[str, Meta(description="The trigger's id.")]
    created_at: DateTime
    name: str
    event: str
    workflow_id: WorkflowId = msgspec.field(name="workflowID")
    filter: str | UnsetType = UNSET
    vars: (
        Annotated[msgspec.Raw, Meta(extra_json_schema={"type": "object", "additionalProperties": {"type": "string"}})]
        | UnsetType
    ) = UNSET
    version: str | UnsetType = UNSET


class TriggerResponse(_Shape, kw_only=True):
    data: Trigger


class TriggerListResponse(_Shape, kw_only=True):
    data: list[Trigger]


class Occurrence(_Shape, kw_only=True):
    """One match of a trigger and an event."""

    date: DateTime
    trigger_id: Annotated[str, Meta(description="The trigger's id.")] = msgspec.field(name="triggerID")
    event: Annotated[msgspec.Raw, Meta(description="The event's payload.", extra_json_schema={"type": "object"})]
    workflow_instance_id: InstanceId | UnsetType = msgspec.field(name="workflowInstanceID", default=UNSET)
    workflow_instance: Instance | UnsetType = UNSET
    error: Annotated[str, Meta(description="The reason why no instance was started.")] | UnsetType = UNSET


class OccurrenceListResponse(_Shape, kw_only=True):
    data: list[Occurrence]


# server and errors


class ServerInfo(_Shape, kw_only=True):
    version: Annotated[str, Meta(description="The server's version.")]


class Problem(_Shape, kw_only=True):
    """One problem of a definition."""

    path: Annotated[str, Meta(description="The place in the definition.", examples=["stages[0].send.amount.asset"])]
    reason: str
    rule: Annotated[str, Meta(description="The name of the broken rule.", examples=["asset"])] | UnsetType = UNSET
    line: Annotated[int, Meta(ge=1, description="In a YAML body.")] | UnsetType = UNSET
    column: Annotated[int, Meta(ge=1, description="In a YAML body.")] | UnsetType = UNSET


class ReasonCode(_Shape, kw_only=True):
    """A word for programs that says why a request is refused."""

    reason: Annotated[str, Meta(examples=["too_large"])]


class Error(_Shape, kw_only=True):
    """The body of every error response."""

    error_code: Annotated[str, Meta(extra_json_schema={"enum": ["VALIDATION", "NOT_FOUND", "INTERNAL"]})]
    error_message: Annotated[str, Meta(description="The problem and its place.")]
    details: (
        Annotated[
            list[Problem] | ReasonCode,
            Meta(description="Of a definition: its problems. Of another refusal: a word for the reason."),
        ]
        | UnsetType
    ) = UNSET
