"""The rows of the journal, as its readers see them. Times are microseconds since the epoch; JSON columns are text."""

from __future__ import annotations

from typing import Any

import msgspec

Json = dict[str, Any]


class Workflow(msgspec.Struct, frozen=True):
    """A stored, immutable definition. `config` is the JSON text of `{"name"?, "stages": [...]}` as it was given."""

    id: str
    name: str | None
    config: str
    created_at: int
    updated_at: int
    deleted_at: int | None = None


class Handle(msgspec.Struct, frozen=True):
    """A name of a workflow. `current`: the number of the version that starts, and `workflow_id` the workflow of it.

    `set_name`: the set of `headrace apply` that made the name; None: a caller of its own.
    """

    name: str
    current: int
    workflow_id: str
    set_name: str | None
    created_at: int
    updated_at: int

    @property
    def id(self) -> str:
        """Names are ordered as rows with ids are."""
        return self.name


class Version(msgspec.Struct, frozen=True):
    """An immutable version of a name. `deleted_at`: of its workflow, which then starts no more."""

    name: str
    number: int
    workflow_id: str
    definition_hash: str
    created_at: int
    principal: str
    deleted_at: int | None = None


class NameUse(msgspec.Struct, frozen=True):
    """A trigger that starts a name, by it or by the id of one of its versions. `waits`: an event may need it for that.

    `is_former`: an earlier definition of the trigger does, for events that wait.
    """

    trigger_id: str
    is_former: bool
    waits: bool


class Stage(msgspec.Struct, frozen=True):
    """A started stage of an instance. `input` is JSON text: its body, expanded and unwrapped.

    `outcome`: timeout, where it has waited for an event that did not come in time. `gate`: JSON of the approvals that
    it waits for, or has waited for until `gate_passed_at`; it gives up at `deadline_at`. `skipped`: what
    its condition decided as it opened; None: it has none, or that one could not be evaluated.
    """

    instance_id: str
    number: int
    keyword: str
    input: str
    started_at: int
    terminated_at: int | None = None
    error: str | None = None
    gate: str | None = None
    deadline_at: int | None = None
    gate_passed_at: int | None = None
    outcome: str | None = None
    skipped: bool | None = None


class Instance(msgspec.Struct, frozen=True, omit_defaults=True):
    """One run of a workflow, with its own copy of the config (decision T1). `stages` are those started, in order.

    `kind`: run, continuation or undo. `root_id`: the first instance of its case; None: itself. `from_stage`: where a
    continuation begins. `plan_id`: the plan that it may not leave. `failure`: a kind of `workflows.failures`, of an
    instance that ended with an error; `failure_code`: of the service that declined.
    """

    id: str
    workflow_id: str
    config: str
    variables: str
    created_at: int
    updated_at: int
    terminated_at: int | None = None
    error: str | None = None
    started_by_trigger: bool = False
    stages: tuple[Stage, ...] = ()
    kind: str = "run"
    root_id: str | None = None
    from_stage: int | None = None
    plan_id: str | None = None
    failure: str | None = None
    failure_code: str | None = None

    @property
    def is_terminal(self) -> bool:
        return self.terminated_at is not None


class InstanceSummary(msgspec.Struct, frozen=True):
    """An instance as a search lists it. `stage_number` and `stage` are those of the last stage that has started.

    `amount`: what its first effect moves, as `search_terms.sortable_amount` writes it; None where it moved nothing yet.
    """

    id: str
    workflow_id: str
    workflow_name: str | None
    status: str
    created_at: int
    updated_at: int
    terminated_at: int | None = None
    error: str | None = None
    error_code: str | None = None
    stage_number: int | None = None
    stage: str | None = None
    failure: str | None = None
    failure_code: str | None = None
    amount: str | None = None


class Due(msgspec.Struct, frozen=True):
    """An instance the engine must look at. `row` orders those of one `next_at`."""

    row: int
    next_at: int
    instance_id: str


class ActivityRow(msgspec.Struct, frozen=True):
    """One activity of a stage. `position` counts all of them from 0; an effect also has a `key`.

    `request_*` is what is sent, byte for byte. `attempt` counts the attempts begun: 0 means that none was sent.
    `permitted_at`: when the latest of them was counted, by the database's clock; None: not known.
    """

    instance_id: str
    stage: int
    position: int
    name: str
    input: str
    started_at: int
    attempt: int = 1
    key: str = ""
    request_method: str = ""
    request_path: str = ""
    request_body: bytes | None = None
    output: str | None = None
    error: str | None = None
    last_failure: str | None = None
    next_execution_at: int | None = None
    needs_attention: bool = False
    terminated_at: int | None = None
    permitted_at: int | None = None


