"""The shapes of what is below `/ext`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from headrace.api.v1.schemas import DateTime, InstanceId, WorkflowId
from headrace.api.v2.schemas import Page

InstanceStatus = Annotated[
    Literal["running", "waiting", "retrying", "attention", "succeeded", "failed", "aborted"],
    Meta(
        description=(
            "`waiting`: for the end of a delay or for an event; `retrying`: an activity failed and is tried again; "
            "`attention`: the outcome of an effect is unknown, and a person has to decide."
        )
    ),
]


class _Shape(msgspec.Struct, rename="camel", omit_defaults=True):
    """What is not set is left out."""


class Envelope(_Shape, kw_only=True):
    """An event as services publish it. Older ledger messages have neither `app` nor `version`."""

    type: Annotated[str, Meta(min_length=1, max_length=1_024, examples=["SAVED_PAYMENT"])]
    payload: Annotated[dict[str, Any], Meta(description="What expressions know as `event`.")]
    app: Annotated[str, Meta(max_length=1_024, examples=["payments"])] | UnsetType = UNSET
    version: Annotated[str, Meta(max_length=1_024, examples=["v2.0.0"])] | UnsetType = UNSET
    date: Annotated[str, Meta(max_length=1_024, examples=["2024-05-01T10:00:00Z"])] | UnsetType = UNSET
    idempotency_key: (
        Annotated[str, Meta(max_length=512, description="The sender's own name for this event.")] | UnsetType
    ) = msgspec.field(default=UNSET, name="idempotency_key")
    id: (
        Annotated[str, Meta(max_length=512, description="The same, where there is no `idempotency_key`.")] | UnsetType
    ) = UNSET


Envelopes = Envelope | Annotated[list[Envelope], Meta(min_length=1, max_length=10_000)]


class Conflict(_Shape, kw_only=True):
    """An event with a known identity and another payload."""

    entry: Annotated[int, Meta(ge=0, description="Its place in the request.")]
    key: Annotated[str, Meta(description="The identity.")]


class Accepted(_Shape, kw_only=True):
    """What became of the events of a request: `accepted` and `conflicting` add up to all of them."""

    accepted: Annotated[int, Meta(ge=0, description="Events accepted, now or before.")]
    repeated: Annotated[int, Meta(ge=0, description="Of the accepted, those that were accepted before.")]
    conflicting: Annotated[
        int, Meta(ge=0, description="Events with a known identity and another payload: recorded, started nothing.")
    ]
    conflicts: Annotated[list[Conflict], Meta(description="The first 20 of them.")] | UnsetType = UNSET


class AcceptedResponse(_Shape, kw_only=True):
    data: Accepted


class Received(_Shape, kw_only=True):
    """An event of the inbox."""

    key: Annotated[str, Meta(description="Its identity: what comes again under it is a repeat.")]
    type: str
    received_at: DateTime
    processed_at: Annotated[DateTime, Meta(description="When every trigger had seen it.")] | UnsetType = UNSET
    repeats: Annotated[int, Meta(ge=0, description="Times that it came again, and was suppressed.")]
    last_repeat_at: DateTime | UnsetType = UNSET
    conflicts_with: (
        Annotated[str, Meta(description="The identity that it claims, which an event with another payload had before.")]
        | UnsetType
    ) = UNSET


class ReceivedListResponse(_Shape, kw_only=True):
    data: list[Received]


class SetAside(_Shape, kw_only=True):
    """An event of ours that one publisher refused again and again, while it took others."""

    id: Annotated[str, Meta(description="The event's id, as its receiver would have seen it.")]
    publisher: Annotated[str, Meta(description="Who refused it.", examples=["webhook:shop:0f8fad5bd9cb469f"])]
    reason: str
    set_aside_at: DateTime
    event: Annotated[dict[str, Any], Meta(description="The whole event, as it was sent.")]


class SetAsideListResponse(_Shape, kw_only=True):
    data: list[SetAside]


class AuditEntry(_Shape, kw_only=True):
    """A write that somebody asked for."""

    number: Annotated[int, Meta(ge=1, description="Grows with every entry.")]
    date: DateTime
    principal: Annotated[str, Meta(description="Who: the token's subject; anonymous without authentication.")]
    client_id: Annotated[str, Meta(description="The program it came through.")] | UnsetType = UNSET
    operation: Annotated[str, Meta(examples=["runWorkflow"])]
    target: Annotated[str, Meta(description="The id of what was written.")]


class AuditResponse(_Shape, kw_only=True):
    data: list[AuditEntry]


class LastStage(_Shape, kw_only=True):
    """The last stage that has started."""

    number: Annotated[int, Meta(ge=0, description="Counted from 0.")]
    name: Annotated[str, Meta(description="Its keyword in the definition.", examples=["send"])]


class InstanceSummary(_Shape, kw_only=True):
    """An instance as an operator looks for it."""

    id: InstanceId
    workflow_id: WorkflowId = msgspec.field(name="workflowID")
    workflow_name: str | UnsetType = UNSET
    status: InstanceStatus
    stage: LastStage | UnsetType = UNSET
    created_at: DateTime
    updated_at: DateTime
    terminated_at: DateTime | UnsetType = UNSET
    error: Annotated[str, Meta(description="Why it failed, or `canceled`.")] | UnsetType = UNSET
    error_code: (
        Annotated[str, Meta(description="The code in the error, where it holds one.", examples=["INSUFFICIENT_FUND"])]
        | UnsetType
    ) = UNSET


class InstanceSummaryPage(Page, kw_only=True):
    data: list[InstanceSummary]


class InstanceSummaryPageResponse(_Shape, kw_only=True):
    cursor: InstanceSummaryPage
