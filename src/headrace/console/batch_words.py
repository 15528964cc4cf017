"""The words of batches: their states, what their items do, and why one does not start."""

from __future__ import annotations

import msgspec

from headrace.console.words import STATUS_WORDS, Status, stamp
from headrace.journal.lists import UNFINISHED
from headrace.journal.records import Batch
from headrace.pictures.amounts import amount_text
from headrace.usecases.batch_preview import Summary
from headrace.usecases.batch_requests import Filter
from headrace.usecases.ports import Ports

BATCH_STATUSES: dict[str, Status] = {
    "previewing": Status("→", "Making its preview", "moving"),
    "ready": Status("◷", "Ready", "waiting"),
    "approved": Status("◷", "Approved", "waiting"),
    "running": Status("→", "Running", "moving"),
    "paused": Status("◷", "Paused", "retrying"),
    "done": Status("✓", "Done", "completed"),
    "canceled": Status("⊘", "Canceled", "aborted"),
}
ITEM_STATUSES: dict[str, Status] = {
    "pending": Status("◷", "To go", "waiting"),
    "started": Status("→", "Under way", "moving"),
    "succeeded": Status("✓", "Succeeded", "completed"),
    "failed": Status("✕", "Failed", "failed"),
    "skipped": Status("⊘", "Skipped", "aborted"),
    "excluded": Status("⊘", "Excluded", "aborted"),
}
VERBS = {"run": "Start", "redrive": "Redrive", "undo": "Undo", "abort": "Abort"}
SUMS = {
    "sent": "sent",
    "externalIn": "booked from payments",
    "externalOut": "paid out or transferred",
    "reverted": "moved back",
}
CAUSES = {
    "aborted": "the run was aborted",
    "canceled": "the batch was canceled first",
    "changed": "the run has moved on since the preview",
    "ended": "the run has ended",
    "has_successor": "another run continues or undoes it already",
    "invalid": "one of its values cannot be used",
    "is_undo": "it is itself an undo",
    "needs_approvals": "a rule wants approvals for its undo",
    "needs_person": "a payout came back in part, or not at all",
    "needs_plan": "it is no longer what was signed or booked",
    "not_clean": "the books have something else under its reference",
    "not_failed": "the run has not failed",
    "not_found": "the run or its workflow does not exist any more",
    "nothing_to_undo": "it has nothing left to move back",
    "open": "whether one of its effects was booked is not known yet",
    "rejected": "a person has rejected the batch",
    "running": "the run has not ended",
    "too_large": "planning it takes too many reads or too long",
}


def cause_of(code: str) -> str:
    """Why an item does not start, in words; empty for a code that has none."""
    return "its plan fails" if code.startswith("fails:") else CAUSES.get(code, "")


def counted(count: int, noun: str = "run") -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def sums_of(summary: Summary) -> list[str]:
    """For each asset, how much of it the items send, book, pay out and move back."""
    texts: list[str] = []
    for asset, sums in summary.totals.items():
        parts = [f"{amount_text(sums[name], asset)} {text}" for name, text in SUMS.items() if sums.get(name)]
        texts.append(", ".join(parts) or f"{amount_text(0, asset)} moved")
    return texts


async def selection_of(ports: Ports, batch: Batch) -> str:
    """A sentence of what a batch does to which runs: `Redrive 800 runs: failed, of workflow payout`."""
    if batch.selection is None:
        which = counted(batch.items, "new run") if batch.kind == "run" else f"{counted(batch.items)}, chosen by id"
        return f"{VERBS[batch.kind]} {which}"
    chosen = msgspec.json.decode(batch.selection, type=Filter)
    parts: list[str] = []
    if chosen.state is not None:
        parts.append("not ended" if chosen.state == UNFINISHED else STATUS_WORDS[chosen.state].word.lower())
    if chosen.workflow is not None:
        found = await ports.journal.workflow(chosen.workflow)
        parts.append(f"of workflow {chosen.workflow if found is None or not found.name else found.name}")
    if chosen.stage is not None:
        parts.append(f"in stage {chosen.stage + 1}")
    if chosen.failure is not None:
        parts.append(f"with a failure of the kind {chosen.failure}")
    if chosen.code is not None:
        parts.append(f"with the code {chosen.code}")
    times = {
        "started at or after": chosen.started_after,
        "started before": chosen.started_before,
        "ended at or after": chosen.ended_after,
        "ended before": chosen.ended_before,
    }
    parts += [f"{text} {stamp(at)} UTC" for text, at in times.items() if at is not None]
    return f"{VERBS[batch.kind]} {counted(batch.items)}: " + ", ".join(parts)
