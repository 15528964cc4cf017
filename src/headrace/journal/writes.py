"""Every write that a unit may hold: one record for each, and what the write returns.

An adapter has one query for each record. Where the rows named by a record do not exist, or are closed already, the
write changes nothing; a unit that must not pass over that holds it as `port.Required`.
"""

from __future__ import annotations

from typing import ClassVar

from msgspec.structs import force_setattr

from headrace.journal.approval_writes import APPROVAL_WRITES
from headrace.journal.batch_writes import BATCH_WRITES
from headrace.journal.name_writes import NAME_WRITES
from headrace.journal.plan_writes import PLAN_WRITES
from headrace.journal.retention_writes import RETENTION_WRITES
from headrace.journal.successor_writes import SUCCESSOR_WRITES
from headrace.journal.write import Result, ResultType, Write


class EventTaken(Result, frozen=True):
    """The instance's event that a wait has consumed."""

    seq: int


class EventAccepted(Result, frozen=True):
    """The inbox's row of an event. `conflicts_with`: the earlier event with its identity and another payload."""

    seq: int
    repeats: int
    conflicts_with: int | None


class Published(Result, frozen=True):
    """The outbox's row of an event."""

    seq: int


class Probed(Result, frozen=True):
    """How often a commit was tried out."""

    count: int


# workflows


class AddWorkflow(Write, frozen=True, kw_only=True):
    workflow_id: str
    name: str | None
    config: str
    created_at: int
    updated_at: int


class DeleteWorkflow(Write, frozen=True, kw_only=True):
    at: int
    workflow_id: str


# instances


class AddInstance(Write, frozen=True, kw_only=True):
    """Changes nothing where the workflow does not exist or is deleted.

    `kind`, `root_id`, `from_stage`, `plan_id`: as `records.Instance` has them. `amount`: as `NoteAmount` has it.
    """

    instance_id: str
    workflow_id: str
    config: str
    variables: str
    created_at: int
    by_trigger: bool
    kind: str = "run"
    root_id: str | None = None
    from_stage: int | None = None
    plan_id: str | None = None
    amount: str | None = None


class NoteAmount(Write, frozen=True, kw_only=True):
    """Store what the first effect of an instance moves, unless it is known.

    `amount`: as `search_terms.sortable_amount` writes it.
    """

    instance_id: str
    amount: str


class AddLookups(Write, frozen=True, kw_only=True):
    """Make an instance findable by terms of `search_terms`. `created_at`: the instance's."""

    created_at: int
    instance_id: str
    terms: tuple[str, ...]


class AddVariables(Write, frozen=True, kw_only=True):
    """`fingerprints`: JSON list of hashes by which instances are found by a variable."""

    created_at: int
    instance_id: str
    fingerprints: str


class MoveInstance(Write, frozen=True, kw_only=True):
    """A running instance goes on. `next_at`: when the engine must look at it: 0 at once, a time, or None."""

    at: int
    next_at: int | None
    instance_id: str


class ScheduleInstance(Write, frozen=True, kw_only=True):
    """When the engine must look at an instance, which may have ended."""

    next_at: int | None
    instance_id: str


class ClaimVersion(Write, frozen=True, kw_only=True):
    """Raise an instance's version. Changes nothing where it is not `version`: another unit came first."""

    instance_id: str
    version: int


class EndInstance(Write, frozen=True, kw_only=True):
    """End a running instance and raise its version. Changes nothing where that is not `version`.

    `failure`: a kind of `workflows.failures`, where there is an error; `failure_code`: of a refusal.
    """

    at: int
    error: str | None
    instance_id: str
    version: int
    failure: str | None = None
    failure_code: str | None = None


class NoteAbort(Write, frozen=True, kw_only=True):
    """Store why an instance is aborted, beside what ends it."""

    instance_id: str
    reason: str


class MarkTrouble(Write, frozen=True, kw_only=True):
    """`trouble`: a position in `lists.STATUSES` while an activity is tried again or needs attention, else None."""

    trouble: int | None
    instance_id: str


# stages


class OpenStage(Write, frozen=True, kw_only=True):
    instance_id: str
    number: int
    keyword: str
    input: str
    started_at: int


class AddClosedStage(Write, frozen=True, kw_only=True):
    """A stage that ended as it began."""

    instance_id: str
    number: int
    keyword: str
    input: str
    started_at: int
    terminated_at: int
    error: str | None


class AmendStage(Write, frozen=True, kw_only=True):
    """Replace the input of an open stage."""

    input: str
    instance_id: str
    number: int


class CloseStage(Write, frozen=True, kw_only=True):
    terminated_at: int
    error: str | None
    instance_id: str
    number: int


