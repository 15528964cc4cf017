"""The writes of decisions: those of persons about plans, with the gates of stages, and those of conditions."""

from __future__ import annotations

from headrace.journal.write import Write


class AddDecision(Write, frozen=True, kw_only=True):
    """Store a person's decision about a plan. Changes nothing where the plan is used or rejected, or has expired by
    `at`, or where this principal has decided about it.

    `target`: the plan. `verdict`: approve or reject. `hash`: the plan's, as the principal gave it.
    """

    target: str
    principal: str
    verdict: str
    hash: str
    reason: str
    at: int


class ApprovePlan(Write, frozen=True, kw_only=True):
    """An open plan is approved, if as many principals as `needed` have approved it."""

    plan_id: str
    needed: int


class RejectPlan(Write, frozen=True, kw_only=True):
    """A plan is rejected. Changes nothing where it is used, or has expired by `at`."""

    plan_id: str
    at: int


class SpendPlan(Write, frozen=True, kw_only=True):
    """A waiting instance uses the plan of its rest. Changes nothing where it is used, rejected or expired by `at`."""

    plan_id: str
    at: int


class OpenGate(Write, frozen=True, kw_only=True):
    """A stage that has just been opened waits for approvals. `gate`: JSON of a `runner.gate.Gate`.

    `deadline_at`: when the stage gives up; None: it waits without a limit.
    """

    instance_id: str
    number: int
    gate: str
    deadline_at: int | None


class DecideStage(Write, frozen=True, kw_only=True):
    """Store whether the condition of a stage that has just been opened skips it. A decision does not change."""

    instance_id: str
    number: int
    is_skipped: bool


class PassGate(Write, frozen=True, kw_only=True):
    """A stage has the approvals that it waited for. Changes nothing where it does not wait for any."""

    instance_id: str
    number: int
    at: int


class PinInstance(Write, frozen=True, kw_only=True):
    """From now on an instance may not leave this plan."""

    instance_id: str
    plan_id: str


APPROVAL_WRITES: tuple[type[Write], ...] = (
    AddDecision,
    ApprovePlan,
    RejectPlan,
    SpendPlan,
    OpenGate,
    DecideStage,
    PassGate,
    PinInstance,
)
