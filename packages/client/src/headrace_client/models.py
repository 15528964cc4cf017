"""Typed responses of the server. Attributes are snake_case; the API's own names are used on the network.

Unknown members are ignored, integers are exact at any size, dates carry their time zone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Generic, TypeVar, cast

import msgspec

T_co = TypeVar("T_co", covariant=True)

Timestamp = Annotated[datetime, msgspec.Meta(tz=True)]


def wire_name(attribute: str) -> str:
    """Convert an attribute to the API's name: `terminated_at` to `terminatedAt`, `workflow_id` to `workflowID`.

    `on_failure` and `on_timeout` are words of definitions, whose words have underscores.
    """
    if attribute in {"on_failure", "on_timeout"}:
        return attribute
    first, *others = attribute.split("_")
    return first + "".join("ID" if part == "id" else part.capitalize() for part in others)


class Model(msgspec.Struct, omit_defaults=True, rename=wire_name):
    """Base of the typed documents."""


@dataclass(frozen=True, slots=True)
class Result(Generic[T_co]):
    """The result of an operation. `raw` is the body as received; `headers` ignore case."""

    data: T_co
    status_code: int
    headers: Mapping[str, str]
    raw: bytes


class ServerInfo(Model):
    version: str


class WorkflowConfig(Model):
    """A definition: each stage is an object with one key, the stage's keyword."""

    stages: list[dict[str, Any]]
    name: str | None = None
    on_failure: str | None = None


class Workflow(Model):
    id: str
    config: WorkflowConfig
    created_at: Timestamp
    updated_at: Timestamp


class StageStatus(Model):
    stage: int
    instance_id: str
    started_at: Timestamp
    terminated_at: Timestamp | None = None
    error: str | None = None


class WorkflowInstance(Model):
    """One run of a workflow. `status` has an entry for each stage that has started."""

    id: str
    workflow_id: str
    created_at: Timestamp
    updated_at: Timestamp
    terminated: bool
    terminated_at: Timestamp | None = None
    error: str | None = None
    status: list[StageStatus] = msgspec.field(default_factory=list[StageStatus])
    workflow: Workflow | None = None

    @property
    def current_stage(self) -> int | None:
        """Number of the running stage, counted from 0; None before the first, between two and after the last."""
        if self.terminated or not self.status or self.status[-1].terminated_at is not None:
            return None
        return self.status[-1].stage


class LastStage(Model):
    """The last stage that has started, counted from 0; `name` is its keyword in the definition."""

    number: int
    name: str


class InstanceSummary(Model):
    """An instance in the result of a search.

    `status`: running, waiting, retrying, attention (a person must decide), succeeded, failed or aborted.
    """

    id: str
    workflow_id: str
    status: str
    created_at: Timestamp
    updated_at: Timestamp
    workflow_name: str | None = None
    stage: LastStage | None = None
    terminated_at: Timestamp | None = None
    error: str | None = None
    error_code: str | None = None


class EffectRequest(Model):
    """The stored request of an effect; `path` is relative to the root of its service."""

    service: str
    method: str
    path: str
    body: dict[str, Any] | None = None


class Attention(Model, kw_only=True):
    """An open effect that needs attention: whether it was booked is unknown, and a person has to decide.

    `doubt`: other_bytes, other_values, not_found or not_listed; `for_booked` and `for_not_booked` say what is known.
    """

    instance_id: str
    workflow_id: str
    aborted: bool
    stage: int
    position: int
    activity: str
    key: str
    request: EffectRequest
    since: Timestamp
    attempts: int
    doubt: str
    for_booked: str
    for_not_booked: str
    workflow_name: str | None = None
    amount: int | None = None
    asset: str | None = None
    last_failure: str | None = None


class Evidence(Model):
    """Either `ledger` and `transaction_id`, or `initiation_id`, or `text`."""

    ledger: str | None = None
    transaction_id: int | None = None
    initiation_id: str | None = None
    text: str | None = None


