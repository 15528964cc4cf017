"""The writes of plans."""

from __future__ import annotations

from headrace.journal.write import Write


class AddPlan(Write, frozen=True, kw_only=True):
    """Store a plan, which is open until it expires. `rest_of`: the instance of whose rest it is, if any."""

    plan_id: str
    hash: str
    document: str
    subject: str
    requester: str
    created_at: int
    expires_at: int
    rest_of: str | None = None


class UsePlan(Write, frozen=True, kw_only=True):
    """A plan starts its one instance. Changes nothing where it has one, is rejected, or has expired by `at`."""

    plan_id: str
    instance_id: str
    at: int


class ExpirePlan(Write, frozen=True, kw_only=True):
    """A plan has expired, whatever a clock says later. Changes nothing where it is used or rejected, or it is early."""

    plan_id: str
    at: int


PLAN_WRITES: tuple[type[Write], ...] = (AddPlan, UsePlan, ExpirePlan)
