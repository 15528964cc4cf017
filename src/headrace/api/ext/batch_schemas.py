"""Schemas of batches."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from headrace.api.ext.plan_schemas import Approvals
from headrace.api.ext.schemas import Shape
from headrace.api.v1.schemas import DateTime, InstanceId, WorkflowId
from headrace.api.v2.schemas import Page
from headrace.usecases.batch_requests import BatchKind
from headrace.workflows.failures import FailureKind

BatchState = Annotated[
    Literal["previewing", "ready", "approved", "running", "paused", "done", "canceled"],
    Meta(
        description="`previewing`: its items are planned, in the background. `ready`: a start may follow, or the "
        "approvals that a rule asks for. `approved`: it has them."
    ),
]
ItemState = Literal["pending", "started", "succeeded", "failed", "skipped", "excluded"]


class BatchFilter(Shape, kw_only=True):
    """Instances by what is known of them; every member given must hold."""

    workflow: (
        Annotated[
            str, Meta(max_length=256, description="The id of a workflow, or a name, which stands for all its versions.")
        ]
        | UnsetType
    ) = UNSET
    stage: Annotated[int, Meta(ge=0, description="The number of the last stage that has begun.")] | UnsetType = UNSET
    failure: FailureKind | UnsetType = UNSET
    code: Annotated[str, Meta(max_length=256, description="Of the refusal: INSUFFICIENT_FUND.")] | UnsetType = UNSET
    state: (
        Annotated[
            Literal["running", "waiting", "retrying", "attention", "succeeded", "failed", "aborted", "unfinished"],
            Meta(
                description="As searchInstances has it. Without one: `failed` of a redrive, `unfinished` of an abort."
            ),
        ]
        | UnsetType
    ) = UNSET
    started_after: DateTime | UnsetType = UNSET
    started_before: DateTime | UnsetType = UNSET
    ended_after: DateTime | UnsetType = UNSET
    ended_before: DateTime | UnsetType = UNSET


class BatchRun(Shape, kw_only=True):
    """The start of an instance."""

    workflow_id: WorkflowId = msgspec.field(name="workflowID")
    variables: Annotated[dict[str, str], Meta(description="As runWorkflow takes them.")] | UnsetType = UNSET


class BatchRequest(Shape, kw_only=True):
    """A batch to make: `runs` with the kind `run`, else either `filter` or `instances`."""

    kind: BatchKind
    reason: Annotated[str, Meta(description="Why, in 1 to 1,024 bytes. It is stored.")]
    filter: BatchFilter | UnsetType = UNSET
    instances: Annotated[list[InstanceId], Meta(min_length=1, max_length=10_000)] | UnsetType = UNSET
    runs: Annotated[list[BatchRun], Meta(min_length=1, max_length=10_000)] | UnsetType = UNSET
    rate: (
        Annotated[int, Meta(ge=1, le=1_000, description="Items that start in a second; 20 by default.")] | UnsetType
    ) = UNSET
    max_open: (
        Annotated[int, Meta(ge=1, le=10_000, description="Items started and not over at once; 100 by default.")]
        | UnsetType
    ) = UNSET
    stop_after: (
        Annotated[int, Meta(ge=1, le=10_000, description="Failures in a row that pause it; 10 by default.")] | UnsetType
    ) = UNSET


class BatchStartRequest(Shape, kw_only=True):
    """The preview that is to be carried out."""

    hash: Annotated[str, Meta(description="The `hash` of the batch.")]


class BatchTotal(Shape, kw_only=True):
    """Sums of one asset over the items that are to start, in its smallest unit."""

    sent: Annotated[int, Meta(description="By `send` stages.")] | UnsetType = UNSET
    external_in: Annotated[int, Meta(description="Of payments that are booked.")] | UnsetType = UNSET
    external_out: Annotated[int, Meta(description="Of payouts and transfers.")] | UnsetType = UNSET
    reverted: Annotated[int, Meta(description="By undos.")] | UnsetType = UNSET


class FailingItem(Shape, kw_only=True):
    """The first item whose plan fails, after all items before it."""

    n: int
    code: str
    message: str
    instance: InstanceId | UnsetType = UNSET


class Batch(Shape, kw_only=True):
    """A batch. `hash`, `included`, `totals` and `excluded` are those of its preview."""

    id: Annotated[str, Meta(description="The id of the batch.")]
    kind: BatchKind
    state: BatchState
    reason: str
    principal: Annotated[str, Meta(description="The principal that made it; `anonymous` without authentication.")]
    created_at: DateTime
    items: Annotated[int, Meta(description="Items in all.")]
    planned: Annotated[int, Meta(description="Items that the preview has seen.")]
    rate: int
    max_open: int
    stop_after: int
    open_items: Annotated[int, Meta(description="Items that are started and not over.")]
    filter: BatchFilter | UnsetType = UNSET
    hash: Annotated[str, Meta(description="Over the hashes of the items; a start names it.")] | UnsetType = UNSET
    included: Annotated[int, Meta(description="Items that the preview has not excluded.")] | UnsetType = UNSET
    totals: Annotated[dict[str, BatchTotal], Meta(description="By asset.")] | UnsetType = UNSET
    excluded: (
        Annotated[
            dict[str, int],
            Meta(description="By code: as the single operation is refused, or `fails:CODE` where a plan fails."),
        ]
        | UnsetType
    ) = UNSET
    first_failing: FailingItem | UnsetType = UNSET
    counts: Annotated[dict[str, int], Meta(description="Items by state.")] | UnsetType = UNSET
    approvals: Annotated[Approvals, Meta(description="Where a rule asks for some, or some were given.")] | UnsetType = (
        UNSET
    )
    why: Annotated[str, Meta(description="Why it is paused, or who has rejected it.")] | UnsetType = UNSET
    started_by: Annotated[str, Meta(description="The principal that started it.")] | UnsetType = UNSET
    started_at: DateTime | UnsetType = UNSET
    ended_at: DateTime | UnsetType = UNSET


class BatchResponse(Shape, kw_only=True):
    data: Batch


class BatchPage(Page, kw_only=True):
    data: list[Batch]


class BatchPageResponse(Shape, kw_only=True):
    cursor: BatchPage


class BatchItem(Shape, kw_only=True):
    """An item. `n` counts from 1, in the order of the preview and of the starts."""

    n: Annotated[int, Meta(ge=1)]
    state: ItemState
    instance: Annotated[InstanceId, Meta(description="What it continues, undoes or aborts.")] | UnsetType = UNSET
    code: Annotated[str, Meta(description="Why it is excluded, was skipped, or has failed.")] | UnsetType = UNSET
    message: str | UnsetType = UNSET
    result: Annotated[InstanceId, Meta(description="The new instance.")] | UnsetType = UNSET
    hash: Annotated[str, Meta(description="Of its plan.")] | UnsetType = UNSET
    run: BatchRun | UnsetType = UNSET
    started_at: DateTime | UnsetType = UNSET
    ended_at: DateTime | UnsetType = UNSET


class BatchItemsResponse(Shape, kw_only=True):
    data: list[BatchItem]
