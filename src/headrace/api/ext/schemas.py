"""Schemas of requests and responses below `/ext`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from headrace.api.v1.schemas import DateTime, InstanceId, WorkflowId
from headrace.api.v2.schemas import Page
from headrace.workflows.failures import FailureKind, InstanceKind

InstanceStatus = Annotated[
    Literal["running", "waiting", "retrying", "attention", "succeeded", "failed", "aborted"],
    Meta(
        description=(
            "`waiting`: for the end of a delay or for an event; `retrying`: an activity failed and is retried; "
            "`attention`: the outcome of an effect is unknown, and a person has to decide."
        )
    ),
]


class Shape(msgspec.Struct, rename="camel", omit_defaults=True):
    """Members without a value are left out, never null."""


class Envelope(Shape, kw_only=True):
    """An event as services publish it. Older ledger messages have neither `app` nor `version`."""

    type: Annotated[str, Meta(min_length=1, max_length=1_024, examples=["SAVED_PAYMENT"])]
    payload: Annotated[dict[str, Any], Meta(description="The value of `event` in expressions.")]
    app: Annotated[str, Meta(max_length=1_024, examples=["payments"])] | UnsetType = UNSET
    version: Annotated[str, Meta(max_length=1_024, examples=["v2.0.0"])] | UnsetType = UNSET
    date: Annotated[str, Meta(max_length=1_024, examples=["2024-05-01T10:00:00Z"])] | UnsetType = UNSET
    idempotency_key: (
        Annotated[str, Meta(max_length=512, description="The id of this event at its sender.")] | UnsetType
    ) = msgspec.field(default=UNSET, name="idempotency_key")
    id: Annotated[str, Meta(max_length=512, description="The same, if there is no `idempotency_key`.")] | UnsetType = (
        UNSET
    )


Envelopes = Envelope | Annotated[list[Envelope], Meta(min_length=1, max_length=10_000)]


class Conflict(Shape, kw_only=True):
    """An event with a known identity and another payload."""

    entry: Annotated[int, Meta(ge=0, description="The index of the event in the request.")]
    key: Annotated[str, Meta(description="The identity of the event.")]


class Accepted(Shape, kw_only=True):
    """Counts of the events of a request: `accepted` and `conflicting` add up to all of them."""

    accepted: Annotated[int, Meta(ge=0, description="Events accepted, now or before.")]
    repeated: Annotated[int, Meta(ge=0, description="Of the accepted, those that were accepted before.")]
    conflicting: Annotated[
        int, Meta(ge=0, description="Events with a known identity and another payload: recorded, started nothing.")
    ]
    conflicts: Annotated[list[Conflict], Meta(description="The first 20 conflicts.")] | UnsetType = UNSET


class AcceptedResponse(Shape, kw_only=True):
    data: Accepted


class Received(Shape, kw_only=True):
    """An event of the inbox."""

    key: Annotated[str, Meta(description="The identity of the event: another event with it is a repeat.")]
    type: str
    received_at: DateTime
    processed_at: Annotated[DateTime, Meta(description="When all triggers had been evaluated.")] | UnsetType = UNSET
    repeats: Annotated[int, Meta(ge=0, description="How many repeats were received and suppressed.")]
    last_repeat_at: DateTime | UnsetType = UNSET
    conflicts_with: (
        Annotated[
            str, Meta(description="The identity that it claims, which an earlier event with another payload has.")
        ]
        | UnsetType
    ) = UNSET


class ReceivedListResponse(Shape, kw_only=True):
    data: list[Received]


class DeadLetter(Shape, kw_only=True):
    """A published event that a broker or an endpoint rejected repeatedly, while it accepted others."""

    id: Annotated[str, Meta(description="The id of the event, as its subscriber would have received it.")]
    publisher: Annotated[
        str, Meta(description="The broker or endpoint that rejected it.", examples=["webhook:shop:0f8fad5bd9cb469f"])
    ]
    reason: str
    set_aside_at: DateTime
    event: Annotated[dict[str, Any], Meta(description="The complete event, as it was sent.")]


class DeadLetterListResponse(Shape, kw_only=True):
    data: list[DeadLetter]


class DeadLettersToReplay(Shape, kw_only=True):
    publisher: Annotated[
        str,
        Meta(description="The broker or endpoint, as the list names it.", examples=["webhook:shop"]),
    ]
    ids: (
        Annotated[
            list[str], Meta(min_length=1, max_length=100, description="Only these events; without it the first 100.")
        ]
        | UnsetType
    ) = UNSET


class RefusedDeadLetter(Shape, kw_only=True):
    id: Annotated[str, Meta(description="The id of the event. It stays a dead letter.")]
    reason: str


class Replay(Shape, kw_only=True):
    """Dead letters that were published once more."""

    publisher: str
    delivered: Annotated[list[str], Meta(description="Ids of the events that were accepted: dead letters no more.")]
    refused: list[RefusedDeadLetter]
    left: Annotated[int, Meta(ge=0, description="Those asked for that were not tried.")]
    unreachable: Annotated[str, Meta(description="Why the publisher takes nothing now.")] | UnsetType = UNSET


class ReplayResponse(Shape, kw_only=True):
    data: Replay


class AuditEntry(Shape, kw_only=True):
    """A write that a caller requested."""

    number: Annotated[int, Meta(ge=1, description="Increases with every entry.")]
    date: DateTime
    principal: Annotated[str, Meta(description="The subject of the token; `anonymous` without authentication.")]
    client_id: Annotated[str, Meta(description="The OAuth2 client that requested the token.")] | UnsetType = UNSET
    operation: Annotated[str, Meta(examples=["runWorkflow"])]
    target: Annotated[str, Meta(description="The id of the workflow, instance, trigger or event.")]


class AuditResponse(Shape, kw_only=True):
    data: list[AuditEntry]


class LastStage(Shape, kw_only=True):
    """The last started stage."""

    number: Annotated[int, Meta(ge=0, description="Counted from 0.")]
    name: Annotated[str, Meta(description="Its keyword in the definition.", examples=["send"])]


class InstanceSummary(Shape, kw_only=True):
    """An instance as a search lists it."""

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
        Annotated[
            str,
            Meta(description="The error code of the service, if the error has one.", examples=["INSUFFICIENT_FUND"]),
        ]
        | UnsetType
    ) = UNSET


class InstanceSummaryPage(Page, kw_only=True):
    data: list[InstanceSummary]


class InstanceSummaryPageResponse(Shape, kw_only=True):
    cursor: InstanceSummaryPage


class InstanceFailure(Shape, kw_only=True):
    """Why an instance failed. `stage` is the one that ended with the error."""

    kind: Annotated[
        FailureKind,
        Meta(
            description=(
                "`refused`: a service declined; `invalid`: a value or the result of a read cannot be used; `conflict`: "
                "our reference belongs to something else in the books; `plan`: it would have left its plan; "
                "`timeout`: an event did not come; `expired`, `rejected`: an approval was not given; `unbooked`: a "
                "person decided that an effect was not booked; `canceled`: aborted; `unclassified`: an earlier "
                "release ended it, and its rows do not say why."
            )
        ),
    ]
    stage: Annotated[int, Meta(ge=0)]
    code: Annotated[str, Meta(description="Of the service.", examples=["INSUFFICIENT_FUND"])] | UnsetType = UNSET
    position: Annotated[int, Meta(ge=0, description="Of the activity in its stage.")] | UnsetType = UNSET
    key: Annotated[str, Meta(description="The key of the effect; a read has none.")] | UnsetType = UNSET


Reason = Annotated[str, Meta(min_length=1, max_length=1_024, description="Why, in 1 to 1,024 bytes.")]


class AbortRequest(Shape, kw_only=True):
    """Why an instance is aborted."""

    reason: Reason


class RedriveRequest(Shape, kw_only=True):
    """Why a failed instance is continued; the account is funded, say."""

    reason: Reason
    plan_id: (
        Annotated[str, Meta(description="A plan of this redrive, which the new instance may not leave.")] | UnsetType
    ) = msgspec.field(default=UNSET, name="planID")
    accept_failure: Annotated[bool, Meta(description="With `planID`: continue though it would fail.")] | UnsetType = (
        UNSET
    )
    skip: (
        Annotated[bool, Meta(description="Of a failed undo: keep the effect that it could not revert.")] | UnsetType
    ) = UNSET


class Continuation(Shape, kw_only=True):
    """A new instance that continues the case of one that has failed."""

    id: InstanceId
    predecessor: Annotated[InstanceId, Meta(description="The instance that it continues.")]
    root_id: Annotated[InstanceId, Meta(description="The first instance of its case, whose id is in every key.")] = (
        msgspec.field(name="rootID")
    )
    from_stage: Annotated[int, Meta(ge=0, description="The stage that begins anew.")]
    reason: str
    principal: Annotated[str, Meta(description="The subject of the token; `anonymous` without authentication.")]
    created_at: DateTime


class ContinuationResponse(Shape, kw_only=True):
    data: Continuation


class UndoRequest(Shape, kw_only=True):
    """Why a case is undone, and what is done with a payout that is paid."""

    reason: Reason
    external: (
        Annotated[
            Literal["keep", "reverse"],
            Meta(description="`keep` by default; `reverse` asks the provider for the whole amount."),
        ]
        | UnsetType
    ) = UNSET
    plan_id: (
        Annotated[str, Meta(description="A plan of this undo, which the new instance may not leave.")] | UnsetType
    ) = msgspec.field(default=UNSET, name="planID")
    accept_failure: (
        Annotated[bool, Meta(description="With `planID`: undo it as far as it goes, though it would fail.")] | UnsetType
    ) = UNSET


class KeptEffect(Shape, kw_only=True):
    """An effect of the case that an undo leaves as it is."""

    key: Annotated[str, Meta(description="As it was sent.")]
    stage: Annotated[int, Meta(ge=0)]
    ordinal: Annotated[int, Meta(ge=0, description="Counts the effects of the stage from 0.")]
    activity: str
    reason: str


class CaseEffect(Shape, kw_only=True):
    """An effect that the case has done."""

    key: Annotated[str, Meta(description="As it was sent.")]
    activity: str
    input: Annotated[dict[str, Any], Meta(description="As histories show it.")]


class UndoPreview(Shape, kw_only=True):
    """The preview of an undo."""

    stages: Annotated[list[dict[str, Any]], Meta(description="Those of its computed workflow: one for each revert.")]
    kept: list[KeptEffect]
    blocked: Annotated[list[KeptEffect], Meta(description="What a person must decide first.")]
    effects: Annotated[list[CaseEffect], Meta(description="All that the case has done, in order.")]


class UndoPreviewResponse(Shape, kw_only=True):
    data: UndoPreview


class Undoing(Shape, kw_only=True):
    """A new instance that undoes the case of another one."""

    id: InstanceId
    predecessor: Annotated[InstanceId, Meta(description="The instance whose case it undoes.")]
    reverts: Annotated[int, Meta(ge=1, description="Effects that it reverts, unless they are reverted already.")]
    kept: list[KeptEffect]
    reason: str
    principal: Annotated[str, Meta(description="The subject of the token; `anonymous` without authentication.")]
    created_at: DateTime


class UndoingResponse(Shape, kw_only=True):
    data: Undoing


class UndoReport(Shape, kw_only=True):
    """How far an undo has come."""

    instance_id: Annotated[InstanceId, Meta(description="The latest of its instances.")] = msgspec.field(
        name="instanceID"
    )
    state: Annotated[
        Literal["undoing", "undone", "undone_but", "undo_failed"],
        Meta(
            description=(
                "`undone_but`: all but what is kept; `undo_failed`: a service declined, what was reverted before stays "
                "so, and the undo can be redriven."
            )
        ),
    ]
    kept: list[KeptEffect]


class Successor(Shape, kw_only=True):
    """The step from one instance of a case to the next, and who decided it."""

    instance_id: Annotated[InstanceId, Meta(description="The other instance.")] = msgspec.field(name="instanceID")
    kind: Annotated[
        Literal["redrive", "undo"],
        Meta(description="`redrive`: it goes on where the case failed; `undo`: it undoes it."),
    ]
    reason: str
    principal: Annotated[str, Meta(description="The subject of the token; `anonymous` without authentication.")]
    decided_at: DateTime


class OpenApproval(Shape, kw_only=True):
    """The approvals that an instance waits for."""

    stage: Annotated[int, Meta(ge=0)]
    needed: Annotated[int, Meta(ge=1, description="How many persons have to approve one plan of the rest.")]
    rule: Annotated[str, Meta(description="The rule that asks for them; absent: the stage itself.")] | UnsetType = UNSET
    title: str | UnsetType = UNSET
    since: DateTime
    deadline: Annotated[DateTime, Meta(description="When the instance ends, if not approved.")] | UnsetType = UNSET


class InstanceDescription(Shape, kw_only=True):
    """Kind, case, plan and failure of an instance, which V1 does not show."""

    id: InstanceId
    workflow_id: WorkflowId = msgspec.field(name="workflowID")
    kind: InstanceKind
    root_id: Annotated[InstanceId, Meta(description="The first instance of its case.")] = msgspec.field(name="rootID")
    from_stage: Annotated[int, Meta(ge=0, description="Where a continuation begins.")] | UnsetType = UNSET
    plan_id: Annotated[str, Meta(description="The plan that it may not leave.")] | UnsetType = msgspec.field(
        default=UNSET, name="planID"
    )
    created_at: DateTime
    terminated_at: DateTime | UnsetType = UNSET
    error: str | UnsetType = UNSET
    skipped: (
        Annotated[list[int], Meta(description="The stages whose `when` was false, counted from 0.")] | UnsetType
    ) = UNSET
    failure: InstanceFailure | UnsetType = UNSET
    predecessor: Annotated[Successor, Meta(description="What it comes after.")] | UnsetType = UNSET
    successor: Annotated[Successor, Meta(description="What came after it.")] | UnsetType = UNSET
    undo: Annotated[UndoReport, Meta(description="Of an undo, and of the instance that it undoes.")] | UnsetType = UNSET
    approval: Annotated[OpenApproval, Meta(description="What it waits for before it goes on.")] | UnsetType = UNSET
    abort_reason: Annotated[str, Meta(description="Why it was aborted.")] | UnsetType = UNSET


class InstanceDescriptionResponse(Shape, kw_only=True):
    data: InstanceDescription


class EffectRequest(Shape, kw_only=True):
    """The stored request of an effect, as every attempt sends it."""

    service: Literal["ledger", "wallets", "payments"]
    method: str
    path: Annotated[str, Meta(description="Relative to the root of its service.")]
    body: Annotated[msgspec.Raw, Meta(extra_json_schema={"type": "object"})] | UnsetType = UNSET


class Attention(Shape, kw_only=True):
    """An open effect that needs attention: whether it was booked is unknown, and a person has to decide."""

    instance_id: InstanceId = msgspec.field(name="instanceID")
    workflow_id: WorkflowId = msgspec.field(name="workflowID")
    workflow_name: str | UnsetType = UNSET
    aborted: Annotated[bool, Meta(description="The instance was aborted: it does not go on, whatever is decided.")]
    stage: Annotated[int, Meta(ge=0, description="The number of the stage, counted from 0.")]
    position: Annotated[int, Meta(ge=0, description="The position of the activity in its stage, counted from 0.")]
    activity: Annotated[str, Meta(description="The name of the activity.")]
    key: Annotated[str, Meta(description="The effect's key, by which the books are searched.")]
    request: EffectRequest
    amount: Annotated[int, Meta(description="What the effect moves; absent where it moves nothing.")] | UnsetType = (
        UNSET
    )
    asset: Annotated[str, Meta(examples=["USD/2"])] | UnsetType = UNSET
    since: Annotated[DateTime, Meta(description="When it was found that a person has to decide.")]
    attempts: Annotated[int, Meta(ge=0, description="Attempts that have begun.")]
    last_failure: str | UnsetType = UNSET
    doubt: Annotated[
        Literal["other_bytes", "other_values", "not_found", "not_listed"],
        Meta(
            description=(
                "`other_bytes`: the service knows the key with another request; `other_values`: its books show other "
                "values under the key; `not_found`: an attempt had no response, and the books do not show the effect; "
                "`not_listed`: the same, and the books list more than was read."
            )
        ),
    ]
    for_booked: Annotated[str, Meta(description="What speaks for: it was booked.")]
    for_not_booked: Annotated[str, Meta(description="What speaks for: it was not booked.")]


class AttentionPage(Page, kw_only=True):
    data: list[Attention]


class AttentionPageResponse(Shape, kw_only=True):
    cursor: AttentionPage


class Evidence(Shape, kw_only=True):
    """Either `ledger` and `transactionID`, or `initiationID`, or `text`."""

    ledger: str | UnsetType = UNSET
    transaction_id: (
        Annotated[int, Meta(ge=0, description="Of a ledger transaction, or of one of a wallet.")] | UnsetType
    ) = msgspec.field(default=UNSET, name="transactionID")
    initiation_id: Annotated[str, Meta(max_length=1_024)] | UnsetType = msgspec.field(
        default=UNSET, name="initiationID"
    )
    text: (
        Annotated[str, Meta(min_length=1, max_length=4_096, description="What a person has seen, in words.")]
        | UnsetType
    ) = UNSET


class Decision(Shape, kw_only=True):
    """A person's decision about an effect that needs attention."""

    outcome: Literal["booked", "not_booked"]
    evidence: Evidence
    reason: Annotated[str, Meta(min_length=1, max_length=1_024, description="Why, in 1 to 1,024 bytes.")]