class Resolution(Model, kw_only=True):
    """A person's decision about an effect: `outcome` is booked or not_booked.

    `attested`: the evidence is a text. `failure`: the kind of failure with which the instance ended.
    """

    instance_id: str
    stage: int
    position: int
    outcome: str
    evidence: Evidence
    attested: bool
    reason: str
    principal: str
    resolved_at: Timestamp
    failure: str | None = None


class InstanceFailure(Model, kw_only=True):
    """Why an instance failed. `kind` is one of refused, invalid, conflict, plan, timeout, expired, rejected, unbooked,
    canceled and unclassified; `code` is that of the service that declined.
    """

    kind: str
    stage: int
    code: str | None = None
    position: int | None = None
    key: str | None = None


class CaseStep(Model, kw_only=True):
    """The step from one instance of a case to another, `instance_id`. `kind` is redrive or undo."""

    instance_id: str
    kind: str
    reason: str
    principal: str
    decided_at: Timestamp


class Continuation(Model, kw_only=True):
    """A new instance that continues the case of `predecessor`; `root_id` is the first instance of the case."""

    id: str
    predecessor: str
    root_id: str
    from_stage: int
    reason: str
    principal: str
    created_at: Timestamp


class KeptEffect(Model, kw_only=True):
    """An effect of a case that its undo leaves as it is, and the reason."""

    key: str
    stage: int
    ordinal: int
    activity: str
    reason: str


class CaseEffect(Model, kw_only=True):
    """An effect that a case has done."""

    key: str
    activity: str
    input: dict[str, Any]


class UndoPreview(Model, kw_only=True):
    """The preview of an undo: a stage for each revert, what it keeps, and what a person must decide first.

    `effects`: all that the case has done; None of an earlier release.
    """

    stages: list[dict[str, Any]]
    kept: list[KeptEffect]
    blocked: list[KeptEffect]
    effects: list[CaseEffect] | None = None


class Undoing(Model, kw_only=True):
    """A new instance that undoes the case of `predecessor` by a number of reverts."""

    id: str
    predecessor: str
    reverts: int
    kept: list[KeptEffect]
    reason: str
    principal: str
    created_at: Timestamp


class UndoReport(Model, kw_only=True):
    """How far an undo has come. `state` is undoing, undone, undone_but (what is kept) or undo_failed."""

    instance_id: str
    state: str
    kept: list[KeptEffect]


class OpenApproval(Model, kw_only=True):
    """The approvals that an instance waits for, until `deadline` if it has one. `rule`: None where the stage asks."""

    stage: int
    needed: int
    since: Timestamp
    rule: str | None = None
    title: str | None = None
    deadline: Timestamp | None = None


class InstanceDescription(Model, kw_only=True):
    """An instance beyond V1: `kind` is run, continuation or undo; `root_id` is the first instance of its case.

    `skipped`: the stages whose `when` was false.
    """

    id: str
    workflow_id: str
    kind: str
    root_id: str
    created_at: Timestamp
    from_stage: int | None = None
    plan_id: str | None = None
    terminated_at: Timestamp | None = None
    error: str | None = None
    skipped: list[int] = []
    failure: InstanceFailure | None = None
    predecessor: CaseStep | None = None
    successor: CaseStep | None = None
    undo: UndoReport | None = None
    approval: OpenApproval | None = None
    abort_reason: str | None = None


class Event(Model, kw_only=True):
    """An event to send. Triggers evaluate its `payload`; a repeat of its `idempotency_key` or `id` starts nothing."""

    type: str
    payload: dict[str, Any]
    app: str | None = None
    version: str | None = None
    date: Timestamp | None = None
    idempotency_key: str | None = msgspec.field(default=None, name="idempotency_key")
    id: str | None = None


class EventConflict(Model):
    """An event whose identity is known with another payload. `entry` is its index in the request, from 0."""

    entry: int
    key: str


