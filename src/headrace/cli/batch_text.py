"""A batch as text, for a terminal of 80 columns: what it would do, and how far it is."""

from __future__ import annotations

from typing import Any

from headrace.cli import display
from headrace.cli.display import COLUMNS, Heading, money

Json = dict[str, Any]

VERBS = {"run": "Starts", "redrive": "Redrives", "undo": "Undoes", "abort": "Aborts"}
_SUMS = {"sent": "sent", "externalIn": "booked from payments", "externalOut": "paid out", "reverted": "reverted"}
_REASONS = {
    "not_failed": "it did not fail",
    "not_found": "there is no such instance, or its workflow is deleted",
    "running": "it has not ended",
    "ended": "it has ended",
    "open": "the outcome of one of its effects is not known yet",
    "has_successor": "it is continued or undone already",
    "aborted": "it was aborted",
    "rejected": "an approver has rejected it",
    "not_clean": "the books hold something else under its reference",
    "needs_plan": "it left what was signed or booked",
    "is_undo": "it is an undo",
    "nothing_to_undo": "nothing is left to revert",
    "needs_person": "a payout was reversed in part, or not at all",
    "needs_approvals": "a rule asks for approvals of its undo",
    "changed": "it has changed since the preview",
    "canceled": "the batch was canceled",
    "too_large": "its plan needs too many reads, or too much time",
    "invalid": "a value cannot be used",
}


def preview_lines(batch: Json) -> list[str]:
    """The result of a preview: what starts, the amounts per asset, and what is excluded."""
    count = f"{batch['included']:,} of {_counted(batch['items'])}"
    found: list[str] = [Heading(f"{VERBS[batch['kind']]} {count}")]
    for text in sum_texts(batch):
        found += display.wrapped(text, COLUMNS, indent="  ")
    pace = f"{batch['rate']} a second, {batch['maxOpen']} open at once"
    found += display.wrapped(f"{pace}; pauses after {batch['stopAfter']} failures in a row", COLUMNS, indent="  ")
    excluded: dict[str, int] = batch.get("excluded", {})
    if excluded:
        found += ["", Heading("Excluded")]
        for code, number in sorted(excluded.items(), key=lambda each: (-each[1], each[0])):
            reason = "its plan fails" if code.startswith("fails:") else _REASONS.get(code, "")
            found.append(display.cut(f"  {number:>6,}  {display.padded(code, 22)} {reason}".rstrip(), COLUMNS))
    if (failing := batch.get("firstFailing")) is not None:
        what = f" ({failing['instance']})" if "instance" in failing else ""
        found += ["", f"Item {failing['n']:,} is the first whose plan fails{what}:"]
        found += display.wrapped(display.printable(failing["message"]), COLUMNS, indent="  ")
    return found


def sum_texts(batch: Json) -> list[str]:
    """For each asset, what the items of a batch send, book, pay out and revert of it."""
    return [
        ", ".join(f"{money(sums[name], asset)} {text}" for name, text in _SUMS.items() if sums.get(name))
        or money(0, asset)
        for asset, sums in batch.get("totals", {}).items()
    ]


def approval_texts(batch: Json) -> list[str]:
    """The approvals that a batch needs, and each decision of a person about it."""
    approvals: Json | None = batch.get("approvals")
    if approvals is None:
        return []
    by_rule = f", by rule {approvals['rule']}" if "rule" in approvals else ""
    given = sum(each["verdict"] == "approve" for each in approvals["given"])
    decisions = (
        f"{each['verdict']} by {display.person(each['principal'], each.get('name'))}, "
        f"{display.moment(each['decidedAt'])}: {each['reason']}"
        for each in approvals["given"]
    )
    return [f"{given} of {approvals['needed']}{by_rule}", *map(display.printable, decisions)]


def _counted(items: int) -> str:
    return "1 item" if items == 1 else f"{items:,} items"


def progress_line(batch: Json) -> str:
    """The progress of a preview or of a batch, in one line."""
    if batch["state"] == "previewing":
        return f"previewed {batch['planned']:,} of {_counted(batch['items'])}"
    counts: dict[str, int] = batch.get("counts", {})
    names = ("succeeded", "failed", "started", "pending", "skipped", "excluded")
    words = {"started": "under way", "pending": "to go"}
    texts = [f"{counts[name]:,} {words.get(name, name)}" for name in names if counts.get(name)]
    return f"{batch['state']}: {', '.join(texts)}"


def batch_lines(batch: Json, failed: list[Json]) -> list[str]:
    """A batch with its progress. `failed`: some items that have failed or were skipped."""
    facts = [
        ("Batch", batch["id"]),
        ("Kind", batch["kind"]),
        ("Reason", batch["reason"]),
        ("Made", f"{display.moment(batch['createdAt'])}, by {batch['principal']}"),
    ]
    if "startedAt" in batch:
        facts.append(("Started", f"{display.moment(batch['startedAt'])}, by {batch['startedBy']}"))
    if "endedAt" in batch:
        facts.append(("Ended", display.moment(batch["endedAt"])))
    facts.append(("Progress", progress_line(batch)))
    if "why" in batch:
        facts.append(("Why" if batch["state"] == "canceled" else "Paused", batch["why"]))
    facts += [("Approvals", text) for text in approval_texts(batch)]
    found = display.fact_lines(facts)
    if "included" in batch:
        found += ["", *preview_lines(batch)]
    if failed:
        found += ["", Heading("Failed or skipped"), *(f"  {item_line(each)}" for each in failed)]
    return found


def item_line(item: Json) -> str:
    """An item that has failed or was skipped: its number, its instance and its code, uncut."""
    subject = item.get("result") or item.get("instance") or "-"
    return f"{item['n']:>5}  {subject}  {item.get('code', item['state'])}"
