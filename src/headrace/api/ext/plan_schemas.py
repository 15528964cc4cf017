"""Schemas of plans and of decisions about them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from headrace.api.ext.schemas import Reason, Shape
from headrace.api.v1.schemas import DateTime, InstanceId, WorkflowId
from headrace.api.v2.schemas import Page


class PlanRequest(Shape, kw_only=True):
    """A run to plan: exactly one of `workflowID`, `definition`, `triggerID`, `redrive`, `undo` and `instance`."""

    workflow_id: WorkflowId | UnsetType = msgspec.field(default=UNSET, name="workflowID")
    definition: Annotated[dict[str, Any], Meta(description="A workflow that need not be stored.")] | UnsetType = UNSET
    variables: Annotated[dict[str, str], Meta(description="As runWorkflow takes them.")] | UnsetType = UNSET
    trigger_id: Annotated[str, Meta(description="The id of a trigger.")] | UnsetType = msgspec.field(
        default=UNSET, name="triggerID"
    )
    event: Annotated[dict[str, Any], Meta(description="The payload of an event, with `triggerID`.")] | UnsetType = UNSET
    redrive: Annotated[str, Meta(description="The id of a failed instance: what a redrive would do.")] | UnsetType = (
        UNSET
    )
    undo: Annotated[str, Meta(description="The id of an ended instance: what an undo would do.")] | UnsetType = UNSET
    external: (
        Annotated[
            Literal["keep", "reverse"],
            Meta(description="With `undo`: keep a paid payout, as by default, or ask for its reversal."),
        ]
        | UnsetType
    ) = UNSET
    instance: (
        Annotated[
            str, Meta(description="The id of an instance that waits for approvals: what it would do from there on.")
        ]
        | UnsetType
    ) = UNSET
    expires_in: (
        Annotated[str, Meta(description="From `1m` to `7d`; `24h` by default.", examples=["24h"])] | UnsetType
    ) = UNSET


class PlanRunRequest(Shape, kw_only=True):
    """A plan to run, by the hash that was signed."""

    hash: str
    accept_failure: Annotated[bool, Meta(description="Run it though it would fail.")] | UnsetType = UNSET
    workflow_id: (
        Annotated[WorkflowId, Meta(description="Of a plan of a `definition`: the workflow that equals it.")] | UnsetType
    ) = msgspec.field(default=UNSET, name="workflowID")


PlanState = Literal["open", "approved", "rejected", "expired", "used"]


class PlanTotal(Shape, kw_only=True):
    """Sums of one asset, in its smallest unit."""

    sent: Annotated[int, Meta(description="By all `send` stages.")]
    external_in: Annotated[int, Meta(description="Of payments that the run would book.")]
    external_out: Annotated[int, Meta(description="Of payouts and transfers.")]


class StoredPlan(Shape, kw_only=True):
    """Members that a list and a whole plan share."""

    id: Annotated[str, Meta(description="The id of the plan.")]
    hash: Annotated[
        str,
        Meta(description="Of the definition, the variables and every effect; with equal hashes a run may do the same."),
    ]
    state: PlanState
    requester: Annotated[str, Meta(description="The principal that requested it; `anonymous` without authentication.")]
    requester_name: (
        Annotated[str, Meta(description="The name of the requester, where this server knows it.")] | UnsetType
    ) = UNSET
    created_at: DateTime
    expires_at: DateTime
    verdict: Literal["succeeds", "fails"]
    name: Annotated[str, Meta(description="The name of the workflow.")] | UnsetType = UNSET
    workflow_id: WorkflowId | UnsetType = msgspec.field(default=UNSET, name="workflowID")
    trigger_id: str | UnsetType = msgspec.field(default=UNSET, name="triggerID")
    instance_id: InstanceId | UnsetType = msgspec.field(default=UNSET, name="instanceID")
    redrive: Annotated[InstanceId, Meta(description="The instance that a run of it would continue.")] | UnsetType = (
        UNSET
    )
    undo: Annotated[InstanceId, Meta(description="The instance that a run of it would undo.")] | UnsetType = UNSET
    external: (
        Annotated[Literal["keep", "reverse"], Meta(description="Of an undo: what it does with a paid payout.")]
        | UnsetType
    ) = UNSET
    instance: Annotated[InstanceId, Meta(description="The instance of whose rest it is.")] | UnsetType = UNSET
    payouts: (
        Annotated[
            dict[str, dict[str, Any]],
            Meta(description="Those that an undo deals with, by reference, as they were asked for."),
        ]
        | UnsetType
    ) = UNSET
    assets: (
        Annotated[dict[str, str], Meta(description="The asset of each variable that is the amount of a send.")]
        | UnsetType
    ) = UNSET
    taken_back: (
        Annotated[dict[str, int], Meta(description="By asset, the sum that the bookings of an undo move.")] | UnsetType
    ) = UNSET


class PlanSummary(StoredPlan, kw_only=True):
    """A plan as a list shows it."""

    variables: (
        Annotated[
            dict[str, str],
            Meta(
                description="The first 32 of at most 256 characters each; absent without, and from plans of earlier "
                "releases."
            ),
        ]
        | UnsetType
    ) = UNSET

    totals: (
        Annotated[
            dict[str, PlanTotal],
            Meta(description="By asset; absent where no money is sent, and from plans of earlier releases."),
        ]
        | UnsetType
    ) = UNSET


class ApprovalDecision(Shape, kw_only=True):
    """A person's decision about a plan or a batch."""

    principal: str
    name: Annotated[str, Meta(description="The name of the principal, where this server knows it.")] | UnsetType = UNSET
    verdict: Literal["approve", "reject"]
    reason: str
    decided_at: DateTime