# activities


class OpenActivity(Write, frozen=True, kw_only=True):
    """The intent of an activity: its request, byte for byte, before it is sent. `attempt` counts attempts begun.

    `scheduled_at`: of a transfer initiation, as the request has it.
    """

    instance_id: str
    stage: int
    position: int
    name: str
    input: str
    started_at: int
    attempt: int
    key: str
    request_method: str
    request_path: str
    request_body: bytes | None
    scheduled_at: str | None = None


class AddClosedActivity(Write, frozen=True, kw_only=True):
    """A read that has ended: nothing was stored while it was open."""

    instance_id: str
    stage: int
    position: int
    name: str
    input: str
    started_at: int
    attempt: int
    key: str
    request_method: str
    request_path: str
    request_body: bytes | None
    output: str | None
    error: str | None
    last_failure: str | None
    terminated_at: int


class BeginAttempt(Write, frozen=True, kw_only=True):
    """An attempt may begin. Changes nothing where other attempts have begun, or the activity is closed.

    The database notes when, by its own clock: `ActivityRow.permitted_at`.
    """

    attempt: int
    instance_id: str
    stage: int
    position: int


class FailAttempt(Write, frozen=True, kw_only=True):
    """`attention`: why a person must decide, as `effects.settlement.Doubt` names it, and `attention_at` when that was
    found; the first such time stays. None: no person has to decide.
    """

    attempt: int
    failure: str
    next_execution_at: int | None
    needs_attention: bool
    attention: str | None
    attention_at: int | None
    instance_id: str
    stage: int
    position: int


class CloseActivity(Write, frozen=True, kw_only=True):
    attempt: int
    output: str | None
    error: str | None
    terminated_at: int
    instance_id: str
    stage: int
    position: int


class AddResolution(Write, frozen=True, kw_only=True):
    """Store what a person decided about an effect. Changes nothing where the effect is closed or needs no attention, or
    where `proof` is that of another effect.

    `verdict`: booked or not_booked; `evidence`: JSON; `proof`: the transaction or initiation that shows this effect.
    """

    instance_id: str
    stage: int
    position: int
    verdict: str
    evidence: str
    proof: str | None
    reason: str
    principal: str
    at: int


# an instance's mailbox


class AddEvent(Write, frozen=True, kw_only=True):
    """Changes nothing where the instance has ended."""

    instance_id: str
    name: str
    received_at: int


class WakeInstance(Write, frozen=True, kw_only=True):
    """The engine must look at the instance at once, if it waits for an event."""

    instance_id: str


class TakeEvent(Write, frozen=True, kw_only=True):
    """Consume the oldest event of this name; a stage that has consumed one takes the same again."""

    result: ClassVar[ResultType] = EventTaken

    stage: int
    instance_id: str
    name: str


class WaitForEvent(Write, frozen=True, kw_only=True):
    """The instance waits, or goes on at once where this stage has consumed an event.

    `until_at`: when the engine must look at it, if no event comes; None: never.
    """

    at: int
    instance_id: str
    stage: int
    until_at: int | None = None


class EndWait(Write, frozen=True, kw_only=True):
    """A stage waits no longer for an event. Changes nothing where the mailbox holds one of this name for it."""

    instance_id: str
    number: int
    name: str


# nudges: an engine of several processes learns from them that an instance has something to do


class AddNudge(Write, frozen=True, kw_only=True):
    """Ask for a look at an instance. `why`: start, event, abort or resume. `at`: from when on it may be overlooked."""

    instance_id: str
    why: str
    at: int


class DropNudges(Write, frozen=True, kw_only=True):
    """Remove the nudges of an instance up to `seq`: they were seen."""

    instance_id: str
    seq: int


class PostponeNudges(Write, frozen=True, kw_only=True):
    """The nudges of an instance up to `seq` were repeated; they count as overlooked again from `at` on."""

    at: int
    instance_id: str
    seq: int


class SwitchEngine(Write, frozen=True, kw_only=True):
    """From now on `engine` drives the instances. Changes nothing where the engine is not `before` (empty: none yet)."""

    engine: str
    before: str


class RaiseGeneration(Write, frozen=True, kw_only=True):
    """A process becomes the owner. Changes nothing where the generation is not `generation`: another one has."""

    generation: int


# triggers