class Resolution(Shape, kw_only=True):
    """A stored decision about an effect."""

    instance_id: InstanceId = msgspec.field(name="instanceID")
    stage: Annotated[int, Meta(ge=0)]
    position: Annotated[int, Meta(ge=0)]
    outcome: Literal["booked", "not_booked"]
    evidence: Evidence
    attested: Annotated[bool, Meta(description="The evidence is a text: no id was compared with the books.")]
    reason: str
    principal: Annotated[str, Meta(description="The subject of the token; `anonymous` without authentication.")]
    resolved_at: DateTime
    failure: (
        Annotated[str, Meta(description="The kind of failure with which the instance ended.", examples=["unbooked"])]
        | UnsetType
    ) = UNSET


class ResolutionResponse(Shape, kw_only=True):
    data: Resolution


class ResolutionListResponse(Shape, kw_only=True):
    data: list[Resolution]


class CertificateRequest(Shape, kw_only=True):
    """The case of `instance` to certify, or the period from `from` to before `to`."""

    instance: Annotated[str, Meta(description="The id of an instance of the case.")] = ""
    from_: Annotated[DateTime, Meta(description="The first moment of the period.")] | UnsetType = msgspec.field(
        name="from", default=UNSET
    )
    to: Annotated[DateTime, Meta(description="The first moment after it, not in the future.")] | UnsetType = UNSET
    full: Annotated[bool, Meta(description="List all transactions of the ledgers in the period, too.")] = False