class SentEvents(Model):
    """Number of accepted events of a request, and of those that were already known (`repeated`).

    `conflicting` events were refused: their identity is known with another payload, and they start nothing.
    `conflicts` has the first 20 of them.
    """

    accepted: int
    repeated: int = 0
    conflicting: int = 0
    conflicts: list[EventConflict] = msgspec.field(default_factory=list[EventConflict])


class ReceivedEvent(Model, kw_only=True):
    """An event in the inbox. `key` is its identity; `repeats` counts its repeated deliveries.

    `processed_at` is None until every trigger has processed it. `conflicts_with` is the claimed identity of an event
    that arrived with another payload than the first one of that identity.
    """

    key: str
    type: str
    received_at: Timestamp
    processed_at: Timestamp | None = None
    repeats: int = 0
    last_repeat_at: Timestamp | None = None
    conflicts_with: str | None = None


class AuditEntry(Model, kw_only=True):
    """One write: `principal` sent it, through the client `client_id`, to the object with the id `target`.

    `operation` is the API's name of the operation, such as runWorkflow. `number` grows with every entry.
    """

    number: int
    date: Timestamp
    principal: str
    client_id: str | None = msgspec.field(default=None, name="clientId")
    operation: str
    target: str


class PlanTotal(Model):
    """Sums of one asset, in its smallest unit: sent by stages, booked from payments, paid out."""

    sent: int
    external_in: int
    external_out: int


class StoredPlan(Model, kw_only=True):
    """Members that a list and a whole plan share. Two plans with equal hashes let a run do the same.

    `state`: open, approved, rejected, expired or used. `verdict`: succeeds or fails. `assets`: of the variables that
    are amounts. `taken_back`: by asset, what an undo books back; `payouts`: those that an undo deals with, by
    reference.
    """

    id: str
    hash: str
    state: str
    requester: str
    created_at: Timestamp
    expires_at: Timestamp
    verdict: str
    name: str | None = None
    workflow_id: str | None = None
    trigger_id: str | None = None
    instance_id: str | None = None
    redrive: str | None = None
    instance: str | None = None
    undo: str | None = None
    external: str | None = None
    requester_name: str | None = None
    payouts: dict[str, dict[str, Any]] | None = None
    assets: dict[str, str] | None = None
    taken_back: dict[str, int] | None = None


class PlanSummary(StoredPlan, kw_only=True):
    """A plan as a list shows it. `totals`: by asset; None where no money is sent, or of earlier releases.

    `variables`: short ones only.
    """

    variables: dict[str, str] | None = None

    totals: dict[str, PlanTotal] | None = None


class ApprovalDecision(Model, kw_only=True):
    """A person's decision about a plan or a batch. `verdict` is approve or reject; `name` is that of the principal."""

    principal: str
    verdict: str
    reason: str
    decided_at: Timestamp
    name: str | None = None


class Approvals(Model, kw_only=True):
    """The approvals of a plan or a batch: how many it needs, by which rule if any, and what was decided, in order."""

    needed: int
    given: list[ApprovalDecision]
    rule: str | None = None


class DecidedPlan(PlanSummary, kw_only=True):
    """A plan after a person's decision."""

    approvals: Approvals


class PlannedEffect(Model, kw_only=True):
    """One write of a plan. `missing` is what the paying account lacks; `stands`: the payment is booked already."""

    stage: int
    ordinal: int
    activity: str
    service: str
    method: str
    path: str
    body: dict[str, Any]
    reversible: str
    postings: list[dict[str, Any]]
    balances: list[dict[str, Any]]
    missing: int | None = None
    stands: bool | None = None


class Plan(StoredPlan, kw_only=True):
    """The effects of a run. `fails`: the first failure; `ends`: one that is left when each shortage is paid in."""

    format: str
    planned_at: Timestamp
    origin: str
    definition: dict[str, Any]
    variables: dict[str, str]
    effects: list[PlannedEffect]
    skipped: list[int]
    assumptions: list[dict[str, Any]]
    totals: dict[str, PlanTotal]
    begins: dict[str, Any] | None = msgspec.field(default=None, name="from")
    fails: dict[str, Any] | None = None
    ends: dict[str, Any] | None = None
    approvals: Approvals | None = None


