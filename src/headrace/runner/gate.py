"""Gates: what a stage waits for before it goes on. A stage `approve` has one, and so has a `send` that a rule names."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

import msgspec

from headrace.journal.approval_writes import OpenGate
from headrace.runner.context import Definition
from headrace.workflows.approval_rules import ApprovalRules
from headrace.workflows.commands import WaitApproval
from headrace.workflows.interpreter import StageRunner


class Gate(msgspec.Struct, frozen=True, omit_defaults=True):
    """The approvals that a stage needs, as they are stored with it.

    `rule`: the id of the rule that asks for them; None: the stage itself does. `rules`: the hash of the rules' file.
    """

    needed: int
    rule: str | None = None
    rules: str | None = None

    def text(self) -> str:
        return msgspec.json.encode(self).decode()


class OpenedGate(NamedTuple):
    """A gate, and the moment at which its stage gives up; None: never."""

    gate: Gate
    deadline_at: int | None


def gate_of(instance_id: str, number: int, opened: OpenedGate) -> OpenGate:
    """The row of a gate, beside that of its stage."""
    return OpenGate(instance_id=instance_id, number=number, gate=opened.gate.text(), deadline_at=opened.deadline_at)


def read_gate(text: str) -> Gate:
    return msgspec.json.decode(text, type=Gate)


def gate_before(
    stage: StageRunner,
    opened_at: int,
    definition: Definition,
    variables: Mapping[str, str],
    rules: ApprovalRules,
    approvals: int,
    skipped: Collection[int] = (),
) -> OpenedGate | None:
    """The gate before a stage that has just begun; None: it goes on at once.

    `approvals`: how many persons have approved the plan that the instance may not leave. A stage `approve` asks again
    also where there is such a plan, as time has passed since; a rule does not. `skipped`: the
    stages before that were left out, which have sent nothing.
    """
    command = stage.command
    if isinstance(command, WaitApproval):
        timeout_us = command.timeout_us
        return OpenedGate(Gate(command.approvals), None if timeout_us is None else opened_at + timeout_us)
    if not rules.rules or command is None or stage.keyword != "send":
        return None
    rule = rules.asking(definition.name, definition.stages, variables, stage.number, skipped)
    if rule is None or approvals >= rule.approvals:
        return None
    gate = Gate(rule.approvals, rule.id, rules.hash)
    return OpenedGate(gate, None if rule.expires_us is None else opened_at + rule.expires_us)
