"""The writes of batches. An item is counted on its batch first, so every unit locks the batch before the item."""

from __future__ import annotations

from headrace.journal.write import Write


class AddBatch(Write, frozen=True, kw_only=True):
    """Store a batch, whose preview is still to be made. `selection`: the filter as JSON; `items`: their number."""

    batch_id: str
    kind: str
    selection: str | None
    rate: int
    max_open: int
    stop_after: int
    reason: str
    principal: str
    created_at: int
    items: int


class AddBatchItems(Write, frozen=True, kw_only=True):
    """Store the items of a batch. `items`: JSON list of `{"n", "instance"?, "run"?}`, where `run` is JSON text."""

    batch_id: str
    items: str


class ClaimPreview(Write, frozen=True, kw_only=True):
    """Begin the preview of a batch anew: from now on only the holder of this claim writes it.

    Changes nothing where the preview is made, or the batch is canceled.
    """

    batch_id: str
    claim: str


class MovePreview(Write, frozen=True, kw_only=True):
    """Store how many items the preview has seen. Changes nothing without the claim."""

    batch_id: str
    claim: str
    planned: int


class PreviewItem(Write, frozen=True, kw_only=True):
    """Store what the preview found of an item. `document`: the plan, as JSON."""

    batch_id: str
    number: int
    state: str
    hash: str | None
    document: str | None
    code: str | None
    message: str | None


class FinishPreview(Write, frozen=True, kw_only=True):
    """The preview is made: the batch is ready. Changes nothing without the claim."""

    batch_id: str
    claim: str
    hash: str
    summary: str


class AddBatchDecision(Write, frozen=True, kw_only=True):
    """Store the decision of a person about a batch.

    Changes nothing where it is neither ready nor approved, has another hash, or this person has decided.
    """

    batch_id: str
    principal: str
    verdict: str
    hash: str
    reason: str
    at: int


class ApproveBatch(Write, frozen=True, kw_only=True):
    """A ready batch with as many approvals as it needs is approved. Changes nothing where it has fewer."""

    batch_id: str
    needed: int


class RejectBatch(Write, frozen=True, kw_only=True):
    """Cancel a batch that has not started, since a person has rejected it. `why`: who, and for what reason."""

    batch_id: str
    why: str
    at: int


class StartBatch(Write, frozen=True, kw_only=True):
    """Start a batch. Changes nothing where it is not in `state`, ready or approved, or has another hash."""

    batch_id: str
    state: str
    hash: str
    principal: str
    at: int


class PauseBatch(Write, frozen=True, kw_only=True):
    """Pause a running batch: no item starts after this commit."""

    batch_id: str
    why: str


class ResumeBatch(Write, frozen=True, kw_only=True):
    """Go on with a paused batch; failures in a row are counted anew."""

    batch_id: str


class CancelBatch(Write, frozen=True, kw_only=True):
    """Cancel a batch that is not over: no item starts after this commit."""

    batch_id: str
    at: int


class DropItems(Write, frozen=True, kw_only=True):
    """Skip the items of a batch that have not started."""

    batch_id: str
    code: str
    message: str
    at: int


class FinishBatch(Write, frozen=True, kw_only=True):
    """A running batch is done. Changes nothing while an item is pending or started."""

    batch_id: str
    at: int


class CountStart(Write, frozen=True, kw_only=True):
    """Count an item that starts. Changes nothing where the batch does not run, or has as many open ones as it may."""

    batch_id: str


class StartItem(Write, frozen=True, kw_only=True):
    """Start a pending item. `made_id`: the new instance; None: an abort makes none."""

    batch_id: str
    number: int
    made_id: str | None
    at: int


class SkipItem(Write, frozen=True, kw_only=True):
    """Skip a pending item, which has changed since the preview."""

    batch_id: str
    number: int
    code: str
    message: str
    at: int


class CountEnd(Write, frozen=True, kw_only=True):
    """Count an item that has ended. The last of `stop_after` failures in a row pauses a running batch, with `why`."""

    batch_id: str
    is_failure: bool
    why: str


class EndItem(Write, frozen=True, kw_only=True):
    """End a started item. `state`: succeeded or failed."""

    batch_id: str
    number: int
    state: str
    code: str | None
    message: str | None
    at: int


BATCH_WRITES: tuple[type[Write], ...] = (
    *(AddBatch, AddBatchItems, ClaimPreview, MovePreview, PreviewItem, FinishPreview, AddBatchDecision, ApproveBatch),
    *(RejectBatch, StartBatch, PauseBatch, ResumeBatch, CancelBatch, DropItems, FinishBatch, CountStart, StartItem),
    *(SkipItem, CountEnd, EndItem),
)