class AttentionRow(msgspec.Struct, frozen=True):
    """An open effect that needs attention. `id`, `created_at` and `terminated_at` are those of its instance.

    `attention`: why, as `effects.settlement.Doubt` names it; None: a server of an earlier release stored it.
    """

    id: str
    created_at: int
    workflow_id: str
    workflow_name: str | None
    terminated_at: int | None
    stage: int
    position: int
    name: str
    key: str
    started_at: int
    attempt: int
    request_method: str
    request_path: str
    request_body: bytes | None
    last_failure: str | None
    attention: str | None
    since_at: int


class ResolutionRow(msgspec.Struct, frozen=True):
    """A person's decision about an effect that needed attention. `evidence` is JSON text."""

    instance_id: str
    stage: int
    position: int
    verdict: str
    evidence: str
    reason: str
    principal: str
    at: int


class Successor(msgspec.Struct, frozen=True):
    """The step from an ended instance to its successor. `kind`: redrive or undo; `reason`: of the principal.

    `kept`: JSON list of the effects that an undo leaves as they are, known when it began.
    """

    predecessor: str
    kind: str
    successor: str
    reason: str
    principal: str
    at: int
    kept: str | None = None


class Link(msgspec.Struct, frozen=True):
    """An instance of a chain of continuations. `from_stage`: where it began."""

    instance_id: str
    from_stage: int


class Standing(msgspec.Struct, frozen=True):
    """The state of an instance at one moment. `activities` are its own, of its last stage.

    `nudge_seq`: the last of its nudges, or 0. `plan`: the document of the plan that the instance may not leave, and
    `approvals`: how many persons have approved that plan.
    `inherited`: of a continuation in its first stage, the effects that the
    instances before it had asked for in that stage, the oldest first. `reads`: those of the stages before, also
    inherited ones, in order, of each stage whose reads a condition names that may still be evaluated.
    """

    instance: Instance
    activities: tuple[ActivityRow, ...]
    version: int
    nudge_seq: int = 0
    plan: str | None = None
    inherited: tuple[ActivityRow, ...] = ()
    approvals: int = 0
    reads: tuple[ActivityRow, ...] = ()

    @property
    def is_over(self) -> bool:
        """The instance has ended, and no effect of it is open."""
        return self.instance.is_terminal and self.instance.stages[-1].terminated_at is not None


class StaleNudge(msgspec.Struct, frozen=True):
    """An instance with overlooked nudges. `seq`: the last of them; `tries`: how often they were repeated."""

    instance_id: str
    seq: int
    tries: int


class EngineState(msgspec.Struct, frozen=True):
    """`engine`: the one that drives the instances; empty: none yet. `generation` counts the owners of the journal."""

    engine: str
    generation: int


class Trigger(msgspec.Struct, frozen=True):
    """An event rule. `vars` is JSON text as it was given; it fires for events of the inbox after `after_seq`.

    `workflow_name`: it starts the version of this name that is current at the start; as it was read, that was the one
    of number `current`, and `workflow_id` is its workflow. `handle`: the name under which it is kept, so that another
    definition can replace this one, `revision` counts them. `set_name`: the set of `headrace apply` that made it.
    """

    id: str
    name: str
    event: str
    workflow_id: str
    version: str | None
    filter: str | None
    vars: str | None
    created_at: int
    after_seq: int = 0
    deleted_at: int | None = None
    workflow_name: str | None = None
    current: int | None = None
    handle: str | None = None
    set_name: str | None = None
    revision: int = 1


class InboxEvent(msgspec.Struct, frozen=True):
    """An accepted event. `key` is its identity; `envelope` is JSON text, None once it is forgotten.

    `depth`: how many triggers led to it, one after the other, as far as its sender says. `conflicts_with`: the event
    that had its identity before, with another payload; then it starts nothing.
    """

    seq: int
    key: str
    type: str
    envelope: str | None
    received_at: int
    processed_at: int | None = None
    repeats: int = 0
    last_repeat_at: int | None = None
    depth: int = 0
    conflicts_with: int | None = None


class OutboxEvent(msgspec.Struct, frozen=True):
    """An event of Headrace in the outbox. `payload` is JSON text; `depth` counts the triggers that led to it."""

    seq: int
    type: str
    happened_at: int
    payload: str
    depth: int