class AddTrigger(Write, frozen=True, kw_only=True):
    """Store a trigger, which fires for events accepted from now on. Changes nothing where one has the same `handle`.

    `event_name`: `event` in lower case. `name_folded` fills itself in. The last three: see `records.Trigger`.
    """

    trigger_id: str
    name: str
    event: str
    event_name: str
    workflow_id: str
    version: str | None
    filter: str | None
    vars: str | None
    created_at: int
    name_folded: str = ""
    workflow_name: str | None = None
    handle: str | None = None
    set_name: str | None = None

    def __post_init__(self) -> None:
        force_setattr(self, "name_folded", self.name.casefold())


class DeleteTrigger(Write, frozen=True, kw_only=True):
    at: int
    trigger_id: str


class AddOccurrence(Write, frozen=True, kw_only=True):
    """Changes nothing where the trigger is deleted, or has fired for this event already."""

    occurrence_id: str
    trigger_id: str
    event_key: str
    event: str
    created_at: int
    depth: int
    instance_id: str | None
    error: str | None


# the inbox


class AcceptEvent(Write, frozen=True, kw_only=True):
    """Store an event, or count a repeat on its row.

    `place` is the broker's name of the message: a known place is the same message, a repeat of whatever it was.
    `conflict_key` becomes its key where `key` is known with another payload; `old_key` is the key that release 0.1.0
    would have stored it under. Rows of 0.1.0 without a fingerprint cannot be compared.
    """

    result: ClassVar[ResultType] = EventAccepted

    key: str
    type: str
    envelope: str | None
    received_at: int
    depth: int
    fingerprint: bytes | None
    place: str | None
    conflict_key: str
    old_key: str | None


class PlaceEvent(Write, frozen=True, kw_only=True):
    """A further identity of an event of the inbox."""

    key: str
    seq: int


class IdentifyEvent(Write, frozen=True, kw_only=True):
    fingerprint: bytes
    seq: int


class RepeatEvent(Write, frozen=True, kw_only=True):
    at: int
    key: str
    old_key: str | None


class ProcessEvent(Write, frozen=True, kw_only=True):
    at: int
    seq: int


class MovePosition(Write, frozen=True, kw_only=True):
    """Store how far a source was read, or how far a publisher has got.

    Changes nothing where the stored position is not `expected` (None: there is none yet): another process moved it.
    """

    source: str
    position: int
    expected: int | None


class ConfirmPosition(Write, frozen=True, kw_only=True):
    """Store that a publisher is still in use: `TrimOutbox` keeps what it has not acknowledged."""

    source: str


# the outbox


class WantType(Write, frozen=True, kw_only=True):
    """From this commit on, events of this type go into the outbox, whichever process publishes them."""

    type: str


class Publish(Write, frozen=True, kw_only=True):
    """Put an event into the outbox. Changes nothing where its type is not wanted (`WantType`).

    `depth` counts the triggers that led to it; None: as many as led to the instance.
    """

    result: ClassVar[ResultType] = Published

    type: str
    happened_at: int
    payload: str
    instance_id: str | None
    depth: int | None


class AddDeadLetter(Write, frozen=True, kw_only=True):
    """An event that a publisher refused again and again."""

    publisher: str
    event_id: str
    type: str
    body: str
    reason: str
    at: int


class DropDeadLetter(Write, frozen=True, kw_only=True):
    """The publisher has taken the event after all. Changes nothing where another request was faster."""

    publisher: str
    event_id: str


# callers


class AddCertificate(Write, frozen=True, kw_only=True):
    """Store a certificate. `content`: the file; `jwk`: its public key; `from_at` to `to_at`: its period."""

    certificate_id: str
    subject: str
    content: str
    sha: str
    previous: str | None
    kid: str
    jwk: str
    created_at: int
    from_at: int | None = None
    to_at: int | None = None


class AddAuditEntry(Write, frozen=True, kw_only=True):
    at: int
    principal: str
    client_id: str | None
    operation: str
    target: str


class RememberKey(Write, frozen=True, kw_only=True):
    """The response to a caller's Idempotency-Key. A key that is stored already raises RepeatedKey."""

    owner: str
    key: str
    fingerprint: bytes
    status: int
    body: bytes
    operation: str
    target: str
    at: int


class Probe(Write, frozen=True, kw_only=True):
    """A write that changes nothing of interest: it shows that a commit succeeds."""

    result: ClassVar[ResultType] = Probed


def record_types() -> tuple[type[Write], ...]:
    """Every write: of plans, successors, approvals, batches and names, of this file in its order, and of retention."""
    first = (*PLAN_WRITES, *SUCCESSOR_WRITES, *APPROVAL_WRITES, *BATCH_WRITES, *NAME_WRITES)
    own = (each for each in Write.__subclasses__() if each not in (*first, *RETENTION_WRITES))
    return (*first, *own, *RETENTION_WRITES)
