"""Compares the history with decisions, of persons and of conditions.

What waits for approvals has them, in time, before it goes on. What a condition has said is stored, and obeyed.

It reads both and shares nothing with what has written them.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence

import msgspec

from headrace.journal.records import ActivityRow, Decision, Plan, Stage


def problems_of(
    stages: Sequence[tuple[Stage, Sequence[ActivityRow]]],
    decided: Sequence[tuple[Plan, Sequence[Decision]]],
    requester: str,
    conditional: Container[int] = (),
) -> Iterator[str]:
    """Contradictions, in sentences. `decided`: every plan of the rest of the instance, with what persons decided.

    `conditional`: the numbers of the stages that have a condition.
    """
    for stage, rows in stages:
        if stage.skipped and rows:
            yield f"stage {stage.number} is skipped, and has done something"
        if stage.number in conditional and stage.skipped is None and stage.error is None:
            yield f"stage {stage.number} has a condition, and what it has said is not stored"
        if stage.gate is None:
            if stage.keyword == "approve" and stage.error is None and not stage.skipped:
                yield f"stage {stage.number} is a wait for approvals, and no approvals are stored with it"
            continue
        needed, passed_at = msgspec.json.decode(stage.gate)["needed"], stage.gate_passed_at
        if passed_at is None:
            if rows or (stage.terminated_at is not None and stage.error is None):
                yield f"stage {stage.number} went on without the approvals that it waits for"
            continue
        if any(row.started_at < passed_at for row in rows):
            yield f"stage {stage.number} has done something before it was approved"
        if stage.deadline_at is not None and passed_at >= stage.deadline_at:
            yield f"stage {stage.number} was approved when its time was over"
        if not any(_is_enough(plan, decisions, stage, needed, requester) for plan, decisions in decided):
            yield f"stage {stage.number} went on without {needed} approvals of one plan"


def _is_enough(plan: Plan, decisions: Sequence[Decision], stage: Stage, needed: int, requester: str) -> bool:
    if plan.state != "used" or msgspec.json.decode(plan.document)["from"]["stage"] != stage.number:
        return False
    persons = {
        each.principal
        for each in decisions
        if each.verdict == "approve" and each.hash == plan.hash and each.at <= (stage.gate_passed_at or 0)
    }
    return len(persons - {requester}) >= needed and all(each.verdict == "approve" for each in decisions)