class Approvals(Shape, kw_only=True):
    """The approvals of a plan or a batch."""

    needed: Annotated[int, Meta(ge=1, description="How many persons have to approve it.")]
    rule: Annotated[str, Meta(description="The rule that asks for them.")] | UnsetType = UNSET
    given: Annotated[list[ApprovalDecision], Meta(description="The oldest first.")]


class DecisionRequest(Shape, kw_only=True):
    """A decision about a plan or a batch, by the hash of what was read."""

    hash: str
    reason: Reason


class DecidedPlan(PlanSummary, kw_only=True):
    """A plan after a decision."""

    approvals: Approvals


class DecidedPlanResponse(Shape, kw_only=True):
    data: DecidedPlan


class PlannedEffect(Shape, kw_only=True):
    """One write. Its commitment, which is signed, is `stage` to `body`."""

    stage: Annotated[int, Meta(ge=0)]
    ordinal: Annotated[int, Meta(ge=0, description="Counts the effects of the stage from 0.")]
    activity: str
    service: Literal["ledger", "wallets", "payments"]
    method: str
    path: str
    body: Annotated[dict[str, Any], Meta(description="The request, under the key `headrace:plan:STAGE:ORDINAL`.")]
    reversible: Annotated[Literal["revert", "reject", "kept"], Meta(description="How it could be undone.")]
    postings: list[dict[str, Any]]
    balances: Annotated[list[dict[str, Any]], Meta(description="Of each account, before and after it.")]
    missing: Annotated[int, Meta(description="What the paying account lacks.")] | UnsetType = UNSET
    stands: Annotated[bool, Meta(description="The payment is booked already.")] | UnsetType = UNSET


class PlanBeginning(Shape, kw_only=True):
    """The beginning of a plan that continues an instance, or undoes it."""

    instance: InstanceId
    stage: Annotated[int, Meta(ge=0)]
    position: Annotated[int, Meta(ge=0, description="Activities of that stage that had ended well.")]


class Plan(StoredPlan, kw_only=True):
    """The effects that a run would have."""

    format: Literal["headrace-plan/1"]
    planned_at: DateTime
    origin: Literal["caller", "trigger"]
    definition: dict[str, Any]
    variables: dict[str, str]
    effects: list[PlannedEffect]
    skipped: Annotated[list[int], Meta(description="Stages that are not run.")]
    begins: PlanBeginning | UnsetType = msgspec.field(default=UNSET, name="from")
    assumptions: Annotated[
        list[dict[str, Any]], Meta(description="Waits, reads, and payments that are booked already.")
    ]
    totals: Annotated[dict[str, PlanTotal], Meta(description="By asset.")]
    approvals: Approvals
    fails: Annotated[dict[str, Any], Meta(description="The first failure.")] | UnsetType = UNSET
    ends: Annotated[dict[str, Any], Meta(description="What fails though every shortage is funded.")] | UnsetType = UNSET


class PlanResponse(Shape, kw_only=True):
    data: Plan


class PlanSummaryPage(Page, kw_only=True):
    data: list[PlanSummary]


class PlanSummaryPageResponse(Shape, kw_only=True):
    cursor: PlanSummaryPage
