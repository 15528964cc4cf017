"""A plan as a document: what a person reads and signs.

The hash covers what a run must not do otherwise: the definition, its variables, the stages that
are skipped and the commitment of each effect. What
may change until then (balances, times, what was read) is shown, and not hashed.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any, Literal

from headrace.errors import TooLarge
from headrace.planning.canonical import canonical_json, sha
from headrace.planning.commitments import Commitment
from headrace.workflows.activities import Json
from headrace.workflows.durations import moment_text

FORMAT = "headrace-plan/1"
MAX_BYTES = 4 << 20
COMMITTED = ("stage", "ordinal", "activity", "service", "method", "path", "body")
"""The members of an effect that its commitment has."""

Kind = Literal["refused", "invalid", "conflict", "plan"]
"""How a plan can fail: a service would decline an effect or a read; a value cannot be used; a reference is taken; what
it continues was booked, or may still be, with other content.
"""


@dataclass(slots=True)
class Draft:
    """A plan that is being made. Its lists hold JSON in the order of the run. Each `add` raises TooLarge."""

    definition: Json
    variables: dict[str, str]
    origin: str
    planned_at: int
    effects: list[Json] = field(default_factory=list[Json])
    assumptions: list[Json] = field(default_factory=list[Json])
    skipped: list[int] = field(default_factory=list[int])
    fails: Json | None = None
    ends: Json | None = None
    totals: defaultdict[str, dict[str, int]] = field(
        default_factory=lambda: defaultdict(lambda: {"sent": 0, "externalIn": 0, "externalOut": 0})
    )
    size: int = 0
    beginning: Json | None = None
    """The instance that the plan continues, and the stage and position at which that one ended."""

    def add_effect(self, commitment: Commitment, **shown: Any) -> None:
        effect = {**commitment.shown(), **shown}
        self._grow(effect)
        self.effects.append(effect)

    def assume(self, stage: int, type_: str, **members: Any) -> None:
        assumption = {"stage": stage, "type": type_, **members}
        self._grow(assumption)
        self.assumptions.append(assumption)

    def fail(self, failure: Json, *, is_end: bool) -> None:
        """Note a failure. The first one is that of a run today; one that ends the plan after a shortage is `ends`."""
        if self.fails is None:
            self.fails = failure
        elif is_end:
            self.ends = failure

    def document(self) -> Json:
        """The finished plan."""
        plan: Json = {
            "format": FORMAT,
            "plannedAt": moment_text(self.planned_at),
            "verdict": "succeeds" if self.fails is None else "fails",
            "origin": self.origin,
            "definition": self.definition,
            "variables": self.variables,
            "effects": self.effects,
            "skipped": self.skipped,
            "assumptions": self.assumptions,
            **({} if self.beginning is None else {"from": self.beginning}),
            "totals": {asset: self.totals[asset] for asset in sorted(self.totals)},
        }
        if self.fails is not None:
            plan["fails"] = self.fails
        if self.ends is not None:
            plan["ends"] = self.ends
        plan["hash"] = plan_hash(plan)
        return plan

    def _grow(self, added: Json) -> None:
        self.size += len(canonical_json(added))
        if self.size > MAX_BYTES:
            raise TooLarge("plan", f"has more than {MAX_BYTES:,} bytes")


def plan_hash(plan: Json) -> str:
    """The hash that is signed, from the document of a plan. Two plans with equal hashes let a run do the same."""
    return sha(
        {
            "format": plan["format"],
            "origin": plan["origin"],
            "definition": plan["definition"],
            "variables": plan["variables"],
            "from": plan.get("from"),
            "skipped": plan["skipped"],
            "effects": [{name: effect[name] for name in COMMITTED} for effect in plan["effects"]],
        }
    )
