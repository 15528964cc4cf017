"""All rules, and the search for what they find."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from headrace.linting import accounts, amounts, triggered, waits
from headrace.linting.rule import Remark, Rule
from headrace.linting.workflow import Json, Trigger, Workflow

EVERY_RULE: tuple[Rule, ...] = (
    amounts.asset_mismatch,
    amounts.asset_precision,
    amounts.splits_exceed,
    amounts.splits_leave_rest,
    triggered.unbound_variable,
    triggered.unused_variable,
    waits.wait_without_timeout,
    waits.same_event_twice,
    triggered.world_from_variable,
    accounts.overdraft_on,
    accounts.overdraft_from_variable,
    accounts.ledger_missing,
    accounts.same_account,
    amounts.zero_amount,
    amounts.fixed_timestamp,
    accounts.bridge_one_sided,
    waits.irreversible_not_last,
    accounts.wallet_by_name,
    waits.not_portable,
    triggered.amount_may_be_float,
    triggered.trigger_any_status,
    triggered.trigger_many_per_payment,
    triggered.trigger_loop,
)
"""Rules in the order of the reference, those included that the language has no use for yet."""
RULES: dict[str, Rule] = {rule.name: rule for rule in EVERY_RULE if rule.applies}
"""The rules that are run, by name."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A remark, and the rule that made it."""

    rule: Rule
    remark: Remark


def find(document: Json, triggers: Sequence[Trigger] = ()) -> list[Finding]:
    """Run every rule on a valid definition and the triggers that start it."""
    workflow = Workflow(document, tuple(triggers))
    return [Finding(rule, remark) for rule in RULES.values() for remark in rule.check(workflow)]