class CertificateSubject(Model):
    """The subject of a certificate: the first instance of its case, or its period."""

    instance: str = ""
    from_: Timestamp | None = msgspec.field(name="from", default=None)
    to: Timestamp | None = None
    full: bool = False


class Certificate(Model, kw_only=True):
    """A signed statement about a case or a period. `certificate` is the file: a compact JWS; `sha` is its hash.

    `payload` is what is signed, decoded: only a check of the file with pinned keys proves it.
    """

    id: str
    subject: CertificateSubject
    sha: str
    kid: str
    created_at: Timestamp
    certificate: str
    payload: dict[str, Any]


class CertificateKeys(Model):
    """Public keys of certificates, as a JWKS. Each has `kid`, `x`, `y`, `signsFrom`, and `retiredAt` once it is old."""

    keys: list[dict[str, Any]]


class Trigger(Model):
    """A rule that starts a workflow for each matching event. `vars` holds an expression for each variable."""

    id: str
    created_at: Timestamp
    event: str
    workflow_id: str
    name: str = ""
    filter: str | None = None
    vars: dict[str, Any] | None = None
    version: str | None = None


class TriggerOccurrence(Model):
    """One match of a trigger and an event: the instance it started, or the error."""

    date: Timestamp
    trigger_id: str
    event: dict[str, Any]
    workflow_instance_id: str | None = None
    workflow_instance: WorkflowInstance | None = None
    error: str | None = None


class TriggerTestFilter(Model):
    match: bool | None = None
    error: str | None = None


class TriggerTestVariable(Model):
    value: str | None = None
    error: str | None = None


class TriggerTest(Model):
    """Result of evaluating a trigger for the payload of an event. Nothing was started."""

    filter: TriggerTestFilter | None = None
    variables: dict[str, TriggerTestVariable] = msgspec.field(default_factory=dict[str, TriggerTestVariable])


def reader(kind: type[T_co], may_be_null: str = "") -> Callable[[object], T_co]:
    """Return a decoder to `kind`. The member `may_be_null` gets its default if the server sends null."""
    return lambda value: msgspec.convert(_without_null(value, may_be_null), kind)


def rows_reader(kind: type[T_co], may_be_null: str) -> Callable[[object], T_co]:
    """Return a decoder to a list of `kind`, each row treated as by `reader`."""
    return lambda value: msgspec.convert(
        [_without_null(row, may_be_null) for row in msgspec.convert(value, list[Any])], kind
    )


read_instance = reader(WorkflowInstance, "status")
read_instances = rows_reader(list[WorkflowInstance], "status")
read_trigger = reader(Trigger, "name")
read_triggers = rows_reader(list[Trigger], "name")
read_trigger_test = reader(TriggerTest, "variables")


def read_occurrences(value: object) -> list[TriggerOccurrence]:
    entries = [_with_sound_instance(entry) for entry in msgspec.convert(value, list[Any])]
    return msgspec.convert(entries, list[TriggerOccurrence])


def nothing(_value: object) -> None:
    """Decode the missing body of an operation that returns nothing."""


def _with_sound_instance(value: object) -> object:
    if not isinstance(value, dict):
        return value
    members = cast("dict[str, object]", value)
    if "workflowInstance" not in members:
        return members
    return {**members, "workflowInstance": _without_null(members["workflowInstance"], "status")}


def _without_null(value: object, name: str) -> object:
    """Remove a null member: servers with nil slices, maps and pointers send null for an absent value."""
    if not isinstance(value, dict):
        return value
    members = cast("dict[str, object]", value)
    return {key: member for key, member in members.items() if key != name or member is not None}