class CertificateSubject(Shape, kw_only=True):
    """The subject of a certificate: a case, or a period."""

    instance: Annotated[str, Meta(description="The first instance of the case.")] = ""
    from_: Annotated[DateTime, Meta(description="The first moment of the period.")] | UnsetType = msgspec.field(
        name="from", default=UNSET
    )
    to: Annotated[DateTime, Meta(description="The first moment after the period.")] | UnsetType = UNSET
    full: Annotated[bool, Meta(description="The transactions of the ledgers were listed, too.")] = False


class Certificate(Shape, kw_only=True):
    """A stored certificate."""

    id: Annotated[str, Meta(description="The id of the certificate.")]
    subject: CertificateSubject
    sha: Annotated[str, Meta(description="The hash of the file: `sha256:` and hexadecimal.")]
    kid: Annotated[str, Meta(description="The id of the key that has signed it.")]
    created_at: DateTime
    certificate: Annotated[
        str, Meta(description="The file: a compact JWS, of type `headrace-certificate+jws`, signed with ES256.")
    ]
    payload: Annotated[dict[str, Any], Meta(description="What is signed, decoded. Only a check of the file proves it.")]


class CertificateResponse(Shape, kw_only=True):
    data: Certificate


class CertificateKeys(Shape, kw_only=True):
    """Public keys as a JWKS."""

    keys: Annotated[
        list[dict[str, Any]],
        Meta(description="Keys of the curve P-256 with `kid`, `signsFrom`, and `retiredAt` if one signs no more."),
    ]
