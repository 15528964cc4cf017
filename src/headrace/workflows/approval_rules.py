"""Rules about approvals: which sends persons have to approve, whatever a workflow says.

They come from a file of the operator, read when a server starts, and not from the API: who writes workflows must not
loosen them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import reduce
from typing import Any, cast

from headrace.errors import InvalidValue
from headrace.money import amount_of, asset_name
from headrace.workflows.activities import Json
from headrace.workflows.durations import duration_us
from headrace.workflows.stages.checks import MAX_APPROVALS
from headrace.workflows.variables import expand, shown

MAX_RULES = 1_000
EVERY_WORKFLOW = "*"
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}", re.ASCII)
_MEMBERS = ("id", "workflow", "asset", "over", "approvals", "expires")


@dataclass(frozen=True, slots=True)
class ApprovalRule:
    """A run of such a workflow that has sent more than `over` of an asset needs a plan with so many approvals.

    `workflow`: a pattern of names in which `*` stands for any text; a workflow without a name fits `*` only. `over` is
    in units of the asset. `expires_us`: for how long a run waits for the approvals; None: without a limit.
    """

    id: str
    asset: str
    over: int
    approvals: int
    workflow: str = EVERY_WORKFLOW
    expires_us: int | None = None

    def is_about(self, workflow_name: str | None) -> bool:
        return fnmatchcase(workflow_name or "", self.workflow)


@dataclass(frozen=True, slots=True)
class ApprovalRules:
    """The rules of a file. `hash`: of the file, as `sha256:` and hexadecimal; empty: there is none."""

    rules: tuple[ApprovalRule, ...] = ()
    hash: str = ""

    def asking(
        self,
        workflow_name: str | None,
        stages: list[Json],
        variables: Mapping[str, str],
        number: int,
        skipped: Collection[int] = (),
    ) -> ApprovalRule | None:
        """The rule that asks for the most approvals before the stage of this number, which is a `send`; None: none.

        A rule counts the sends of the definition in its asset, up to this one and with it. Instances of one case have
        one definition and the same variables, so that is the sum of the case. `skipped`: stages that
        are left out, which send nothing.
        """
        own = None if number in skipped else _moved(stages[number], variables)
        if own is None:
            return None
        about = [rule for rule in self.rules if rule.asset == own[0] and rule.is_about(workflow_name)]
        if not about:
            return None
        total = sent_by(stages, variables, (place for place in range(number + 1) if place not in skipped))[own[0]]
        return reduce(stricter, (rule for rule in about if total > rule.over), None)

    def asking_for(self, sums: Mapping[tuple[str | None, str], int]) -> ApprovalRule | None:
        """The rule that asks for the most approvals of what is decided together; None: none does.

        `sums`: amounts by name of a workflow and asset. A rule counts all workflows that it is about.
        """
        asking = (
            rule
            for rule in self.rules
            if sum(sum_ for (name, asset), sum_ in sums.items() if asset == rule.asset and rule.is_about(name))
            > rule.over
        )
        return reduce(stricter, asking, None)


NO_RULES = ApprovalRules()


def stricter(one: ApprovalRule | None, other: ApprovalRule | None) -> ApprovalRule | None:
    """The rule that asks for more approvals; the first of two that ask for as many."""
    if one is None or other is None:
        return one or other
    return other if other.approvals > one.approvals else one


def sent_by(stages: list[Json], variables: Mapping[str, str], numbers: Iterable[int]) -> Counter[str]:
    """The sums by asset that the stages of these numbers send, in units of the asset."""
    sums: Counter[str] = Counter()
    for moved in (_moved(stages[number], variables) for number in numbers):
        if moved is not None:
            sums[moved[0]] += moved[1]
    return sums


def _moved(stage: Json, variables: Mapping[str, str]) -> tuple[str, int] | None:
    """The asset and the amount of a `send`; None: the stage is none, or fails before anything is sent."""
    if "send" not in stage:
        return None
    try:
        amount = cast("Json", expand(stage["send"]["amount"], variables))
        return asset_name(amount["asset"], "asset"), amount_of(amount["amount"], "amount")
    except (InvalidValue, KeyError, TypeError):
        return None


def parse_rules(value: object, hash_: str) -> ApprovalRules:
    """The rules of a file that holds `{"approvals": [rule, ...]}`. Raises InvalidValue, which names the member."""
    if not isinstance(value, dict):
        raise InvalidValue("", "must be an object with `approvals`")
    members = cast("dict[str, Any]", value)
    for name in members:
        if name != "approvals":
            raise InvalidValue(shown(name), "is not known; there is `approvals`")
    entries = members.get("approvals")
    if not isinstance(entries, list) or not entries:
        raise InvalidValue("approvals", "must be a list of rules")
    if len(cast("list[object]", entries)) > MAX_RULES:
        raise InvalidValue("approvals", f"has more than {MAX_RULES:,} rules")
    rules = [_rule(entry, f"approvals[{number}]") for number, entry in enumerate(cast("list[object]", entries))]
    for number, rule in enumerate(rules):
        if any(rule.id == other.id for other in rules[:number]):
            raise InvalidValue(f"approvals[{number}].id", f"{rule.id} is the id of an earlier rule")
    return ApprovalRules(tuple(rules), hash_)


def _rule(entry: object, path: str) -> ApprovalRule:
    if not isinstance(entry, dict):
        raise InvalidValue(path, f"must be an object with {', '.join(_MEMBERS)}")
    given = cast("dict[str, Any]", entry)
    for name in given:
        if name not in _MEMBERS:
            raise InvalidValue(f"{path}.{shown(name)}", f"is not known; known are {', '.join(_MEMBERS)}")
    for name in ("id", "asset", "over", "approvals"):
        if given.get(name) is None:
            raise InvalidValue(f"{path}.{name}", "is missing")
    if not isinstance(given["id"], str) or not _ID.fullmatch(given["id"]):
        raise InvalidValue(f"{path}.id", "must be a name of 1 to 63 letters, digits, _, . and -")
    workflow = given.get("workflow", EVERY_WORKFLOW)
    if not isinstance(workflow, str) or not workflow:
        raise InvalidValue(f"{path}.workflow", "must be a pattern of names, such as payout-*")
    needed = given["approvals"]
    if isinstance(needed, bool) or not isinstance(needed, int) or not 1 <= needed <= MAX_APPROVALS:
        raise InvalidValue(f"{path}.approvals", f"must be a whole number from 1 to {MAX_APPROVALS}")
    expires = given.get("expires")
    return ApprovalRule(
        id=given["id"],
        asset=asset_name(given["asset"], f"{path}.asset"),
        over=amount_of(given["over"], f"{path}.over"),
        approvals=needed,
        workflow=workflow,
        expires_us=None if expires is None else duration_us(expires, f"{path}.expires"),
    )