class SetAside(msgspec.Struct, frozen=True):
    """A dead letter: an event that a publisher refused again and again. `body` is JSON text, as it was sent."""

    publisher: str
    event_id: str
    type: str
    body: str
    reason: str
    at: int


class Occurrence(msgspec.Struct, frozen=True):
    """One match of a trigger and an event: the instance it started, or the error. `event` is the payload's JSON."""

    id: str
    trigger_id: str
    event_key: str
    event: str
    created_at: int
    depth: int
    instance_id: str | None = None
    error: str | None = None
    instance: Instance | None = None


class AuditEntry(msgspec.Struct, frozen=True):
    """A write that a caller requested: its principal, its operation and its target."""

    seq: int
    at: int
    principal: str
    client_id: str | None
    operation: str
    target: str


class Remembered(msgspec.Struct, frozen=True):
    """The response to a request with an Idempotency-Key."""

    owner: str
    key: str
    fingerprint: bytes
    status: int
    body: bytes
    operation: str
    target: str
    created_at: int

    @property
    def is_of_any_caller(self) -> bool:
        """True for a row of release 0.1.0, which kept neither the caller nor the canonical form of the request."""
        return self.owner == "~"


class Plan(msgspec.Struct, frozen=True):
    """A stored plan. `document` is its JSON text, empty in lists; `subject` is the JSON of a `PlanSubject`.

    `state` is open, approved, rejected, expired or used; an open or approved plan expires at `expires_at`.
    """

    id: str
    hash: str
    subject: str
    requester: str
    created_at: int
    expires_at: int
    state: str
    instance_id: str | None = None
    document: str = ""


class Decision(msgspec.Struct, frozen=True):
    """A person's decision about a plan. `verdict`: approve or reject; `hash`: the plan's, as the person gave it."""

    target: str
    principal: str
    verdict: str
    hash: str
    reason: str
    at: int


class Requester(msgspec.Struct, frozen=True):
    """A principal that asked for an instance or created a trigger. `at`: when it first did."""

    principal: str
    at: int


class Certificate(msgspec.Struct, frozen=True):
    """A stored certificate. `content` is the signed file; `subject` is the JSON of what was asked for.

    `sha`: the hash of the file, as `sha256:` and hexadecimal. `previous`: the certificate of the period before.
    `from_at`, `to_at`: those of its period, None for a case.
    """

    id: str
    subject: str
    content: str
    sha: str
    previous: str | None
    kid: str
    created_at: int
    from_at: int | None = None
    to_at: int | None = None


class InstanceTimes(msgspec.Struct, frozen=True):
    """When an instance began and ended. `settled_at`: when no effect of it was in progress any more; None: one is."""

    id: str
    created_at: int
    ended_at: int | None
    settled_at: int | None


class Batch(msgspec.Struct, frozen=True):
    """Many runs, redrives, undos or aborts under one decision.

    `selection`: the filter as JSON, if there was one. `items`, `planned`: how many there are, and how many of them the
    preview has seen. `open`: items that are started and not over; `streak`: how many have failed in a row. `hash`,
    `summary` (JSON): of the preview. `why`: of a pause. `starter`: the principal that has started it.
    """

    id: str
    kind: str
    selection: str | None
    rate: int
    max_open: int
    stop_after: int
    reason: str
    principal: str
    created_at: int
    items: int
    state: str
    planned: int = 0
    open: int = 0
    streak: int = 0
    hash: str | None = None
    summary: str | None = None
    why: str | None = None
    starter: str | None = None
    started_at: int | None = None
    ended_at: int | None = None


class BatchItem(msgspec.Struct, frozen=True):
    """An item of a batch. `n` counts from 1. `instance_id`: what it continues, undoes or aborts; `run`: the start of a
    new instance as JSON. `made_id`: the new instance. `document`: of its plan until it starts, empty in lists.
    """

    n: int
    instance_id: str | None
    state: str
    code: str | None = None
    message: str | None = None
    made_id: str | None = None
    hash: str | None = None
    started_at: int | None = None
    ended_at: int | None = None
    run: str | None = None
    document: str | None = None


class ItemCount(msgspec.Struct, frozen=True):
    """The number of items of a batch in one state and with one code."""

    state: str
    code: str | None
    count: int


class ItemEnding(msgspec.Struct, frozen=True):
    """A started item whose instance has ended, with no effect open: the end of that instance."""

    n: int
    at: int
    error: str | None
    failure: str | None
    failure_code: str | None
