"""The policy of instances: rules about money that an operator sets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from headrace.workflows.approval_rules import NO_RULES, ApprovalRules


@dataclass(frozen=True, slots=True)
class Policy:
    """`allow_world_*`: variables of a trigger or a caller may name `world` as a source account (decision M9).

    `ledger_schemas`: the schema version of each ledger that has one. `approval_rules`: which sends need approvals.
    """

    allow_world_from_trigger: bool = False
    allow_world_from_caller: bool = True
    ledger_schemas: Mapping[str, str] = field(default_factory=dict[str, str])
    approval_rules: ApprovalRules = NO_RULES
