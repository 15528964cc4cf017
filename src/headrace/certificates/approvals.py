"""The approvals of a case: what waited for persons had enough of them, of one plan and in time, or did nothing."""

from __future__ import annotations

from collections.abc import Sequence

from headrace.certificates.case import DecidedPlan, PersonDecision, RecordedInstance, RecordedStage
from headrace.errors import NotCertifiable
from headrace.workflows.commands import WaitApproval
from headrace.workflows.failures import EXPIRED, EXPIRED_TEXT, REJECTED
from headrace.workflows.interpreter import StageRunner

UNKNOWN = ("", "anonymous")
"""Principals of a server without authentication: any person may be behind them."""


def may_go_on(
    instance: RecordedInstance, recorded: RecordedStage, runner: StageRunner, case: Sequence[RecordedInstance]
) -> bool:
    """Whether a stage had the approvals that it waited for, or waited for none; False: it did nothing.

    `runner`: at the start of the stage. Raises NotCertifiable where the records do not fit each other.
    """
    gate, command = recorded.gate, runner.command
    if isinstance(command, WaitApproval):
        deadline_at = None if command.timeout_us is None else recorded.started_at + command.timeout_us
        if gate is None or (gate.needed, gate.rule, gate.deadline_at) != (command.approvals, None, deadline_at):
            raise differs(instance, recorded, "it is not recorded to wait for the approvals of the definition")
    elif gate is not None and (recorded.keyword != "send" or gate.rule is None):
        raise differs(instance, recorded, "it is recorded to wait for approvals, and nothing asks for them")
    if gate is None:
        return True
    if gate.passed_at is None:
        if recorded.activities or recorded.error is None:
            raise differs(instance, recorded, "it went on without the approvals that it waited for")
        return False
    if gate.deadline_at is not None and gate.passed_at >= gate.deadline_at:
        raise differs(instance, recorded, "it was approved when its time was over")
    if not any(
        _is_enough(plan, recorded, case[: number + 1])
        for number, each in enumerate(case)
        for plan in each.plans
        if plan.stage == recorded.number
    ):
        raise differs(
            instance,
            recorded,
            f"{gate.needed} persons that have not asked for it did not approve one plan of what it did",
        )
    return True


def refuse_two_eyes(case: Sequence[RecordedInstance]) -> None:
    """Check that no person has approved what it had asked for, of any plan that was used. Raises NotCertifiable."""
    for number, instance in enumerate(case):
        for plan in instance.plans:
            for each in plan.decisions:
                if plan.is_used and each.is_approval and _may_have_asked(case[: number + 1], plan, each):
                    raise differs(
                        instance, None, f"{each.principal} approved plan {plan.id}, and may have asked for it"
                    )


def deny(
    instance: RecordedInstance, recorded: RecordedStage, runner: StageRunner, case: Sequence[RecordedInstance]
) -> None:
    """End a stage that has not had its approvals, as it is recorded to end. Raises NotCertifiable."""
    gate = recorded.gate
    assert gate is not None, "it waited for approvals"
    is_over = gate.deadline_at is not None and instance.ended_at is not None and gate.deadline_at <= instance.ended_at
    if is_over and recorded.error == EXPIRED_TEXT:
        runner.deny(EXPIRED_TEXT, EXPIRED)
        return
    for plan in [plan for each in case for plan in each.plans if plan.stage == recorded.number]:
        for each in plan.decisions:
            text = f"rejected by {each.principal}: {each.reason}"
            if not each.is_approval and recorded.error == text:
                runner.deny(text, REJECTED)
                return
    raise differs(instance, recorded, f"it is recorded to end with {recorded.error!r}, and no decision says so")


def _is_enough(plan: DecidedPlan, recorded: RecordedStage, so_far: Sequence[RecordedInstance]) -> bool:
    """`so_far`: the instances of the case up to the one of which the plan is."""
    gate = recorded.gate
    assert gate is not None and gate.passed_at is not None
    persons = {
        each.principal
        for each in plan.decisions
        if each.is_approval
        and each.hash == plan.hash
        and each.at <= gate.passed_at
        and not _may_have_asked(so_far, plan, each)
    }
    is_rejected = any(not each.is_approval for each in plan.decisions)
    return plan.is_used and not is_rejected and len(persons) >= gate.needed


def _may_have_asked(so_far: Sequence[RecordedInstance], plan: DecidedPlan, decision: PersonDecision) -> bool:
    """Whether a person had asked for one of these instances when it decided, or an unknown one had.

    A person that starts what it has approved, or resumes a batch afterwards, had not asked yet. Who starts an instance
    by a plan does so after every decision about the plan, also where a clock shows the same moment or was set back.
    """
    for instance in so_far:
        asked = {each.principal for each in instance.requesters if each.at <= decision.at}
        if not asked:
            return True
        if instance is so_far[-1] and plan.asked_by is not None:
            asked = (asked - {instance.started_by}) | {plan.asked_by}
        else:
            asked.add(instance.started_by)
        if not asked.isdisjoint((decision.principal, *UNKNOWN)):
            return True
    return False


def differs(instance: RecordedInstance, stage: RecordedStage | None, why: str) -> NotCertifiable:
    """The refusal of a case whose records are not those of its definition."""
    where = f"instance {instance.id}" if stage is None else f"instance {instance.id}, stage {stage.number}"
    return NotCertifiable("replay_differs", f"{where}: {why}")
